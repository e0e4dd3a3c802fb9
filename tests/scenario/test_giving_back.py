"""Giving back with a statement.

A real mail system (Postfix and Dovecot) is declared to be in an emergency. Mail for essential and for
ordinary mailboxes is kept; a preview says what would go where; it is given back in order, with a pause
in the middle; and at the end a statement proves that nothing was lost, because its sums are the
ledger's."""

import json
import re
import subprocess
import time

import pytest

from harness.peers import Primary
from harness.process import wait_for
from story import ALICE, BOB, Story, settled, state, sums

pytestmark = pytest.mark.usefixtures("network")

BOSS = "boss@example.test"
PEOPLE = [{"address": ALICE, "name": "Alice", "covered": True},
          {"address": BOB, "name": "Bob", "covered": True},
          {"address": BOSS, "name": "Boss", "covered": True, "essential": True}]
FATES = ("meanwhile", "given_back", "passed_on", "waiting", "held", "returned", "removed", "merged")
SLOW = ("--delay-ms", "500")


def say(node, *words):
    node.must("state", *words, "exchange", "--why", f"the test wants to {words[0]}")


def report(node, *options):
    """The statement as JSON; what it says is compared with the ledger, row by row."""
    found = node.must("state", "report", "exchange", *options)
    rows = messages(node)
    found["text"] = "\n".join(found["text"])
    assert found["proved"], found["text"]
    sum_of = found["sums"]
    assert sum_of["accepted"] + sum_of["waited_before"] == sum(sum_of[f] for f in FATES) == len(rows)
    for fate in FATES:
        assert sum_of[fate] == sum(row["fate"] == fate for row in rows), fate
        assert sum_of[fate] == sum(box[fate] for box in found["mailboxes"]), fate
    assert sum_of["possible_doubles"] == len(found["doubles"]) == \
        sum(row["possible_double"] for row in rows)
    return found


