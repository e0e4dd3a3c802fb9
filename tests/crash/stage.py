"""What all crash tests share: a node between counting senders and a counting primary, faults that
happen meanwhile, and the proof that is held afterwards.

Senders (smtp_load) write a journal: an id, what they were told, the digest of what they sent. The
primary (smtp_sink) records each copy that reaches it with the digest of what was sent. Between the
two stands the node; `prove` compares both with what the node's own ledger says.
"""

import dataclasses
import os
import random
import sys
import time

from harness import company, load, netns, peers
from harness.process import Failure, wait_for
from harness.staffetta import Staffetta

import books

SEED = int(os.environ.get("CRASH_SEED", random.SystemRandom().randrange(1 << 32)))
# Tests make thousands of connections from one address.
OPEN_LIMITS = {"connections": 10000, "connections_per_address": 5000,
               "connections_per_network": 5000, "connections_per_minute": 10000000,
               "commands": 10000000, "messages": 10000000}
PEOPLE = [{"address": "anna@example.test", "name": "Anna", "covered": True},
          {"address": "bob@example.test", "name": "Bob", "covered": False}]
CUT_PEOPLE = [{"address": "carla@cut.test", "name": "Carla", "covered": True},
              {"address": "dario@cut.test", "name": "Dario", "covered": False}]


def number(name, default):
    """A parameter of the environment: CRASH_KILLS, CRASH_REAL_CUTS ..."""
    return int(os.environ.get(name, default))


def say(*words):
    """Progress; pytest shows it with -s and when a test fails."""
    print(f"[{time.strftime('%H:%M:%S')}]", *words, flush=True, file=sys.stderr)


@dataclasses.dataclass
class Sender:
    """One smtp_load: a name of its own for its ids, what it sends and to whom."""

    name: str
    options: tuple
    running: load.Load | None = None
    journal: str = ""


class Stage:
    """A node, its primary and its senders. All in `directory`; the store may lie elsewhere."""

    def __init__(self, directory, *, data=None, sink_options=(), **node):
        self.directory = directory
        self.sink = peers.Sink(directory / "sink", "--digest-from", "From: <", *sink_options)
        node.setdefault("limits", OPEN_LIMITS)
        self.node = Staffetta(directory / "node", data=data, **node)
        self.senders = []

    def __enter__(self):
        self.sink.start()
        self.node.start()
        return self

    def __exit__(self, failed, *_):
        if failed:
            say("the node's last words:\n" + self.last_words())
        for sender in self.senders:
            if sender.running and sender.running.process.poll() is None:
                sender.running.kill9()
        self.node.kill9()
        self.sink.kill9()

    def last_words(self, n_lines=40):
        """The end of its log without the lines that every message has."""
        usual = "smtp.accepted", "queue.result", "smtp.refused"
        lines = [line for line in self.node.log().splitlines()
                 if not any(word in line for word in usual)]
        return "\n".join(lines[-n_lines:])

    def companies(self):
        """One whose mail is answered after the sync, one whose senders wait for the primary."""
        at = self.sink.at.rsplit(":", 1)
        company.add(self.node, at, PEOPLE)
        company.add(self.node, at, CUT_PEOPLE, tenant="verdi", primary="postfix",
                    domain="cut.test", cut_through=True)

    # senders

    def send(self, *options, rcpts=("anna@example.test",), at=None, **more):
        """Starts a sender; its ids begin with its name. A session that is cut off comes again."""
        name = f"{more.pop('name', 's')}{len(self.senders)}"
        journal = self.directory / f"journal-{name}"
        words = [word for rcpt in rcpts for word in ("--rcpt", rcpt)]
        sender = Sender(name, options, journal=journal)
        sender.running = load.Load(at or self.node.at(), *options, *words, "--run", name,
                                   "--journal", journal, "--digest", "--retries", 1000000,
                                   "--retry-ms", 20)
        self.senders.append(sender)
        return sender

    def stop_sending(self):
        """No more mail; gives the sum of what the senders counted."""
        for sender in self.senders:
            if sender.running:
                load.signal_pid(sender.running.process.pid, load.signal.SIGTERM)
        total = {"accepted": 0, "refused": 0, "unknown": 0}
        for sender in self.senders:
            if sender.running:
                result = sender.running.result(90)
                total = {key: total[key] + result[key] for key in total}
                sender.running = None
        return total

    def sent(self):
        """id -> Row of all senders' journals."""
        rows = {}
        for sender in self.senders:
            if os.path.exists(sender.journal):
                rows |= load.read_journal(sender.journal)
        return rows

    # the node

    def drained(self, seconds=90):
        """Waits until nothing waits any more and the index has come to rest (it may be a little
        behind the log); gives what the ledger says."""
        last = None

        def empty():
            nonlocal last
            code, ledger = self.node.cli("ledger")
            is_same, last = ledger == last, ledger
            total = ledger["total"] if code == 0 and ledger else {"waiting": 1}
            return ledger if is_same and not total["waiting"] and not total["attempting"] else None

        return wait_for(empty, "the queue is empty", seconds, pause=0.7)

    def stop(self):
        """A clean stop, after which the books can be read."""
        self.node.stop()
        return books.read(self.node.data)


