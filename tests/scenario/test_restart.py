"""Stopping, starting, and changing settings while it runs.

A stop finishes what is open within seconds and leaves nothing in doubt; after the start everything
is as it was: people, states, decisions, the queue in its order. SIGHUP takes new settings, or keeps
the old ones and says why."""

import concurrent.futures
import signal
import socket
import time

import pytest

from harness import company
from harness.certs import Authority
from harness.process import signal_pid, wait_for
from harness.sender import Client, Lost
from harness.staffetta import yaml_text, settings
from story import (ALICE, BOB, LIMITS, STRANGER, Story, letter, rows, settled, size_offered, state,
                   sums)

pytestmark = pytest.mark.usefixtures("network")


def test_everything_is_as_it_was(stage, tell):
    node, sink = stage.before()
    sink.stop()
    story = Story(node)
    story.send_all("kept", 50)
    with Client(node.at()) as client:
        client.ehlo()
        client.mail(STRANGER)
        assert client.rcpt("nobody@example.test").code == 450
    node.must("queue", "hold", story.accepted["kept-7"], "--why", "evidence")
    before, waiting = sums(node), rows(node, "--limit", 1000)
    began = time.monotonic()
    node.stop()
    stopped = time.monotonic()
    node.start()
    tell(f"stopped in {stopped - began:.2f} s, ready again in {time.monotonic() - stopped:.2f} s")
    assert stopped - began < 8
    after = sums(node)
    assert {k: v for k, v in after.items() if k != "attempting"} == \
        {k: v for k, v in before.items() if k != "attempting"}
    assert after["possible_doubles"] == after["unanswered"] == 0
    same = ("message", "rcpt", "to", "disposition", "received", "bytes")
    assert [[r[k] for k in same] for r in rows(node, "--limit", 1000)] == \
        [[r[k] for k in same] for r in waiting]
    with Client(node.at()) as client:
        client.ehlo()
        client.mail(STRANGER)
        assert [client.rcpt(r).code for r in (ALICE, BOB)] == [250, 250]
    sink.start()
    assert settled(node)["delivered"] == len(sink.ids()) == 49
    assert state(node) == "standby" and [r["disposition"] for r in rows(node)] == ["held"]


def test_stop_in_the_middle_of_deliveries_and_uploads(stage, tell):
    """Deliveries that run may finish; open sessions hear 421; what was not answered is not kept."""
    node, sink = stage.before("--delay-ms", 1000)
    story = Story(node)
    for number in range(5):
        assert story.send(f"n{number}").code == 250
    wait_for(lambda: sums(node)["attempting"] > 0, "they run")
    idle, writing = Client(node.at()), Client(node.at())
    for client in (idle, writing):
        client.ehlo()
    writing.mail(STRANGER)
    writing.rcpt(ALICE)
    writing.data_raw(letter("half")[:50])
    began = time.monotonic()
    node.stop()
    tell(f"stopped in {time.monotonic() - began:.2f} s")
    assert time.monotonic() - began < 10
    try:
        assert idle.command("NOOP").code == 421
    except Lost:
        pass  # told and hung up before we asked
    assert idle.is_closed() and writing.is_closed()
    node.start()
    found = settled(node)
    assert found["delivered"] == found["accepted"] == 5
    assert found["possible_doubles"] == 0 and sorted(sink.ids()) == [f"n{n}" for n in range(5)]


def test_state_and_emergency_by_hand_survive(stage):
    node, sink = stage.before()
    company.plan(node, good_for_ready=1, ready_over=0)
    node.must("state", "emergency", "exchange", "--why", "fire in the server room")
    Story(node).send("kept")
    node.kill9()
    node.start()
    assert state(node) == "emergency"
    wait_for(lambda: node.must("state", "show", "exchange")["ready"], "the primary answers", 15)
    assert state(node) == "emergency" and sink.ids() == []
    node.must("state", "return", "exchange", "--why", "the fire is out")
    assert settled(node)["delivered"] == 1


def test_our_marks_are_known_after_a_restart(stage, directory):
    """The key of the trace header is the node's, not the process's: a loop stays a loop."""
    (directory / "kept").mkdir()
    node, sink = stage.before("--store", directory / "kept")
    raw, turns = letter("ring"), 0
    while turns < 10:
        with Client(node.at()) as client:
            client.ehlo()
            reply = client.transaction(STRANGER, ALICE, raw)
        if not reply.is_ok:
            break
        turns += 1
        wait_for(lambda n=turns: len(sink.records()) == n, "one more turn")
        raw = (directory / "kept" / sink.records()[-1]["file"]).read_bytes()
        if turns == 3:
            node.restart()
    assert reply.code == 554 and turns <= 6


# ---- settings while it runs ----------------------------------------------------------------------


def reload(node, text=None, **changes):
    """New settings (or this text) and SIGHUP; the log that was written since."""
    node.config.write_text(text or yaml_text(settings(
        node.data, control=node.control, **({"listen": node.listen} | node.node | changes))))
    before = len(node.log())
    signal_pid(node.pid, signal.SIGHUP)
    wait_for(lambda: "settings." in node.log()[before:], "it is told", 10)
    return node.log()[before:]


