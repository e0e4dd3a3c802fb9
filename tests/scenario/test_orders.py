"""Decisions by a person: hold, release, retry, return, remove; each with a reason, each written down
with who and why, each visible afterwards."""

import json

import pytest

from harness import company
from harness.process import wait_for
from story import ALICE, BOB, Story, rows, settled, sums

pytestmark = pytest.mark.usefixtures("network")


@pytest.fixture
def kept(stage):
    """Two messages wait for a primary that is dead; one goes to two people."""
    stage.expected.append(r"name=queue\.(held|hold-refused) ")
    node, sink = stage.before()
    sink.stop()
    story = Story(node)
    assert story.send("one").code == 250
    assert story.send("two", [ALICE, BOB]).code == 250
    wait_for(lambda: sums(node)["waiting"] == 3 and not sums(node)["attempting"], "they wait")
    return node, sink, story.accepted


def dispositions(node, message):
    return [row["disposition"] for row in node.must("queue", "show", message)["rows"]]


def order(node, what, message, why="the test wants it"):
    """A person may be told that a delivery runs this very moment; then it is asked again."""
    def done():
        code, _ = node.cli("queue", what, message, "--why", why)
        return code == 0

    wait_for(done, f"{what} {message}", 10, pause=0.1)


def test_hold_keeps_back_and_release_lets_go(kept):
    node, sink, ids = kept
    order(node, "hold", ids["one"], "looks like the virus of this morning")
    assert dispositions(node, ids["one"]) == ["held"]
    assert [row["message"] for row in node.must("hold", "list")["rows"]] == [ids["one"]]
    sink.start()
    wait_for(lambda: sink.ids() == ["two"], "the other one")
    assert dispositions(node, ids["one"]) == ["held"]
    order(node, "release", ids["one"], "it is harmless")
    assert settled(node)["delivered"] == 3
    assert sorted(sink.ids()) == ["one", "two"]
    history = node.must("queue", "show", ids["one"])["history"]
    said = [(step.get("text"), step.get("by")) for step in history if step["what"] == "decided"]
    assert [text for text, _ in said] == ["looks like the virus of this morning", "it is harmless"]
    assert all(by for _, by in said)


def test_one_recipient_of_a_message(kept):
    node, sink, ids = kept
    numbers = {row["to"]: row["rcpt"] for row in node.must("queue", "show", ids["two"])["rows"]}
    order(node, "remove", f"{ids['two']}/{numbers[BOB]}", "Bob asked for it")
    sink.start()
    found = settled(node)
    assert (found["delivered"], found["removed"]) == (2, 1)
    assert {name: row["rcpts"] for name, row in zip(sink.ids(), sink.records())}["two"] == [ALICE]


def test_removed_is_gone_for_good_and_the_ledger_says_by_whom(kept):
    node, sink, ids = kept
    order(node, "remove", ids["one"], "court order 12/26")
    sink.start()
    found = settled(node)
    assert (found["delivered"], found["removed"]) == (2, 1)
    assert sink.ids() == ["two"]
    row = node.must("queue", "show", ids["one"])["rows"][0]
    assert row["disposition"] == "removed" and row["by"] and "court order" in row["text"]


def test_retry_does_not_wait(stage):
    """Refused for a person we know: it would be tried again in a while; told to, it is tried now."""
    node, sink = stage.before("--reply-rcpt", "first 1 550 5.1.1 no such user")
    story = Story(node)
    story.send("again")
    wait_for(lambda: rows(node) and rows(node)[0]["attempts"] == 1, "refused once")
    assert "550" in json.dumps(rows(node)[0]) and rows(node)[0]["due"]
    order(node, "retry", story.accepted["again"])
    wait_for(lambda: sink.ids() == ["again"], "tried again", 3)
    assert settled(node)["delivered"] == 1