def fresh_network():
    return netns.fresh()


def verify_store(node):
    """`staffetta store verify` says that all is good."""
    code, text = books.tool(node.program, "verify", node.data)
    if code != 0:
        raise Failure(f"store verify: {code}\n{text}")


# ---- the proof -----------------------------------------------------------------------------------


def _few(items):
    items = sorted(items)
    return f"{len(items)}: {items[:5]}"


def check_bytes(stage, rows):
    """Whatever reached the primary is what was sent; gives (id, recipient) -> copies."""
    copies = {}
    for record in stage.sink.records():
        row = rows.get(record["id"])
        assert row, f"the primary got {record['id']}, which no sender has finished sending"
        assert record["sha256"] == row.sha256, f"{record['id']} is not what was sent"
        for rcpt in record["rcpts"]:
            key = record["id"], rcpt
            copies[key] = copies.get(key, 0) + 1
    return copies


def check_ledger(rows, kept):
    """Every message that was answered is in the ledger, and whatever is there without an answer is
    listed as such."""
    answered = {name for name, row in rows.items() if row.word == "accepted"}
    by_name = {}
    for message in kept.messages.values():
        by_name.setdefault(message.name, []).append(message)
    lost = answered - by_name.keys()
    assert not lost, f"answered 250 and not in the ledger: {_few(lost)}"
    several = [name for name, messages in by_name.items() if len(messages) > 1]
    assert not several, f"sent once and twice in the ledger: {_few(several)}"
    unlisted = {name for name, (message, *_) in by_name.items()
                if name not in answered and not message.is_unanswered and message.n_accepted}
    assert not unlisted, f"in the ledger, never answered, and not listed: {_few(unlisted)}"
    final = {name for name, row in rows.items() if row.code >= 500}
    assert not final, f"refused for good because of a crash: {_few(final)}"
    strangers = by_name.keys() - rows.keys()
    assert not strangers, f"in the ledger and never sent to its end: {_few(strangers)}"
    return {name: messages[0] for name, messages in by_name.items()}


def check_copies(by_name, copies):
    """Each recipient has its message; who has it twice is listed as a possible double."""
    missing, unlisted, gone = [], [], []
    for name, message in by_name.items():
        for rcpt in message.rcpts:
            n = copies.pop((name, rcpt.address), 0)
            if rcpt.disposition == "delivered" and n == 0:
                missing.append(f"{name} {rcpt.address}")
            elif rcpt.disposition not in ("delivered", "refused"):
                gone.append(f"{name} {rcpt.address} {rcpt.disposition}: {rcpt.why}")
            if n > 1 + rcpt.n_open_ends:
                unlisted.append(f"{name} {rcpt.address} {n} copies")
    assert not missing, f"delivered, says the ledger, and the primary has not got: {_few(missing)}"
    assert not gone, f"accepted and not delivered: {_few(gone)}"
    assert not unlisted, f"twice at the primary and not listed: {_few(unlisted)}"
    assert not copies, f"at the primary and not in the ledger: {_few(copies)}"


def check_mailboxes(by_name):
    """A covered person finds the message in the mailbox, once; a relayed one has no mailbox."""
    covered = {row["address"] for row in PEOPLE + CUT_PEOPLE if row["covered"]}
    wrong = []
    for name, message in by_name.items():
        wanted = sum(1 for rcpt in message.rcpts
                     if rcpt.address in covered and rcpt.disposition != "refused")
        if message.n_holders != wanted:
            wrong.append(f"{name} is in {message.n_holders} accounts instead of {wanted}")
    assert not wrong, f"mailboxes: {_few(wrong)}"


def prove(stage, seconds=90):
    """Drains and stops the node, and holds the proof. Gives figures for the progress."""
    ledger = stage.drained(seconds)
    assert ledger["balanced"], ledger["text"]
    kept = stage.stop()
    verify_store(stage.node)
    rows = stage.sent()
    copies = check_bytes(stage, rows)
    n_copies = sum(copies.values())
    by_name = check_ledger(rows, kept)
    check_copies(by_name, copies)
    check_mailboxes(by_name)
    total = ledger["total"]
    assert total["accepted"] == sum(message.n_accepted for message in kept.messages.values())
    words = [row.word for row in rows.values()]
    return {"answered": words.count("accepted"), "unknown": words.count("unknown"),
            "refused": words.count("refused"), "in_ledger": len(by_name),
            "unanswered": total["unanswered"], "copies": n_copies,
            "possible_doubles": total["possible_doubles"]}
