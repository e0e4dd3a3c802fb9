"""What people did in their continuity mailboxes comes into the mailboxes of a real mail system
(Postfix and Dovecot): read, filed, thrown away, drafted, sent. Once, whoever dies meanwhile."""

import time

import pytest

from harness import netns
from harness.company import plan
from harness.jmap import Client
from harness.peers import Primary
from harness.process import wait_for
from mailback import did, draft, everything, given, mail_arrives, names, open_mailboxes, written
from story import ALICE, Story

QUICK = {"bad_for_suspect": 3, "tell_after": 2, "emergency_after": 6, "calm": 5,
         "good_for_ready": 2, "ready_over": 1}
pytestmark = pytest.mark.usefixtures("network")


@pytest.fixture
def company(stage):
    stage.expected += [r"mailback"]
    primary = stage.start(Primary)
    node = stage.company(primary)
    return node, primary


def test_what_was_done_here_is_done_there_once(company, directory):
    node, primary = company
    mail_arrives(node, primary, "a", 5)
    did(node, "box=drafts:Drafts", "box=sent:Sent", "box=trash:Trash", "box=:Clients",
        "seen=a-0@outside.test", "file=a-1@outside.test:Clients", "trash=a-2@outside.test",
        "drop=a-3@outside.test", f"draft=Drafts:{written(directory, 'offer')}",
        f"sent=Sent:{written(directory, 'reply')}")
    box = node.must("mailbox", "show", ALICE)
    assert box["waiting"] == 6 and "access set" in box["text"]
    before = everything(primary)
    assert sorted(names(primary)) == [f"a-{number}" for number in range(5)]

    open_mailboxes(node, primary)
    given(node, 6)
    inbox = names(primary)
    assert sorted(inbox) == ["a-0", "a-4"]
    assert "\\Seen" in inbox["a-0"] and "\\Seen" not in inbox["a-4"]
    assert list(names(primary, "Clients")) == ["a-1"]
    assert sorted(names(primary, "Trash")) == ["a-2", "a-3"]
    assert "\\Draft" in names(primary, "Drafts")["offer"]
    assert "\\Seen" in names(primary, "Sent")["reply"]
    after = everything(primary)
    assert after != before

    node.must("mailbox", "return", ALICE, "--why", "look")
    did(node, "box=archive:Archive")
    node.must("mailbox", "return", ALICE, "--why", "look")
    time.sleep(1.5)
    assert node.must("mailbox", "show", ALICE)["given"] == 6
    assert everything(primary) == after


def test_a_dry_run_tells_and_changes_nothing(company, directory):
    node, primary = company
    mail_arrives(node, primary, "a", 2)
    open_mailboxes(node, primary)
    node.must("state", "emergency", "exchange", "--why", "to have time")
    before = everything(primary)
    did(node, "box=drafts:Drafts", "seen=a-0@outside.test",
        f"draft=Drafts:{written(directory, 'offer')}")
    told = node.must("mailbox", "return", ALICE, "--dry-run", "--why", "look")
    assert sorted((row["what"], row["result"], row["folder"]) for row in told["changes"]) == [
        ("add", "would", "Drafts"), ("flags", "would", "INBOX")]
    assert everything(primary) == before
    code, why = node.cli("mailbox", "return", ALICE, "--why", "now")
    assert code != 0 and "not given back" in why["detail"]
    assert node.must("mailbox", "show", ALICE)["waiting"] == 2
    node.must("state", "return", "exchange", "--why", "back")
    given(node, 2)


def test_an_isolated_mail_system_gets_nothing(company):
    node, primary = company
    mail_arrives(node, primary, "a", 2)
    open_mailboxes(node, primary)
    node.must("state", "isolate", "exchange", "--why", "an attack")
    did(node, "seen=a-0@outside.test")
    time.sleep(2.5)
    assert "\\Seen" not in names(primary)["a-0"]
    assert "isolated" in node.must("mailbox", "show", ALICE)["text"]
    node.must("state", "clean", "exchange", "--why", "cleaned")
    node.must("state", "return", "exchange", "--why", "back")
    given(node, 1)
    assert "\\Seen" in names(primary)["a-0"]


