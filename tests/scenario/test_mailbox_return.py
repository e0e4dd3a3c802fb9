"""Changes given back into the mailboxes of a real primary (Dovecot) by IMAP, without the rest of the
program: sent mail, drafts, flags, moves, deletions; twice changes nothing, a dry run neither."""

import calendar
import email.utils
import time

import pytest

from harness.giving import Op, give, message
from harness.peers import Dovecot

ANNA = "anna@example.test"
WHEN = calendar.timegm((2026, 11, 20, 8, 30, 15))


@pytest.fixture(scope="module")
def server(module_directory, network):
    with Dovecot(module_directory, users={ANNA: "secret"}) as one:
        yield one


@pytest.fixture
def anna(server):
    """A mailbox of her own for each test."""
    name = f"anna{time.monotonic_ns()}@example.test"
    server.users[name] = "secret"
    server.write_users()
    return name


def at(server, user, **more):
    return {"imap": f"127.0.0.1:{server.imap_port}", "tls": "never", "user": f"{user}*admin",
            "secret": "masterpw", **more}


def state(server, user):
    """Everything in her mailbox: folder -> [(uid, flags, date, raw)]."""
    return {folder: [(mail.uid, tuple(sorted(flag for flag in mail.flags if flag != "\\Recent")),
                      mail.date, mail.raw)
                     for mail in server.messages(user, folder)]
            for folder in server.mailboxes(user)}


def sent(name="one", **more):
    raw = message(name, when=WHEN)
    return Op("append", raw, role="sent", add="\\Seen", internal=WHEN * 1000, **more)


def test_sent_mail_is_put_where_it_belongs_once(directory, server, anna):
    ops = [sent("one"), sent("two", trace="abcdefghijklm")]
    first = give(directory, at(server, anna), ops)
    assert [row.result for row in first] == ["done", "done"], first
    mails = server.messages(anna, "Sent")
    assert [mail.uid for mail in mails] == [row.uid for row in first]
    assert all(row.folder == "Sent" for row in first)
    for mail, op in zip(mails, ops):
        assert mail.raw == op.raw and "\\Seen" in mail.flags
        assert email.utils.parsedate_to_datetime(mail.date.replace("-", " ")).timestamp() == WHEN
    before = state(server, anna)
    again = give(directory, at(server, anna), ops)
    assert [(row.result, row.uid) for row in again] == [("already", row.uid) for row in first]
    assert state(server, anna) == before


def test_a_dry_run_changes_nothing_and_tells_the_same(directory, server, anna):
    server.append(anna, message("old", when=WHEN))
    ops = [sent("one"), Op("append", message("filed"), folder="Clients/Rossi"),
           Op("set", message("old", when=WHEN), add="\\Seen", fate="trash"),
           Op("set", message("never"), add="\\Seen")]
    before = state(server, anna)
    told = give(directory, at(server, anna, dry=1), ops)
    assert [(row.result, row.folder) for row in told] == [
        ("would", "Sent"), ("would", "Clients.Rossi"), ("would", "Trash"), ("absent", "")]
    assert state(server, anna) == before
    did = give(directory, at(server, anna), ops)
    assert [(row.result, row.folder) for row in did] == [
        ("done", "Sent"), ("done", "Clients.Rossi"), ("done", "Trash"), ("absent", "")]


def test_a_folder_is_made_and_subscribed(directory, server, anna):
    ops = [Op("append", message("filed"), folder="Küche & Bad/2026"),
           Op("append", message("more"), folder="Küche & Bad/2026"),
           Op("append", message("kept"), role="archive")]
    assert [(row.result, row.folder) for row in give(directory, at(server, anna), ops)] == [
        ("done", "Küche & Bad.2026"), ("done", "Küche & Bad.2026"), ("done", "Archive")]
    session = server.connect(anna)
    _, rows = session.lsub()
    session.logout()
    names = b" ".join(rows)
    assert b"K&APw-che &- Bad.2026" in names and b"Archive" in names


def test_flags_moves_and_deletions_arrive(directory, server, anna):
    names = ("read", "answered", "unread", "filed", "binned", "gone", "as-it-is")
    for name in names:
        server.append(anna, message(name, when=WHEN), flags="\\Seen" if name == "unread" else None)
    ops = [Op("set", message("read", when=WHEN), add="\\Seen"),
           Op("set", message("answered", when=WHEN), add="\\Seen,\\Answered,$Forwarded,holiday"),
           Op("set", message("unread", when=WHEN), remove="\\Seen", add="\\Flagged"),
           Op("set", message("filed", when=WHEN), fate="move", folder="Kept", add="\\Seen"),
           Op("set", message("binned", when=WHEN), fate="trash"),
           Op("set", message("gone", when=WHEN), fate="expunge"),
           Op("set", message("as-it-is", when=WHEN))]
    rows = give(directory, at(server, anna), ops)
    assert [row.result for row in rows] == ["done"] * 6 + ["already"], rows
    there = {mail.id.split("@")[0].strip("<"): set(mail.flags) - {"\\Recent"}
             for mail in server.messages(anna)}
    assert there == {"read": {"\\Seen"}, "unread": {"\\Flagged"}, "as-it-is": set(),
                     "answered": {"\\Seen", "\\Answered", "$Forwarded", "holiday"}}
    kept, = server.messages(anna, "Kept")
    assert "\\Seen" in kept.flags and rows[3].uid == kept.uid and rows[3].folder == "Kept"
    assert server.ids([anna], "Trash") == ["<binned@example.test>"]
    before = state(server, anna)
    again = give(directory, at(server, anna), ops)
    assert [row.result for row in again] == ["already"] * 5 + ["absent", "already"], again
    assert state(server, anna) == before


