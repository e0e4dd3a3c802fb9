"""Telling people.

A primary's emergency is one incident: its beginning and its end arrive at a webhook in order, signed,
and at an address outside by mail, in one conversation. A receiver that is away for a while hears it
later, once. Whatever dies in between, nothing is lost and nothing has two names."""

import email
import email.policy
import json
import time

import pytest

from harness.certs import Authority
from harness.hooks import Hooks
from harness.peers import Sink
from harness.process import wait_for
from harness.sender import Client
from story import ALICE, Story, settled, sums

pytestmark = pytest.mark.usefixtures("network")


def tell(node, receiver, name="ops", *options):
    node.must("alert", "add", name, "--url", receiver.url, "--secret", receiver.secret, *options)


def emergency(node, why="fire in the server room"):
    node.must("state", "emergency", "exchange", "--why", why)


def emergency_cut_off(node):
    """Core dies in this: the decision stands all the same."""
    node.cli("state", "emergency", "exchange", "--why", "fire in the server room")
    wait_for(lambda: node.cli("state", "show", "exchange")[0] == 0, "core answers again")


def end(node):
    node.must("state", "return", "exchange", "--why", "the fire is out")


def incident(node, name="primary.emergency"):
    rows = [row for row in node.must("incident", "list")["incidents"] if row["name"] == name]
    assert len(rows) == 1, rows
    return node.must("incident", "show", rows[0]["incident"])


def told_all(node):
    """The receiver has it before the node knows that it has."""
    wait_for(lambda: {one["state"] for one in incident(node)["deliveries"]} == {"told"}, "told", 10)


def test_an_emergency_by_hand_and_its_end_arrive_in_order(stage):
    node, sink = stage.before()
    receiver = stage.start(Hooks)
    tell(node, receiver, "ops", "--tenant", "rossi")
    emergency(node)
    first = receiver.wait()
    assert first.is_signed and first.state == "open" and first.update == 1
    assert (first.name, first.subject, first.tenant) == ("primary.emergency", "exchange", "rossi")
    assert first.body["class"] == "alarm" and "fire in the server room" in first.happened
    assert first.did and first.can and first.node == "mx1.staffetta.example"
    assert first.by.startswith("uid 0") and first.headers["Content-Type"] == "application/json"
    Story(node).send("kept")
    end(node)
    last = receiver.wait(lambda hook: hook.state == "over")
    assert all(hook.is_signed for hook in receiver.received)
    assert len({hook.incident for hook in receiver.received}) == 1
    numbers = [hook.update for hook in receiver.received]
    assert numbers == sorted(set(numbers)) and last is receiver.received[-1]
    told_all(node)
    shown = incident(node)
    assert shown["state"] == "over" and shown["incident"] == first.incident
    assert shown["deliveries"][0]["answer"].startswith("200: thank you")
    taken = node.must("incident", "ack", shown["incident"], "--why", "I write the report")
    assert taken["taken_why"] == "I write the report" and "uid 0" in taken["taken_by"]
    assert node.must("alert", "show", "ops")["waiting"] == 0
    assert receiver.secret not in node.log() + json.dumps(node.must("alert", "list"))


def test_a_receiver_that_is_away_hears_it_later_once(stage):
    node, sink = stage.before()
    receiver = Hooks()
    tell(node, receiver)
    emergency(node)
    wait_for(lambda: incident(node)["deliveries"][0].get("attempts", 0) >= 2, "it was tried twice")
    assert incident(node)["deliveries"][0]["state"] == "trying"
    stage.start(lambda _: receiver)
    hook = receiver.wait()
    assert hook.name == "primary.emergency"
    time.sleep(2)
    assert len(receiver.received) == 1
    receiver.answers = [503, 503]
    end(node)
    receiver.wait(lambda hook: hook.state == "over")
    assert [hook.status for hook in receiver.received][1:3] == [503, 503]
    refused = [hook for hook in receiver.received if hook.status == 503]
    over = [hook for hook in receiver.told if hook.state == "over"]
    assert len(over) == 1 and refused[-1].id == over[0].id


