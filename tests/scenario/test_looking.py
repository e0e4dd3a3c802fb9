"""What a person sees at 3 a.m.: is everything up, what waits and why, where is that message, what
happened, which limit was reached; and what Prometheus sees."""

import json
import re
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from harness import netns
from harness.process import run, wait_for
from harness.sender import Client
from story import ALICE, BOB, STRANGER, Story, letter, message_id, rows, settled, sums

pytestmark = pytest.mark.usefixtures("network")


@pytest.fixture
def measured(stage):
    """A node with figures on a port of its own; (node, sink, address of the figures)."""
    sink = stage.sink()
    figures, mail = (f"127.0.0.1:{netns.free_port()}" for _ in range(2))
    node = stage.company(sink, settings={"listen": [{"for": "smtp", "at": mail},
                                                    {"for": "metrics", "at": figures}]})
    return node, sink, figures


def get(at, path):
    try:
        with urllib.request.urlopen(f"http://{at}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read().decode()


def plain(node, *words):
    """A command as a person types it: no --json."""
    return subprocess.run([node.program, "--socket", str(node.control), *words], text=True,
                          capture_output=True, timeout=20, check=False)


def test_status_at_a_glance(stage):
    node, sink = stage.before()
    sink.stop()
    Story(node).send("waits")
    wait_for(lambda: sums(node)["waiting"] == 1, "it waits")
    status = node.must("status")
    assert status["open"] is True and status["node"] == "mx1.staffetta.example"
    assert [p["primary"] for p in status["primaries"]] == ["exchange"]
    roles = [p["role"] for p in status["processes"]]
    assert sorted(set(roles)) == ["core", "courier", "door", "gate", "liaison", "resolver"]
    pids = {pid for role, some in node.role_pids().items() if role != "supervisor" for pid in some}
    assert {p["pid"] for p in status["processes"]} == pids
    assert status["queue"]["waiting"] == 1 and status["queue"]["oldest"]
    said = plain(node, "status")
    assert said.returncode == 0 and "exchange" in said.stdout and "waiting" in said.stdout.lower()


def test_check_says_whether_something_is_wrong(stage):
    node, sink = stage.before()

    def failed():
        """What is wrong, without the machine's own disk."""
        code, answer = node.cli("check")
        found = {one["what"] for one in answer["checks"] if one["result"] == "FAIL"}
        assert code == bool(found)
        return found - {"disk"}

    wait_for(lambda: not failed(), "all is well", 10)
    sink.stop()
    Story(node).send("waits")
    wait_for(lambda: "exchange" in failed(), "it says so", 10)
    assert "exchange" in plain(node, "check").stdout


def test_state_says_why(stage):
    node, sink = stage.before("--reply-banner", "554 5.7.1 you are on our list")
    for number in range(3):
        Story(node).send(f"n{number}")
    wait_for(lambda: node.must("state", "show", "exchange")["state"] == "suspect", "suspect", 15)
    shown = node.must("state", "show", "exchange")
    assert "on our list" in shown["last"] and shown["bad"] >= 3 and shown["first_bad"]
    code, answer = node.cli("primary", "check", "exchange")
    first = answer["checks"][0]
    assert code == 1 and answer["ok"] is False and first["result"] == "FAIL"
    assert "on our list" in first["text"]


def test_a_message_from_its_arrival_to_its_fate(stage):
    node, sink = stage.before("--reply-mail", "first 1 421 4.3.2 not now")
    with Client(node.at(), source="127.0.0.55") as client:
        client.ehlo("far.test")
        reply = client.transaction(STRANGER, [ALICE, BOB], letter("offer-4711"))
    settled(node)
    mid = message_id(reply)
    for what in (mid, ALICE, STRANGER, "offer-4711", "4711", "<offer-4711@outside.test>",
                 "outside.test"):
        found = node.must("trace", what)["messages"]
        assert [m["message"] for m in found] == [mid], f"{what}: {found}"
    message = found[0]
    assert (message["client"], message["helo"]) == ("127.0.0.55", "far.test")
    assert message["direction"] == "in" and message["answered"] is True
    assert {row["to"]: row["disposition"] for row in message["rows"]} == \
        {ALICE: "delivered", BOB: "delivered"}
    steps = [(step["what"], step.get("code"), step.get("disposition"))
             for step in message["history"] if step["rcpt"] == 0]
    assert ("ended", 421, "waiting") in steps and ("ended", 250, "delivered") in steps
    assert steps.index(("ended", 421, "waiting")) < steps.index(("ended", 250, "delivered"))
    times = [step["time"] for step in message["history"]]
    assert times == sorted(times)
    said = plain(node, "trace", mid)
    assert said.returncode == 0 and "421" in said.stdout and "delivered" in said.stdout
    code, answer = node.cli("trace", "nobody@nowhere.test")
    assert (code, answer["messages"]) == (1, [])


def test_why_it_waits(stage):
    node, sink = stage.before("--reply-rcpt", "450 4.2.0 greylisted, come back in 5 minutes")
    Story(node).send("grey")
    row = wait_for(lambda: [r for r in rows(node) if r["attempts"]], "tried")[0]
    assert row["code"] == 450 and "greylisted" in row["text"] and row["due"]
    said = plain(node, "queue", "show", row["message"])
    assert said.returncode == 0 and "greylisted" in said.stdout
    assert plain(node, "queue", "list").stdout.count(row["message"]) == 1


def test_ledger_company_by_company(stage):
    node, sink = stage.before()
    story = Story(node)
    story.send_all("n", 7)
    found = settled(node)
    assert (found["accepted"], found["delivered"]) == (7, 7)
    assert sums(node, "rossi")["accepted"] == 7
    assert node.cli("ledger", "--tenant", "nobody")[0] == 1
    assert plain(node, "ledger").returncode == 0
    assert [r["disposition"] for r in rows(node, "--disposition", "delivered")] == ["delivered"] * 7


def test_each_250_is_in_the_ledger_at_once(stage, tell):
    """Who heard 250 and asks the next moment sees the message."""
    node, sink = stage.before()
    story = Story(node)
    began = time.monotonic()
    for number in range(20):
        story.send(f"n{number}")
        assert sums(node)["accepted"] == number + 1
    tell(f"250 and ledger, 20 times: {time.monotonic() - began:.2f} s")


def test_events_tell_what_happened(stage):
    node, sink = stage.before()
    sink.stop()
    for number in range(4):
        Story(node).send(f"n{number}")
    wait_for(lambda: node.must("state", "show", "exchange")["state"] == "suspect", "suspect", 15)
    sink.start()
    wait_for(lambda: node.must("state", "show", "exchange")["state"] == "standby", "standby", 15)
    events = node.must("events")["events"]
    names = [e["name"] for e in events]
    assert names.index("primary.standby") < names.index("primary.suspect")  # newest first
    assert all(e["text"] and e["time"] for e in events)
    said = plain(node, "events")
    assert "primary.suspect" in said.stdout
    assert node.must("events", "--limit", 1)["events"] == events[:1]


def test_every_limit_is_listed_and_counted(stage):
    node, sink = stage.before(settings={"limits": {"recipients": 100, "errors": 3}})
    with Client(node.at()) as client:
        client.ehlo()
        for _ in range(3):
            reply = client.command("BOGUS")
        assert client.is_closed() or reply.code == 421
    with Client(node.at()) as client:
        client.ehlo()
        client.mail(STRANGER)
        assert client.rcpt("x@elsewhere.test").code == 550

    def limits():
        return {one["name"]: one for one in node.must("limits")["limits"]}

    # Each gate tells its own figures.
    counted = ("smtp.errors-per-session", 1), ("smtp.relay", 1), ("smtp.unknown-command", 3)
    wait_for(lambda: all(limits()[name]["count"] >= n for name, n in counted), "counted", 5)
    found = limits()
    assert found["smtp.errors-per-session"]["count"] == 1
    assert found["smtp.relay"]["count"] == 1 and found["smtp.relay"]["example"] == "127.0.0.1"
    assert found["smtp.recipients-per-message"]["count"] == 0
    assert len(found) > 30 and all(one["text"] for one in found.values())
    # Values in force, and whose they are.
    of = {name: (one.get("limit"), one["set_by"], one.get("setting"))
          for name, one in found.items()}
    assert of["smtp.recipients-per-message"] == (100, "settings", "limits.recipients")
    assert of["smtp.message-size"] == (50 << 20, "built-in", "limits.message")
    assert of["desk.notices-per-minute"] == (30, "built-in", None)
    said = [e["text"] for e in node.must("events")["events"] if "per-session" in e["name"]]
    assert all("3 errors (limits.errors)" in text for text in said)
    node.must("primary", "set", "exchange", "--connections", 3)
    own = node.must("limits")["primaries"]
    assert [(one["primary"], one["deliveries"], one["set_by"]) for one in own] == \
        [("exchange", 3, "person")]
    assert "Set by" in plain(node, "limits").stdout


def test_figures_for_prometheus(measured):
    node, sink, figures = measured
    story = Story(node)
    story.send_all("n", 5)
    settled(node)

    def values():
        return dict(re.findall(r"(?m)^(staffetta_[a-z_]+) ([0-9.e+]+)$",
                               get(figures, "/metrics")[1]))

    # Processes tell their figures once a second.
    wait_for(lambda: any(float(value) == 5 for name, value in values().items()
                         if "deliver" in name), "five were delivered", 5)
    status, text = get(figures, "/metrics")
    assert status == 200
    judged = subprocess.run(["promtool", "check", "metrics"], input=text, text=True,
                            capture_output=True, check=False)
    assert judged.returncode == 0, judged.stdout + judged.stderr
    assert not judged.stderr.strip(), judged.stderr
    assert len(re.findall(r"(?m)^# TYPE", text)) > 15
    assert re.search(r'staffetta_\w+\{[^}]*primary="exchange"', text)
    assert get(figures, "/v1/status")[0] == 404, "figures only: no administration there"


def test_health_for_a_load_balancer(measured):
    node, sink, figures = measured
    status, text = get(figures, "/v1/health")
    if status == 404:
        status, text = get(figures, "/health")
    assert status == 200 and json.loads(text)["open"] is True


def test_only_root_and_its_own_user_may_use_the_socket(stage):
    node, _ = stage.before()
    assert node.control.stat().st_mode & 0o777 in (0o600, 0o660)
    text = run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", node.program,
               "--socket", node.control, "status", check=False)
    assert "rossi" not in text and "exchange" not in text


def test_wrong_use_is_exit_code_2_and_says_how(stage):
    node, _ = stage.before()
    for words in (("queue", "explode"), ("queue", "hold", "x"), ("tenant", "add"), ("nonsense",),
                  ("status", "--bogus"), ("domain", "add", "x.test", "--form")):
        said = plain(node, *words)
        assert said.returncode == 2 and said.stderr.strip() and not said.stdout, words
    gone = subprocess.run([node.program, "--socket", "/nowhere/sock", "status"], text=True,
                          capture_output=True, timeout=10, check=False)
    assert gone.returncode == 1 and "/nowhere/sock" in gone.stderr
