#!/usr/bin/python3
"""Benchmark of mailboxes over JMAP beside Cyrus, of search and delivery beside Dovecot.

One account a size on each side, filled by SMTP or LMTP; then the same requests of one connection, in
turns of both sides, over plain HTTP on loopback, logged in as each side does it cheapest. Prints a line
a figure:

    NAME ours=… peer=… ratio=… target=… ok|short

Leaves with 0 when every figure is met, 1 when one is short.
"""

import argparse
import base64
import fnmatch
import imaplib
import itertools
import json
import os
import socket
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import sides  # noqa: E402
from harness import corpus, load, netns  # noqa: E402
from harness.cyrus import Cyrus  # noqa: E402
from harness.measure import private_mounts  # noqa: E402
from harness.peers import Dovecot  # noqa: E402
from harness.process import Failure, private_dir, run, wait_for  # noqa: E402
from harness.sender import Client  # noqa: E402

USING = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"]
# What a list shows: the example of RFC 8621 section 4.10, and the recipients.
LIST = ["threadId", "mailboxIds", "keywords", "hasAttachment", "from", "to", "subject", "receivedAt",
        "size", "preview"]
SIZES = (10_000, 100_000)
LETTERS = 10_000  # of the search
WORDS = ("linux", "spam", "money", "perl", "install", "network", "kernel", "security")
PHRASE = "mailing list"
LAST = "zwetschgenkuchen"  # words are taken in in the order of the letters
TURNS = 300

LETTER = (b"Message-ID: <bench-%d@load.test>\r\nDate: Sun, 22 Nov 2026 07:00:00 +0000\r\n"
          b"From: <sender@load.test>\r\nTo: <user@bench.test>\r\nSubject: load %d\r\n\r\n" +
          (b"x" * 70 + b"\r\n") * 25)

# ---- asking --------------------------------------------------------------------------------------


class Wire:
    """One connection to a JMAP server, as bare as it can be: what is measured is the server."""

    def __init__(self, at, path, authorization):
        self.socket = socket.create_connection(at, timeout=120)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.head = (f"Host: localhost\r\nAuthorization: {authorization}\r\n"
                     "Content-Type: application/json\r\n").encode()
        self.path = path

    def ask(self, method, path, body=b""):
        self.socket.sendall(f"{method} {path} HTTP/1.1\r\n".encode() + self.head +
                            b"Content-Length: %d\r\n\r\n" % len(body) + body)
        got = b""
        while b"\r\n\r\n" not in got:
            piece = self.socket.recv(1 << 20)
            if not piece:
                raise Failure("the server hung up")
            got += piece
        head, _, content = got.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        pieces, left = [content], int(fields[b"content-length"]) - len(content)
        while left > 0:
            pieces.append(self.socket.recv(left))
            left -= len(pieces[-1])
        if b" 200 " not in head[:16]:
            raise Failure(f"{path}: {head[:200]} {b''.join(pieces)[:500]}")
        return b"".join(pieces)

    def open(self, session_path):
        session = json.loads(self.ask("GET", session_path))
        self.account = session["primaryAccounts"]["urn:ietf:params:jmap:mail"]
        boxes = self.call(["Mailbox/get", {"properties": ["id", "role"]}])[0]["list"]
        self.inbox = next(box["id"] for box in boxes if box["role"] == "inbox")
        return self

    def body(self, *calls):
        return json.dumps({"using": USING, "methodCalls": [
            [name, {"accountId": self.account, **args}, str(i)]
            for i, (name, args) in enumerate(calls)]}).encode()

    def call(self, *calls):
        answer = json.loads(self.ask("POST", self.path, self.body(*calls)))["methodResponses"]
        for name, args, _ in answer:
            if name == "error":
                raise Failure(f"{args}")
        return [args for _, args, _ in answer]

    def timed(self, body):
        """Milliseconds of a request that was made ready before."""
        began = time.perf_counter()
        answer = self.ask("POST", self.path, body)
        took = (time.perf_counter() - began) * 1000
        if b'"error"' in answer[:200] or b'"notUpdated":{"' in answer:
            raise Failure(answer[:500].decode())
        return took


