"""What the stories of the decision share: patients (a company whose mail system will fail in some
way), a plan whose times are the built-in ones made 15 times shorter, and the node's log read as
a history of states."""

import datetime
import re
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from harness import company
from harness.peers import Primary
from harness.process import Failure, run, wait_for
from harness.sender import Client, Lost
from story import STRANGER, at, letter, sums

# The built-in plan: suspect after 3 failures, told after 120 s, emergency after 360 s, calm after
# 300 s, ready after 10 good ones over 300 s. Here 15 times faster.
PLAN = {"bad_for_suspect": 3, "suspect_within": 60, "tell_after": 8, "emergency_after": 24,
        "calm": 20, "good_for_ready": 5, "ready_over": 6}

CHANGE = re.compile(r'^(\S+) \S+ core primary\.state primary="([^"]+)" from=(\w+) to=(\w+) '
                    r'by="((?:[^"\\]|\\.)*)" why="((?:[^"\\]|\\.)*)', re.M)


def seconds_of(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Change:
    """One line of the log: a primary's state changed."""

    def __init__(self, found):
        when, self.primary, self.old, self.new, self.by, self.why = found
        self.time = seconds_of(when)

    def __repr__(self):
        return f"{self.old}>{self.new} by {self.by}: {self.why}"


def changes(node, primary="exchange"):
    return [change for change in map(Change, CHANGE.findall(node.log()))
            if change.primary == primary]


def states(node, primary="exchange"):
    """The states it went through, the first included."""
    found = changes(node, primary)
    return [found[0].old] + [change.new for change in found] if found else ["standby"]


def told(node, tenant="rossi"):
    """Names of the events by which those in charge were told of their mail system, oldest first."""
    events = node.must("events", "--tenant", tenant, "--limit", 1000)["events"]
    return [event["name"] for event in reversed(events)
            if event["class"] == "alarm" and event["name"].startswith("primary.")]


def wait_state(node, wanted, primary="exchange", seconds=30):
    def reached():
        return node.must("state", "show", primary)["state"] == wanted

    wait_for(reached, f"{primary} is in {wanted}", seconds, pause=0.1)


# ---- a firewall ----------------------------------------------------------------------------------


def firewall():
    """An empty one in this network namespace; swallow() fills it."""
    subprocess.run(["nft", "-f", "-"], text=True, check=True, input="""
        table inet fault {
            set swallowed { type ipv4_addr . inet_service; }
            chain c {
                type filter hook output priority 0;
                ip daddr . tcp dport @swallowed drop
            }
        }""")


def swallow(peer):
    """What goes there vanishes, also in connections that stand."""
    run("nft", "add", "element", "inet", "fault", "swallowed",
        f"{{ {at(peer)[0]} . {at(peer)[1]} }}")


def let_through(peer):
    run("nft", "delete", "element", "inet", "fault", "swallowed",
        f"{{ {at(peer)[0]} . {at(peer)[1]} }}")


# ---- mail all the time ---------------------------------------------------------------------------


class Postman:
    """Brings a letter each `every` seconds to one of the recipients in turn, whatever becomes of
    those before; remembers each reply. stop() waits for letters that are under way."""

    def __init__(self, node_at, recipients, prefix, every=1.0):
        self.node_at = node_at
        self.recipients = recipients
        self.prefix = prefix
        self.every = every
        self.replies = {}  # name -> Reply, or None when there was none
        self.seconds = {}
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _bring(self, name, to):
        began = time.monotonic()
        try:
            with Client(self.node_at, seconds=40) as client:
                client.ehlo()
                self.replies[name] = client.transaction(
                    STRANGER, to, letter(name, to=to))
                client.send(b"QUIT\r\n")
        except Lost:
            self.replies[name] = None
        self.seconds[name] = time.monotonic() - began

    def _run(self):
        with ThreadPoolExecutor(max_workers=64) as pool:
            number = 0
            while not self._enough.wait(self.every):
                pool.submit(self._bring, f"{self.prefix}-{number}",
                            self.recipients[number % len(self.recipients)])
                number += 1

    def start(self):
        self._thread.start()
        return self

    def stop(self):
        self._enough.set()
        if self._thread.ident:
            self._thread.join()

    def accepted(self):
        return sorted(name for name, reply in self.replies.items() if reply and reply.is_ok)

    def refused(self):
        return {name: str(reply) for name, reply in self.replies.items()
                if not (reply and reply.is_ok)}


def people(tenant):
    """A company has more than one person: one refused mailbox is no fallen system."""
    return [f"alice@{tenant}.test", f"bruno@{tenant}.test"]


def kept_by(peer, users=None):
    """Names of the letters that a mail system took, each as often as it took it. A Postfix that is
    killed may bring one to Dovecot twice; that is one handing over, with one queue id."""
    if not isinstance(peer, Primary):
        return [name for name in peer.ids() if name]
    taken = {(mail.id, re.search(rb"\(Postfix\) with \w+ id (\w+)", mail.raw).group(1))
             for user in users or peer.users for mail in peer.messages(user)}
    return [name for name, _ in taken]


# ---- a company whose mail system will fail -------------------------------------------------------


class Patient:
    """One company with its primary of the same name. `fall` and `heal` do it to the peer."""

    def __init__(self, node, name, peer, fall=None, heal=None, *, primary_options=(), access=None,
                 plan=None):
        self.node = node
        self.name = name
        self.peer = peer
        self.fall = fall or peer.stop
        self.heal = heal or peer.start
        self.primary_options = primary_options
        self.access = access
        self.plan = PLAN | (plan or {})
        self.people = people(name)
        self.postman = Postman(node.at(), self.people, name)
        self.fell = self.healed = self.approved = 0.0
        self.shown = {}  # state show, when it was as bad as it would get
        self.error = None

    def move_in(self):
        self.add_company()
        company.plan(self.node, self.name, **self.plan)
        if self.access:
            self.node.must("access", "set", self.name, *self.access)

    def add_company(self):
        host, port = at(self.peer)
        self.node.must("tenant", "add", self.name)
        self.node.must("primary", "add", self.name, "--tenant", self.name, "--host",
                       f"{host}:{port}", *self.primary_options)
        self.node.must("domain", "add", f"{self.name}.test", "--tenant", self.name, "--primary",
                       self.name, "--cut-through")
        for person in self.people:
            self.node.must("person", "add", person)

    def state(self):
        return self.node.must("state", "show", self.name)

    def wait(self, condition, what, seconds):
        def true():
            self.shown = self.state()
            return condition(self.shown)

        try:
            wait_for(true, f"{self.name}: {what}", seconds, pause=0.5)
        except Failure as why:
            raise Failure(f"{why}; it was: {self.shown}") from None

    def begin(self):
        self.fell = time.time()
        self.fall()

    def recover(self):
        self.heal()
        self.healed = time.time()

    def settle(self, seconds=90):
        """No more letters; everything is where it belongs. Gives the ledger's sums."""
        self.postman.stop()

        def quiet():
            found = sums(self.node, self.name)
            return found if found["waiting"] == found["attempting"] == 0 else None

        return wait_for(quiet, f"{self.name}: nothing waits any more", seconds, pause=0.3)

    # the whole story of one that falls for long

    def through_an_emergency(self, seconds=100):
        self.begin()
        self.wait(lambda s: s["state"] == "emergency", "an emergency", seconds)
        bad = self.shown
        time.sleep(2)
        self.recover()
        self.wait(lambda s: s["ready"], "ready to return", 60)
        self.approved = time.time()
        self.node.must("state", "approve", self.name, "--why", "it is well again")
        self.wait(lambda s: s["state"] == "standby", "back in standby", 30)
        self.shown = bad

    # judging

    def nobody_lost_anything(self):
        """Mail was taken all the time, each letter is there once, nobody got a bounce."""
        assert not self.postman.refused()
        found = sums(self.node, self.name)
        names = self.postman.accepted()
        assert names and found["accepted"] == found["delivered"] == len(names), found
        assert found["held"] == found["returned"] == found["removed"] == 0, found
        taken = kept_by(self.peer, self.people)
        assert sorted(set(taken)) == names
        assert len(taken) - len(set(taken)) <= found["possible_doubles"], "doubled, not listed"

    def figures(self):
        """Words on how long everything took."""
        by_state, back = {}, 0
        for change in changes(self.node, self.name):
            by_state.setdefault(change.new, change.time)
            back = change.time  # its last one: in standby again
        first = seconds_of(self.shown["first_bad"])
        words = [f"first failure {first - self.fell:.1f} s after it fell",
                 f"suspect {by_state['suspect'] - first:.1f} s after that",
                 f"emergency {by_state['emergency'] - first:.1f} s after that failure"]
        if self.approved:
            words += [f"ready {self.approved - self.healed:.1f} s after it was well",
                      f"all given back {back - self.approved:.1f} s after the word"]
        return ", ".join(words)


def side_by_side(patients, stories):
    """Each patient's story in a thread of its own; who fails keeps the error for its test."""
    def one(patient):
        try:
            patient.postman.start()
            time.sleep(2)  # all is well
            stories[patient.name](patient)
            patient.settle()
        except (Failure, AssertionError, OSError, KeyError, subprocess.SubprocessError) as why:
            patient.error = why
        finally:
            patient.postman.stop()

    with ThreadPoolExecutor(max_workers=len(patients)) as pool:
        list(pool.map(one, patients))
