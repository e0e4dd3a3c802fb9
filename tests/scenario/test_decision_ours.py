"""It is ours, not theirs: our way out is cut, our resolver stops, our clock jumps.

Nobody is suspected for it, no step is taken, and nobody is told nonsense during it or afterwards.
Mail is taken all the time."""

import contextlib
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from decision import Postman, changes, told, wait_state
from harness import company, netns
from harness.peers import Knot, Sink, Unbound
from harness.process import run, tool, wait_for
from story import ALICE, PEOPLE, Story, settled, state, sums

pytestmark = pytest.mark.usefixtures("network")

QUICK = {"bad_for_suspect": 3, "tell_after": 2, "emergency_after": 6, "calm": 6,
         "good_for_ready": 2, "ready_over": 1}


def names(node):
    """Names of all events, oldest first."""
    return [e["name"] for e in reversed(node.must("events", "--limit", 1000)["events"])]


# ---- the uplink ----------------------------------------------------------------------------------


class World:
    """Another network namespace behind a cable: what the node sees of the outside. Its address is
    .2, ours .1."""

    HERE, THERE = "10.77.0.1", "10.77.0.2"

    def __init__(self, name):
        self.name = name
        run("ip", "netns", "add", name)
        run("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "away", "netns", name)
        run("ip", "addr", "add", f"{self.HERE}/24", "dev", "uplink")
        run("ip", "-n", name, "addr", "add", f"{self.THERE}/24", "dev", "away")
        run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", name, "link", "set", "away", "up")
        self.plug()

    def plug(self):
        run("ip", "link", "set", "uplink", "up")

    def pull(self):
        run("ip", "link", "set", "uplink", "down")

    @contextlib.contextmanager
    def inside(self):
        """This thread, and what it starts, is out there."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        there = os.open(f"/run/netns/{self.name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            netns.leave(there)
            yield
        finally:
            netns.leave(before)

    def remove(self):
        run("ip", "netns", "del", self.name)


@pytest.fixture
def world():
    one = World(f"away-{os.getpid()}")
    try:
        yield one
    finally:
        one.remove()


def test_uplink_is_cut(stage, tell, world):
    """Two primaries and two controls behind one cable, which is pulled for longer than the plan
    needs for an emergency."""
    stage.expected.append(r"name=node\.blind ")
    with world.inside():
        control, second = (stage.start(Sink, address=world.THERE) for _ in range(2))
        sink, other = (stage.start(Sink, address=world.THERE) for _ in range(2))
    node = stage.company(sink, cut_through=True, settings={
        "network": {"internet": False, "allow": ["10.77.0.0/24"]},
        "continuity": {"controls": [control.at, second.at]}})
    company.add(node, (other.address, other.port), ["carla@verdi.test"], tenant="verdi",
                primary="zimbra", domain="verdi.test")
    company.plan(node, **QUICK)
    company.plan(node, "zimbra", **QUICK)
    postman = Postman(node.at(), PEOPLE, "letter", every=0.5).start()
    time.sleep(2)
    world.pull()
    pulled = time.time()
    wait_for(lambda: "node.blind" in names(node), "we are blind", 30, pause=0.1)
    tell(f"blind {time.time() - pulled:.1f} s after the cable was pulled")
    time.sleep(QUICK["emergency_after"] + 4)
    for primary in ("exchange", "zimbra"):
        shown = node.must("state", "show", primary)
        assert shown["blind"] and shown["state"] == "standby" and not shown["told"], shown
    world.plug()
    wait_for(lambda: "node.seeing" in names(node), "we see again", 30, pause=0.1)
    postman.stop()
    assert not postman.refused()
    found = settled(node)
    assert found["delivered"] == found["accepted"] == len(postman.accepted())
    assert sorted(sink.ids()) == postman.accepted()
    time.sleep(QUICK["tell_after"] + 1)
    # Nobody hears of a primary: not during it, not afterwards.
    for primary, tenant in (("exchange", "rossi"), ("zimbra", "verdi")):
        assert "emergency" not in [c.new for c in changes(node, primary)]
        assert told(node, tenant) == []
        assert state(node, primary) == "standby"
    assert names(node).count("node.blind") == names(node).count("node.seeing") == 1


def test_primary_dies_while_we_see(stage):
    """The same settings, but the primary alone is gone: it is not us."""
    outside, sink = stage.start(Sink, address="127.0.0.53"), stage.sink()
    node = stage.company(sink, settings={"continuity": {"controls": [outside.at]}})
    company.plan(node, **QUICK)
    sink.stop()
    Story(node).send("kept")
    wait_state(node, "emergency", seconds=20)
    assert "node.blind" not in names(node)


# ---- the resolver --------------------------------------------------------------------------------


def test_resolver_stops(stage, tell):
    """The primary is known by name; the resolver is gone for longer than the plan needs."""
    stage.expected.append(r"name=node\.resolver")
    knot = stage.start(Knot, zones={"test": "mx A 127.0.0.31\nalways A 127.0.0.1\n"},
                       unsigned=["test"])
    resolver = stage.start(Unbound, knot)
    sink = stage.start(Sink, address="127.0.0.31")
    outside = stage.start(Sink, address="127.0.0.53")
    node = stage.node(network={"internet": False,
                               "resolver": [f"{resolver.address}:{resolver.port}"]},
                      continuity={"controls": [outside.at], "control_name": "always.test"})
    company.add(node, ("mx.test", sink.port), PEOPLE, cut_through=True)
    company.plan(node, **QUICK)
    postman = Postman(node.at(), PEOPLE, "letter", every=0.5).start()
    wait_for(lambda: len(sink.ids()) >= 2, "mail flows by name", 10)
    resolver.stop()
    time.sleep(QUICK["emergency_after"] + 12)
    shown = node.must("state", "show", "exchange")
    tell(f"while the resolver is away: {shown['state']}, {shown.get('last', '')}")
    resolver.start()
    time.sleep(1)
    postman.stop()
    assert not postman.refused()
    found = settled(node, 60)
    assert found["delivered"] == len(postman.accepted())
    assert sorted(sink.ids()) == postman.accepted()
    assert changes(node) == [] and told(node) == []


# ---- the clock -----------------------------------------------------------------------------------


class Clock:
    """The wall clock of one node, which can be moved while it runs."""

    def __init__(self, path):
        self.path = path
        self.path.write_bytes(b"0".ljust(32))
        self.path.chmod(0o644)
        self.environment = {"LD_PRELOAD": tool("clock_moved.so"), "CLOCK_MOVED": str(path)}

    def move(self, seconds):
        with open(self.path, "r+b") as file:
            file.write(str(seconds).encode().ljust(32))


def test_clock_jumps(stage, tell, directory):
    """By two hours forward, on another node back, while the primary is down for a moment: by the
    clock it would have been down for hours. No step is taken and nobody is told nonsense until a
    person says that the clock is right."""
    stage.expected.append(r"name=clock\.jumped ")

    def scene(seconds):
        clock, sink = Clock(directory / f"clock{seconds}"), stage.sink()
        node = stage.company(sink, settings={"environment": clock.environment})
        company.plan(node, **QUICK)
        return seconds, clock, node, sink

    scenes = [scene(7200), scene(-7200)]
    with ThreadPoolExecutor() as pool:
        took = list(pool.map(lambda one: jump(*one), scenes))
    for seconds, after in zip((7200, -7200), took):
        tell(f"{seconds:+} s: emergency {after:.1f} s after the word (the plan says "
             f"{QUICK['emergency_after']} s)")


def jump(seconds, clock, node, sink):
    """The story of one node; gives the seconds from a person's word to the emergency."""
    story = Story(node)
    sink.stop()
    story.send("kept")
    wait_state(node, "suspect", seconds=10)
    clock.move(seconds)
    wait_for(lambda: node.must("clock", "show")["doubted"], "the clock is doubted", 5)
    assert re.search("(7199|7200|7201) seconds", node.must("clock", "show")["text"])
    time.sleep(QUICK["emergency_after"] + 3)
    shown = node.must("state", "show", "exchange")
    assert shown["state"] == "suspect" and not shown["told"] and shown["clock_doubted"], shown
    assert told(node) == []
    story.send("kept too")
    node.must("clock", "confirm", "--why", "the time server was wrong, now it is right")
    assert not node.must("clock", "show")["doubted"]
    began = time.monotonic()
    wait_state(node, "emergency", seconds=QUICK["emergency_after"] + 5)
    took = time.monotonic() - began
    assert took > QUICK["emergency_after"] - 2, "counted from before the word"
    sink.start()
    wait_for(lambda: node.must("state", "show", "exchange")["ready"], "ready", 15)
    node.must("state", "approve", "exchange", "--why", "it is well")
    assert settled(node)["delivered"] == 2
    assert sums(node)["returned"] == 0 and names(node).count("clock.jumped") == 1
    return took