def test_it_is_encrypted_and_the_receiver_proves_who_it_is(stage, directory):
    good, other = Authority(directory / "ca1"), Authority(directory / "ca2")
    for file in (good.pem, other.pem):
        file.chmod(0o644)
    (directory / "ca1").chmod(0o755)
    right = stage.start(Hooks, tls=good.issue("hooks.example.test"))
    wrong = stage.start(Hooks, tls=other.issue("hooks.example.test"))
    name = stage.start(Hooks, tls=good.issue("elsewhere", names=("DNS:elsewhere.test",)))
    node = stage.node(alerts={"authorities": str(good.pem)})
    for number, receiver in enumerate((right, wrong, name)):
        tell(node, receiver, f"r{number}")
    answer = node.must("alert", "test", "r0")
    assert answer["ok"] and right.wait().is_signed and right.received[0].state == "test"
    for number, part in ((1, "certificate"), (2, "127.0.0.1")):
        code, answer = node.cli("alert", "test", f"r{number}")
        assert code == 1 and not answer["ok"] and part in answer["text"], answer
    assert not wrong.received and not name.received


def test_redirects_and_addresses_inside_are_refused_in_words(stage):
    node = stage.node(network={"internet": True})
    receiver = stage.start(Hooks)
    for number, url in enumerate((receiver.url, "http://169.254.169.254/latest", "https://10.0.0.1/",
                                  "https://[::1]/", "https://192.168.0.1/", "https://2130706433/")):
        node.must("alert", "add", f"r{number}", "--url", url)
        code, answer = node.cli("alert", "test", f"r{number}")
        assert code == 1 and "private networks" in answer["text"], (url, answer)
    assert not receiver.received
    code, _ = node.cli("alert", "add", "file", "--url", "file:///etc/passwd")
    assert code != 0 and "https://" in node.last_error

    def redirect(request):
        request.send_response(307)
        request.send_header("Location", receiver.url + "/elsewhere")
        request.send_header("Content-Length", "0")
        request.end_headers()

    stage.nodes[0].stop()
    listed = stage.node()
    receiver.answers = [redirect]
    tell(listed, receiver)
    code, answer = listed.cli("alert", "test", "ops")
    assert code == 1 and "redirects are not followed" in answer["text"]
    assert not receiver.received


def test_nothing_leaves_to_the_world_without_the_internet(stage):
    stage.expected.append("network.outside")
    node = stage.node()
    node.must("alert", "add", "far", "--url", "https://8.8.8.8/", "--least", "alarm")
    code, answer = node.cli("alert", "test", "far")
    assert code == 1 and "network.internet is false" in answer["text"]


# ---- mail ----------------------------------------------------------------------------------------


def mails(directory):
    parse = email.message_from_bytes
    found = [parse(path.read_bytes(), policy=email.policy.default)
             for path in sorted(directory.iterdir(), key=lambda path: path.stat().st_mtime_ns)]
    return [mail for mail in found if mail["Auto-Submitted"]]


def test_mail_arrives_outside_in_one_conversation(stage, directory):
    (directory / "kept").mkdir()
    node, sink = stage.before()
    stage.start(Sink, "--store", directory / "kept", address="127.0.0.21", port=25)
    answer = node.must("alert", "add", "luca", "--mail", "luca@[127.0.0.21]", "--tenant", "rossi")
    assert "note" not in answer
    warned = node.must("alert", "add", "alice", "--mail", ALICE, "--least", "alarm")
    assert "exchange" in warned["note"]
    node.must("alert", "remove", "alice")
    emergency(node)
    wait_for(lambda: len(mails(directory / "kept")) == 1, "the first mail")
    end(node)
    wait_for(lambda: any("[over]" in mail["Subject"] for mail in mails(directory / "kept")), "its end")
    first, *_, last = mails(directory / "kept")
    assert first["Subject"] == "[alarm] exchange (primary.emergency)"
    assert last["Subject"] == "[over] exchange (primary.emergency)"
    assert first["From"] == "Staffetta <alert@mx1.staffetta.example>"
    assert first["Auto-Submitted"] == "auto-generated" and "References" not in first
    assert last["References"] == last["In-Reply-To"] == first["Message-ID"]
    text = first.get_content()
    for title in ("WHAT HAPPENED", "WHAT WE DID", "WHAT YOU CAN DO", "staffetta incident show"):
        assert title in text
    assert "fire in the server room" in text and "BEFORE THAT" in last.get_content()
    found = settled(node)
    assert found["accepted"] == found["delivered"] == 2  # ours count, too
    told_all(node)


