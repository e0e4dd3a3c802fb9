"""tools/check refusals finds what refuses in silence: each mistake is planted in a copy of the tree."""

import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEAD = "/* Planted. */\n#include \"smtp/smtp_int.h\"\n\n"

PLANTED = {
    "a reply of its own": ("src/smtp/planted.c", """
void planted(struct smtp_session *x)
{
    smtp_reply(x, "452 4.3.1", SLICE("not now"));
}
"""),
    "a reply from a variable": ("src/smtp/planted.c", """
void planted(struct smtp_session *x, const char *code)
{
    smtp_reply(x, code, SLICE("not now"));
}
"""),
    "past the one writer": ("src/smtp/planted.c", """
static void planted(struct smtp_session *x, struct slice text)
{
    net_stream_write(x->stream, text);
}
"""),
    "a reply in another room": ("src/queue/planted.c", """
static const char *planted(void)
{
    return "421 4.7.0";
}
"""),
    "too much of HTTP": ("src/web/planted.c", """
static enum MHD_Result planted(struct request *r)
{
    return MHD_queue_response(r->http, 429, r->response);
}
"""),
    "the administration without a count": ("src/admin/planted.c", """
void planted(struct admin_call *c)
{
    call_status(c, 507);
}
"""),
}


@pytest.fixture
def tree(tmp_path):
    for name in ("src", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return tmp_path


def check(tree):
    done = subprocess.run([tree / "tools/check", "refusals"], capture_output=True, text=True,
                          env=os.environ | {"CHECK_ROOT": str(tree)}, check=False)
    return done.returncode, done.stdout


def test_the_tree_is_fine(tree):
    assert check(tree) == (0, "refusals: fine\n")


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_mistake_is_found(tree, what):
    path, code = PLANTED[what]
    (tree / path).write_text(HEAD + code)
    status, said = check(tree)
    assert status == 1 and path in said and "planted" in said, said


def test_a_row_that_nobody_uses_is_found(tree):
    with open(tree / "src/base/refuse.def", "a", encoding="utf-8") as rows:
        rows.write('REFUSE(PLANTED, "smtp.planted", "smtp", 1, "", REFUSE_PEER, "450 4.0.0", "no")\n')
    status, said = check(tree)
    assert status == 1 and "nobody refuses for PLANTED" in said


def test_a_counter_that_stopped_counting_is_found(tree):
    path = tree / "src/admin/admin.c"
    text = path.read_text()
    assert "(void)refuse(REFUSE_ADMIN_LIMIT, c->by);" in text
    path.write_text(text.replace("(void)refuse(REFUSE_ADMIN_LIMIT, c->by);", ";"))
    status, said = check(tree)
    assert status == 1 and "call_refuse does not count" in said
