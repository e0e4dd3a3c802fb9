"""Changes given back to a hosted server, one habit of large providers a test: no master user, no
SPECIAL-USE, no CONDSTORE, folders in the local language, no keywords, limits of lines and sizes,
throttling, headers that are not what was appended, connections dropped at random. Nothing is
doubled, nothing is lost, and what is not sure is told as such."""

import collections
import re
import time

import pytest

from harness.giving import Op, give, message
from harness.hosted import CAPS, FOLDERS, Habits, Hosted, at_random

WHEN = 1795163415
GERMAN = ("INBOX", "Entwürfe", "Gesendete Elemente", "Gelöschte Elemente", "Junk-E-Mail")


@pytest.fixture(scope="module", autouse=True)
def inside(network):
    """All in a network of its own."""


def at(server, **more):
    return {"imap": f"127.0.0.1:{server.port}", "tls": "never", "user": server.user,
            "secret": server.secret, "timeout_ms": 8000, **more}


def results(rows):
    return [row.result for row in rows]


def sent(name, **more):
    return Op("append", message(name, when=WHEN, **more), role="sent", add="\\Seen",
              internal=WHEN * 1000)


def change(name, **more):
    return Op("set", message(name, when=WHEN), **more)


def without(*caps):
    return tuple(cap for cap in CAPS if cap not in caps)


def again_is_nothing(directory, server, ops, expected):
    """The same once more changes nothing."""
    before = server.state()
    rows = give(directory, at(server), ops)
    assert results(rows) == expected, rows
    assert server.state() == before


def test_each_person_logs_in_alone(directory):
    with Hosted() as server:
        rows = give(directory, at(server, user=server.user + "*admin"), [sent("a")])
        assert results(rows) == ["not-tried"] and "failed" in rows[0].text, rows
        assert rows.facts["step"] == "login" and server.secret not in str(rows)
        for mechanism in ("plain", "login", "xoauth2"):
            rows = give(directory, at(server, mechanism=mechanism), [sent("a" + mechanism)])
            assert results(rows) == ["done"], rows


@pytest.mark.parametrize("folders", [
    FOLDERS, GERMAN,
    ("INBOX", "Bozze", "Posta inviata", "Posta eliminata", "Posta indesiderata"),
    ("INBOX", "Brouillons", "Éléments envoyés", "Éléments supprimés", "Courrier indésirable"),
    ("INBOX", "Borradores", "Elementos enviados", "Elementos eliminados", "Correo no deseado"),
    ("INBOX", "Concepten", "Verzonden items", "Verwijderde items", "Ongewenste e-mail"),
    ("INBOX", "Rascunhos", "Itens Enviados", "Itens Excluídos", "Lixo Eletrônico"),
    ("INBOX", "Wersje robocze", "Elementy wysłane", "Elementy usunięte", "Wiadomości-śmieci"),
    ("INBOX", "下書き", "送信済みアイテム", "削除済みアイテム", "迷惑メール"),
], ids=lambda names: names[1])
def test_folders_are_known_by_their_names(directory, folders):
    with Hosted(Habits(folders=folders)) as server:
        server.add(message("old", when=WHEN))
        server.add(message("bad", when=WHEN))
        ops = [Op("append", message("draft"), role="drafts", add="\\Draft"), sent("one"),
               change("old", fate="trash"), change("bad", fate="move", role="junk")]
        rows = give(directory, at(server), ops)
        assert results(rows) == ["done"] * 4, rows
        assert [row.folder for row in rows] == list(folders[1:])
        assert list(server.folders) == list(folders)  # none was made
        again_is_nothing(directory, server, ops, ["already"] * 4)


def test_a_folder_that_lacks_gets_a_name_of_their_language(directory):
    with Hosted(Habits(folders=GERMAN)) as server:
        row, = give(directory, at(server), [Op("append", message("a"), role="archive")])
        assert (row.result, row.folder) == ("done", "Archiv")
        assert server.subscribed == {"Archiv"}


