"""Figures without a peer: how soon a dead primary is noticed and a person's word counts, under full
load of mail; what it costs to watch a thousand primaries.

Times come from the node's log, so that asking for them disturbs nothing."""

import dataclasses
import datetime
import re
import time

import sides
from harness import load, many
from harness.peers import Sink
from harness.process import Failure, private_dir, wait_for
from harness.staffetta import Staffetta

SESSIONS = 50
WARM_SECONDS = 3
WATCH_SECONDS = 30
CHANGE = re.compile(r'^(\S+) \S+ core primary\.state primary="next" from=\w+ to=(\w+) ', re.M)


def entered(node, state):
    """When the primary entered that state, in seconds since 1970."""
    def found():
        for when, new in CHANGE.findall(node.log()):
            if new == state:
                return datetime.datetime.fromisoformat(when.replace("Z", "+00:00")).timestamp()
        return None

    return wait_for(found, f"the primary is in {state}", 60, pause=0.1)


def under_load(directory, story):
    """A node that passes on what 50 sessions send all the time; gives what `story` gives and the
    messages a second that were accepted."""
    with Sink(directory / "sink", record=False) as sink, \
            sides.Node("relay", directory, sink=sink) as node:
        sender = load.Load(node.at(), "--sessions", SESSIONS, "--seconds", 600, "--size", 10240,
                           *sides.LOAD_OPTIONS)
        try:
            time.sleep(WARM_SECONDS)
            seconds = story(node, sink)
            result = sender.stop()
        finally:
            sender.kill9()
    if result["unknown"] or result["refused"]:
        raise Failure(f"not all mail was accepted: {result}")
    return seconds, result["per_second"]


def suspect_seconds(directory):
    def story(node, sink):
        killed = time.time()
        sink.kill9()
        return entered(node, "suspect") - killed

    return under_load(directory, story)


def by_hand_seconds(directory):
    """From the command to its answer, which is after the change is durable."""
    def story(node, _):
        began = time.time()
        node.must("state", "emergency", "next", "--why", "the bench says so")
        answered = time.time()
        return max(answered, entered(node, "emergency")) - began

    return under_load(directory, story)


def watch_percent(directory):
    """Of one core, for core and liaison together."""
    with many.listen_everywhere(Sink(directory / "all", record=False)) as sink, \
            Staffetta(directory / "staffetta", **sides.NODE_TUNED) as node:
        many.add_primaries(node)
        wait_for(lambda: many.looked_at(node) == many.COUNT, "each was looked at", 60, pause=1)
        probes = sink.counts(reset=True)["connections"]
        before, began = many.watching_seconds(node), time.monotonic()
        time.sleep(WATCH_SECONDS)
        took = time.monotonic() - began
        share = (many.watching_seconds(node) - before) / took
        probes = sink.counts()["connections"]
    return share * 100, probes / took


@dataclasses.dataclass(frozen=True)
class Alone:
    """A line that compares with its target only. `measure` gives it, and a rate beside it."""

    name: str
    unit: str
    target: float  # at most
    measure: object
    beside: str

    def line(self, rounds):
        found = []
        for _ in range(rounds):
            with private_dir("sb-") as directory:
                found.append(self.measure(directory))
        worst = max(found)
        met = worst[0] <= self.target
        return (f"{self.name} ours={worst[0]:.3g}{self.unit} {self.beside}={worst[1]:.0f}/s "
                f"target=<={self.target}{self.unit} {'ok' if met else 'short'}"), met


FIGURES = (
    Alone("decision_suspect", "s", 5, suspect_seconds, "mail"),
    Alone("decision_by_hand", "s", 5, by_hand_seconds, "mail"),
    Alone("decision_watch_1000", "%", 10, watch_percent, "probes"),
)
