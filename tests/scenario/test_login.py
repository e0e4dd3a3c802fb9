"""How people log in: set by the command line, kept over a restart and over a kill.

Passwords are hashed inside core's sandbox; the log, the events and the store hold no secret."""

import re

import pytest

from harness.process import wait_for
from story import ALICE, BOB

pytestmark = pytest.mark.usefixtures("network")

PASSWORD = "correct horse battery"


def test_passwords_codes_and_tokens_are_made_kept_and_ended(stage):
    node, _ = stage.before()
    node.must("person", "password", ALICE, stdin=PASSWORD + "\n")
    made = node.must("person", "password", BOB, "--generate")["password"]
    assert re.fullmatch(r"([a-z2-7]{5}-){3}[a-z2-7]{5}", made)
    code = node.must("person", "code", ALICE)
    assert re.fullmatch(r"\d{4} \d{4}", code["code"]) and code["until"]
    token = node.must("person", "token", "add", ALICE, "Phone")["token"]
    assert re.fullmatch(r"sta_[a-z2-7]{52}", token)
    for end in (node.restart, lambda: (node.kill9(), node.start())):
        end()
        known = node.must("person", "token", "list", ALICE)
        assert known["has_password"] and known["code_until"] == code["until"]
        assert [(row["name"], row["kind"]) for row in known["tokens"]] == [("Phone", "app")]
    node.must("person", "token", "remove", ALICE, "Phone")
    node.must("person", "logout", ALICE)
    known = node.must("person", "token", "list", ALICE)
    assert known["tokens"] == [] and "code_until" not in known
    wait_for(lambda: {"login.password", "login.code", "login.token", "login.token-removed",
                      "login.ended"} <= {row["name"] for row in node.must("events")["events"]},
             "the events are there")
    kept = node.log().encode() + b"".join(
        path.read_bytes() for path in sorted(node.data.rglob("*")) if path.is_file())
    for secret in (PASSWORD, made, code["code"], code["code"].replace(" ", ""), token):
        assert secret.encode() not in kept


def test_what_cannot_be_is_refused_in_words(stage):
    node, _ = stage.before()
    for args, stdin, why in (
            (("person", "password", ALICE), "short\n", "shorter than 10"),
            (("person", "password", ALICE), "\n", "no password"),
            (("person", "password", "nobody@example.test", "--generate"), None, "Nobody has"),
            (("person", "token", "remove", ALICE, "Phone"), None, "no token")):
        code, _ = node.cli(*args, stdin=stdin)
        assert code != 0 and why in node.last_error
    node.must("person", "token", "add", ALICE, "Phone")
    code, _ = node.cli("person", "token", "add", ALICE, "phone")
    assert code == 1 and "already" in node.last_error