def test_what_they_say_of_a_folder_counts_more_than_its_name(directory):
    habits = Habits(caps=CAPS + ("SPECIAL-USE",), folders=("INBOX", "Sent", "Outgoing"),
                    special_use={"Outgoing": "\\Sent"})
    with Hosted(habits) as server:
        assert give(directory, at(server), [sent("a")])[0].folder == "Outgoing"
    habits = Habits(caps=without("NAMESPACE") + ("XLIST",), folders=("INBOX", "Sent", "Outgoing"),
                    special_use={"Outgoing": "\\Sent"})
    with Hosted(habits) as server:
        assert give(directory, at(server), [sent("a")])[0].folder == "Outgoing"


@pytest.mark.parametrize("caps", [CAPS, without("NAMESPACE")], ids=["said", "guessed"])
def test_folders_under_the_inbox(directory, caps):
    habits = Habits(caps=caps, delimiter=".", namespace='(("INBOX." ".")) NIL NIL',
                    folders=("INBOX", "INBOX.Sent", "INBOX.Trash"))
    with Hosted(habits) as server:
        ops = [sent("a"), Op("append", message("b"), folder="Clients/Rossi"),
               Op("append", message("c"), role="archive")]
        assert [row.folder for row in give(directory, at(server), ops)] == [
            "INBOX.Sent", "INBOX.Clients.Rossi", "INBOX.Archive"]
        again_is_nothing(directory, server, ops, ["already"] * 3)


def test_folders_of_other_people_are_not_looked_at(directory):
    habits = Habits(folders=FOLDERS + ("Other Users/bob/Sent", "Public/news"),
                    namespace='(("" "/")) (("Other Users/" "/")) (("Public/" "/"))')
    with Hosted(habits) as server:
        server.add(message("one", when=WHEN), "Other Users/bob/Sent")
        rows = give(directory, at(server), [sent("one"), change("one", add="\\Flagged")])
        assert results(rows) == ["done", "done"]
        assert server.folders["Other Users/bob/Sent"].messages[0].flags == set()


def test_keywords_that_are_not_kept_are_left_out_and_told(directory):
    with Hosted() as server:
        server.add(message("old", when=WHEN))
        ops = [change("old", add="\\Seen,$Forwarded,holiday"),
               Op("append", message("new"), role="sent", add="\\Seen,holiday,\\Recent")]
        rows = give(directory, at(server), ops)
        assert results(rows) == ["done"] * 2
        assert "$Forwarded" in rows[0].text and "holiday" in rows[0].text, rows
        assert "holiday" in rows[1].text
        assert server.folders["INBOX"].messages[0].flags == {"\\Seen"}
        assert server.folders["Sent Items"].messages[0].flags == {"\\Seen"}
        again_is_nothing(directory, server, ops, ["already"] * 2)


def test_lines_are_short(directory):
    with Hosted(Habits(line_max=1000, caps=without("LITERAL+"))) as server:
        ops = [sent(f"{'long' * 40}-{n}") for n in range(60)]
        assert results(give(directory, at(server), ops)) == ["done"] * 60
        assert server.longest <= 1000
        again_is_nothing(directory, server, ops, ["already"] * 60)


def test_a_server_that_takes_even_less_in_a_line(directory):
    with Hosted(Habits(line_max=300)) as server:
        server.add(message("x3", when=WHEN), "Sent Items")
        ops = [sent(f"x{n}") for n in range(9)]
        assert results(give(directory, at(server), ops)) == ["done"] * 3 + ["already"] + \
            ["done"] * 5


@pytest.mark.parametrize("habits", [
    Habits(size_max=5000), Habits(size_max=5000, caps=without("LITERAL+")),
    Habits(size_max=5000, caps=CAPS + ("APPENDLIMIT=5000",)),
    Habits(size_max=5000, caps=CAPS + ("APPENDLIMIT",), status_limit=5000),
], ids=["refused", "refused-early", "announced", "of-the-folder"])
def test_what_is_too_large_is_refused_in_words_and_the_rest_goes(directory, habits):
    with Hosted(habits) as server:
        ops = [sent("small"), sent("large", body=b"x" * 70 + b"\r\n" + b"y\r\n" * 9000),
               sent("other")]
        rows = give(directory, at(server), ops)
        assert results(rows) == ["done", "refused", "done"], rows
        assert "size" in rows[1].text or "bytes" in rows[1].text
        assert server.subjects() == {"Sent Items": ["small", "other"]}
        is_announced = any(cap.startswith("APPENDLIMIT") for cap in habits.caps)
        assert server.counts["APPEND"] == (2 if is_announced else 3)


