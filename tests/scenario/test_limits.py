"""No limit is silent: every limit has an owner, a value, somebody who set it, a time and an example;
a changed value is told; what another value would have refused can be asked before it is set."""

import signal

import pytest

from harness.process import signal_pid, wait_for
from harness.sender import Client
from harness.staffetta import yaml_text
from harness.staffetta import settings as node_settings
from story import ALICE, BOB, LIMITS, STRANGER, Story, letter, size_offered

pytestmark = pytest.mark.usefixtures("network")

MIB = 1 << 20


def reload(node, **changes):
    node.node.update(changes)
    text = yaml_text(node_settings(node.data, listen=node.listen, control=node.control, **node.node))
    before = node.log().count("settings.changed")
    node.config.write_text(text, encoding="utf-8")
    signal_pid(node.pid, signal.SIGHUP)
    wait_for(lambda: node.log().count("settings.changed") > before, "reloaded", 5)


def limit(node, name):
    return next(row for row in node.must("limits")["limits"] if row["name"] == name)


def tried(node, name, value, *options):
    return node.must("limits", "try", name, value, *options)


def events(node, name):
    return [e for e in node.must("events")["events"] if e["name"] == name]


def changed(node, name):
    """The events about a changed value of this limit."""
    return [e for e in events(node, "limit.changed") if e["subject"] == name]


def test_every_limit_says_whose_it_is_and_since_when(stage):
    node, _ = stage.before()
    wait_for(lambda: limit(node, "smtp.message-size").get("since"), "the values are known", 5)
    for row in node.must("limits")["limits"]:
        assert row["owner"] and row["text"] and row["set_by"] in ("built-in", "settings"), row
        assert ("limit" in row) == ("since" in row), row
        assert row["set_by"] == "built-in" or row["setting"], row
    assert limit(node, "smtp.connections-per-address")["set_by"] == "settings"  # the story's own
    assert limit(node, "smtp.message-size")["set_by"] == "built-in"
    assert not events(node, "limit.changed")


def test_a_lower_limit_is_told_bites_and_is_remembered(stage):
    node, _ = stage.before()
    name = "smtp.message-size"
    first = wait_for(lambda: limit(node, name).get("since"), "the values are known", 5)
    assert Story(node).send("big", text="x" * 70 + "\r\n" + ("y" * 998 + "\r\n") * 2000).code == 250
    reload(node, limits=LIMITS | {"message": "1 MiB"})
    told = wait_for(lambda: changed(node, name), "it is told", 5)
    assert "50 MiB -> 1 MiB" in told[0]["text"] and "limits.message" in told[0]["text"]
    assert told[0]["by"] == "settings file" and "limits try" in told[0]["text"]
    wait_for(lambda: size_offered(node) == MIB, "the gates know it", 5)
    with Client(node.at()) as client:
        client.ehlo()
        assert client.command(f"MAIL FROM:<{STRANGER}> SIZE={3 * MIB}").code == 552
    row = wait_for(lambda: limit(node, name) if limit(node, name)["count"] else None, "counted", 5)
    assert row["limit"] == MIB and row["before"] == 50 * MIB and row["set_by"] == "settings"
    assert row["since"] > first and row["last"] >= row["since"]
    assert row["example"] == "127.0.0.1" and row["owner"] == "smtp"
    node.stop()
    node.start()
    again = wait_for(lambda: limit(node, name), "it is back", 5)
    assert (again["since"], again["before"], again["count_ever"], again["example"]) == \
        (row["since"], 50 * MIB, 1, "127.0.0.1")
    assert again["count"] == 0 and len(changed(node, name)) == 1


def test_another_size_is_tried_on_the_messages_that_came(stage):
    node, _ = stage.before()
    story = Story(node)
    story.send_all("small", 7)
    assert story.send("large", text=("z" * 998 + "\r\n") * 300).code == 250
    answer = tried(node, "smtp.message-size", "100KiB", "--since", "1h")
    assert answer["counted"] == "messages" and (answer["of"], answer["refused"]) == (8, 1)
    assert answer["worst"]["message"] == story.accepted["large"]
    assert answer["worst"]["who"] == "127.0.0.1" and 300000 <= answer["worst"]["value"] < 310000
    assert "1 of the 8 messages" in answer["text"] and "exactly" in answer["text"]
    assert tried(node, "smtp.message-size", 400000)["refused"] == 0


def test_recipients_are_tried_too(stage):
    node, _ = stage.before()
    with Client(node.at()) as client:
        client.ehlo()
        assert client.transaction(STRANGER, [ALICE, BOB], letter("two")).code == 250
        assert client.transaction(STRANGER, ALICE, letter("one")).code == 250
    answer = tried(node, "smtp.recipients-per-message", 1)
    assert (answer["of"], answer["refused"], answer["worst"]["value"]) == (2, 1, 2)


def test_connections_are_tried_by_the_worst_of_each_hour(stage):
    node, _ = stage.before()
    name = "smtp.connections-per-address"
    clients = [Client(node.at()) for _ in range(12)]
    for client in clients:
        client.ehlo()
    wait_for(lambda: tried(node, name, 11)["refused"], "the gates have told it", 10)
    answer = tried(node, name, 10)
    assert answer["counted"] == "hours" and answer["refused"] >= 1
    assert answer["worst"]["value"] == 12 and answer["worst"]["who"] == "127.0.0.1"
    assert "worst value of each hour" in answer["text"] and answer["in_force"] == 1000
    assert tried(node, name, 12)["refused"] == 0
    for client in clients:
        client.close()
    node.kill9("core")
    node.wait_role("core")
    stage.expected += [r"process\.died", r"core\.away"]
    again = wait_for(lambda: node.cli("limits", "try", name, 10)[1], "core is back", 10)
    assert again["worst"]["value"] == 12


def test_what_cannot_be_tried_is_said(stage):
    node, _ = stage.before()
    code, _ = node.cli("limits", "try", "smtp.syntax", 5)
    assert code == 2 and "not measured" in node.last_error
    code, _ = node.cli("limits", "try", "smtp.message-size", "huge")
    assert code == 2 and "20 MiB" in node.last_error
    code, _ = node.cli("limits", "try", "smtp.message-size")
    assert code == 2
