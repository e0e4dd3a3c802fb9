"""kill -9 while people write and send over HTTPS: every draft that was answered is there, as it was
written; every submission that was answered is sent once, and what went twice is listed; what had no
answer was sent at most once, too (promises 1, 2 and 5).

CRASH_JMAP_SECONDS: how long; CRASH_SEED: makes the choice of victims and instants the same again."""

import collections
import random
import signal
import threading
import time

import stage as stages
from harness import certs, company, netns
from harness.jmap import Client, Refused
from harness.process import signal_pid, wait_for
from harness.peers import Sink
from stage import Stage, number, say, verify_store

SECONDS = number("CRASH_JMAP_SECONDS", 40)
VICTIMS = {"core": 5, "door": 4, "gate": 3, "courier": 4}
PEOPLE = [f"p{i}@example.test" for i in range(12)]
OUTSIDE = "dario@verdi.test"
PASSWORD = "correct horse battery"
LARGE = 1500000


class Unknown(Exception):
    """No answer, or one that says that it may have happened all the same."""


class Writer(threading.Thread):
    """One person: writes drafts, replaces them, sends. Remembers what was answered."""

    def __init__(self, number_, address, url, authority, seed):
        super().__init__(daemon=True)
        self.number, self.address, self.url = number_, address, url
        self.authority, self.rng = authority, random.Random(seed)
        self.client = None
        self.is_over = threading.Event()
        self.drafts = {}       # name -> email id, that must be there
        self.either = []       # (name, email id, name): one of them at least must be there
        self.sent = {}         # name -> email id
        self.unknown = set()   # names of submissions without an answer
        self.refused = collections.Counter()
        self.colleague = PEOPLE[(number_ + 1) % len(PEOPLE)]
        self.mailboxes, self.identity = {}, None
        self.failure = None

    def run(self):
        try:
            self._write()
        except Exception as error:  # pylint: disable=broad-exception-caught
            self.failure = error

    def _write(self):
        n = 0
        while not self.is_over.is_set():
            n += 1
            name = f"w{self.number}-{n}"
            if not self._is_in():
                continue
            act = self._send if self.rng.random() < 0.5 else self._draft
            act(name)
            self.is_over.wait(self.rng.expovariate(4))

    def _is_in(self):
        """Whether there is a client; its first answers are no part of the proof."""
        if self.client:
            return True
        try:
            client = Client(self.url, self.address, PASSWORD, authority=self.authority)
            self.mailboxes = {role: client.mailbox(role) for role in ("drafts", "sent")}
            self.identity = client.call("Identity/get")["list"][0]["id"]
            self.client = client
        except (Refused, OSError, AssertionError, IndexError):
            self.is_over.wait(0.1)
        return self.client is not None

    def _ask(self, *calls):
        try:
            return self.client.calls(*calls)
        except Refused as error:
            raise Unknown(error) from None  # 503: what came in may go on
        except (OSError, ValueError) as error:
            raise Unknown(error) from None

    def _email(self, name, **more):
        return {"mailboxIds": {self.mailboxes["drafts"]: True}, "keywords": {"$draft": True},
                "from": [{"email": self.address}], "subject": f"load {name}",
                "header:X-Load-Id": f" {name}",
                "to": [{"email": OUTSIDE}, {"email": self.colleague}],
                "textBody": [{"partId": "t", "type": "text/plain"}],
                "bodyValues": {"t": {"value": f"text of {name}"}}} | more

    def _note(self, answers, where, key):
        """The created object; counts why not; Unknown where core cannot say."""
        method, answer = answers[where]
        if method == "error":
            if answer["type"] in ("serverUnavailable", "serverFail", "serverPartialFail"):
                raise Unknown(answer)
            self.refused[answer["type"]] += 1
            return None
        error = (answer.get("notCreated") or {}).get(key)
        if error and error["type"] in ("serverFail", "serverUnavailable"):
            raise Unknown(error)
        if error:
            self.refused[error["type"]] += 1
            return None
        return answer["created"][key]

    def _draft(self, name):
        """A new one, or instead of an old one: that is how programs save."""
        old = next(iter(self.drafts), None) if self.rng.random() < 0.7 else None
        destroy = [self.drafts[old]] if old else []
        try:
            answers = self._ask(("Email/set", {"create": {"d": self._email(name)},
                                               "destroy": destroy}))
            made = self._note(answers, 0, "d")
            if made:
                self.drafts[name] = made["id"]
            if old and self.drafts[old] in (answers[0][1].get("destroyed") or []):
                del self.drafts[old]
        except Unknown:
            if old:
                self.either.append((old, self.drafts.pop(old), name))

    def _send(self, name):
        more, hold = {}, self.rng.random() < 0.3
        try:
            if self.rng.random() < 0.15:
                blob = self.client.upload(self.rng.randbytes(LARGE))["blobId"]
                more["attachments"] = [{"blobId": blob, "type": "application/octet-stream",
                                        "name": "large.bin"}]
        except (Refused, OSError):
            return
        submission = {"emailId": "#d", "identityId": self.identity}
        if hold:
            submission["envelope"] = {
                "mailFrom": {"email": self.address, "parameters": {"HOLDFOR": "2"}},
                "rcptTo": [{"email": OUTSIDE}, {"email": self.colleague}]}
        drafts, sent = self.mailboxes["drafts"], self.mailboxes["sent"]
        try:
            answers = self._ask(
                ("Email/set", {"create": {"d": self._email(name, **more)}}),
                ("EmailSubmission/set", {"create": {"s": submission}, "onSuccessUpdateEmail": {
                    "#s": {f"mailboxIds/{drafts}": None, f"mailboxIds/{sent}": True,
                           "keywords/$draft": None}}}))
            made = self._note(answers, 0, "d")
            if made and self._note(answers, 1, "s"):
                self.sent[name] = made["id"]
        except Unknown:
            self.unknown.add(name)