def test_a_wrong_log_in_is_told_and_loses_nothing(company):
    node, primary = company
    mail_arrives(node, primary, "a", 1)
    open_mailboxes(node, primary, "wrong")
    did(node, "seen=a-0@outside.test")

    def told():
        return "login" in node.must("mailbox", "show", ALICE)["text"]

    wait_for(told, "it is told", 20)
    open_mailboxes(node, primary)
    node.must("mailbox", "return", ALICE, "--why", "look")
    given(node, 1)


def test_whoever_dies_meanwhile_nothing_is_there_twice(stage, company, directory):
    stage.expected += [r"process\.died", r"ipc\."]
    node, primary = company
    count = 230
    open_mailboxes(node, primary)
    files = [written(directory, f"d{number}") for number in range(count)]
    did(node, "box=drafts:Drafts", *[f"draft=Drafts:{path}" for path in files])
    for role in ("liaison", "core", "liaison", "core"):
        seen = len(names(primary, "Drafts"))
        wait_for(lambda n=seen: len(names(primary, "Drafts")) > n, "it goes on", 30, pause=0.01)
        node.kill9(role)
    node.wait_role("core")

    def whole():
        code, box = node.cli("mailbox", "show", ALICE)
        return code == 0 and box["waiting"] == 0 and box["given"] + box["already"] > 0

    wait_for(whole, "everything is given back", 90, pause=0.5)
    assert len(names(primary, "Drafts")) == count


def test_what_waited_goes_straight_into_the_mailboxes_where_the_plan_says_so(company):
    node, primary = company
    open_mailboxes(node, primary)
    node.must("plan", "set", "exchange", "--method", "append", "--why", "folders count")
    node.must("plan", "approve", "exchange")
    node.must("state", "emergency", "exchange", "--why", "it burns")
    for name in ("one", "two", "three"):
        assert Story(node).send(name).is_ok
    assert node.must("state", "preview", "exchange")["method"] == "append"
    did(node, "seen=two@outside.test", "drop=three@outside.test")
    node.must("state", "return", "exchange", "--why", "it is out")
    given(node, 2)
    assert sorted(names(primary)) == ["one", "two"]
    assert "\\Seen" in names(primary)["two"] and "\\Seen" not in names(primary)["one"]
    assert list(names(primary, "Trash")) == ["three"]
    assert "remote=imap" in node.log() and 'remote="127.0.0.1[' not in node.log()
    assert node.must("ledger")["balanced"]
    report = node.must("state", "report", "exchange")
    assert report["changes"]["given"] == 2 and report["changes"]["waiting"] == 0
    assert any("WHAT PEOPLE DID HERE" in line for line in report["text"])


@pytest.fixture
def phone(stage):
    """(node, primary, Alice's client): as people have it."""
    primary = stage.start(Primary)
    ports = [netns.free_port("127.0.0.1") for _ in range(2)]
    node = stage.company(primary, settings={"listen": [
        {"for": "smtp", "at": f"127.0.0.1:{ports[0]}"},
        {"for": "https", "at": f"127.0.0.1:{ports[1]}", "tls": "none"}]})
    made = node.must("person", "password", ALICE, "--generate")
    open_mailboxes(node, primary)
    return node, primary, Client(f"http://127.0.0.1:{ports[1]}", ALICE, made["password"])


