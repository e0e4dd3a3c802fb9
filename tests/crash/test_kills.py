"""kill -9 of any process at any instant, under load: nothing that was answered is lost, nothing is
changed, and whatever may be there twice is listed (promises 1, 2, 5 and 7).

CRASH_KILLS: how many; CRASH_SEED: makes the choice of victims and instants the same again."""

import contextlib
import os
import random
import signal
import time

import pytest

import stage as stages
from harness.process import signal_pid, wait_for
from stage import Stage, number, prove, say

KILLS = number("CRASH_KILLS", 1000)
# After a role has died this often, its next start waits for half a second and longer: then the
# supervisor's turn has come.
KILLS_A_ROUND = 25
VICTIMS = {"core": 6, "gate": 5, "courier": 5, "liaison": 1, "resolver": 1, "door": 1}


def senders(stage):
    """Fifty sessions: covered and relayed people, answered after the sync and after the primary,
    small and large, one and several recipients."""
    stage.send("--sessions", 20, "--size", 3000, "--rate", 250, "--seconds", 100000)
    stage.send("--sessions", 12, "--size", 5000, "--rate", 150, "--seconds", 100000, "--pipeline",
               rcpts=["bob@example.test"])
    stage.send("--sessions", 8, "--size", 9000, "--rate", 60, "--seconds", 100000, "--pipeline",
               rcpts=["carla@cut.test", "dario@cut.test"])
    stage.send("--sessions", 6, "--size", 40000, "--rate", 40, "--seconds", 100000,
               rcpts=["dario@cut.test"])
    stage.send("--sessions", 4, "--size", 1500000, "--rate", 2, "--seconds", 100000,
               rcpts=["bob@example.test", "anna@example.test"])


def kill_one(stage, rng):
    """One victim; false when there is none just now (it is being started)."""
    roles = stage.node.role_pids()
    there = [role for role in VICTIMS if roles.get(role)]
    if not there:
        return False
    role = rng.choices(there, [VICTIMS[role] for role in there])[0]
    signal_pid(rng.choice(roles[role]), signal.SIGKILL)
    return True


def kill_supervisor(stage):
    """Only the supervisor is killed: that the others end is what is tested. Then a new start, as
    systemd does it."""
    node = stage.node
    supervisor = node.role_pids("supervisor")
    for pid in supervisor:
        signal_pid(pid, signal.SIGKILL)
    wait_for(lambda: not node.pids(), "all processes end with the supervisor", 10, 0.002)
    node.kill9()
    node.start()


def test_no_kill_loses_or_changes_anything(directory):
    rng = random.Random(stages.SEED)
    say(f"CRASH_SEED={stages.SEED} CRASH_KILLS={KILLS}")
    with stages.fresh_network(), Stage(directory) as stage:
        stage.companies()
        senders(stage)
        began = time.monotonic()
        n_kills = n_rounds = 0
        while n_kills < KILLS:
            end = n_kills + rng.randint(KILLS_A_ROUND // 2, KILLS_A_ROUND * 3 // 2)
            while n_kills < min(end, KILLS - 1):
                time.sleep(rng.expovariate(8))
                n_kills += kill_one(stage, rng)
            kill_supervisor(stage)
            n_kills += 1
            n_rounds += 1
            if n_rounds % 4 == 0:
                say(f"{n_kills} kills, {time.monotonic() - began:.0f} s")
        say("senders:", stage.stop_sending())
        say(prove(stage, 120))
        assert n_kills >= KILLS