def test_a_mail_that_waits_is_replaced_by_the_newer_word(stage, directory):
    (directory / "kept").mkdir()
    node, sink = stage.before()
    outside = Sink(directory / "outside", "--store", directory / "kept", address="127.0.0.21", port=25)
    node.must("alert", "add", "luca", "--mail", "luca@[127.0.0.21]")
    emergency(node)
    wait_for(lambda: sums(node)["waiting"] == 1, "it waits")
    wait_for(lambda: sums(node)["attempting"] == 0, "nobody answers there")
    end(node)
    wait_for(lambda: sums(node)["removed"] >= 1 and sums(node)["waiting"] == 1, "one is left")
    stage.start(lambda _: outside)
    for row in node.must("queue", "list")["rows"]:
        node.must("queue", "retry", row["message"], "--why", "it is back")
    wait_for(lambda: mails(directory / "kept"), "it arrives")
    only = mails(directory / "kept")
    assert len(only) == 1 and "[over]" in only[0]["Subject"]
    assert "fire in the server room" in only[0].get_content()


# ---- deaths --------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["core", "liaison"])
def test_nobody_is_told_twice_and_nothing_is_lost_when_a_process_dies(stage, role):
    stage.expected += [r"process\.died", r"core\.away", "event.alarm"]
    node, sink = stage.before()
    receiver = stage.start(Hooks)
    tell(node, receiver)
    emergency(node)
    receiver.wait()
    told_all(node)  # or its answer dies with the process, and it is told again with the same id
    pids = node.kill9(role)
    node.wait_role(role, pids)
    wait_for(lambda: node.cli("incident", "list")[0] == 0, "it answers again")
    end(node)
    receiver.wait(lambda hook: hook.state == "over")
    time.sleep(2)
    told = receiver.told
    assert len({hook.incident for hook in told if hook.subject == "exchange"}) == 1
    by_update = {}
    for hook in told:
        by_update.setdefault((hook.incident, hook.update), set()).add(hook.id)
    assert all(len(ids) == 1 for ids in by_update.values()), by_update
    assert [hook.name for hook in told if hook.update == 1 and hook.subject == "exchange"] == \
        ["primary.emergency"]


def test_core_dies_while_the_receiver_thinks(stage):
    """The answer is lost with core: the same word comes again with the same id, once more only; or
    its number stands among the earlier ones of a newer word."""
    stage.expected += [r"process\.died", r"core\.away", "event.alarm"]
    node, sink = stage.before()
    receiver = stage.start(Hooks)
    seen = []

    def think(request):
        seen.append(request.headers["Staffetta-Id"])
        node.kill9("core")
        request.send_response(200)
        request.send_header("Content-Length", "0")
        request.end_headers()

    tell(node, receiver)
    receiver.answers = [think]
    emergency_cut_off(node)
    again = receiver.wait(lambda hook: hook.subject == "exchange")
    assert again.id == seen[0] or again.earlier[0]["update"] == 1
    end(node)
    receiver.wait(lambda hook: hook.state == "over")
    time.sleep(2)
    ids = [hook.id for hook in receiver.told if hook.subject == "exchange"]
    assert len(ids) == len(set(ids)) and len(seen) == 1
    assert len({hook.incident for hook in receiver.told if hook.subject == "exchange"}) == 1


# ---- limits --------------------------------------------------------------------------------------


def test_a_limit_that_begins_to_block_tells_its_owner_once(stage):
    node, sink = stage.before(settings={"limits": {"connections_per_address": 3}})
    receiver = stage.start(Hooks)
    tell(node, receiver)
    clients = [Client(node.at()) for _ in range(3)]
    for _ in range(5):
        with Client(node.at()) as refused:
            assert refused.banner.code == 421
    hook = receiver.wait(lambda hook: hook.name == "smtp.connections-per-address")
    assert hook.body["class"] == "notice" and "127.0.0.1" in hook.happened
    for client in clients:
        client.close()
    time.sleep(2)
    assert len([hook for hook in receiver.told if hook.name == "smtp.connections-per-address"]) == 1
    assert incident(node, "smtp.connections-per-address")["state"] == "open"