def test_new_limits_are_in_effect_for_whoever_comes_next(stage):
    node, sink = stage.before()
    with Client(node.at()) as old:
        old.ehlo()
        reload(node, limits=LIMITS | {"message": "1 MiB", "header": "64 KiB"})
        wait_for(lambda: size_offered(node) == 1 << 20, "the gates know it", 5)
        for _ in range(2):
            with Client(node.at()) as client:
                client.ehlo()
                assert client.offers["SIZE"] == str(1 << 20)
                assert client.mail(STRANGER, "SIZE=2000000").code == 552
        assert old.transaction(STRANGER, ALICE, letter("old")).code == 250
    story = Story(node)
    story.send_all("after", 10)
    assert settled(node)["delivered"] == 11
    assert not [line for line in node.log().splitlines() if "process.died" in line]


def test_wrong_settings_are_refused_and_the_old_ones_stay(stage):
    stage.expected.append(r"settings\.problem")
    node, sink = stage.before(settings={"limits": {"message": "2 MiB"}})
    said = reload(node, text=node.config.read_text() + "nonsense: 1\n")
    assert "settings.problem" in said and "nonsense" in said
    with Client(node.at()) as client:
        client.ehlo()
        assert client.offers["SIZE"] == str(2 << 20)
    # A key that needs a restart is refused or said, never half in effect.
    said = reload(node, text=node.config.read_text().replace("nonsense: 1\n", "").replace(
        "mx1.staffetta.example", "mx2.staffetta.example"))
    with Client(node.at()) as client:
        assert "mx1.staffetta.example" in client.banner.text
    assert Story(node).send("after").code == 250


def test_proxies_and_xclients_are_who_the_file_names_now(stage):
    node, _ = stage.before()
    for name in ("proxy", "xclient", "proxy", None):
        reload(node, listen=[node.listen[0] | ({name: ["127.0.0.0/8"]} if name else {})])
        wait_for(lambda: all(offers_of(node) == name for _ in range(4)), "in effect", 5, 0.1)


def offers_of(node):
    """Whom a gate takes us for; a new connection may come to another one each time."""
    with socket.create_connection(node.at(), timeout=5) as raw:
        raw.settimeout(0.2)
        try:
            raw.recv(100)
        except TimeoutError:
            return "proxy"  # it waits for the header
    with Client(node.at()) as client:
        client.ehlo()
        return "xclient" if "XCLIENT" in client.offers else None


def test_requests_at_once_have_the_ceiling_that_the_file_says_now(stage):
    stage.expected.append("admin.requests")
    sink = stage.sink("--hang-at", "banner")
    node = stage.company(sink)
    reload(node, limits=LIMITS | {"admin_requests": 1})

    def check():
        """Until it is let in: one of the quick questions may have been first."""
        while "checks" not in (node.cli("primary", "check", "exchange")[1] or {}):
            pass

    with concurrent.futures.ThreadPoolExecutor() as pool:
        slow = pool.submit(check)
        wait_for(lambda: node.cli("status")[0] != 0, "the second is refused", 5, 0.05)
        assert "too much is asked" in node.last_error
        reload(node, limits=LIMITS | {"admin_requests": 2})
        wait_for(lambda: node.cli("status")[0] == 0, "there is room for two", 2, 0.05)
        slow.result()


def test_the_courier_has_no_more_deliveries_than_the_settings_say(stage):
    sink = stage.sink("--delay-ms", "500")
    node = stage.company(sink, settings={"courier": {"jobs": 2}})
    Story(node).send_all("many", 12)
    seen = set()

    def look():
        # Not the ledger's attempts: results reach the index a little later than the next attempt.
        seen.add(node.must("status")["queue"]["running"])
        found = sums(node)
        return found["waiting"] == found["attempting"] == 0

    wait_for(look, "all given back", 20, pause=0.02)
    assert max(seen) == 2, seen
    assert len(sink.ids()) == 12
    said = reload(node, courier={"jobs": 3})
    assert "courier.jobs cannot change while running" in said
    stage.expected.append(r"settings\.problem")


def test_ten_reloads_under_load(stage, tell):
    node, sink = stage.before(cut_through=True)
    story = Story(node)
    for number in range(10):
        reload(node, limits=LIMITS | {"message": f"{number + 1} MiB"})
        story.send_all(f"r{number}", 5)
    assert settled(node)["delivered"] == 50
    assert all(p["restarts"] == 0 for p in node.must("status")["processes"])


def test_new_certificate_without_a_restart(stage, directory):
    first, second = Authority(directory / "ca1"), Authority(directory / "ca2")
    pair = first.issue("mx1.staffetta.example")
    node, sink = stage.before(settings={"tls": pair})

    def presents(authority):
        with Client(node.at(), authority=authority.pem) as client:
            client.ehlo()
            try:
                return client.starttls().code == 220
            except Lost:
                return False

    assert presents(first) and not presents(second)
    new = second.issue("mx1.staffetta.example")
    for old_file, new_file in zip(pair, new):
        old_file.write_bytes(new_file.read_bytes())
    reload(node)
    # Who comes meets any of the gates.
    wait_for(lambda: all(presents(second) for _ in range(8)), "the new one", 5, pause=0.1)
    assert not presents(first)
