"""Looks into the mailboxes of a real primary (Postfix and Dovecot), without the rest of the program:
log-in, canary, Message-IDs, certificates."""

import concurrent.futures
import time

import pytest

from harness import certs, netns
from harness.peers import Primary, Sink
from harness.process import build_dir, run, wait_for

ALICE = {"user": "alice@example.test", "secret": "secret"}


def look(verb, primary, *ids, **more):
    """The answer as a dict of texts."""
    arguments = {"imap": "%s:%d" % primary.imap, "smtp": "%s:%d" % primary.smtp,
                 "address": "alice@example.test", "tls": "never", **ALICE, **more}
    rows = run(build_dir() / "tests" / "conformance" / "mailbox_probe", verb,
               *(f"{name}={value}" for name, value in arguments.items()),
               *(f"id={one}" for one in ids))
    return dict(row.split(" ", 1) for row in rows.splitlines())


@pytest.fixture(scope="module")
def primary(module_directory, network):
    authority = certs.Authority(module_directory / "ca")
    with Primary(module_directory, authority=authority) as one:
        one.authority = authority
        yield one


def test_a_person_can_log_in(primary):
    for more in ({}, {"mechanism": "login"}, {"mechanism": "plain"},
                 {"user": "alice@example.test*admin", "secret": "masterpw"},
                 {"user": "admin", "act_as": "alice@example.test", "secret": "masterpw"}):
        seen = look("login", primary, **more)
        assert (seen["is_well"], seen["step"]) == ("1", "select"), seen


def test_a_wrong_password_is_a_refusal_of_theirs(primary):
    seen = look("login", primary, secret="wrong-one")
    assert (seen["is_well"], seen["is_ours"], seen["step"]) == ("0", "0", "login")
    assert "Authentication failed" in seen["text"] and "wrong-one" not in seen["text"]


def test_starttls_and_imaps_show_the_certificate(primary):
    imaps = f"127.0.0.1:{primary.dovecot.imaps_port}"
    in_a_year = time.time() + 365 * 86400
    for more in ({}, {"imap": imaps, "implicit": 1}):
        seen = look("login", primary, tls="verify", tls_name="primary.example.test",
                    ca=primary.authority.pem, **more)
        assert seen["is_well"] == "1", seen
        assert abs(int(seen["cert_until"]) / 1000 - in_a_year) < 3600
        other = look("login", primary, tls="verify", tls_name="other.example.test",
                     ca=primary.authority.pem, **more)
        assert other["step"] == "tls" and "mismatch" in other["text"], other
    probe = look("probe", primary, tls="must")
    assert probe["code"] == "250" and abs(int(probe["cert_until"]) / 1000 - in_a_year) < 3600


def test_a_canary_arrives_and_is_removed(primary):
    for token, more in (("t-1", {}), ("t-2", {"tls": "must"})):
        seen = look("canary", primary, token=token, **more)
        assert (seen["is_well"], seen["step"], seen["folder"]) == ("1", "fetch", "INBOX"), seen
        assert "could not be removed" not in seen["text"]
        assert primary.count("alice@example.test") == 0


def test_a_canary_that_a_rule_moved_is_found(directory, primary):
    """It goes to Junk; an older one that lies there goes with it, what is not ours stays."""
    for name in ("staffetta-canary.old@gate.example.test", "other@example.test"):
        primary.append("alice@example.test", f"Message-ID: <{name}>\r\n\r\nx\r\n".encode(),
                       mailbox="Junk")
    store = directory / "store"
    store.mkdir()
    with Sink(directory, "--store", store) as sink:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            looking = pool.submit(look, "canary", primary, smtp=sink.at, token="t-5")
            wait_for(sink.records, "the canary at the sink")
            one, = store.iterdir()
            primary.append("alice@example.test", one.read_bytes(), mailbox="Junk")
            seen = looking.result()
    assert (seen["is_well"], seen["folder"]) == ("1", "Junk"), seen
    assert primary.ids(["alice@example.test"], mailbox="Junk") == ["<other@example.test>"]


def test_message_ids_are_found_in_all_folders(primary):
    for folder in ("INBOX", "Sent", "Trash"):
        primary.append("bob@example.test",
                       f"Message-ID: <{folder}@example.test>\r\n\r\nx\r\n".encode(), mailbox=folder)
    ids = [f"<{name}@example.test>" for name in ("INBOX", "no", "Sent", "Trash", "nor")]
    told = look("has", primary, *ids, user="bob@example.test")
    assert (told["has"], told["is_well"]) == ("faffa", "1"), told
    many = [f"<{n}@example.test>" for n in range(499)] + ["<Sent@example.test>"]
    told = look("has", primary, *many, user="bob@example.test")
    assert told["has"] == "a" * 499 + "f"
    print(f"500 ids in {told['n_folders']} folders: {told['took_ms']} ms")


def test_a_dead_server_is_seen_where_it_is_dead(primary):
    seen = look("login", primary, imap=f"127.0.0.1:{netns.free_port('127.0.0.1')}")
    assert (seen["step"], seen["is_ours"]) == ("connect", "0")
    primary.dovecot.pause()
    try:
        seen = look("login", primary, timeout_ms=700)
        assert seen["step"] == "greeting" and "no answer" in seen["text"], seen
    finally:
        primary.dovecot.resume()


def test_a_canary_that_goes_elsewhere_is_lost(directory, primary):
    """SMTP says 250, and the message is in no folder of hers."""
    with Sink(directory) as sink:
        seen = look("canary", primary, smtp=sink.at, token="t-3", timeout_ms=3000)
    assert (seen["is_well"], seen["step"], seen["is_ours"]) == ("0", "search", "0"), seen
    assert "neither in the INBOX nor in 4 other folders" in seen["text"]


def test_a_refused_canary_says_the_code(primary):
    seen = look("canary", primary, address="nobody@example.test", token="t-4")
    assert (seen["step"], seen["code"]) == ("send", "550"), seen


def test_an_expired_certificate_is_refused_and_dated(directory, network):
    authority = certs.Authority(directory / "ca")
    one = Primary(directory, authority=authority)
    pem, key = authority.issue("expired", ("DNS:primary.example.test",), days=-1)
    one.dovecot.tls = (pem, key)
    with one:
        imaps = f"127.0.0.1:{one.dovecot.imaps_port}"
        for more in ({}, {"imap": imaps, "implicit": 1}):
            seen = look("login", one, tls="verify", tls_name="primary.example.test",
                        ca=authority.pem, **more)
            assert (seen["is_well"], seen["step"]) == ("0", "tls"), seen
            assert "expired" in seen["text"]
            assert abs(int(seen["cert_until"]) / 1000 - (time.time() - 86400)) < 3600
            assert look("login", one, tls="must", **more)["is_well"] == "1"