def test_a_day_on_the_phone_is_in_the_mailbox_when_the_mail_system_is_back(phone):
    node, primary, alice = phone
    node.must("state", "emergency", "exchange", "--why", "it burns")
    story = Story(node)
    for name in ("read", "filed", "thrown", "new"):
        assert story.send(name).is_ok
    ids = wait_for(lambda: (found := {one["subject"]: one["id"] for one in alice.list(
        properties=("subject", "id"))}) and len(found) == 4 and found, "all are seen", 10)
    box = alice.call("Mailbox/set", create={"c": {"name": "Clients"}})["created"]["c"]["id"]
    first = draft(alice, "first")
    alice.call("Email/set", update={
        ids["read"]: {"keywords/$seen": True, "keywords/$answered": True},
        ids["filed"]: {"mailboxIds": {box: True}},
        ids["thrown"]: {"mailboxIds": {alice.mailbox("trash"): True}}})
    alice.call("Email/set", destroy=[first])
    draft(alice, "second")
    assert node.must("mailbox", "show", ALICE)["waiting"] == 4

    node.must("state", "return", "exchange", "--why", "it is out")
    given(node, 4)
    inbox = names(primary)
    assert sorted(inbox) == ["new", "read"]
    assert {"\\Seen", "\\Answered"} <= set(inbox["read"]) and "\\Seen" not in inbox["new"]
    assert list(names(primary, "Clients")) == ["filed"]
    assert list(names(primary, "Trash")) == ["thrown"]
    assert list(names(primary, "Drafts")) == ["second"]

    # And what is done afterwards goes by itself, soon.
    alice.call("Email/set", update={ids["new"]: {"keywords/$flagged": True}})
    wait_for(lambda: "\\Flagged" in names(primary)["new"], "flagged there too", 30, pause=0.2)
    alice.call("Email/set", update={ids["read"]: {"keywords/$seen": None}})
    wait_for(lambda: "\\Seen" not in names(primary)["read"], "unread there too", 30, pause=0.2)


def touch(primary, name, sign, flags, folder="INBOX"):
    """In the mail system itself, by its own users."""
    session = primary.dovecot.connect(ALICE)
    session.select(folder)
    _, found = session.uid("SEARCH", "HEADER", "X-Load-Id", name)
    answer, _ = session.uid("STORE", found[0].decode(), f"{sign}FLAGS", f"({flags})")
    assert answer == "OK"
    session.logout()


def flags_of(primary, name, folder="INBOX"):
    return {flag for flag in names(primary, folder)[name] if flag != "\\Recent"}


def test_flags_that_both_sides_change(phone):
    """What changed here is made so there; what nobody touched here stays as it is there."""
    node, primary, alice = phone
    mail_arrives(node, primary, "a", 2)
    ids = wait_for(lambda: (found := {one["subject"]: one["id"] for one in alice.list(
        properties=("subject", "id"))}) and len(found) == 2 and found, "all are seen", 10)
    alice.call("Email/set", update={ids["a-0"]: {
        "keywords/$seen": True, "keywords/$flagged": True, "keywords/clients": True}})
    wait_for(lambda: {"\\Seen", "\\Flagged", "clients"} == flags_of(primary, "a-0"), "there", 90,
             pause=0.2)
    touch(primary, "a-0", "-", "\\Seen")
    touch(primary, "a-0", "+", "\\Answered personal")
    touch(primary, "a-1", "+", "\\Seen \\Flagged")
    alice.call("Email/set", update={
        ids["a-0"]: {"keywords/$flagged": None, "keywords/clients": None, "keywords/$forwarded": True},
        ids["a-1"]: {"keywords/$forwarded": True}})
    wait_for(lambda: {"\\Answered", "personal", "$Forwarded"} == flags_of(primary, "a-0"), "there",
             90, pause=0.2)
    wait_for(lambda: {"\\Seen", "\\Flagged", "$Forwarded"} == flags_of(primary, "a-1"), "there", 30,
             pause=0.2)
    box = node.must("mailbox", "show", ALICE)
    before = everything(primary)
    node.must("mailbox", "return", ALICE, "--why", "look")
    time.sleep(1.5)
    assert everything(primary) == before
    assert node.must("mailbox", "show", ALICE)["given"] == box["given"] == 3


def sort_there(primary, name, folder):
    """A rule of the mail system, or another program of the person, files it."""
    session = primary.dovecot.connect(ALICE)
    session.create(folder)
    session.select("INBOX")
    _, found = session.uid("SEARCH", "HEADER", "X-Load-Id", name)
    answer, _ = session.uid("MOVE", found[0].decode(), folder)
    assert answer == "OK"
    session.logout()