def in_turns(*sides_asked, turns=TURNS):
    """p50 of each, asked alternately."""
    times = [[] for _ in sides_asked]
    for _ in range(turns):
        for took, ask in zip(times, sides_asked):
            took.append(ask())
    return [statistics.median(took[len(took) // 10:]) for took in times]


# ---- the two sides -------------------------------------------------------------------------------


class Office(sides.Node):
    """Our program, whose primary is dead: each letter lies in its continuity mailbox."""

    def __init__(self, directory, covered=True):
        super().__init__("receive" if covered else "relay", directory, sink=_Nowhere)
        self.listen.append({"for": "https", "at": f"127.0.0.1:{netns.free_port('127.0.0.1')}",
                            "tls": "none"})

    def wire(self, user):
        name = f"bench {time.monotonic_ns()}"
        token = self.must("person", "token", "add", user, name)["token"]
        return Wire(self.at("https"), "/jmap/api", f"Bearer {token}").open("/jmap/session")


class _Nowhere:
    address, port = "127.0.0.1", 9


def fill(at, recipient, count):
    result = load.run(at, "--sessions", 50, "--messages", count, "--size", 2048, "--from",
                      "sender@load.test", "--rcpt", recipient, "--source-addresses",
                      "127.0.1.1-127.0.1.200")
    if result["accepted"] != count:
        raise Failure(f"not all mail was accepted: {result}")
    return result


def say(text):
    print(f"# {text}", file=sys.stderr, flush=True)


# ---- JMAP beside Cyrus ---------------------------------------------------------------------------


def list_body(wire):
    return wire.body(
        ["Email/query", {"filter": {"inMailbox": wire.inbox}, "limit": 50, "collapseThreads": True,
                         "sort": [{"property": "receivedAt", "isAscending": False}]}],
        ["Email/get", {"#ids": {"resultOf": "0", "name": "Email/query", "path": "/ids"},
                       "properties": LIST}])


def changes_body(wire):
    state = wire.call(["Email/get", {"ids": []}])[0]["state"]
    return wire.body(["Email/changes", {"sinceState": state}])


def asked(wires, body_of):
    """The same of each side, in turns."""
    return in_turns(*(lambda w=wire, b=body_of(wire): w.timed(b) for wire in wires))


def seen_bodies(wire):
    """Requests that change one message each, another one each time."""
    ids = wire.call(["Email/query", {"limit": TURNS, "position": 100}])[0]["ids"]
    return itertools.cycle([wire.body(["Email/set", {"update": {one: {"keywords/$seen": value}}}])
                            for value in (True, None) for one in ids])


def mailbox_figures(directory):
    cyrus = Cyrus(directory / "cyrus", users={f"user{n}": "secret" for n in range(len(SIZES))})
    with cyrus:  # the first letter makes the mailbox
        for user in cyrus.users:
            load.run((cyrus.address, cyrus.lmtp_port), "--lmtp", "--messages", 1, "--from",
                     "sender@load.test", "--rcpt", user)
    for user, size in zip(cyrus.users, SIZES):
        cyrus.put(user, (LETTER % (number, number) for number in range(2, size + 1)))
    with cyrus, Office(directory) as node:
        for user, size in zip(cyrus.users, SIZES):
            fill(node.at(), f"{user}@{sides.DOMAIN}", size)

        def wires(number):
            """One of each side; a connection that does nothing for long is closed."""
            user = f"user{number}"
            login = base64.b64encode(f"{user}:secret".encode()).decode()
            return (node.wire(f"{user}@{sides.DOMAIN}"),
                    Wire((cyrus.address, cyrus.http_port), "/jmap/",
                         f"Basic {login}").open("/jmap/"))

        for number, size in enumerate(SIZES):
            both = wires(number)
            for wire in both:
                answer = json.loads(wire.ask("POST", wire.path, list_body(wire)))["methodResponses"]
                if len(answer[1][1]["list"]) != 50:
                    raise Failure(f"not a list of 50: {answer[1]}")
            yield f"jmap_list_{size // 1000}k", *asked(both, list_body), "ms", 0.08
        yield "jmap_set", *in_turns(*(lambda w=wire, b=seen_bodies(wire): w.timed(next(b))
                                      for wire in wires(0))), "ms", 0.08
        yield "jmap_changes", *asked(wires(0), changes_body), "ms", 0.04


# ---- search and delivery beside Dovecot ----------------------------------------------------------

XAPIAN = """\
mail_plugins = fts fts_xapian
plugin {
  fts = xapian
  fts_xapian = partial=3 full=20
  fts_enforced = yes
}
"""


def search_ours(wire, what):
    """The first page of hits, as a list shows it: ids only, as IMAP has it."""
    body = wire.body(["Email/query", {"filter": {"text": what}, "limit": 50,
                                      "sort": [{"property": "receivedAt", "isAscending": False}]}])
    return lambda: wire.timed(body)


def search_theirs(session, what):
    def ask():
        began = time.perf_counter()
        answer, rows = session.uid("SEARCH", "TEXT", f'"{what}"')
        if answer != "OK" or not rows[0]:
            raise Failure(f"SEARCH {what}: {answer} {rows}")
        return (time.perf_counter() - began) * 1000
    return ask


def put_letters(dovecot, user, letters):
    """Straight into the maildir; Dovecot finds them by itself."""
    name, _, domain = user.partition("@")
    folder = dovecot.directory / "mail" / domain / name
    for part in ("cur", "new", "tmp"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for number, letter in enumerate(letters):
        (folder / "cur" / f"{1_700_000_000 + number}.M{number}P1.bench:2,").write_bytes(letter)
    run("chown", "-R", "mail:mail", dovecot.directory / "mail")


def search_figures(directory):
    user = f"user0@{sides.DOMAIN}"
    letters = [raw for _, raw in corpus.load("search", LETTERS)]
    letters.append(f"From: a@load.test\r\nSubject: {LAST}\r\n\r\n{LAST}\r\n".encode())
    folder = directory / "letters"
    dovecot = Dovecot(directory / "dovecot", users={user: "secret"}, more=XAPIAN)
    with dovecot, Office(directory) as node:
        put_letters(dovecot, user, letters)
        began = time.monotonic()
        run("doveadm", "-c", dovecot.directory / "dovecot.conf", "index", "-u", user, "INBOX",
            seconds=1200)
        theirs_ms = (time.monotonic() - began) * 1000 / LETTERS
        folder.mkdir()
        send_letters(node, user, letters)
        wire = node.wire(user)
        began = time.monotonic()
        wait_for(lambda: wire.call(["Email/query", {"filter": {"text": LAST}}])[0]["ids"],
                 "the words of the last letter are there", 600, pause=0.2)
        say(f"words were there {time.monotonic() - began:.1f} s after the last letter; "
            f"Dovecot indexed in {theirs_ms:.1f} ms a letter")
        session = dovecot.connect(user, seconds=120)
        session.select("INBOX", readonly=True)
        for name, words in (("word", WORDS), ("phrase", (PHRASE,))):
            pairs = [in_turns(search_ours(wire, f'"{word}"' if name == "phrase" else word),
                              search_theirs(session, word), turns=60) for word in words]
            yield (f"search_{name}_10k", statistics.median(p[0] for p in pairs),
                   statistics.median(p[1] for p in pairs), "ms", 1)
        session.logout()


def send_letters(node, user, letters):
    for number in range(0, len(letters), 500):
        with Client(node.at(), seconds=60) as client:
            client.ehlo()
            for letter in letters[number:number + 500]:
                reply = client.transaction("x@load.test", user, letter)
                if reply.code != 250:
                    raise Failure(f"{reply}")


def deliver_figures(directory, seconds=5):
    """Into mailboxes, 10 KiB, 50 sessions; and what mailboxes cost the receiving."""
    users = {f"user{n}@{sides.DOMAIN}": "secret" for n in range(sides.USERS)}
    options = ("--sessions", 50, "--seconds", seconds, "--size", 10240, *sides.LOAD_OPTIONS)
    rates = {"dovecot": [], "with": [], "without": []}
    for _ in range(3):
        for covered in (True, False):
            with private_dir("sb-") as fresh, Office(fresh, covered) as node:
                rates["with" if covered else "without"].append(
                    load.run(node.at(), *options)["per_second"])
        with private_dir("sb-") as fresh, Dovecot(
                fresh / "dovecot", users=users, more=SDBOX.format(fresh / "dovecot")) as dovecot:
            rates["dovecot"].append(load.run((dovecot.address, dovecot.lmtp_port), "--lmtp",
                                             *options)["per_second"])
    middle = {name: statistics.median(found) for name, found in rates.items()}
    yield "deliver_10k_50", middle["with"], middle["dovecot"], "/s", 8
    yield "receive_with_mailboxes", middle["with"], middle["without"], "/s", 0.9


SDBOX = """\
mail_location = sdbox:{}/mail/%d/%n
service lmtp {{
  process_min_avail = 8
  process_limit = 100
}}
"""

GROUPS = {"jmap": mailbox_figures, "search": search_figures, "deliver": deliver_figures}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(GROUPS)} (all)")
    parser.add_argument("--dir", default="/var/tmp", help="on the disk that is measured (/var/tmp)")
    parser.add_argument("--small", action="store_true", help="a tenth of the messages: a try")
    options = parser.parse_args()
    if options.small:
        global SIZES, LETTERS
        SIZES, LETTERS = tuple(size // 10 for size in SIZES), LETTERS // 10
    n_short = 0
    try:
        os.environ["STAFFETTA_TEST_DIR"] = options.dir
        netns.enter()
        private_mounts()
        for name, figures in GROUPS.items():
            if options.names and not any(fnmatch.fnmatch(name, one) for one in options.names):
                continue
            with private_dir("sb-") as directory:
                for figure, ours, peer, unit, target in figures(directory):
                    is_rate = unit == "/s"
                    ratio = ours / peer
                    met = ratio >= target if is_rate else ratio <= target
                    n_short += not met
                    print(f"{figure} ours={ours:.3g}{unit} peer={peer:.3g}{unit} "
                          f"ratio={ratio:.3g} target={'>=' if is_rate else '<='}{target}x "
                          f"{'ok' if met else 'short'}", flush=True)
    except (Failure, OSError, imaplib.IMAP4.error) as why:
        print(f"bench: {why}", file=sys.stderr)
        return 2
    return 1 if n_short else 0


if __name__ == "__main__":
    sys.exit(main())
