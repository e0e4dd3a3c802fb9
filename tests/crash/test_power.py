"""Real power cuts: the store's file system is shut down under load, everything is killed, it is
mounted again, and every 250 is there, byte for byte (promise 1). The simulated ones, thousands of
them at every single operation, are the store's unit tests.

CRASH_REAL_CUTS: how many, half of them on ext4 and half on XFS."""

import random
import time

import pytest

import stage as stages
from harness import load
from harness.process import signal_pid
from loopfs import LoopFs
from stage import Stage, number, prove, say

CUTS = number("CRASH_REAL_CUTS", 20)


def senders(stage):
    stage.send("--sessions", 20, "--size", 4000, "--rate", 300, "--seconds", 100000)
    stage.send("--sessions", 10, "--size", 20000, "--rate", 60, "--seconds", 100000, "--pipeline",
               rcpts=["bob@example.test"])
    stage.send("--sessions", 6, "--size", 9000, "--rate", 60, "--seconds", 100000, "--pipeline",
               rcpts=["carla@cut.test", "dario@cut.test"])
    stage.send("--sessions", 2, "--size", 2500000, "--rate", 1, "--seconds", 100000)


def cut(stage, fs, rng):
    """One power failure. For a moment the node goes on with a disk that only gives errors: what it
    says then must not be a 250 for something that is not there."""
    time.sleep(rng.uniform(0.3, 2))
    fs.cut()
    time.sleep(rng.choice([0, 0, 0.05, 0.5]))
    stage.node.kill9()
    fs.revive()
    stage.node.start()


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_every_250_survives_a_power_cut(directory, kind):
    rng = random.Random(stages.SEED)
    n_cuts = max(1, CUTS // 2)
    say(f"CRASH_SEED={stages.SEED} CRASH_REAL_CUTS={CUTS}, here {n_cuts} on {kind}")
    with LoopFs(directory, kind, 4000) as fs, stages.fresh_network(), \
            Stage(directory, data=fs.path / "data") as stage:
        stage.companies()
        senders(stage)
        for i in range(n_cuts):
            # Every other time the primary is away: then our disk alone has the mail.
            if i % 2:
                stage.sink.kill9()
            cut(stage, fs, rng)
            if i % 2:
                stage.sink.start()
            if i % 5 == 4:
                say(f"{kind}: {i + 1} cuts")
        say("senders:", stage.stop_sending())
        say(prove(stage, 120))