# ---- killing -------------------------------------------------------------------------------------


def kill_for(stage, seconds, rng):
    """One process at a time at random moments; now and then all of them at once, and a new start."""
    began, n_kills = time.monotonic(), 0
    next_all = began + seconds / 3
    while time.monotonic() - began < seconds:
        time.sleep(rng.expovariate(2))
        if time.monotonic() > next_all:
            next_all += seconds / 3
            stage.node.kill9()
            stage.node.start()
            n_kills += 1
            continue
        roles = stage.node.role_pids()
        there = [role for role in VICTIMS if roles.get(role)]
        if there:
            role = rng.choices(there, [VICTIMS[role] for role in there])[0]
            signal_pid(rng.choice(roles[role]), signal.SIGKILL)
            n_kills += 1
    return n_kills


# ---- the proof -----------------------------------------------------------------------------------


def check_drafts(writer, client):
    """All that were answered are there, and say what was written."""
    wanted = writer.drafts | {old: email for old, email, _ in writer.either}
    ids = client.call("Email/query", filter={"inMailbox": client.mailbox("drafts")})["ids"]
    emails = {}
    for at in range(0, len(ids), 100):
        for one in client.call("Email/get", ids=ids[at:at + 100], fetchTextBodyValues=True,
                               properties=["subject", "bodyValues", "textBody"])["list"]:
            name = one["subject"].removeprefix("load ")
            assert one["bodyValues"][one["textBody"][0]["partId"]]["value"] == f"text of {name}"
            emails[name] = one["id"]
    lost = {name for name, email in writer.drafts.items() if emails.get(name) != email}
    assert not lost, f"drafts that were answered and are not there: {lost}"
    lost = {old for old, _, new in writer.either if old not in emails and new not in emails}
    assert not lost, f"drafts of which neither the old nor the new one is there: {lost}"
    return len(wanted)


def submissions_are_final(client):
    ids = client.call("EmailSubmission/query", filter={"undoStatus": "pending"})["ids"]
    return not ids


def check_sent(writer, client):
    """Each is in Sent, and says that it is final."""
    ids = list(writer.sent.values())
    there = set()
    for at in range(0, len(ids), 100):
        there |= {one["id"] for one in
                  client.call("Email/get", ids=ids[at:at + 100], properties=["id"])["list"]}
    assert there == set(ids), f"sent, and gone: {set(ids) - there}"


def check_inbox(client, names):
    """The colleague has each that was answered, and none twice."""
    inbox = client.mailbox("inbox")
    ids = client.call("Email/query", filter={"inMailbox": inbox})["ids"]
    counts = collections.Counter()
    for at in range(0, len(ids), 100):
        for one in client.call("Email/get", ids=ids[at:at + 100], properties=["subject"])["list"]:
            counts[one["subject"].removeprefix("load ")] += 1
    missing = [name for name in names if not counts[name]]
    twice = [name for name, n in counts.items() if n > 1]
    assert not missing, f"answered, and the colleague has not got: {missing}"
    assert not twice, f"the colleague has twice: {twice}"


