#!/usr/bin/python3
"""Benchmarks: our program beside the best peer, in one run on one machine.

Prints a line a figure:

    NAME ours=… peer=… ratio=… limit=… target=… ok|short

Each figure is the median of the rounds; in each round both sides do the same work, one after the
other, the first in turn. `limit` is what the machine itself allows in the same minute: the null
sink and the disk. Figures of the decision have no peer: each is the worst of its rounds.
Leaves with 0 when every figure asked for is met, 1 when one is short.
"""

import argparse
import dataclasses
import fnmatch
import json
import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import decide  # noqa: E402
import sides  # noqa: E402
import streams  # noqa: E402
from harness import load, netns  # noqa: E402
from harness.certs import Authority  # noqa: E402
from harness.measure import (CpuGroup, Disk, Syncs, disk_limit, private_mounts,  # noqa: E402
                             proportional_kib)
from harness.peers import Sink  # noqa: E402
from harness.process import Failure, build_dir, private_dir, wait_for  # noqa: E402

KIB = 1024
WARM_SECONDS = 1
DRAIN_SECONDS = 120


# ---- what is done --------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Work:
    """One thing both sides do. `kind`: speed, cost (syncs and bytes, slow) or idle (memory)."""

    mode: str  # of sides.py
    kind: str = "speed"
    sessions: int = 50
    size: int = 10 * KIB
    tls: bool = False

    @property
    def name(self):
        return f"{self.kind}:{self.mode}:{self.sessions}x{self.size}{':tls' if self.tls else ''}"


def load_options(work, seconds):
    return ("--sessions", work.sessions, "--seconds", seconds, "--size", work.size,
            *sides.LOAD_OPTIONS)


def wait_drained(sink, accepted):
    """Everything accepted has reached the sink; gives the sink's counts."""
    counts = {}

    def drained():
        counts.update(sink.counts())
        return counts["ids"] >= accepted

    wait_for(drained, f"{accepted} messages at the sink", DRAIN_SECONDS, pause=0.1)
    return counts


def measure_load(server, work, sink, seconds, cpu_seconds):
    """Loads a running server; figures of sender, sink and processor."""
    before = cpu_seconds()
    result = load.run((server.address, server.port), *load_options(work, seconds))
    if result["unknown"] or result["refused"] or not result["accepted"]:
        raise Failure(f"{work.name}: not all mail was accepted: {result}")
    if sink:
        counts = wait_drained(sink, result["accepted"])
        result["per_second"] = counts["messages"] / counts["seconds"]
        result["through_p50_ms"] = counts["p50_ms"]
        result["duplicates"] = counts["duplicates"]
    result["cpu_ms"] = (cpu_seconds() - before) * 1000 / result["accepted"]
    return result


def run_speed(server, work, sink, seconds, group):
    server.groups = group.files
    with server:
        def cpu_seconds():
            return group.seconds(server.pids())

        measure_load(server, work, sink, WARM_SECONDS, cpu_seconds)
        if sink:
            sink.counts(reset=True)
        return measure_load(server, work, sink, seconds, cpu_seconds)


def run_cost(server, work, sink, seconds, directory, disk):
    """Bytes first, undisturbed; then syncs, with strace in the way."""
    with server:
        measure_load(server, work, sink, WARM_SECONDS, lambda: 0)
        if sink:
            sink.counts(reset=True)
        before = disk.written_bytes()
        result = measure_load(server, work, sink, seconds, lambda: 0)
        written = disk.written_bytes() - before
        if sink:
            sink.counts(reset=True)
        syncs = Syncs(server.pids(), directory)
        try:
            traced = measure_load(server, work, sink, seconds, lambda: 0)
        finally:
            n_syncs = syncs.stop()
    return {"bytes": written / (result["accepted"] * work.size),
            "syncs": n_syncs / traced["accepted"]}


def run_idle(server, work, sessions):
    options = ("--starttls",) if work.tls else ()
    with server:
        at = (server.address, server.port)
        load.run(at, "--messages", 20, *options, *sides.LOAD_OPTIONS)
        before = proportional_kib(server.pids())
        idle = load.Load(at, "--idle", sessions, "--seconds", 600, *options, "--source-addresses",
                         "127.0.1.1-127.0.1.200")
        try:
            if idle.greeted() != sessions:
                raise Failure(f"only some of {sessions} connections were greeted")
            time.sleep(1)  # buffers that go back to a pool do so now
            after = proportional_kib(server.pids())
            alive = idle.stop()["alive"]
        finally:
            idle.kill9()
    if alive != sessions:
        raise Failure(f"only {alive} of {sessions} idle connections stayed")
    return {"idle_kib": (after - before) / sessions}


# ---- the table -----------------------------------------------------------------------------------


def rate(*works):
    return lambda results: max(results[work.name]["per_second"] for work in works)


