#!/usr/bin/python3
"""The main job, with real parts: a company's Postfix and Dovecot, and Staffetta in front of them.

Mail flows through; the primary is killed under load; mail is accepted and kept; the death is noticed,
an emergency declared by a plan that was approved before, and told to a webhook; people log in, read a
conversation and answer it, signed; the primary comes back; when a person approves, everything is given
back, also what people did; a statement proves it and the ledger balances.
With --stay it then stays up to be played with. The plan's times are seconds here, so that the story
is short; the usual ones are minutes.
The last line is for machines:
    accepted N, delivered N, waiting 0, held 0, other 0, lost 0, duplicated D, in flight F
"""

import argparse
import collections
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness import company, corpus  # noqa: E402
from harness.hooks import Hooks  # noqa: E402
from harness.peers import Primary  # noqa: E402
from harness.process import private_dir, wait_for  # noqa: E402
from harness.sender import Counting  # noqa: E402
from harness.staffetta import Staffetta  # noqa: E402
from office import ANNA, BRUNO, Office, World, node_settings  # noqa: E402

PEOPLE = [ANNA, BRUNO, "carla@example.test"]
SENDERS = 8
KEEP_SECONDS = 6 * 3600


def say(text):
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


class Progress:
    """One line that moves on a terminal, a few lines elsewhere."""

    def __init__(self, what, total):
        self.what, self.total, self.shown = what, total, -1

    def show(self, n, more=""):
        tenth = n * 10 // self.total if self.total else 10
        if sys.stdout.isatty():
            bar = "#" * (n * 30 // self.total if self.total else 30)
            print(f"\r  {self.what} [{bar:<30}] {n}/{self.total} {more}   ", end="", flush=True)
        elif tenth > self.shown:
            print(f"  {self.what}: {n}/{self.total} {more}", flush=True)
        self.shown = tenth

    def end(self, n, more=""):
        self.show(n, more)
        if sys.stdout.isatty():
            print()


class Load:
    """Several senders at once, each message once, everything that was answered remembered."""

    def __init__(self, at, letters):
        self.senders = [Counting(at, seconds=60) for _ in range(SENDERS)]
        self.letters = iter(letters)
        self.lock = threading.Lock()
        self.threads = []
        self.rate = None

    def _next(self):
        with self.lock:
            return next(self.letters, None)

    def _run(self, sender):
        while (item := self._next()) is not None:
            name, raw = item
            person = PEOPLE[int(name.rsplit("-", 1)[1]) % len(PEOPLE)]
            sender.send(name, [person], raw)
        sender.close()

    def start(self):
        self.threads = [threading.Thread(target=self._run, args=(s,), daemon=True)
                        for s in self.senders]
        for thread in self.threads:
            thread.start()

    def done(self):
        return sum(len(s.results) for s in self.senders)

    def ids(self, word):
        return set().union(*(s.ids(word) for s in self.senders))

    def is_running(self):
        return any(thread.is_alive() for thread in self.threads)


class Told(Hooks):
    """Shows each alert as it arrives."""

    def __init__(self):
        super().__init__(secret="a secret of the demo")
        self.shown = 0

    def show(self):
        for hook in self.received[self.shown:]:
            signed = "signed" if hook.is_signed else "NOT SIGNED"
            print(f"\n  >>> alert ({hook.body['class']}, {signed}): {hook.happened}", flush=True)
            for words in (hook.did, hook.can):
                if words:
                    print(f"      {words}", flush=True)
        self.shown = len(self.received)


def state_of(node):
    return node.must("state", "show", "exchange")["state"]


def waiting(node):
    return node.must("ledger")["total"]["waiting"]


def evidence(node):
    """What is seen of the company's server, in a line an aspect."""
    words = {"takes": "takes mail", "arrives": "a test message arrives", "lets-in": "lets people in"}
    for one in node.must("state", "show", "exchange")["aspects"]:
        verdict = f"failed {one['bad']} times" if one["bad"] else "well"
        print(f"    {words[one['aspect']]}: {verdict} ({one.get('last', 'nothing seen')})")


def watch(load, progress, node, told):
    while load.is_running():
        progress.show(load.done(), f"state {state_of(node)}")
        told.show()
        time.sleep(0.3)
    told.show()
    progress.end(load.done(), f"state {state_of(node)}")


def story(node, primary, told, office, n_messages):
    """Returns the sender's results over all acts."""
    per_act = n_messages // 3
    accepted, refused, unknown = set(), set(), set()

    def act(title, first, count, during=None):
        say(title)
        load = Load(node.at(), corpus.load("demo", count, first))
        load.start()
        progress = Progress("sent", count)
        if during:
            wait_for(lambda: load.done() >= count // 3, "mail flows", 60)
            during()
        watch(load, progress, node, told)
        accepted.update(load.ids("accepted"))
        refused.update(load.ids("refused"))
        unknown.update(load.ids("unknown"))

    # First of all: what its own server is delivering when it is killed, it may deliver twice.
    office.write("talk-1", "Preventivo", "Ci vediamo venerdì per il preventivo?")
    act("1. An ordinary day: mail passes through Staffetta to the company's own server.",
        0, per_act)
    print(f"  in the company's mailboxes: {primary.count()}; waiting here: {waiting(node)}")

    def die():
        primary.kill9()
        print("\n  >>> kill -9: the company's Postfix and Dovecot are gone", flush=True)

    act("2. The company's server dies in the middle of it. Mail goes on being accepted.",
        per_act, per_act, die)
    wait_for(lambda: state_of(node) != "standby", "the death is noticed", 60)
    print(f"  state: {state_of(node)}; waiting here: {waiting(node)}; refused to senders: "
          f"{len(refused)}")

    act("3. Still dead. Every message is kept; each already lies in its continuity mailbox.",
        2 * per_act, n_messages - 2 * per_act)
    wait_for(lambda: state_of(node) == "emergency", "the plan declares the emergency", 60)
    wait_for(lambda: any("is in an emergency" in hook.happened for hook in told.received),
             "the alert arrives", 30)
    told.show()
    print(f"  state: {state_of(node)}; waiting here: {waiting(node)}. What was seen:")
    evidence(node)

    say("4. People log in with a code, read and answer.")
    office.write("talk-2", "Re: Preventivo", "Alle dieci da voi?", before="talk-1")
    answer = office.read_and_answer()
    office.arrives(answer)
    accepted.update(office.sent)

    say("5. The company's server is back. Nothing is given back before a person says so.")
    primary.start()
    wait_for(lambda: node.must("state", "show", "exchange")["ready"], "well for long enough", 120)
    told.show()
    preview = node.must("state", "preview", "exchange")
    print("  what would go where: " + ", ".join(
        f"{box['address']} {box['recipients']}" for box in preview["mailboxes"]))
    print("  $ staffetta state approve exchange --why 'looked at it, all is well'")
    node.must("state", "approve", "exchange", "--why", "looked at it, all is well")
    started = time.monotonic()
    progress, first = Progress("given back", waiting(node)), None
    total = progress.total
    while (left := waiting(node)) > 0:
        if left < total and first is None:
            first = time.monotonic() - started
        if time.monotonic() - started > 300:
            break
        progress.show(total - left, f"state {state_of(node)}")
        time.sleep(0.3)
    progress.end(total - waiting(node), f"state {state_of(node)}")
    print(f"  the first went out {first or 0:.1f} s after the decision, all in "
          f"{time.monotonic() - started:.1f} s")
    wait_for(lambda: state_of(node) == "standby", "the state is standby again", 60)
    time.sleep(1)
    told.show()
    office.given_back(primary, answer)
    return accepted, refused, unknown


def statement(node):
    say("6. The statement: what happened, who decided, and the proof.")
    done = subprocess.run([node.program, "--socket", str(node.control), "state", "report",
                           "exchange"], capture_output=True, text=True, timeout=60, check=False)
    print("\n".join("  " + line for line in (done.stdout + done.stderr).splitlines()), flush=True)
    return done.returncode == 0


def lying_there(primary):
    """What came into the company's mailboxes: {id: {ids under which Postfix took it}}, and how many
    copies in all; whatever folder it was put into meanwhile. A letter that Postfix took once and put
    into the mailbox twice, because it was killed between the two, was doubled by Postfix, not by us."""
    taken, copies = collections.defaultdict(set), 0
    folders = [(person, folder) for person in PEOPLE for folder in primary.dovecot.mailboxes(person)]
    for mail in (mail for one in folders if one[1] != "Sent" for mail in primary.messages(*one)):
        head = mail.raw.partition(b"\r\n\r\n")[0]
        name = re.search(rb"\(Postfix\) with \S+ id (\w+)", head)
        taken[mail.id].add(name.group(1) if name else None)
        copies += 1
    return taken, copies


def balance(node, primary, accepted, refused, unknown):
    """Compares what senders were told, what the ledger says, and what lies in the mailboxes."""
    say("7. Is everything there?")
    sums = node.must("ledger")["total"]
    # Postfix hands over to Dovecot in its own time.
    wait_for(lambda: not accepted - set(lying_there(primary)[0]), "everything is in the mailboxes", 120)
    found, copies = lying_there(primary)
    lost = accepted - set(found)
    doubles = sum(len(names) - 1 for names in found.values())
    print(f"  senders: {len(accepted)} accepted, {len(refused)} refused, {len(unknown)} without an "
          f"answer")
    words = ("accepted", "delivered", "waiting", "held", "returned", "removed", "merged")
    print("  ledger:  " + ", ".join(f"{sums[word]} {word}" for word in words))
    print(f"  mailboxes of the company: {copies} messages, {len(found)} different ones; "
          f"{copies - len(found) - doubles} doubled by its own server when it was killed")
    other = sums["returned"] + sums["removed"] + sums["merged"]
    total = sums["delivered"] + sums["waiting"] + sums["held"] + other
    in_flight = sums.get("possible_doubles", 0) + len(unknown)
    is_good = not lost and total == sums["accepted"] and doubles <= in_flight and not refused
    print("  the ledger balances" if total == sums["accepted"] else "  THE LEDGER DOES NOT BALANCE")
    last = (f"accepted {sums['accepted']}, delivered {sums['delivered']}, waiting "
            f"{sums['waiting']}, held {sums['held']}, other {other}, lost {len(lost)}, duplicated "
            f"{doubles}, in flight {in_flight}")
    return is_good and sums["waiting"] == 0, last


def to_try(node, primary, office):
    """What a newcomer can look at: {what: command}."""
    token = node.must("person", "token", "add", ANNA, "demo")["token"]
    letter = node.directory / "letter.eml"
    letter.write_text("From: you@sender.test\r\nTo: anna@example.test\r\nSubject: hello\r\n\r\nhello\r\n")
    cli = f"{node.program} --socket {node.control}"
    curl = f"curl -sS --fail --cacert {office.authority.pem}"
    return {
        "send mail": "curl -sS smtp://%s:%d/you.test --mail-from you@sender.test --mail-rcpt "
                     "anna@example.test -T %s" % (*node.at(), letter),
        "its state": f"{cli} status",
        "what waits": f"{cli} queue list",
        "the ledger": f"{cli} ledger",
        "the statement": f"{cli} state report exchange",
        "incidents": f"{cli} incident list",
        "follow a message": f"{cli} trace {ANNA}",
        "a mailbox (JMAP)": f"{curl} -H 'Authorization: Bearer {token}' {office.url}/jmap/session",
        "a code to log in": f"{cli} person code {BRUNO}",
        "its mailboxes": "curl -sS imap://%s:%d --user %s:secret" % (*primary.imap, ANNA),
        "the log": f"tail {node.log_path}",
    }


def try_all(commands):
    """Each of them works as it is printed."""
    say("8. What to look at")
    failed = []
    for what, command in commands.items():
        print(f"  {what:<17} {command}", flush=True)
        done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
        if done.returncode != 0 or not (done.stdout or what == "send mail"):
            failed.append(what)
            print(f"  FAILED: {done.returncode} {done.stdout[-500:]} {done.stderr[-500:]}")
    return not failed


def stay(primary):
    say("It stays up for you. Ctrl-C ends it.")
    print(f"  kill the primary  kill -9 {' '.join(map(str, primary.pids()))}", flush=True)
    try:
        time.sleep(KEEP_SECONDS)
    except KeyboardInterrupt:
        print("\n  ending")


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--stay", action="store_true")
    options.add_argument("--messages", type=int, default=1200)
    chosen = options.parse_args()
    with private_dir() as directory, World(directory) as world:
        primary = Primary(directory / "company", users={p: "secret" for p in PEOPLE})
        authority, settings = node_settings(directory, world)
        node = Staffetta(directory / "staffetta", limits={"connections_per_minute": 10000}, **settings)
        office = Office(node, world, authority)
        say("A company's mail server (Postfix and Dovecot), and Staffetta in front of it.")
        told = Told()
        told.start()
        with primary, node:
            print(f"  primary at {primary.smtp[0]}:{primary.smtp[1]}, Staffetta at "
                  f"{node.at()[0]}:{node.at()[1]}")
            company.add(node, primary.smtp, PEOPLE, cut_through=True)
            company.plan(node, owner="Luca", tell_after=2, emergency_after=8, good_for_ready=5,
                         ready_over=4, why="a demo has no minutes")
            node.must("access", "set", "exchange", "--host", "%s:%d" % primary.imap, "--tls",
                      "never", "--canary", ANNA, "--user", ANNA, "--secret", "secret",
                      "--master-user", "%s*admin", "--master-secret", "masterpw")
            office.open()
            node.must("alert", "add", "demo", "--url", told.url, "--secret", told.secret)
            results = story(node, primary, told, office, chosen.messages)
            has_statement = statement(node)
            is_good, last = balance(node, primary, *results)
            is_good = is_good and has_statement and any(told.received)
            is_good = try_all(to_try(node, primary, office)) and is_good
            print(f"\n{last}", flush=True)
            if chosen.stay:
                stay(primary)
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