@pytest.mark.parametrize("answer", [
    "NO [INUSE] somebody else has it", "NO [LIMIT] slow down", "NO [UNAVAILABLE] moment",
    "NO [OVERQUOTA] Account exceeded command or bandwidth limits.",
    "BAD Request is throttled. Suggested Backoff Time: 1200 milliseconds",
    "NO Server Unavailable. 15"])
def test_throttling_is_waited_for(directory, answer):
    with Hosted(Habits(refusals={"APPEND": [answer], "SEARCH": [answer]})) as server:
        begun = time.monotonic()
        assert results(give(directory, at(server), [sent("a"), sent("b")])) == ["done"] * 2
        assert time.monotonic() - begun > 2
        assert server.subjects() == {"Sent Items": ["a", "b"]}


def test_throttling_without_end_is_left_for_later(directory):
    with Hosted(Habits(refusals={"APPEND": ["NO [LIMIT] slow down"] * 99})) as server:
        begun = time.monotonic()
        rows = give(directory, at(server, timeout_ms=3000), [sent("a"), sent("b")])
        assert time.monotonic() - begun < 4
        assert results(rows) == ["not-tried"] * 2 and "slow down" in rows[1].text
        assert server.counts["APPEND"] < 4 and server.subjects() == {}
    hour = "BAD Request is throttled. Suggested Backoff Time: 3500000 milliseconds"
    with Hosted(Habits(refusals={"SEARCH": [hour]})) as server:
        rows = give(directory, at(server), [sent("a"), sent("b")])
        assert results(rows) == ["not-tried"] * 2 and rows.facts["is_ours"] == "0"
        assert server.counts["SEARCH"] == 1


def test_a_full_mailbox_still_gets_its_flags(directory):
    full = ["NO [OVERQUOTA] The mailbox is full."] * 99
    with Hosted(Habits(refusals={"APPEND": full})) as server:
        server.add(message("old", when=WHEN))
        rows = give(directory, at(server), [sent("a"), sent("b"), change("old", add="\\Seen"),
                                            change("old", fate="expunge")])
        assert results(rows) == ["not-tried", "not-tried", "done", "done"], rows
        assert "full" in rows[0].text and "full" in rows[1].text
        assert server.counts["APPEND"] == 3


def test_a_slow_server_is_not_waited_for_beyond_the_time(directory):
    with Hosted(Habits(slow={"APPEND": 0.8})) as server:
        ops = [sent(f"s{n}") for n in range(5)]
        begun = time.monotonic()
        rows = give(directory, at(server, timeout_ms=2000), ops)
        assert time.monotonic() - begun < 3
        kinds = results(rows)
        n = kinds.index("unsure")
        assert kinds == ["done"] * n + ["unsure"] + ["not-tried"] * (4 - n), rows
        time.sleep(1)
        assert results(give(directory, at(server), ops))[:n + 1] == ["already"] * (n + 1)
        assert sorted(server.subjects()["Sent Items"]) == [f"s{n}" for n in range(5)]


def rewritten(raw):
    """As hosted Exchange shows what it was given: other zones, other names, other order."""
    raw = re.sub(rb"(?m)^From: Anna <(.*)>\r$", rb'From: "Rossi, Anna" <\1>\r', raw)
    raw = re.sub(rb"(?m)^Date: .*\r$", b"Date: Fri, 20 Nov 2026 09:30:15 +0100\r", raw)
    return b"Received: from there by here\r\n" + raw


