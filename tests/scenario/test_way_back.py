"""Does the way back work? `staffetta primary check` tries every part of it before it is needed: on a
real mail system (Postfix and Dovecot) that is set up well, and on ones that are not."""

import pytest

from harness.peers import Primary
from harness.process import wait_for
from story import ALICE, BOB

pytestmark = pytest.mark.usefixtures("network")


def access(node, primary, **more):
    host, port = primary.imap
    options = {"host": f"{host}:{port}", "tls": "never", "canary": ALICE, "user": ALICE,
               "secret": "secret", "master-user": "%s*admin", "master-secret": "masterpw"} | more
    node.must("access", "set", "exchange",
              *(word for key, value in options.items() for word in (f"--{key}", value)))


def check(node, *options):
    """(exit code, {check: row})."""
    code, answer = node.cli("primary", "check", "exchange", *options)
    assert answer["ok"] == (code == 0), answer
    return code, {row["check"]: row for row in answer["checks"]}, answer


def test_every_part_of_a_good_way_back(stage):
    primary = stage.start(Primary, postfix={"settings": {"message_size_limit": "100000000",
                                                         "mailbox_size_limit": "0"}})
    node = stage.company(primary, people=[ALICE, BOB])
    code, rows, answer = check(node)
    assert code == 0 and rows["log-in"]["result"] == "not tried"
    assert "access set" in rows["log-in"]["text"]
    access(node, primary)
    code, rows, answer = check(node)
    assert code == 0 and "Postfix" in answer["make"], answer
    assert {name for name, row in rows.items() if row["result"] == "ok"} == set(rows), rows
    assert "readable in INBOX" in rows["arrives"]["text"]
    wait_for(lambda: primary.count(ALICE) == 0, "the test message is gone again", 10)


def test_each_fault_is_named_with_what_to_set(stage):
    primary = stage.start(Primary, postfix={"settings": {
        "smtpd_sender_restrictions": "reject_unauthenticated_sender_login_mismatch, "
                                     "inline:{example.com=REJECT}",
        "message_size_limit": "1000000"}})
    node = stage.company(primary, people=[ALICE, BOB])
    access(node, primary, secret="wrong", **{"master-secret": "wrong too"})
    code, rows, answer = check(node)
    assert code == 1
    assert rows["connect"]["result"] == "ok"
    for name, words in (("size", "1000000"), ("log-in", "login"), ("master", "login")):
        assert rows[name]["result"] == "FAIL" and words in rows[name]["text"], rows[name]
    assert "message_size_limit" in rows["size"]["advice"]
    access(node, primary)
    code, rows, answer = check(node, "--make", "exchange-online")
    assert rows["takes"]["result"] == "FAIL" and rows["arrives"]["result"] == "not tried"
    assert "inbound connector" in rows["takes"]["advice"]
    code, rows, answer = check(node, "--sender", "test@elsewhere.example")
    assert rows["takes"]["result"] == rows["arrives"]["result"] == "ok", rows


def test_a_dead_one_is_told_at_once(stage):
    primary = stage.start(Primary)
    node = stage.company(primary, people=[ALICE, BOB])
    primary.kill9()
    code, rows, answer = check(node)
    assert code == 1 and rows["connect"]["result"] == "FAIL"
    assert "inet_interfaces" in check(node, "--make", "postfix")[1]["connect"]["advice"]
    assert rows["arrives"]["result"] == "not tried"
