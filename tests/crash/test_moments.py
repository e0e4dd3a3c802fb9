"""Moments that chance rarely hits: a core that dies during a large upload, kills during handshakes,
processes that hang instead of dying (promises 1, 7 and 8)."""

import random
import signal
import time

import pytest

import stage as stages
from harness import certs, netns, sender
from harness.process import signal_pid, wait_for
from stage import Stage, prove, say

LARGE = 3 << 20


def large_letter(name):
    line = b"0123456789" * 7 + b"\r\n"
    head = (f"From: <x@load.test>\r\nTo: <anna@example.test>\r\nSubject: load {name}\r\n"
            f"Message-ID: <{name}@load.test>\r\nX-Load-Id: {name}\r\n\r\n").encode()
    return head + line * (LARGE // len(line))


def upload(stage, name, *, half=lambda: None, whole=lambda: None):
    """Sends a large message; `half` is called when half of it has left, `whole` when all has. Gives
    the code of the reply, 0 for none."""
    raw = sender.stuffed(large_letter(name))
    with sender.Client(stage.node.at(), seconds=30) as client:
        client.ehlo()
        for ask in (lambda: client.mail("x@load.test"),
                    lambda: client.rcpt("anna@example.test"), lambda: client.command("DATA")):
            reply = ask()
            if reply.code >= 400:
                return reply.code
        try:
            client.send(raw[:len(raw) // 2])
            half()
            client.send(raw[len(raw) // 2:])
            whole()
            return client.reply().code
        except (sender.Lost, OSError):
            return 0


def by_name(kept):
    names = {}
    for message in kept.messages.values():
        names.setdefault(message.name, []).append(message)
    return names


UPLOADS = [("half", 0), ("half", 0.02), ("half", 0.1), ("whole", 0), ("whole", 0.002),
           ("whole", 0.005), ("whole", 0.01), ("whole", 0.02), ("whole", 0.05)]


def test_a_core_killed_during_an_upload_loses_nothing(directory):
    """In the middle of it, and between the last byte and the reply."""
    with stages.fresh_network(), Stage(directory) as stage:
        stage.companies()
        told = {}
        for i, (when, pause) in enumerate(UPLOADS):
            def kill(pause=pause):
                time.sleep(pause)
                stage.node.kill9("core")

            old = stage.node.role_pids("core")
            told[f"up-{i}"] = upload(stage, f"up-{i}", **{when: kill})
            stage.node.wait_role("core", old, 20)

            def is_sent(name=f"up-{i}"):
                """The sender comes again, as senders do."""
                for n in range(100):
                    if f"{name}-{n}" not in told:
                        told[f"{name}-{n}"] = upload(stage, f"{name}-{n}")
                        return told[f"{name}-{n}"] // 100 == 2
                return False

            wait_for(is_sent, "the upload succeeds afterwards", 20, 0.2)
            # A supervisor of nine dead cores would let the next one wait for ten seconds.
            stage.node.restart()
        say("told:", told)
        assert all(code // 100 in (0, 2, 4) for code in told.values()), told
        assert stage.drained()["balanced"]
        kept = stage.stop()
        stages.verify_store(stage.node)
        names = by_name(kept)
        lost = {name for name, code in told.items() if code // 100 == 2} - names.keys()
        assert not lost, f"answered and not in the ledger: {lost}"
        came = [record["id"] for record in stage.sink.records()]
        sizes = {record["size"] for record in stage.sink.records()}
        assert min(sizes) >= LARGE - 100
        for name, (message, *more) in names.items():
            assert not more, f"{name} is twice in the ledger"
            assert told[name] // 100 == 2 or message.is_unanswered, f"{name} is not listed"
            assert 1 <= came.count(name) <= 1 + message.rcpts[0].n_open_ends


def test_kills_during_handshakes(directory):
    rng = random.Random(stages.SEED)
    say(f"CRASH_SEED={stages.SEED}")
    tls = certs.Authority(directory / "ca").issue("mx1")
    with stages.fresh_network(), Stage(directory, tls=tls) as stage:
        stage.companies()
        stage.send("--sessions", 30, "--size", 4000, "--per-session", 2, "--starttls", "--rate", 300,
                   "--seconds", 1000)
        stage.send("--sessions", 5, "--size", 30000, "--per-session", 1, "--starttls",
                   "--rate", 20, "--seconds", 1000, rcpts=["carla@cut.test"])
        end = time.monotonic() + 12
        while time.monotonic() < end or count(stage) <= 100:
            assert time.monotonic() < end + 60, "no mail gets through"
            time.sleep(rng.uniform(0.05, 0.5))
            roles = stage.node.role_pids()
            there = [role for role in ("gate", "gate", "core", "courier") if roles.get(role)]
            if there:
                signal_pid(rng.choice(roles[rng.choice(there)]), signal.SIGKILL)
            if rng.random() < 0.1:
                stage.node.kill9()
                stage.node.start()
        total = stage.stop_sending()
        say("senders:", total)
        assert total["accepted"] > 100
        say(prove(stage))


def count(stage, word="accepted"):
    return sum(row.word == word for row in stage.sent().values())


def stopped(stage, role, seconds):
    """SIGSTOP for one process of the role, which then hangs with all its connections open."""
    pid = stage.node.role_pids(role)[0]
    signal_pid(pid, signal.SIGSTOP)
    # Whoever was connected to a hanging gate waits with it (all of them, if it had accepted all);
    # whoever comes now is served.
    stage.send("--sessions", 5, "--size", 3000, "--rate", 100, "--seconds", 1000,
               "--timeout-ms", 60000)
    began = time.monotonic()
    wait_for(lambda: pid not in stage.node.role_pids(role), f"the hanging {role} is replaced",
             seconds, 0.1)
    return time.monotonic() - began


@pytest.mark.parametrize("role", ["core", "courier", "gate", "liaison", "resolver"])
def test_a_process_that_hangs_is_replaced_and_the_others_go_on(directory, role):
    with stages.fresh_network(), Stage(directory) as stage:
        stage.companies()
        stage.send("--sessions", 20, "--size", 4000, "--rate", 200, "--seconds", 1000,
                   "--timeout-ms", 60000)
        stage.send("--sessions", 10, "--size", 9000, "--rate", 50, "--seconds", 1000, "--pipeline",
                   rcpts=["carla@cut.test", "dario@cut.test"])
        wait_for(lambda: count(stage) > 200, "mail flows")
        before = count(stage)
        # The supervisor asks each second and kills after ten without an answer.
        took = stopped(stage, role, 15)
        during = count(stage) - before
        say(f"{role}: replaced after {took:.1f} s, {during} messages answered meanwhile")
        wait_for(lambda: "process.stuck" in stage.node.log(), "it is told why", 5)
        if role != "core":
            assert during > 200, "the others did not go on"
        before = count(stage)
        wait_for(lambda: count(stage) > before + 300, "mail flows afterwards", 20, 0.2)
        say("senders:", stage.stop_sending())
        say(prove(stage))