def test_headers_that_are_not_what_was_appended(directory):
    cases = {"rewritten": rewritten,
             "without our trace": lambda raw: re.sub(rb"(?s)Staffetta-Trace:.*?\r\n(?!\s)", b"", raw),
             "another id": lambda raw: re.sub(rb"Message-ID: <.*?>", b"Message-ID: <new@them>", raw),
             "another sender": lambda raw: raw.replace(b"<anna@example.test>", b"<info@them>"),
             "another date": lambda raw: re.sub(rb"(?m)^Date: .*\r$",
                                                b"Date: Mon, 1 Jan 2001 00:00:00 +0000\r", raw)}
    for name, rewrite in cases.items():
        for caps in (CAPS, without("UIDPLUS")):
            with Hosted(Habits(rewrite=rewrite, caps=caps)) as server:
                trace = "abcdefghijklm"
                ops = [Op("append", message("one", trace=trace, when=WHEN), trace=trace,
                          role="sent")]
                row, = give(directory, at(server), ops)
                assert (row.result, row.uid) == ("done", 1), (name, row)
                again_is_nothing(directory, server, ops, ["already"])


def test_without_move_and_uidplus_nothing_of_others_is_expunged(directory):
    with Hosted(Habits(caps=without("MOVE", "UIDPLUS"))) as server:
        server.add(message("theirs"), flags=["\\Deleted"])
        for name in ("filed", "gone"):
            server.add(message(name, when=WHEN))
        ops = [change("filed", fate="move", folder="Kept"), change("gone", fate="expunge"),
               sent("new")]
        rows = give(directory, at(server), ops)
        assert results(rows) == ["done"] * 3, rows
        assert "UIDPLUS" in rows[0].text and "UIDPLUS" in rows[1].text
        assert rows[2].uid == 1
        assert len(server.folders["INBOX"].messages) == 3 and "EXPUNGE" not in server.counts
        assert server.subjects() == {"Kept": ["filed"], "Sent Items": ["new"]}
        again_is_nothing(directory, server, ops, ["already"] * 3)


def test_without_move_it_is_copied_and_removed(directory):
    with Hosted(Habits(caps=without("MOVE"))) as server:
        server.add(message("theirs"), flags=["\\Deleted"])
        server.add(message("filed", when=WHEN))
        ops = [change("filed", fate="trash", add="\\Seen")]
        row, = give(directory, at(server), ops)
        assert (row.result, row.folder, row.uid) == ("done", "Deleted Items", 1)
        assert [m.flags for m in server.folders["Deleted Items"].messages] == [{"\\Seen"}]
        assert [m.flags for m in server.folders["INBOX"].messages] == [{"\\Deleted"}]
        again_is_nothing(directory, server, ops, ["already"])


# ---- connections that break off ------------------------------------------------------------------


def test_a_lost_answer_of_append_is_looked_after(directory):
    with Hosted(Habits(drop={("APPEND", 1): "after"})) as server:
        ops = [sent("a"), sent("b")]
        rows = give(directory, at(server), ops)
        assert results(rows) == ["done", "done"] and "lost" in rows[0].text
        assert rows[0].uid == 1 and server.n_connections == 2
        assert server.subjects() == {"Sent Items": ["a", "b"]}


def test_an_append_that_may_still_happen_is_unsure_and_not_repeated(directory):
    for how, later in (("before", "done"), ("late", "already")):
        with Hosted(Habits(drop={("APPEND", 1): how})) as server:
            ops = [sent("a"), sent("b")]
            rows = give(directory, at(server), ops)
            assert results(rows) == ["unsure", "done"] and "lost" in rows[0].text, rows
            assert server.counts["APPEND"] == 2
            server.carry_out_late()
            assert results(give(directory, at(server), ops)) == [later, "already"]
            assert sorted(server.subjects()["Sent Items"]) == ["a", "b"]


def test_a_second_break_leaves_the_rest_for_later(directory):
    drop = {("APPEND", 1): "after", ("APPEND", 2): "after"}
    with Hosted(Habits(drop=drop)) as server:
        ops = [sent("a"), sent("b"), sent("c")]
        rows = give(directory, at(server), ops)
        assert results(rows) == ["done", "unsure", "not-tried"], rows
        assert results(give(directory, at(server), ops)) == ["already", "already", "done"]