def test_it_is_known_by_its_trace_also_with_another_message_id(directory, server, anna):
    raw = message("one", trace="abcdefghijklm", when=WHEN)
    server.append(anna, raw.replace(b"<one@", b"<rewritten@"))
    server.append(anna, message("one", trace="zzzzzzzzzzzzz", when=WHEN + 5), mailbox="Sent")
    row, = give(directory, at(server, anna), [Op("set", raw, trace="abcdefghijklm", add="\\Seen")])
    assert (row.result, row.folder) == ("done", "INBOX")
    assert not server.messages(anna, "Sent")[0].flags or \
        "\\Seen" not in server.messages(anna, "Sent")[0].flags


def test_what_is_ambiguous_is_left_alone(directory, server, anna):
    for folder in ("INBOX", "Junk"):
        server.append(anna, message("twice", when=WHEN), mailbox=folder)
    server.append(anna, message("other", sender="else@example.test", when=WHEN + 99))
    before = state(server, anna)
    rows = give(directory, at(server, anna),
                [Op("set", message("twice", when=WHEN), add="\\Seen", fate="trash"),
                 Op("set", message("other", when=WHEN), add="\\Seen")])
    assert [row.result for row in rows] == ["ambiguous"] * 2, rows
    assert state(server, anna) == before
    row, = give(directory, at(server, anna), [
        Op("set", message("twice", when=WHEN), fate="trash", from_role="junk")])
    assert (row.result, row.folder) == ("done", "Trash")
    assert server.count(anna) == 2 and server.count(anna, "Junk") == 0


def test_mail_to_oneself_has_its_copy_in_sent(directory, server, anna):
    raw = message("self", when=WHEN)
    server.append(anna, raw)
    op = Op("append", raw, role="sent", add="\\Seen")
    assert give(directory, at(server, anna), [op])[0].result == "done"
    assert give(directory, at(server, anna), [op])[0].result == "already"
    assert (server.count(anna), server.count(anna, "Sent")) == (1, 1)


def test_what_somebody_moved_since_is_not_put_there_again(directory, server, anna):
    op = sent("moved")
    assert give(directory, at(server, anna), [op])[0].result == "done"
    session = server.connect(anna)
    session.select("Sent")
    session.uid("MOVE", "1", "Trash")
    session.logout()
    row, = give(directory, at(server, anna), [op])
    assert (row.result, row.folder) == ("already", "Trash")
    assert server.count(anna, "Sent") == 0


def test_a_batch_that_names_one_message_twice_does_it_once(directory, server, anna):
    raw = message("same", when=WHEN)
    rows = give(directory, at(server, anna), [
        Op("append", raw, role="drafts", add="\\Draft"), Op("append", raw, role="drafts"),
        Op("set", raw, add="\\Flagged", fate="move", role="archive"),
        Op("set", raw, fate="expunge"), Op("set", raw, add="\\Seen")])
    assert [row.result for row in rows] == ["done", "already", "done", "done", "absent"], rows
    assert all(not mails for mails in state(server, anna).values())


def test_hard_contents_go_as_they_are(directory, server, anna):
    contents = [message("latin", body=b"caf\xe9\r\n", more=b"Subject: gr\xfc\xdfe\r\n"),
                message("long", body=b"x" * 300000 + b"\r\n"),
                message("empty", body=b""),
                message("big", body=b"0123456789abcdef\r\n" * 200000)]
    rows = give(directory, at(server, anna), [Op("append", raw, role="sent") for raw in contents])
    assert [row.result for row in rows] == ["done"] * 4, rows
    assert [mail.raw for mail in server.messages(anna, "Sent")] == contents


def test_bare_line_feeds_become_line_ends(directory, server, anna):
    raw = message("bare", body=b"one\ntwo\r\nthree\n")
    row, = give(directory, at(server, anna), [Op("append", raw, role="sent")])
    assert row.result == "done"
    mail, = server.messages(anna, "Sent")
    assert mail.raw == raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def test_two_hundred_messages_in_one_conversation(directory, server, anna):
    ops = [sent(f"m{n}") for n in range(200)]
    begun = time.monotonic()
    rows = give(directory, at(server, anna, timeout_ms=60000), ops)
    took = time.monotonic() - begun
    assert [row.result for row in rows] == ["done"] * 200
    assert [row.result for row in give(directory, at(server, anna), ops)] == ["already"] * 200
    assert server.count(anna, "Sent") == 200
    print(f"200 messages appended in {took:.2f} s")


def test_a_log_in_that_is_refused_leaves_all_for_later(directory, server, anna):
    rows = give(directory, at(server, anna, secret="wrong"), [sent("one")])
    assert rows[0].result == "not-tried" and "Authentication failed" in rows[0].text