def test_return_needs_a_sender_who_is_who_he_says(kept):
    """The return path of a stranger was not proved: a notice could hit an innocent. The order is
    refused in words, and the message stays."""
    node, _, ids = kept
    code, _ = node.cli("queue", "return", ids["one"], "--why", "wrong company")
    assert code == 1
    assert "not proved" in node.last_error or "notice" in node.last_error
    assert dispositions(node, ids["one"])[0] in ("waiting", "held")


def test_orders_that_make_no_sense_are_refused_in_words(kept):
    node, sink, ids = kept
    for words in (("queue", "release", ids["one"], "--why", "x"),
                  ("queue", "hold", "aaaaaaaaaaaaa", "--why", "x"),
                  ("queue", "hold", f"{ids['one']}/7", "--why", "x")):
        code, _ = node.cli(*words)
        assert code == 1 and node.last_error.strip(), words
    sink.start()
    settled(node)
    code, _ = node.cli("queue", "remove", ids["one"], "--why", "too late")
    assert code == 1
    assert dispositions(node, ids["one"]) == ["delivered"]
    code, _ = node.cli("queue", "explode", ids["one"])
    assert code == 2


def test_orders_survive_a_crash(kept):
    node, sink, ids = kept
    order(node, "hold", ids["one"])
    order(node, "remove", ids["two"])
    node.kill9()
    node.start()
    assert dispositions(node, ids["one"]) == ["held"]
    assert dispositions(node, ids["two"]) == ["removed", "removed"]
    sink.start()
    order(node, "release", ids["one"])
    found = settled(node)
    assert (found["delivered"], found["removed"]) == (1, 2)
    assert sink.ids() == ["one"]


def test_emergency_by_hand_ends_by_hand(stage):
    """A person declares it, though the primary answers well. Mail is kept; the answering primary is
    announced, but only a person ends what a person declared."""
    node, sink = stage.before()
    company.plan(node, good_for_ready=1, ready_over=0)
    node.must("state", "emergency", "exchange", "--why", "ransomware on the file server")
    told = wait_for(lambda: [e for e in node.must("events")["events"]
                             if e["name"] == "primary.emergency"], "it is told", 5)[0]
    assert told["class"] == "alarm" and "ransomware" in told["text"] and told["by"]
    story = Story(node)
    story.send_all("kept", 5)
    wait_for(lambda: node.must("state", "show", "exchange")["ready"], "it answers well", 15)
    assert sums(node)["waiting"] == 5 and sink.ids() == []
    node.must("state", "return", "exchange", "--why", "the disks are clean")
    assert settled(node)["delivered"] == 5
    assert sorted(sink.ids()) == sorted(story.accepted)
    wait_for(lambda: node.must("state", "show", "exchange")["state"] == "standby", "standby", 15)


def test_a_mail_system_is_removed_only_when_nothing_waits_for_it(kept, stage):
    node, _, ids = kept
    other = stage.sink()

    def refused():
        code, _ = node.cli("primary", "remove", "exchange")
        assert code == 1
        return node.last_error

    order(node, "hold", ids["one"])
    assert 'staffetta domain set "example.test" --primary' in refused()
    node.must("primary", "add", "next", "--tenant", "rossi", "--host",
              f"{other.address}:{other.port}")
    node.must("domain", "set", "example.test", "--primary", "next")
    assert Story(node).send("three").code == 250  # new mail goes to the new one
    wait_for(lambda: other.ids() == ["three"], "there")
    said = refused()
    assert "1 delivery waits for it" in said
    assert 'staffetta queue list --primary "exchange"' in said
    order(node, "remove", ids["two"])
    assert node.must("primary", "remove", "exchange")["removed"] == "exchange"
    assert [one["name"] for one in node.must("primary", "list")["primaries"]] == ["next"]
    # What was held for it cannot go there any more, and a person is told so.
    code, _ = node.cli("queue", "release", ids["one"], "--why", "it is harmless")
    assert code == 1 and "has been removed" in node.last_error
    order(node, "remove", ids["one"])
    node.restart()
    assert settled(node)["removed"] == 3
