"""Giving back without a master user: log-ins of single persons, and tokens (XOAUTH2) as hosted mail
systems want them. A real Dovecot judges the tokens; a real endpoint over HTTPS gives them."""

import random

import pytest

from harness.certs import Authority
from harness.hosted import Habits, Hosted
from harness.peers import Primary
from harness.process import run, wait_for
from harness.tokens import Tokens
from mailback import did, given, mail_arrives, names, written
from story import ALICE, BOB

pytestmark = pytest.mark.usefixtures("network")
SECRET = "the secret of an application"


@pytest.fixture
def giver(directory):
    authority = Authority(directory / "ca")
    authority.directory.chmod(0o755)
    authority.pem.chmod(0o644)
    with Tokens(authority.issue("tokens")) as one:
        one.authority = authority
        yield one


def company(stage, directory, giver):
    stage.expected += [r"mailback"]
    giver.opens = ALICE
    primary = stage.start(Primary, dovecot={"more": giver.dovecot(directory)})
    node = stage.company(primary, settings={"alerts": {"authorities": str(giver.authority.pem)}})
    reach(node, *primary.imap)
    return node, primary


def reach(node, host, port, *more):
    node.must("access", "set", "exchange", "--host", f"{host}:{port}", "--tls", "never", *more)


def secretly(node, *words, secret):
    """A secret goes in by standard input."""
    code, answer = node.cli(*words, "-", stdin=secret)
    assert code == 0, answer
    assert secret not in answer.values()
    return answer


def is_told_nowhere(node, *words):
    log, shown = node.log(), [str(node.must("access", "show", "exchange")),
                              str(node.must("access", "token", "show", "exchange")),
                              str(node.must("mailbox", "login", "show", ALICE)),
                              str(node.must("mailbox", "show", ALICE))]
    for word in words:
        assert word not in log and not any(word in text for text in shown)


def deeds(node, primary, directory):
    mail_arrives(node, primary, "a", 2)
    did(node, "box=drafts:Drafts", "seen=a-0@outside.test",
        f"draft=Drafts:{written(directory, 'offer')}")


def is_done(primary):
    assert "\\Seen" in names(primary)["a-0"] and "\\Seen" not in names(primary)["a-1"]
    assert list(names(primary, "Drafts")) == ["offer"]


def test_each_person_has_a_log_in_of_their_own(stage, directory):
    stage.expected += [r"mailback"]
    primary = stage.start(Primary)
    node = stage.company(primary)
    reach(node, *primary.imap)
    deeds(node, primary, directory)
    box = node.must("mailbox", "show", ALICE)
    assert box["waiting"] == 2 and "mailbox login set" in box["text"]
    code, why = node.cli("mailbox", "return", ALICE, "--why", "now")
    assert code != 0 and "nobody said how" in why["detail"]

    secretly(node, "mailbox", "login", "set", ALICE, "--secret", secret="not the password")
    wait_for(lambda: "login" in node.must("mailbox", "show", ALICE)["text"], "it is told", 20)
    told = secretly(node, "mailbox", "login", "set", ALICE, "--secret", secret="secret")
    assert told["has_secret"] and told["mechanism"] == "plain" and told["user"] == ALICE
    node.must("mailbox", "return", ALICE, "--why", "look")
    given(node, 2)
    is_done(primary)
    is_told_nowhere(node, "not the password")

    # Who is removed takes the log-in along; who comes again has none.
    node.must("person", "remove", BOB)
    node.must("mailbox", "login", "remove", ALICE)
    assert not node.must("mailbox", "login", "show", ALICE)["has_secret"]
    node.stop()
    node.start()
    assert not node.must("mailbox", "login", "show", ALICE)["has_secret"]


