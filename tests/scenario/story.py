"""What all stories share: a node, its company, peers that end with the story, and a last look at the
log and the ledger."""

import contextlib
import re
import time

from harness import company
from harness.peers import Primary, Sink
from harness.process import wait_for
from harness.sender import Client
from harness.staffetta import SMALL_STORE, Staffetta

ALICE, BOB = "alice@example.test", "bob@example.test"
PEOPLE = [ALICE, BOB]
STRANGER = "x@outside.test"
# Many short sessions from one address are what tests do, not an attack.
LIMITS = {"connections_per_minute": 100000, "connections_per_address": 1000,
          "connections_per_network": 1000}
# How full the machine's own disk is does not matter here.
STORE = SMALL_STORE | {"free_percent": "1 %", "alarm_percent": "2 %"}


def letter(name, text="hello", *, to=ALICE, sender=STRANGER, more=""):
    """A message that can be found again by `name`; `more`: header lines with CRLF."""
    return (f"From: <{sender}>\r\nTo: <{to}>\r\nSubject: {name}\r\nX-Load-Id: {name}\r\n"
            f"Message-ID: <{name}@outside.test>\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n"
            f"{more}\r\n{text}\r\n").encode()


def at(peer):
    """(address, port) where a peer takes mail."""
    return peer.smtp if isinstance(peer, Primary) else (peer.address, peer.port)


def sums(node, tenant=None):
    """The ledger's sums; fails when it does not balance."""
    answer = node.must("ledger", *(["--tenant", tenant] if tenant else []))
    assert answer["balanced"], answer["text"]
    return answer["total"]


def state(node, primary="exchange"):
    return node.must("state", "show", primary)["state"]


def rows(node, *options):
    return node.must("queue", "list", *options)["rows"]


def size_offered(node):
    """By all gates; None as long as they are not of one mind. Who comes meets any of them."""
    sizes = set()
    for _ in range(8):
        with Client(node.at()) as client:
            client.ehlo()
            sizes.add(int(client.offers["SIZE"]))
    return sizes.pop() if len(sizes) == 1 else None


def settled(node, seconds=30):
    """Waits until nothing waits and no attempt runs; the sums then."""
    def quiet():
        found = sums(node)
        return found if found["waiting"] == found["attempting"] == 0 else None

    return wait_for(quiet, "nothing waits any more", seconds, pause=0.05)


def message_id(reply):
    """The id in "250 2.0.0 accepted as ID"."""
    return reply.text.rsplit(" ", 1)[1]


class Stage:
    """Starts nodes and peers, ends them all. What a story expects to see in the log as an error, or
    as a process that died, it names in `expected` (regular expressions)."""

    def __init__(self, directory):
        self.directory = directory
        self.expected = [r"name=primary\.(suspect|emergency) "]  # what many stories are about
        self.nodes = []
        self._ends = contextlib.ExitStack()
        self._n = 0

    def start(self, kind, *arguments, **options):
        """Any Daemon of the harness, in a directory of its own."""
        self._n += 1
        thing = kind(self.directory / f"{kind.__name__.lower()}{self._n}", *arguments, **options)
        self._ends.callback(thing.stop)
        thing.start()
        return thing

    def sink(self, *options, **more):
        return self.start(Sink, *options, **more)

    def node(self, **options):
        options["limits"] = LIMITS | options.get("limits", {})
        options["store"] = STORE | options.get("store", {})
        node = self.start(Staffetta, **options)
        self.nodes.append(node)
        return node

    def company(self, peer, *, people=PEOPLE, node=None, **options):
        """A node with one company, whose mail goes to `peer`; keys of the node's settings go in
        `settings`."""
        node = node or self.node(**options.pop("settings", {}))
        company.add(node, at(peer), people, **options)
        return node

    def before(self, *sink_options, **options):
        """(node, sink): a company whose mail system is a sink with these faults."""
        sink = self.sink(*sink_options)
        return self.company(sink, **options), sink

    def judge(self):
        """At the end of a story: nobody died or failed unseen, and the ledger balances."""
        for node in self.nodes:
            for line in node.log().splitlines():
                is_bad = re.match(r"\S+ error ", line) or "process.died" in line or \
                    "nonsense" in line
                assert not is_bad or any(re.search(e, line) for e in self.expected), line
            if node.is_running() and node.control.exists():
                sums(node)

    def close(self):
        self._ends.close()


class Story:
    """Sends, and remembers what was said: `accepted` maps names to ids of the node."""

    def __init__(self, node, recipient=ALICE):
        self.node = node
        self.recipient = recipient
        self.accepted = {}
        self.seconds = {}

    def send(self, name, recipient=None, **more):
        began = time.monotonic()
        with Client(self.node.at(), seconds=40) as client:
            client.ehlo()
            reply = client.transaction(STRANGER, recipient or self.recipient, letter(name, **more))
            client.send(b"QUIT\r\n")
        self.seconds[name] = time.monotonic() - began
        if reply.is_ok:
            self.accepted[name] = message_id(reply)
        return reply

    def send_all(self, prefix, count):
        """`count` messages over one connection, each of which has to be accepted."""
        with Client(self.node.at(), seconds=40) as client:
            client.ehlo()
            for number in range(count):
                name = f"{prefix}-{number}"
                reply = client.transaction(STRANGER, self.recipient, letter(name))
                assert reply.code == 250, f"{name}: {reply}"
                self.accepted[name] = message_id(reply)
            client.quit()
