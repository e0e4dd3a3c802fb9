"""A disk that refuses one write or sync of the running core, and one that refuses all of them: no
250 for what was in that batch, an alarm in words, and after a new start every 250 is there."""

import subprocess
import time

import pytest

import stage as stages
from harness.process import signal_pid, wait_for
from stage import Stage, prove, say

import signal


class Strace:
    """strace on the running core; every thread counts its own calls."""

    def __init__(self, pid, directory, *injections):
        words = [word for injection in injections for word in ("-e", f"inject={injection}")]
        self.path = directory / "strace"
        self.process = subprocess.Popen(
            ["strace", "-f", "-qq", "-p", str(pid), "-o", str(self.path),
             "-e", "trace=fdatasync,fsync,pwritev,pwritev2,pwrite64", *words],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def __enter__(self):
        wait_for(lambda: self.path.exists() and self.path.stat().st_size > 0, "strace is on")
        return self

    def __exit__(self, *_):
        signal_pid(self.process.pid, signal.SIGINT)
        try:
            self.process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()

    def n_injected(self):
        return self.path.read_text(errors="replace").count("(INJECTED)")


def count(stage, word):
    return sum(row.word == word for row in stage.sent().values())


def event_names(stage):
    return [event["name"] for event in stage.node.must("events")["events"]]


def senders(stage):
    stage.send("--sessions", 20, "--size", 5000, "--rate", 300, "--seconds", 1000)
    stage.send("--sessions", 10, "--size", 9000, "--rate", 100, "--seconds", 1000, "--pipeline",
               rcpts=["carla@cut.test", "dario@cut.test"])
    stage.send("--sessions", 2, "--size", 1500000, "--rate", 1, "--seconds", 1000,
               rcpts=["bob@example.test"])


def new_core(stage):
    """kill -9 and the supervisor's new start, which has to find everything."""
    old = stage.node.kill9("core")
    stage.node.wait_role("core", old, 20)


ONE = {
    "sync": "fdatasync:error=EIO:when=40+97",
    "write": "pwritev:error=EIO:when=40+97",
    "full": "pwritev:error=ENOSPC:when=40+97",
}


@pytest.mark.parametrize("fault", ONE)
def test_a_failure_now_and_then_loses_nothing(directory, fault):
    with stages.fresh_network(), Stage(directory) as stage:
        stage.companies()
        senders(stage)
        wait_for(lambda: count(stage, "accepted") > 200, "mail flows")
        with Strace(stage.node.role_pids("core")[0], directory, ONE[fault]) as strace:
            wait_for(lambda: "store.write_failed" in event_names(stage),
                     "the log says that a write failed", 30, 0.3)
            before = count(stage, "accepted")
            wait_for(lambda: count(stage, "accepted") > before + 300,
                     "mail flows although the disk fails now and then", 30, 0.3)
            n = strace.n_injected()
        say(f"{fault}: {n} failures")
        assert n >= 1
        before = count(stage, "accepted")
        wait_for(lambda: count(stage, "accepted") > before + 300, "mail flows afterwards", 20, 0.3)
        new_core(stage)
        time.sleep(1)
        say("senders:", stage.stop_sending())
        say(prove(stage))


@pytest.mark.parametrize("call", ["fdatasync", "pwritev"])
def test_a_disk_that_is_gone_stops_new_mail_until_a_new_start(directory, call):
    with stages.fresh_network(), Stage(directory) as stage:
        stage.companies()
        senders(stage)
        wait_for(lambda: count(stage, "accepted") > 200, "mail flows")
        with Strace(stage.node.role_pids("core")[0], directory, f"{call}:error=EIO:when=30+"):
            wait_for(lambda: "store.stopped" in stage.node.log(), "the store stops", 30, 0.3)
            stopped = time.time()
            time.sleep(3)
            refused = count(stage, "refused")
            wait_for(lambda: count(stage, "refused") > refused, "new mail is refused", 20, 0.3)
            late = [row.id for row in stage.sent().values()
                    if row.word == "accepted" and row.sent > stopped]
            assert not late, "a 250 from a store that has stopped"
            health = stage.node.must("status")
            assert health["open"] is False and health["text"]
        new_core(stage)
        before = count(stage, "accepted")
        wait_for(lambda: count(stage, "accepted") > before + 300, "mail flows again", 20, 0.3)
        say("senders:", stage.stop_sending())
        say(prove(stage))