def test_an_application_opens_all_mailboxes_with_tokens(stage, directory, giver):
    giver.clients["app-1"] = SECRET
    giver.scope = "https://outlook.office365.com/.default"
    node, primary = company(stage, directory, giver)
    deeds(node, primary, directory)
    code, why = node.cli("access", "token", "set", "exchange", "--grant", "client", "--url",
                         giver.url.replace("https", "http"), "--client-id", "app-1",
                         "--client-secret", SECRET)
    assert code != 0 and "https" in why["detail"]
    node.must("access", "set", "exchange", "--mechanism", "xoauth2")
    told = secretly(node, "access", "token", "set", "exchange", "--grant", "client", "--url",
                    giver.url, "--client-id", "app-1", "--scope", giver.scope, "--client-secret",
                    secret="an old secret")
    assert told["has_client_secret"] and "everybody" in told["text"]

    def told_so():
        text = node.must("mailbox", "show", ALICE)["text"]
        return "invalid_client" in text and "AADSTS" in text

    wait_for(told_so, "it is told", 20)
    assert "\\Seen" not in names(primary)["a-0"]
    secretly(node, "access", "token", "set", "exchange", "--client-secret", secret=SECRET)
    node.must("mailbox", "return", ALICE, "--why", "look")
    given(node, 2)
    is_done(primary)
    # One token for all of it, and kept.
    assert len(giver.good) == 1
    did(node, "seen=a-1@outside.test")
    given(node, 3)
    is_told_nowhere(node, *giver.secrets(), "an old secret")


def test_a_token_that_was_taken_away_is_got_anew(stage, directory, giver):
    giver.clients["app-1"] = SECRET
    node, primary = company(stage, directory, giver)
    node.must("access", "set", "exchange", "--mechanism", "xoauth2")
    node.must("access", "token", "set", "exchange", "--grant", "client", "--url", giver.url,
              "--client-id", "app-1", "--client-secret", SECRET)
    mail_arrives(node, primary, "a", 2)
    first = node.must("mailbox", "return", ALICE, "--dry-run", "--why", "look")
    assert first["changes"] == []
    node.must("state", "emergency", "exchange", "--why", "to have time")
    did(node, "seen=a-0@outside.test", "seen=a-1@outside.test")
    told = node.must("mailbox", "return", ALICE, "--dry-run", "--why", "look")
    assert [row["result"] for row in told["changes"]] == ["would", "would"]
    assert len(giver.given) == 1
    giver.good.clear()
    told = node.must("mailbox", "return", ALICE, "--dry-run", "--why", "look")
    assert [row["result"] for row in told["changes"]] == ["would", "would"]
    assert len(giver.given) == 2
    node.must("state", "return", "exchange", "--why", "back")
    given(node, 2)
    assert len(giver.given) == 2


def test_each_refresh_token_is_good_once_and_none_is_lost(stage, directory, giver):
    """Also not when everything ends in between."""
    giver.clients["app-2"] = SECRET
    giver.refreshes["the first refresh token"] = ALICE
    giver.rotates = True
    giver.lives = 1  # so each conversation needs a new one
    node, primary = company(stage, directory, giver)
    node.must("access", "token", "set", "exchange", "--grant", "refresh", "--url", giver.url,
              "--client-id", "app-2", "--client-secret", SECRET)
    secretly(node, "mailbox", "login", "set", ALICE, "--mechanism", "xoauth2", "--secret",
             secret="the first refresh token")
    deeds(node, primary, directory)
    given(node, 2)
    is_done(primary)
    for number, deed in enumerate(("seen=a-1@outside.test", "trash=a-0@outside.test")):
        node.kill9("liaison" if number else "core")
        stage.expected += [r"process\.died", r"ipc\."]
        node.wait_role("core")
        did(node, *["box=trash:Trash"] * number, deed)
        wait_for(lambda: not node.must("mailbox", "show", ALICE)["waiting"], "given back", 30)
    assert list(names(primary, "Trash")) == ["a-0"]
    assert len([form for form in giver.asked if form["grant_type"] == "refresh_token"]) >= 3
    assert not any(answer == "invalid_grant" for answer in giver.answers)
    is_told_nowhere(node, *giver.secrets(), "the first refresh token")


