"""The people of the demonstration: Anna reads a real conversation while the company's server is dead
and answers it; Bruno, her colleague, and a friend in the outside world get the answer.

The outside world is a domain of its own: a DNS (Knot, Unbound) and a mail server that keeps what comes.
"""

import dataclasses
import email
import email.policy
import re
import time

import dkim

from harness import netns
from harness.certs import Authority
from harness.jmap import Client
from harness.peers import Knot, Sink, Unbound
from harness.process import wait_for
from harness.sender import Client as Sender

ANNA, BRUNO = "anna@example.test", "bruno@example.test"
FRIEND = "francesca@world.test"
NODE = "mx1.staffetta.test"
WORLD = "127.0.0.21"  # where the friend's mail server listens
ZONES = {
    "test": "", "world.test": f"@ MX 10 mx\nmx A {WORLD}\n", "staffetta.test": "mx1 A 127.0.0.1\n",
    "example.test": f"@ MX 10 {NODE}.\n@ TXT \"v=spf1 ip4:127.0.0.0/8 -all\"\n"
                    "_dmarc TXT \"v=DMARC1; p=reject\"\n",
}
HEADERS = "From: Francesca <{sender}>\r\nTo: Anna <{to}>\r\nCc: Bruno <{cc}>\r\n"


def letter(name, subject, text, *, before=None):
    """A letter of the friend to both; `before`: the name of the one it answers."""
    more = f"In-Reply-To: <{before}@world.test>\r\nReferences: <{before}@world.test>\r\n" \
        if before else ""
    date = email.utils.formatdate(time.time())
    return (HEADERS.format(sender=FRIEND, to=ANNA, cc=BRUNO) + f"Subject: {subject}\r\n"
            f"X-Load-Id: {name}\r\nMessage-ID: <{name}@world.test>\r\nDate: {date}\r\n{more}"
            f"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n").encode()


class World:
    """DNS and the friend's mail server."""

    def __init__(self, directory):
        self.knot = Knot(directory / "knot", zones=ZONES, unsigned=list(ZONES))
        self.unbound = Unbound(directory / "unbound", self.knot)
        self.letters = directory / "letters"
        self.letters.mkdir()
        self.sink = Sink(directory / "world", "--store", self.letters, address=WORLD, port=25)
        self.parts = (self.knot, self.unbound, self.sink)

    @property
    def resolver(self):
        return f"{self.unbound.address}:{self.unbound.port}"

    def __enter__(self):
        for part in self.parts:
            part.start()
        return self

    def __exit__(self, *_):
        for part in reversed(self.parts):
            part.stop()

    def publish(self, key):
        """What `staffetta dkim create` says is to be published, in the company's zone."""
        pieces = " ".join(f'"{key["record"][i:i + 250]}"' for i in range(0, len(key["record"]), 250))
        self.knot.update("example.test", f"add {key['selector']}._domainkey.example.test. 5 TXT {pieces}")

    def key(self, name, timeout=5):
        """The text that DNS has at this name, for python3-dkim."""
        rows = self.knot.ask(name.decode(), "TXT")
        return "".join(re.findall(r'"([^"]*)"', rows[0])).encode() if rows else None

    def received(self):
        return [path.read_bytes() for path in self.letters.iterdir()]


def signatures(raw, world):
    """The algorithms of all signatures, each of which verifies."""
    message = dkim.DKIM(raw)
    fields = [value for name, value in message.headers if name.lower() == b"dkim-signature"]
    for number in range(len(fields)):
        if not message.verify(idx=number, dnsfunc=world.key):
            raise AssertionError(f"signature {number} does not verify:\n{raw.decode()}")
    return sorted(re.search(rb"a=([\w-]+)", field).group(1).decode() for field in fields)


@dataclasses.dataclass
class Answer:
    subject: str
    id: str  # its Message-ID, without brackets