def figure_of(key, work):
    return lambda results: results[work.name][key]


@dataclasses.dataclass(frozen=True)
class Figure:
    """A line. `pick` takes the results of one side; `target` is ("ratio" or "ours", ">=" or "<=",
    number); `limit` says which physical limit stands beside it: rate, latency, cpu or none."""

    name: str
    works: tuple
    pick: object
    unit: str
    target: tuple
    limit: str = ""


def receive(sessions, size=10 * KIB):
    return Work("receive", sessions=sessions, size=size)


def _rate(name, work, times):
    return Figure(name, (work,), rate(work), "/s", ("ratio", ">=", times), "rate")


def _one(name, work, key, unit, target, limit=""):
    return Figure(name, (work,), figure_of(key, work), unit, target, limit)


RELAY_50 = Work("relay", sessions=50)
RELAY_1 = Work("relay", sessions=1)
RECEIVE_COST = Work("receive", kind="cost")
RELAY_COST = Work("relay", kind="cost")
BEST = tuple(receive(n) for n in (1, 10, 50, 200))

FIGURES = (
    _rate("receive_10k_50", receive(50), 8),
    _rate("receive_10k_200", receive(200), 10),
    Figure("receive_10k_best", BEST, rate(*BEST), "/s", ("ratio", ">=", 7), "rate"),
    _rate("receive_2k_50", receive(50, 2 * KIB), 10),
    _rate("receive_75k_50", receive(50, 75 * KIB), 5),
    _rate("receive_1m_50", receive(50, KIB * KIB), 2.5),
    _one("receive_10k_1_p50", receive(1), "p50_ms", "ms", ("ratio", "<=", 0.55), "latency"),
    _one("receive_10k_50_p99", receive(50), "p99_ms", "ms", ("ratio", "<=", 0.2)),
    _one("receive_cpu", receive(50), "cpu_ms", "ms", ("ratio", "<=", 0.15), "cpu"),
    _one("receive_syncs", RECEIVE_COST, "syncs", "/message", ("ours", "<=", 0.1)),
    _one("receive_bytes", RECEIVE_COST, "bytes", "/byte", ("ratio", "<=", 0.6)),
    _rate("relay_10k_50", RELAY_50, 8),
    _one("relay_10k_1_p50", RELAY_1, "through_p50_ms", "ms", ("ratio", "<=", 0.5), "latency"),
    _one("relay_cpu", RELAY_50, "cpu_ms", "ms", ("ratio", "<=", 0.15), "cpu"),
    _one("relay_syncs", RELAY_COST, "syncs", "/message", ("ours", "<=", 0.1)),
    _one("relay_bytes", RELAY_COST, "bytes", "/byte", ("ratio", "<=", 0.6)),
    _one("idle_smtp", Work("idle", kind="idle"), "idle_kib", "KiB", ("ours", "<=", 8)),
    _one("idle_smtp_tls", Work("idle", kind="idle", tls=True), "idle_kib", "KiB",
         ("ours", "<=", 24)),
)


# ---- rounds --------------------------------------------------------------------------------------


class Bench:
    """All rounds of some works. Directories lie on the real disk, each server's queue is new."""

    def __init__(self, options):
        self.options = options
        self.sides = {"ours": sides.SIDES[options.ours], "peer": sides.SIDES["postfix"]}
        self.results = {"ours": {}, "peer": {}, "limit": {}}  # side -> work -> list of dicts

    def add(self, side, work, result):
        self.results[side].setdefault(work.name, []).append(result)
        print(f"# {side} {work.name} " + " ".join(
            f"{key}={value:.4g}" for key, value in sorted(result.items())
            if isinstance(value, (int, float))), file=sys.stderr, flush=True)

    def run_side(self, side, work):
        os.sync()  # nobody pays for the one before
        group = CpuGroup()
        with private_dir("sb-") as directory:
            sink = disk = None
            tls = Authority(directory / "ca").issue("bench") if work.tls else None
            try:
                if work.mode == "relay":
                    sink = Sink(directory / "sink", record=False).start()
                if work.kind == "cost":
                    disk = Disk(directory)
                server = self.sides[side](work.mode, directory, sink=sink, tls=tls,
                                          disk=disk and disk.path)
                if work.kind == "speed":
                    result = run_speed(server, work, sink, self.options.seconds, group)
                elif work.kind == "cost":
                    result = run_cost(server, work, sink, self.options.seconds, directory, disk)
                else:
                    result = run_idle(server, work, self.idle_sessions(side))
            finally:
                if sink:
                    sink.stop()
                if disk:
                    disk.remove()
                group.remove()
        self.add(side, work, result)

    def idle_sessions(self, side):
        """Postfix has a process a connection, of which the machine holds a few hundred."""
        return 200 if self.sides[side] is sides.postfix else 2000

    def run_limit(self, work):
        """The same messages into the null sink, and the disk's own sync."""
        with private_dir("sb-") as directory:
            group = CpuGroup()
            sink = Sink(directory / "sink", record=False)
            result = run_speed(sink, work, None, min(self.options.seconds, 2), group)
            group.remove()
            os.sync()
            disk = disk_limit(directory, size=min(work.size, 1 << 20))
        result["sync_p50_ms"] = disk["p50_ms"]
        result["syncs_per_second"] = disk["per_second"]
        self.add("limit", work, result)

    def run(self, works):
        for number in range(self.options.rounds):
            order = ("ours", "peer") if number % 2 == 0 else ("peer", "ours")
            for work in works:
                for side in order:
                    self.run_side(side, work)
                if work.kind == "speed":
                    self.run_limit(work)

    def median(self, side, work_name):
        rows = self.results[side].get(work_name, [])
        keys = rows[0].keys() if rows else ()
        return {key: statistics.median(row[key] for row in rows) for key in keys
                if isinstance(rows[0][key], (int, float))}

    def medians(self, side):
        return {name: self.median(side, name) for name in self.results[side]}