def messages(node):
    """Each line of --messages."""
    done = subprocess.run([node.program, "--socket", str(node.control), "state", "report",
                           "exchange", "--messages"], capture_output=True, text=True, timeout=30,
                          check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def steps(node):
    newest = node.must("state", "history", "exchange")["episodes"][0]
    return [step["what"] for step in newest["steps"]]


def test_a_real_mail_system_gets_everything_back_with_a_statement(stage, tell):
    users = {person["address"]: "secret" for person in PEOPLE}
    primary = stage.start(Primary, users=users)
    node = stage.company(primary, people=PEOPLE)
    story = Story(node)
    assert story.send("before").code == 250
    settled(node)
    node.must("calendar", "set", "rossi", "--zone", "Asia/Kolkata")
    say(node, "emergency")
    for number in range(6):
        assert story.send(f"alice-{number}", ALICE).code == 250
        assert story.send(f"boss-{number}", BOSS).code == 250
    assert story.send("both", [ALICE, BOB]).code == 250
    node.must("queue", "hold", story.accepted["alice-0"], "--why", "looks like a virus")

    preview = node.must("state", "preview", "exchange")
    boxes = {box["address"]: box for box in preview["mailboxes"]}
    assert preview["mailboxes"][0]["address"] == BOSS and boxes[BOSS]["essential"]
    assert (boxes[BOSS]["recipients"], boxes[ALICE]["recipients"], boxes[BOB]["recipients"]) == \
        (6, 6, 1)
    assert (preview["messages"], preview["recipients"], preview["held"]) == (12, 13, 1)
    assert "seconds" not in preview  # nothing was ever given back to it
    tell(preview["text"])

    early = report(node)
    assert early["sums"]["waiting"] == 13 and not early["episode"]["over"]
    assert "It is not over yet" in early["text"]

    say(node, "return")
    wait_for(lambda: state(node) == "standby", "everything is given back", 30)
    assert settled(node)["held"] == 1
    found = report(node)
    assert found["sums"]["given_back"] == 13 and found["sums"]["held"] == 1
    assert found["held_for"][0]["reason"] == "by-hand"
    assert found["episode"]["over"] and steps(node) == ["emergency", "returning", "end"]
    assert "before" not in {row["message"] for row in messages(node)}
    text = found["text"]
    tell(text)
    assert "Nothing was lost." in text and "the test wants to emergency" in text
    assert re.search(r"Given back +13\n", text) and "uid 0" in text
    # For people: their own time, read by the node from inside its sandbox.
    assert "WHEN (Asia/Kolkata)" in text and re.search(r"End +[-0-9]+ [:0-9]+ \+05:30", text)
    assert found["episode"]["zone"] == "Asia/Kolkata" and found["episode"]["end"].endswith("Z")
    assert all(line.isprintable() and len(line) < 160 for line in text.splitlines())
    # A person decides about the rest; the statement of the same emergency says so.
    node.must("queue", "remove", story.accepted["alice-0"], "--why", "it was one")
    again = report(node)
    assert (again["sums"]["held"], again["sums"]["removed"]) == (0, 1)
    assert "Nothing is left to do." in again["text"]
    assert sums(node)["accepted"] == again["sums"]["accepted"] + 1  # "before" was before


def test_essential_first_and_a_pause_in_the_middle(stage, tell):
    node, sink = stage.before(*SLOW, people=PEOPLE, primary_options=("--connections", "1"))
    story = Story(node)
    say(node, "emergency")
    for number in range(8):
        assert story.send(f"alice-{number}", ALICE).code == 250
    for number in range(8):
        assert story.send(f"boss-{number}", BOSS).code == 250
    say(node, "return")
    wait_for(lambda: len(sink.ids()) >= 3, "some of it")
    say(node, "pause")
    wait_for(lambda: not sums(node)["attempting"], "what ran ends")
    came = sink.ids()
    assert len(came) <= 5
    time.sleep(2)
    assert sink.ids() == came, "nothing begins while it is paused"
    shown = node.must("state", "show", "exchange")
    assert shown["state"] == "returning"
    assert shown["returning"]["done"] == len(came) and shown["returning"]["total"] == 16
    assert "remaining_seconds" not in shown["returning"]
    assert story.send("late", BOB).code == 250
    say(node, "resume")
    wait_for(lambda: len(sink.ids()) > len(came) + 2, "it goes on")
    moving = node.must("state", "show", "exchange")["returning"]
    assert moving["per_minute"] > 0 and moving["remaining_seconds"] > 0
    settled(node)
    order = [name for name in sink.ids() if name != "late"]
    assert order == [f"boss-{n}" for n in range(8)] + [f"alice-{n}" for n in range(8)]
    wait_for(lambda: state(node) == "standby", "standby")
    assert steps(node) == ["emergency", "returning", "paused", "resumed", "end"]
    found = report(node)
    assert found["sums"]["given_back"] == 16 and found["sums"]["passed_on"] == 1
    assert found["episode"]["pauses"] == 1
    # The next time it is known how long that takes.
    say(node, "emergency")
    assert story.send("next", ALICE).code == 250
    assert node.must("state", "preview", "exchange")["per_minute"] > 0


def test_five_deaths_in_the_middle_are_one_statement(stage, tell):
    """It dies five times while everything is given back, and core is killed as well; one statement
    tells all of it, with each double that is possible."""
    stage.expected.append(r"process\.died.*core|name=primary")
    # So slowly that none of the five deaths comes too late.
    node, sink = stage.before("--delay-ms", "200", people=PEOPLE,
                              primary_options=("--connections", "8"))
    story = Story(node)
    say(node, "emergency")
    for number in range(150):
        assert story.send(f"m{number}", BOSS if number % 5 == 0 else ALICE).code == 250
    for death in range(5):
        say(node, "return")
        enough = len(sink.ids()) + 10
        wait_for(lambda n=enough: len(sink.ids()) >= n, f"some of it, time {death}", 20)
        sink.kill9()
        wait_for(lambda: state(node) == "emergency", "it is noticed", 20)
        if death == 2:
            node.kill9("core")
            wait_for(lambda: node.cli("state", "show", "exchange")[0] == 0, "core is back", 20)
        sink.start()
    say(node, "return")
    settled(node, 60)
    wait_for(lambda: state(node) == "standby", "standby", 20)
    went = [what for what in steps(node) if what in ("returning", "end")]
    assert went == ["returning"] * 6 + ["end"], steps(node)
    assert set(steps(node)) <= {"emergency", "died", "returning", "ready", "end"}, steps(node)
    assert len(node.must("state", "history")["episodes"]) == 1
    found = report(node, "--limit", 1000)
    came = sink.ids()
    doubles = {story.accepted[name] for name in came if came.count(name) > 1}
    assert doubles <= {row["message"] for row in found["doubles"]}
    assert found["sums"]["given_back"] == 150
    tell(f"{len(doubles)} came twice, {len(found['doubles'])} are listed")


def test_reports_of_nothing_say_so(stage):
    node, _ = stage.before()
    code, _ = node.cli("state", "report", "exchange")
    assert code == 1 and "no emergency" in node.last_error
    assert node.must("state", "history")["episodes"] == []
    code, _ = node.cli("state", "report", "--episode", "aaaaaaaaaaaab")
    assert code == 1 and "no emergency" in node.last_error
    code, _ = node.cli("state", "preview", "lotus")
    assert code == 1
    code, _ = node.cli("state", "pause", "exchange", "--why", "x")
    assert code == 1  # nothing is being given back