class Office:
    """Anna and Bruno, by their phones."""

    def __init__(self, node, world, authority):
        self.node, self.world, self.authority = node, world, authority
        self.url = "https://localhost:%d" % node.at("https")[1]
        self.sent = set()  # names of the friend's letters

    def open(self):
        """What an administrator does once, on an ordinary day."""
        for key in self.node.must("dkim", "create", "example.test")["keys"]:
            self.world.publish(key)
            self.node.must("dkim", "activate", "example.test", key["selector"])

    def write(self, name, *words, **more):
        with Sender(self.node.at(), seconds=30) as client:
            client.ehlo("mx.world.test")
            client.mail(FRIEND)
            client.rcpt(ANNA)
            client.rcpt(BRUNO)
            reply = client.data(letter(name, *words, **more))
        if not reply.is_ok:
            raise AssertionError(f"{name}: {reply}")
        self.sent.add(name)

    def come_in(self, who):
        code = self.node.must("person", "code", who)["code"]
        print(f"  $ staffetta person code {who}\n    {code}")
        return Client(self.url, who, code=code, authority=self.authority)

    def read_and_answer(self):
        """Anna reads, files, answers; returns the answer."""
        anna = self.come_in(ANNA)
        newest = wait_for(lambda: anna.list(properties=("id", "threadId", "subject", "from"),
                                            **{"from": "francesca"}), "the letter is in the list", 10)
        talk = anna.call("Thread/get", ids=[newest[0]["threadId"]])["list"][0]["emailIds"]
        emails = anna.call("Email/get", ids=talk, fetchTextBodyValues=True)["list"]
        print(f"  {ANNA} reads on her phone:")
        for one in emails:
            text = next(iter(one["bodyValues"].values()))["value"].strip()
            print(f"    {one['from'][0]['name']}, {one['receivedAt'][11:16]}, \"{one['subject']}\": "
                  f"{text}")
        clients = anna.call("Mailbox/set", create={"c": {"name": "Clienti"}})["created"]["c"]["id"]
        first, last = emails[0], emails[-1]
        anna.call("Email/set", update={
            first["id"]: {"keywords/$seen": True, "mailboxIds": {clients: True}},
            last["id"]: {"keywords/$seen": True, "keywords/$flagged": True}})
        return self._answer(anna, last)

    def _answer(self, anna, letter_to_answer):
        me = anna.call("Identity/get")["list"][0]
        drafts, sent = anna.mailbox("drafts"), anna.mailbox("sent")
        subject = "Re: " + letter_to_answer["subject"].removeprefix("Re: ")
        made, mailed = anna.calls(("Email/set", {"create": {"d": {
            "mailboxIds": {drafts: True}, "keywords": {"$draft": True, "$seen": True},
            "from": [{"name": me["name"], "email": me["email"]}], "subject": subject,
            "to": letter_to_answer["from"], "cc": [{"name": "Bruno", "email": BRUNO}],
            "inReplyTo": letter_to_answer["messageId"],
            "references": (letter_to_answer["references"] or []) + letter_to_answer["messageId"],
            "textBody": [{"partId": "t", "type": "text/plain"}],
            "bodyValues": {"t": {"value": "Va bene: venerdì alle dieci. Il nostro server è giù, ma la "
                                          "posta funziona.\n"}}}}}),
            ("EmailSubmission/set", {
                "create": {"s": {"emailId": "#d", "identityId": me["id"]}},
                "onSuccessUpdateEmail": {"#s": {f"mailboxIds/{drafts}": None,
                                                f"mailboxIds/{sent}": True,
                                                "keywords/$draft": None}}}))[:2]
        if "s" not in (mailed[1].get("created") or {}):
            raise AssertionError(f"not sent: {made} {mailed}")
        anna.call("Email/set", update={letter_to_answer["id"]: {"keywords/$answered": True}})
        draft = made[1]["created"]["d"]["id"]
        sent_one = anna.call("Email/get", ids=[draft], properties=["messageId", "subject"])["list"][0]
        print(f"  she answers: \"{sent_one['subject']}\"")
        return Answer(sent_one["subject"], sent_one["messageId"][0])

    def arrives(self, answer):
        """The colleague has it in his mailbox here, the friend in the world; signed."""
        began = time.monotonic()
        bruno = self.come_in(BRUNO)
        shown = ("subject", "messageId", "threadId")
        found = wait_for(lambda: [one for one in bruno.list(properties=shown)
                                  if one["messageId"] == [answer.id]], "Bruno has it", 10)
        talk = bruno.call("Thread/get", ids=[found[0]["threadId"]])["list"][0]["emailIds"]
        print(f"  {BRUNO} reads it {time.monotonic() - began:.1f} s later (log-in included), in a "
              f"conversation of {len(talk)}")
        raw, = wait_for(self.world.received, "the friend has it", 30)
        message = email.message_from_bytes(raw, policy=email.policy.default)
        algorithms = signatures(raw, self.world)
        print(f"  {FRIEND} has it: From {message['From']}, in reply to {message['In-Reply-To']}; "
              f"signatures that verify: {', '.join(algorithms)}")
        assert message["Message-ID"] == f"<{answer.id}>" and algorithms == ["ed25519-sha256",
                                                                            "rsa-sha256"]
        assert [one["messageId"] for one in found] == [[answer.id]] and len(talk) == 3

    def _lies_there(self, primary):
        """Everything in both mailboxes of the company: (who, folder, uid, flags, date, id)."""
        return {(who, folder, mail.uid, tuple(sorted(set(mail.flags) - {"\\Recent"})), mail.date,
                 mail.id)
                for who in (ANNA, BRUNO) for folder in primary.dovecot.mailboxes(who)
                for mail in primary.messages(who, folder)}

    def given_back(self, primary, answer):
        """What they did lies in the company's own mailboxes, once."""
        for who in (ANNA, BRUNO):
            wait_for(lambda: self.node.must("mailbox", "show", who)["waiting"] == 0,
                     f"nothing of {who} waits", 120)
        there = self._lies_there(primary)

        def one(who, folder, name):
            rows = [row for row in there if row[0] == who and row[5] == name]
            print(f"    {name}: " + "; ".join(f"{row[1]} {' '.join(row[3])}" for row in rows))
            assert [row[1] for row in rows] == [folder], rows
            return rows[0][3]

        print(f"  in {ANNA}'s mailbox at the company:")
        assert "\\Seen" in one(ANNA, "Sent", f"<{answer.id}>")
        assert {"\\Seen", "\\Flagged", "\\Answered"} <= set(one(ANNA, "INBOX", "talk-2"))
        assert "\\Seen" in one(ANNA, "Clienti", "talk-1")
        print(f"  in {BRUNO}'s:")
        one(BRUNO, "INBOX", f"<{answer.id}>")
        self.node.must("mailbox", "return", ANNA, "--why", "a second time must change nothing")
        time.sleep(2)
        assert self._lies_there(primary) == there
        print("  given back a second time: nothing changes")


def node_settings(directory, world):
    """What the demonstration's node needs for people: a name, a resolver, a certificate, HTTPS."""
    authority = Authority(directory / "ca")
    return authority, {
        "name": NODE, "resolver": [world.resolver], "tls": authority.issue("node"),
        "listen": [{"for": "smtp", "at": f"127.0.0.1:{netns.free_port('127.0.0.1')}"},
                   {"for": "https", "at": f"127.0.0.1:{netns.free_port('127.0.0.1')}"}]}