@pytest.mark.parametrize("verb", ["LIST", "EXAMINE", "SEARCH", "FETCH", "SELECT", "STORE",
                                  "EXPUNGE", "CREATE"])
@pytest.mark.parametrize("how", ["before", "after", "bye"])
def test_what_may_be_repeated_is(directory, verb, how):
    with Hosted(Habits(drop={(verb, 1): how})) as server:
        for name in ("read", "gone"):
            server.add(message(name, when=WHEN))
        rows = give(directory, at(server), [
            change("read", add="\\Seen"), change("gone", fate="expunge"),
            Op("append", message("filed"), folder="Kept")])
        assert results(rows)[0] == "done" and results(rows)[2] == "done", rows
        # CREATE without an answer may have been carried out, and then they say it exists.
        assert results(rows)[1] == "done"
        assert server.subjects() == {"INBOX": ["read"], "Kept": ["filed"]}
        assert server.n_connections == 2


@pytest.mark.parametrize("caps", [CAPS, without("MOVE"), without("MOVE", "UIDPLUS")],
                         ids=["move", "copy", "copy-only"])
@pytest.mark.parametrize("how", ["before", "after", "late"])
def test_a_lost_answer_of_a_move_is_looked_after(directory, caps, how):
    verb = "MOVE" if "MOVE" in caps else "COPY"
    with Hosted(Habits(caps=caps, drop={(verb, 1): how})) as server:
        server.add(message("filed", when=WHEN))
        ops = [change("filed", fate="trash")]
        row, = give(directory, at(server), ops)
        assert row.result == ("done" if how == "after" else "unsure"), row
        server.carry_out_late()
        row, = give(directory, at(server), ops)
        assert row.result == ("done" if how == "before" else "already"), row
        gone_from_inbox = verb == "MOVE" or how != "late"
        expected = {"Deleted Items": ["filed"]}
        if not gone_from_inbox:  # told as there already; the other copy is left alone
            expected["INBOX"] = ["filed"]
        assert server.subjects() == expected


@pytest.mark.parametrize("seed", range(12))
def test_connections_dropped_at_random_double_and_lose_nothing(directory, seed):
    caps = (CAPS, without("MOVE"), without("UIDPLUS", "MOVE"), without("LITERAL+"))[seed % 4]
    with Hosted(Habits(caps=caps, drop=at_random(seed, 0.04), keywords=True)) as server:
        for n in range(6):
            server.add(message(f"old{n}", when=WHEN))
        ops = [sent(f"new{n}") for n in range(6)]
        ops += [change("old0", add="\\Seen,x"), change("old1", fate="trash", from_role="inbox"),
                change("old2", fate="move", folder="Kept", from_role="inbox"),
                change("old3", fate="expunge")]
        left, n_rounds = list(range(len(ops))), 0
        while left:
            before = server.subjects().get("Sent Items", [])
            rows = give(directory, at(server), [ops[n] for n in left])
            now = server.subjects().get("Sent Items", [])
            for n, row in zip(left, rows):
                if n < 6:
                    name = f"new{n}"
                    assert row.result in ("done", "already", "not-tried", "unsure"), row
                    assert row.result not in ("done", "already") or name in now, row
                    assert row.result != "not-tried" or (name in now) == (name in before), row
            settled = ("done", "already", "absent", "ambiguous")
            left = [n for n, row in zip(left, rows) if row.result not in settled]
            n_rounds += 1
            assert n_rounds < 60
        server.habits.drop = {}
        assert set(results(give(directory, at(server), ops))) <= {"already", "absent"}
        found = server.subjects()
        assert sorted(found["Sent Items"]) == [f"new{n}" for n in range(6)]
        everywhere = collections.Counter(name for names in found.values() for name in names)
        assert set(everywhere) >= {f"old{n}" for n in (0, 1, 2, 4, 5)} and "old3" not in everywhere
        assert found["Deleted Items"] == ["old1"] and found["Kept"] == ["old2"]
        assert [name for name, n in everywhere.items() if n > 1] in ([], ["old1"], ["old2"])