def test_mail_that_rules_over_there_have_filed_and_folders_of_many_names(phone):
    node, primary, alice = phone
    mail_arrives(node, primary, "a", 3)
    for number in range(3):
        sort_there(primary, f"a-{number}", "Sorted")
    ids = wait_for(lambda: (found := {one["subject"]: one["id"] for one in alice.list(
        properties=("subject", "id"))}) and len(found) == 3 and found, "all are seen", 10)
    made = alice.call("Mailbox/set", create={"c": {"name": "Künden & Co"}})["created"]["c"]["id"]
    alice.call("Email/set", update={
        ids["a-0"]: {"keywords/$seen": True}, ids["a-1"]: {"mailboxIds": {made: True}}},
        destroy=[ids["a-2"]])
    given(node, 3, 90)
    assert names(primary) == {}
    assert flags_of(primary, "a-0", "Sorted") == {"\\Seen"}
    assert list(names(primary, "Trash")) == ["a-2"]
    folder = next(name for name in primary.dovecot.mailboxes(ALICE) if name.startswith("K&"))
    assert list(names(primary, folder)) == ["a-1"]
    alice.call("Mailbox/set", update={made: {"name": "Clients"}})
    given(node, 4, 90)
    assert list(names(primary, "Clients")) == ["a-1"] and names(primary, folder) == {}


def test_a_draft_that_changes_and_what_was_sent_are_there_once(phone):
    node, primary, alice = phone
    first = draft(alice, "first")
    wait_for(lambda: list(names(primary, "Drafts")) == ["first"], "there", 90, pause=0.2)
    for before, after in (("first", "second"), ("second", "third")):
        anew = draft(alice, after)
        alice.call("Email/set", destroy=[first])
        first = anew
        wait_for(lambda a=after: list(names(primary, "Drafts")) == [a], f"no more {before}", 60,
                 pause=0.2)
    assert names(primary, "Trash") == {}
    node.must("state", "emergency", "exchange", "--why", "it burns")
    sent = time.time()
    alice.call("Email/set", update={first: {
        "mailboxIds": {alice.mailbox("sent"): True}, "keywords": {"$seen": True}}})
    time.sleep(2)
    node.must("state", "return", "exchange", "--why", "it is out")
    wait_for(lambda: list(names(primary, "Sent")) == ["third"], "in Sent", 60, pause=0.2)
    assert names(primary, "Drafts") == {}
    [mail] = primary.messages(ALICE, "Sent")
    assert "\\Seen" in mail.flags and "\\Draft" not in mail.flags
    came = time.mktime(time.strptime(mail.date.strip()[:20], "%d-%b-%Y %H:%M:%S"))
    assert came <= sent + 1
    node.must("mailbox", "return", ALICE, "--why", "look")
    time.sleep(1.5)
    assert len(primary.messages(ALICE, "Sent")) == 1


def test_an_emergency_ends_by_itself_and_the_mailboxes_with_it(phone):
    """Nobody says anything: with `return: auto` what people did goes back when all is well again."""
    node, primary, alice = phone
    plan(node, **QUICK, return_="auto", method="append")
    primary.stop()
    assert Story(node).send("waited").is_ok
    wait_for(lambda: node.must("state", "show", "exchange")["state"] == "emergency", "it burns", 60)
    ids = wait_for(lambda: (found := {one["subject"]: one["id"] for one in alice.list(
        properties=("subject", "id"))}) and found, "it is seen", 10)
    alice.call("Email/set", update={ids["waited"]: {"keywords/$seen": True}})
    draft(alice, "offer")
    primary.start()
    given(node, 2, 90)
    assert "\\Seen" in names(primary)["waited"]
    assert list(names(primary, "Drafts")) == ["offer"]
    wait_for(lambda: node.must("state", "show", "exchange")["state"] == "standby", "over", 60)
    report = node.must("state", "report", "exchange")
    assert report["changes"]["given"] == 2 and report["changes"]["waiting"] == 0