def check_copies(sink, kept, sent, unknown):
    """(copies, doubles) at the outside; the ledger knows of each."""
    copies = collections.Counter(record["id"] for record in sink.records())
    rows = collections.defaultdict(list)
    for message in kept.messages.values():
        for rcpt in message.rcpts:
            rows[message.name, rcpt.address].append(rcpt)
    several = {key for key, found in rows.items() if len(found) > 1}
    assert not several, f"accepted twice: {several}"
    lost = {name for name in sent if (name, OUTSIDE) not in rows}
    assert not lost, f"answered and not in the ledger: {lost}"
    missing = {name for name in sent if copies[name] == 0}
    assert not missing, f"answered and never sent: {missing}"
    strangers = copies.keys() - sent - unknown
    assert not strangers, f"sent, and nobody asked for it: {strangers}"
    unlisted = {name for name, n in copies.items()
                if n > 1 + rows[name, OUTSIDE][0].n_open_ends}
    assert not unlisted, f"twice outside and not listed: {unlisted}"
    return sum(copies.values()), sum(n - 1 for n in copies.values())


def prove(stage, outside, writers, url, authority):
    clients = {}
    for writer in writers:
        clients[writer.address] = Client(url, writer.address, PASSWORD, authority=authority)
    for client in clients.values():
        wait_for(lambda c=client: submissions_are_final(c), "all submissions are final", 60, 0.2)
    wait_for(lambda: not stage.node.must("queue", "list", "--address", OUTSIDE)["rows"],
             "nothing waits for the outside", 60, 0.3)
    n_drafts = 0
    for writer in writers:
        n_drafts += check_drafts(writer, clients[writer.address])
        check_sent(writer, clients[writer.address])
        check_inbox(clients[writer.colleague], writer.sent)
    ledger = stage.node.must("ledger")
    assert ledger["balanced"], ledger["text"]
    kept = stage.stop()
    verify_store(stage.node)
    sent = {name for writer in writers for name in writer.sent}
    unknown = {name for writer in writers for name in writer.unknown}
    n_copies, n_doubles = check_copies(outside, kept, sent, unknown)
    refused = sum((writer.refused for writer in writers), collections.Counter())
    assert len(sent) > SECONDS and n_drafts > SECONDS / 2, "too little was written to prove anything"
    return {"drafts": n_drafts, "sent": len(sent), "unknown": len(unknown), "copies": n_copies,
            "doubles": n_doubles, "refused": dict(refused)}


def test_no_kill_loses_what_people_write_or_sends_it_twice(directory):
    rng = random.Random(stages.SEED)
    say(f"CRASH_SEED={stages.SEED} CRASH_JMAP_SECONDS={SECONDS}")
    with stages.fresh_network():
        authority = certs.Authority(directory / "ca")
        listen = [{"for": purpose, "at": f"127.0.0.1:{netns.free_port('127.0.0.1')}"}
                  for purpose in ("smtp", "https")]
        with Sink(directory / "outside") as outside, \
                Stage(directory, listen=listen, tls=authority.issue("node")) as stage:
            node = stage.node
            company.add(node, stage.sink.at.rsplit(":", 1), PEOPLE)
            company.add(node, (outside.address, outside.port), [OUTSIDE], tenant="verdi",
                        primary="postfix", domain="verdi.test", covered=False)
            for person in PEOPLE:
                node.must("person", "password", person, stdin=PASSWORD + "\n")
            node.must("state", "emergency", "exchange", "--why", "people shall write here")
            url = "https://localhost:%d" % node.at("https")[1]
            writers = [Writer(i, person, url, authority, rng.random())
                       for i, person in enumerate(PEOPLE)]
            for writer in writers:
                writer.start()
            n_kills = kill_for(stage, SECONDS, rng)
            for writer in writers:
                writer.is_over.set()
            for writer in writers:
                writer.join(60)
                assert not writer.failure, repr(writer.failure)
            wait_for(lambda: all(node.role_pids(role) for role in VICTIMS), "all are there again")
            say(f"{n_kills} kills;", prove(stage, outside, writers, url, authority))