# ---- lines ---------------------------------------------------------------------------------------


def number_text(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def limit_text(figure, limits):
    rows = [limits[work.name] for work in figure.works if work.name in limits]
    if not rows or not figure.limit:
        return "-"
    relay = 2 if figure.works[0].mode == "relay" else 1  # a relay does both ends of SMTP
    if figure.limit == "rate":
        return number_text(max(row["per_second"] for row in rows) / relay) + figure.unit
    if figure.limit == "latency":
        return number_text(rows[0]["p50_ms"] * relay + rows[0]["sync_p50_ms"]) + figure.unit
    return number_text(rows[0]["cpu_ms"] * relay) + figure.unit


def line(figure, ours, peer, limits):
    """The line of a figure and whether its target is met."""
    mine, theirs = figure.pick(ours), figure.pick(peer)
    ratio = mine / theirs if theirs else float("inf")
    what, compare, number = figure.target
    value = ratio if what == "ratio" else mine
    met = value >= number if compare == ">=" else value <= number
    text = (f"{figure.name} ours={number_text(mine)}{figure.unit} "
            f"peer={number_text(theirs)}{figure.unit} ratio={ratio:.3g} "
            f"limit={limit_text(figure, limits)} target={target_text(figure)} "
            f"{'ok' if met else 'short'}")
    return text, met


def target_text(figure):
    if isinstance(figure, decide.Alone):
        return f"<={figure.target}{figure.unit}"
    what, compare, number = figure.target
    return f"{compare}{number}" + ("x" if what == "ratio" else figure.unit)


def chosen(names):
    every = FIGURES + decide.FIGURES + streams.FIGURES
    if not names:
        return list(every)
    found = [figure for figure in every
             if any(fnmatch.fnmatch(figure.name, name) or figure.name.startswith(name + "_")
                    for name in names)]
    if not found:
        raise Failure(f"no figure is called {' or '.join(names)}; --list names them")
    return found


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("names", nargs="*", help="figures, or the beginnings of their names (all)")
    parser.add_argument("--list", action="store_true", help="names and targets only")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of load a measurement (5)")
    parser.add_argument("--ours", choices=sorted(sides.SIDES), default="staffetta",
                        help="what stands for ours; postfix tests the rig itself")
    parser.add_argument("--dir", default="/var/tmp", help="on the disk that is measured (/var/tmp)")
    parser.add_argument("--json", help="write all results of all rounds into this file")
    return parser.parse_args()


def main():
    options = arguments()
    try:
        figures = chosen(options.names)
        if options.list:
            for figure in figures:
                print(f"{figure.name} target={target_text(figure)}")
            return 0
        if options.ours == "staffetta" and not (build_dir() / "staffetta").exists():
            raise Failure(f"{build_dir() / 'staffetta'} is not built")
        os.environ["STAFFETTA_TEST_DIR"] = options.dir
        netns.enter()
        private_mounts()
        alone = [figure for figure in figures if isinstance(figure, decide.Alone)]
        figures = [figure for figure in figures if figure not in alone]
        own_lines = [figure.line(options.rounds) for figure in alone]
        bench = Bench(options)
        works = list(dict.fromkeys(work for figure in figures for work in figure.works))
        bench.run(works)
    except (Failure, OSError) as why:
        print(f"bench: {why}", file=sys.stderr)
        return 2
    finally:
        if options.json and "bench" in locals():
            Path(options.json).write_text(json.dumps(bench.results, indent=1), encoding="ascii")
    sides_medians = [bench.medians(side) for side in ("ours", "peer", "limit")]
    lines = [line(figure, *sides_medians) for figure in figures] + own_lines
    for text, _ in lines:
        print(text)
    return 0 if all(met for _, met in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