def test_a_service_account_signs_in_the_name_of_the_owner(stage, directory, giver):
    key, public = directory / "key.pem", directory / "public.pem"
    run("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key)
    run("openssl", "pkey", "-in", key, "-pubout", "-out", public)
    giver.keys["robot@project.iam.test"] = public
    giver.scope = "https://mail.google.com/"
    node, primary = company(stage, directory, giver)
    node.must("access", "set", "exchange", "--mechanism", "xoauth2")
    secretly(node, "access", "token", "set", "exchange", "--grant", "assertion", "--url", giver.url,
             "--client-id", "robot@project.iam.test", "--scope", giver.scope, "--client-secret",
             secret=key.read_text())
    deeds(node, primary, directory)
    given(node, 2)
    is_done(primary)
    assert set(giver.good.values()) == {ALICE}
    is_told_nowhere(node, *giver.secrets(), key.read_text().splitlines()[3])


def hosted(stage, giver, habits):
    """A node whose people have their mailboxes at a hosted server that takes the giver's tokens."""
    stage.expected += [r"mailback"]
    sink = stage.sink()
    node = stage.company(sink, settings={"alerts": {"authorities": str(giver.authority.pem)}})
    server = Hosted(habits, user=ALICE, secret=giver)
    reach(node, "127.0.0.1", server.port, "--mechanism", "xoauth2")
    giver.clients["app-1"] = SECRET
    node.must("access", "token", "set", "exchange", "--grant", "client", "--url", giver.url,
              "--client-id", "app-1", "--client-secret", SECRET)
    return node, server


@pytest.mark.parametrize("answer", ["NO AccessTokenExpired", "BAD User is authenticated but not "
                                    "connected."])
def test_a_token_that_ends_in_the_middle_of_it(stage, directory, giver, answer):
    """Hosted Exchange says so to any command; what was refused is asked again with a new one."""
    def expire(server):
        giver.good.clear()

    habits = Habits(refusals={"APPEND": [answer]}, on_refusal=expire)
    node, server = hosted(stage, giver, habits)
    with server:
        did(node, "box=drafts:Drafts", "box=sent:Sent",
            f"draft=Drafts:{written(directory, 'offer')}",
            f"sent=Sent:{written(directory, 'reply')}")
        given(node, 2)
        assert server.log.count("APPEND") == 2
        assert [len(server.folders[name].messages) for name in ("Drafts", "Sent Items")] == [1, 1]
        assert len(giver.given) == 2 and server.n_connections <= 3


def test_what_an_endpoint_says_that_makes_no_sense_is_told(stage, directory, giver):
    node, server = hosted(stage, giver, Habits())
    with server:
        node.must("state", "emergency", "exchange", "--why", "to have time")
        did(node, "box=drafts:Drafts", f"draft=Drafts:{written(directory, 'offer')}")
        for status, body, words in ((200, b"<html>", "none that can be used"),
                                    (200, b'{"access_token": "a b"}', "none that can be used"),
                                    (200, b"[" * 60000, "none that can be used"),
                                    (503, b"later", "503"),
                                    (302, b"", "302"),
                                    (400, b'{"error": "x", "error_description": "' +
                                     SECRET.encode() + b'"}', "left out")):
            giver.answers.append((status, body))
            code, why = node.cli("mailbox", "return", ALICE, "--dry-run", "--why", "look")
            assert code != 0 and words in why["detail"], (status, body, why)
            assert SECRET not in why["detail"]
        told = node.must("mailbox", "return", ALICE, "--dry-run", "--why", "look")
        assert [row["result"] for row in told["changes"]] == ["would"]
    is_told_nowhere(node, *giver.secrets())


def test_connections_that_break_at_random_leave_each_message_once(stage, directory, giver):
    luck, count = random.Random(20261122), 40
    habits = Habits(drop=lambda verb, _: luck.random() < 0.04 and
                    luck.choice(("before", "after", "bye")))
    node, server = hosted(stage, giver, habits)
    with server:
        did(node, "box=drafts:Drafts", *[f"draft=Drafts:{written(directory, f'd{number}')}"
                                         for number in range(count)])

        def whole():
            box = node.must("mailbox", "show", ALICE)
            if box["waiting"]:
                node.must("mailbox", "return", ALICE, "--why", "go on")
            return box if box["given"] + box["already"] >= count and not box["waiting"] else None

        wait_for(whole, "everything is given back", 90, pause=1)
        habits.drop = {}
        found = sorted(mail.raw.split(b"X-Load-Id: ")[1].split(b"\r\n")[0].decode()
                       for mail in server.folders["Drafts"].messages)
        assert found == sorted(f"d{number}" for number in range(count))
        assert server.n_connections > 2
