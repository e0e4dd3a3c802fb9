"""What people decide: an emergency at once, isolation after an attack, a maintenance, the return.

A person's word counts within seconds, is written down with its reason, and what makes no sense is
refused in words."""

import time

import pytest

from decision import changes, seconds_of, states, told, wait_state
from harness import company
from harness.process import Failure, wait_for
from story import Story, settled, state, sums

pytestmark = pytest.mark.usefixtures("network")

QUICK = {"bad_for_suspect": 3, "tell_after": 2, "emergency_after": 6, "calm": 5,
         "good_for_ready": 2, "ready_over": 1}


@pytest.fixture
def scene(stage):
    node, sink = stage.before(cut_through=True)
    company.plan(node, **QUICK)
    return node, sink


def shown(node):
    return node.must("state", "show", "exchange")


def wait_ready(node):
    wait_for(lambda: shown(node)["ready"], "it is ready to return", 20, pause=0.1)


def events(node, name):
    return [e for e in node.must("events", "--limit", 1000)["events"] if e["name"] == name]


def refused(node, *words):
    """What a command that makes no sense is told."""
    code, _ = node.cli(*words)
    assert code == 1, words
    return node.last_error


def test_emergency_by_hand_takes_no_5_seconds(scene, tell):
    node, sink = scene
    story = Story(node)
    story.send_all("before", 3)
    began = time.time()
    node.must("state", "emergency", "exchange", "--why", "fire in the server room")
    assert state(node) == "emergency"
    decided = wait_for(lambda: changes(node), "it is in the log", 5)[-1]
    alarm = wait_for(lambda: events(node, "primary.emergency"), "people are told", 5)[0]
    tell(f"by hand: state after {decided.time - began:.2f} s, told after "
         f"{seconds_of(alarm['time']) - began:.2f} s, answered after {time.time() - began:.2f} s")
    assert 0 <= decided.time - began < 5 and time.time() - began < 5
    assert alarm["class"] == "alarm" and "fire" in alarm["text"]
    assert "root" in decided.by and "fire" in decided.why
    story.send_all("during", 3)
    assert max(story.seconds.values(), default=0) < 1
    assert sums(node)["waiting"] == 3 and len(sink.ids()) == 3


def test_isolated_gets_nothing_until_it_is_clean(scene):
    """After an attack: the primary answers well all the time, and gets nothing."""
    node, sink = scene
    node.must("state", "isolate", "exchange", "--why", "ransomware")
    story = Story(node)
    story.send_all("kept", 5)
    time.sleep(4)  # longer than it takes to be ready
    assert shown(node)["isolated"] and state(node) == "emergency"
    for word in ("approve", "return"):
        assert "clean" in refused(node, "state", word, "exchange", "--why", "impatience")
    node.restart()
    time.sleep(3)
    assert shown(node)["isolated"] and sink.ids() == [] and sums(node)["waiting"] == 5
    node.must("state", "clean", "exchange", "--why", "all disks are new")
    assert state(node) == "emergency" and sink.ids() == [], "clean alone gives nothing back"
    wait_ready(node)
    node.must("state", "approve", "exchange", "--why", "go on")
    assert settled(node)["delivered"] == 5
    assert sorted(sink.ids()) == sorted(story.accepted)
    wait_state(node, "standby")


def test_maintenance_alarms_nobody_and_decides_nothing(scene, tell):
    """Down for longer than the plan allows, but in its window: mail is kept, and drains alone."""
    node, sink = scene
    node.must("state", "maintenance", "exchange", "--until", "+10m", "--why", "new disks")
    sink.stop()
    story = Story(node)
    story.send_all("kept", 5)
    time.sleep(QUICK["emergency_after"] + 3)
    assert state(node) != "emergency" and not shown(node)["told"] and told(node) == []
    assert sums(node)["waiting"] == 5
    sink.start()
    began = time.monotonic()
    assert settled(node)["delivered"] == 5
    tell(f"drained {time.monotonic() - began:.1f} s after the primary was back")
    assert sorted(sink.ids()) == sorted(story.accepted)
    wait_state(node, "standby")
    assert told(node) == []


def test_maintenance_that_is_over_protects_no_longer(scene):
    node, sink = scene
    node.must("state", "maintenance", "exchange", "--until", "+10m", "--why", "new disks")
    sink.stop()
    Story(node).send("kept")
    time.sleep(4)
    assert told(node) == []
    node.must("state", "maintenance", "exchange", "--why", "done")
    wait_state(node, "emergency", seconds=15)
    assert told(node) == ["primary.suspect", "primary.emergency"]


def test_approve_only_when_ready(scene):
    node, sink = scene
    assert refused(node, "state", "approve", "exchange", "--why", "nothing to approve")
    sink.stop()
    story = Story(node)
    story.send_all("kept", 3)
    wait_state(node, "emergency")
    said = refused(node, "state", "approve", "exchange", "--why", "impatience")
    assert "has not been well for long enough" in said and "state return" in said
    assert state(node) == "emergency" and sums(node)["waiting"] == 3
    sink.start()
    wait_ready(node)
    assert events(node, "primary.ready")
    time.sleep(2)
    assert sink.ids() == [], "ready is not approved"
    node.must("state", "approve", "exchange", "--why", "Luca looked at it")
    assert settled(node)["delivered"] == 3
    wait_state(node, "standby")
    way = ["standby", "suspect", "emergency", "returning", "standby"]
    wait_for(lambda: states(node) == way, "its way is in the log", 5)


def test_return_by_itself_where_the_plan_says_so(scene):
    node, sink = scene
    company.plan(node, return_="auto")
    sink.stop()
    story = Story(node)
    story.send_all("kept", 3)
    wait_state(node, "emergency")
    sink.start()
    wait_state(node, "standby", seconds=20)
    assert settled(node)["delivered"] == 3
    assert sorted(sink.ids()) == sorted(story.accepted)


def test_plan_by_hand_only(scene):
    """emergency_after 0: those in charge are told, and decide themselves."""
    node, sink = scene
    company.plan(node, emergency_after=0)
    sink.stop()
    story = Story(node)
    story.send_all("kept", 3)
    wait_for(lambda: shown(node)["told"], "they are told", 15)
    time.sleep(QUICK["emergency_after"] + 3)
    assert state(node) == "suspect" and told(node) == ["primary.suspect"]
    sink.start()
    assert settled(node)["delivered"] == 3
    assert sorted(sink.ids()) == sorted(story.accepted)
    wait_state(node, "standby")


def test_words_that_make_no_sense_are_refused(scene):
    node, _ = scene
    for words in (("state", "return", "exchange", "--why", "x"),
                  ("state", "approve", "exchange", "--why", "x"),
                  ("state", "clean", "exchange", "--why", "x"),
                  ("state", "pause", "exchange", "--why", "x"),
                  ("state", "resume", "exchange", "--why", "x"),
                  ("clock", "confirm", "--why", "x")):
        assert "Nothing" in refused(node, *words) or node.last_error.strip(), words
    assert state(node) == "standby" and changes(node) == []
    with pytest.raises(Failure):
        node.must("state", "emergency", "exchange")  # without a reason
