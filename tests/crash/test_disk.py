"""A disk that fills up: new mail is asked to wait, everything else goes on, and mail is taken again
by itself. A disk with no room at all: never a false 250 (promises 1 and 8)."""

import time

from harness import sender
from harness.process import wait_for
from loopfs import LoopFs
import stage as stages
from stage import Stage, prove, say

LETTER = b"From: <x@load.test>\r\nSubject: load hand\r\n\r\nBy hand.\r\n"


def answers(stage):
    """What somebody who writes to Anna is told, by command; ends without content when refused."""
    with sender.Client(stage.node.at()) as client:
        client.ehlo()
        said = {}
        for verb, ask in (("mail", lambda: client.mail("x@load.test")),
                          ("rcpt", lambda: client.rcpt("anna@example.test")),
                          ("data", lambda: client.command("DATA"))):
            said[verb] = ask()
            if said[verb].code >= 400:
                return said
        client.abort()
        return said


def is_open(stage):
    return all(reply.code < 400 for reply in answers(stage).values())


def refusal(stage):
    return next((str(reply) for reply in answers(stage).values() if reply.code >= 400), None)


def test_a_full_disk_stops_new_mail_and_nothing_else(directory):
    """With the usual thresholds; the other tests have small ones, whatever their machine's disk."""
    store = {"segment": "8 MiB", "pool": 2, "free_percent": "10 %", "alarm_percent": "20 %"}
    with LoopFs(directory, "ext4", 700) as fs, stages.fresh_network(), \
            Stage(directory, data=fs.path / "data", store=store) as stage:
        stage.companies()
        stage.sink.kill9()
        stage.send("--sessions", 10, "--size", 6000, "--messages", 800,
                   rcpts=["anna@example.test"])
        stage.send("--sessions", 10, "--size", 6000, "--messages", 800,
                   rcpts=["bob@example.test"])
        for one in stage.senders:
            result = one.running.result(60)
            one.running = None
            assert result["accepted"] == 800
        say("800 and 800 wait; the disk fills up")
        fs.fill(leave_mib=40)
        why = wait_for(lambda: refusal(stage), "new mail is refused", 5, 0.1)
        assert why.startswith("452 4.3.1"), why
        # Looking and delivering go on.
        assert stage.node.must("status")["open"] is False
        assert stage.node.must("ledger")["total"]["waiting"] == 1600
        stage.sink.start()
        began = time.monotonic()
        stage.drained(90)
        say(f"given back on a full disk within {time.monotonic() - began:.1f} s")
        assert refusal(stage).startswith("452 4.3.1")
        names = [event["name"] for event in stage.node.must("events")["events"]]
        assert {"disk.low", "mail.closed"} <= set(names), names
        fs.make_room()
        began = time.monotonic()
        wait_for(lambda: is_open(stage), "new mail is taken again", 10, 0.1)
        say(f"open again {time.monotonic() - began:.1f} s after there was room")
        stage.send("--sessions", 5, "--size", 6000, "--messages", 100).running.result(60)
        stage.senders[-1].running = None
        say(prove(stage))


def test_no_room_at_all_is_never_a_false_250(directory):
    """The alarm's threshold as low as it can be, so that the log really finds no room."""
    store = {"segment": "8 MiB", "pool": 1, "free_percent": "1 %", "alarm_percent": "2 %"}
    with LoopFs(directory, "ext4", 400) as fs, stages.fresh_network(), \
            Stage(directory, data=fs.path / "data", store=store) as stage:
        stage.companies()
        fs.fill(leave_mib=40)
        stage.send("--sessions", 8, "--size", 60000, "--seconds", 1000)
        stage.send("--sessions", 2, "--size", 2500000, "--seconds", 1000)
        stage.send("--sessions", 4, "--size", 3000, "--seconds", 1000, "--pipeline",
                   rcpts=["bob@example.test"])

        def refused():
            rows = [row for row in stage.sent().values() if row.word == "refused"]
            return len(rows) > 200 and rows

        rows = wait_for(refused, "the disk is full", 60, 0.3)
        say(f"full with {fs.free_mib()} MiB left:", sorted({row.code for row in rows}))
        time.sleep(2)
        fs.make_room()
        began = time.monotonic()
        wait_for(lambda: is_open(stage), "new mail is taken again", 10, 0.1)
        n_before = sum(row.word == "accepted" for row in stage.sent().values())
        wait_for(lambda: sum(row.word == "accepted" for row in stage.sent().values()) >
                 n_before + 50, "mail flows again", 10, 0.2)
        say(f"open again {time.monotonic() - began:.1f} s after there was room")
        say("senders:", stage.stop_sending())
        say(prove(stage, 120))
