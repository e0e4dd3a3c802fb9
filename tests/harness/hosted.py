"""A hosted IMAP server in memory with the habits of large providers, each of them a switch.

It holds one mailbox. What it lacks, rewrites, refuses or breaks off is said in Habits; what it did
and what lies in the mailbox can be looked at from the test. Not a server for anything else.
"""

import base64
import dataclasses
import email
import random
import re
import socket
import threading
import time

CAPS = ("IMAP4rev1", "AUTH=PLAIN", "AUTH=XOAUTH2", "SASL-IR", "UIDPLUS", "MOVE", "NAMESPACE",
        "LITERAL+", "UNSELECT", "CHILDREN")
FOLDERS = ("INBOX", "Drafts", "Sent Items", "Deleted Items", "Junk Email")
SYSTEM_FLAGS = ("\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft")


@dataclasses.dataclass
class Habits:
    """What is particular. `drop`: (verb, number of its occurrence) -> "before" it is carried out,
    "after" (no answer), "late" (no answer, carried out when the test says so), "bye"; or a function
    of (verb, number) that says so."""

    caps: tuple = CAPS
    folders: tuple = FOLDERS
    special_use: dict = dataclasses.field(default_factory=dict)  # folder -> "\\Sent"
    delimiter: str = "/"
    namespace: str = '(("" "/")) NIL NIL'
    keywords: bool = False
    line_max: int = 8192
    size_max: int = 1 << 30
    status_limit: int = 0            # of STATUS (APPENDLIMIT)
    refusals: dict = dataclasses.field(default_factory=dict)  # verb -> list of answers, used up
    on_refusal: object = None        # called with the server at each of them
    rewrite: object = None           # bytes -> bytes, what FETCH and SEARCH see
    drop: object = dataclasses.field(default_factory=dict)
    slow: dict = dataclasses.field(default_factory=dict)      # verb -> seconds
    master: bool = False             # takes "user*admin"


@dataclasses.dataclass
class Message:
    uid: int
    flags: set
    date: str
    raw: bytes


class Folder:
    def __init__(self, validity):
        self.validity = validity
        self.next = 1
        self.messages = []

    def add(self, raw, flags=(), date=""):
        self.messages.append(Message(self.next, set(flags), date, raw))
        self.next += 1
        return self.next - 1


class Gone(Exception):
    """The connection ends here."""


def _parse(line, literals):
    """Words of a command; lists become lists."""
    stack = [[]]
    for found in re.finditer(rb'\(|\)|"(?:[^"\\]|\\.)*"|~?\{\d+\+?\}|[^\s()"]+(?:\[[^\]]*\](?:<[^>]*>)?)?',
                             line):
        word = found.group()
        if word == b"(":
            stack.append([])
        elif word == b")":
            inner = stack.pop()
            stack[-1].append(inner)
        elif word.startswith(b'"'):
            stack[-1].append(re.sub(rb"\\(.)", rb"\1", word[1:-1]))
        elif re.fullmatch(rb"~?\{\d+\+?\}", word):
            stack[-1].append(literals.pop(0))
        else:
            stack[-1].append(word)
    return stack[0]


class Hosted:
    """with Hosted(Habits(...)) as server: server.port, server.folders, server.log"""

    def __init__(self, habits=None, user="anna@example.test", secret="secret"):
        self.habits = habits or Habits()
        self.user, self.secret = user, secret
        self.lock = threading.RLock()
        self.folders = {name: Folder(100 + n) for n, name in enumerate(self.habits.folders)}
        self.subscribed = set()
        self.log = []           # verbs as they were carried out
        self.counts = {}        # verb -> how often it came
        self.longest = 0        # line
        self.n_connections = 0
        self.late = []          # what is still to be carried out
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.threads = []

    def __enter__(self):
        thread = threading.Thread(target=self._accept, daemon=True)
        thread.start()
        self.threads.append(thread)
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(5)

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.n_connections += 1
            thread = threading.Thread(target=Session(self, connection).serve, daemon=True)
            thread.start()
            self.threads.append(thread)

    # for tests

    def add(self, raw, folder="INBOX", flags=()):
        return self.folders[folder].add(raw, flags)

    def carry_out_late(self):
        while self.late:
            session, verb, words = self.late.pop(0)
            session.carry_out(verb, words)

    def state(self):
        with self.lock:
            return {name: [(m.uid, tuple(sorted(m.flags)), m.date, m.raw) for m in folder.messages]
                    for name, folder in self.folders.items()}

    def subjects(self):
        """folder -> subjects of those that are not marked as deleted, for folders with any."""
        with self.lock:
            found = {name: [str(email.message_from_bytes(m.raw)["Subject"])
                            for m in folder.messages if "\\Deleted" not in m.flags]
                     for name, folder in self.folders.items()}
        return {name: subjects for name, subjects in found.items() if subjects}


class Session:
    def __init__(self, server, connection):
        self.server, self.habits = server, server.habits
        self.connection = connection
        self.file = connection.makefile("rb")
        self.selected, self.is_rw, self.is_in = None, False, False

    def serve(self):
        try:
            self.send("* OK The service is ready.")
            while True:
                self.one()
        except (Gone, OSError):
            pass
        finally:
            self.file.close()
            self.connection.close()

    def send(self, *lines):
        for line in lines:
            data = line if isinstance(line, bytes) else line.encode()
            self.connection.sendall(data + b"\r\n")

    def read_command(self):
        """The line with literals in place of {n}."""
        whole, literals = b"", []
        while True:
            line = self.file.readline()
            if not line:
                raise Gone
            self.server.longest = max(self.server.longest, len(line))
            whole += line.rstrip(b"\r\n")
            found = re.search(rb"~?\{(\d+)(\+?)\}$", line.rstrip(b"\r\n"))
            if not found:
                return whole, literals
            if not found[2]:
                if int(found[1]) > self.habits.size_max:
                    return whole, literals  # it is refused before it comes
                self.send("+ Ready for literal data.")
            data = self.file.read(int(found[1]))
            if len(data) < int(found[1]):
                raise Gone
            literals.append(data)

    def one(self):
        line, literals = self.read_command()
        tag, _, rest = line.partition(b" ")
        tag = tag.decode()
        if len(line) > self.habits.line_max:
            self.send(f"{tag} BAD Command line too long.")
            return
        words = _parse(rest, literals) if literals or not rest.endswith(b"}") else rest.split()
        verb = words.pop(0).decode().upper()
        if verb == "UID":
            verb = words.pop(0).decode().upper()
        count = self.server.counts[verb] = self.server.counts.get(verb, 0) + 1
        time.sleep(self.habits.slow.get(verb, 0))
        drop = self.habits.drop
        how = drop(verb, count) if callable(drop) else drop.get((verb, count))
        if how == "bye":
            self.send("* BYE Server is shutting down.")
        if how in ("before", "bye"):
            raise Gone
        answers = self.habits.refusals.get(verb)
        if answers:
            answer = answers.pop(0)
            if self.habits.on_refusal:
                self.habits.on_refusal(self.server)
            self.send(f"{tag} {answer}")
            return
        if how == "late":
            self.server.late.append((self, verb, words))
            raise Gone
        lines = self.carry_out(verb, words)
        if how == "after":
            raise Gone
        self.send(*lines[:-1], f"{tag} {lines[-1]}")
        if verb == "LOGOUT":
            raise Gone

    def carry_out(self, verb, words):
        handler = getattr(self, "do_" + verb.lower(), None)
        if not handler:
            return ["BAD Command Error. 12"]
        if not self.is_in and verb not in ("CAPABILITY", "LOGIN", "AUTHENTICATE", "LOGOUT"):
            return ["BAD Log in first."]
        with self.server.lock:
            lines = handler(words)
            if lines[-1].startswith("OK"):
                self.server.log.append(verb)
        return lines

    # the commands; the last line is the tagged one

    def do_capability(self, _):
        return ["* CAPABILITY " + " ".join(self.habits.caps), "OK CAPABILITY completed."]

    def do_noop(self, _):
        return ["OK NOOP completed."]

    def do_logout(self, _):
        return ["* BYE Logging out.", "OK LOGOUT completed."]

    def log_in(self, user, secret):
        names = [self.server.user] + [self.server.user + "*admin"] * self.habits.master
        self.is_in = user in names and secret == self.server.secret
        return ["OK completed."] if self.is_in else ["NO AUTHENTICATE failed."]

    def log_in_by_token(self, user, token):
        """`secret` may be a harness.tokens.Tokens; who is refused hears why in a challenge."""
        good = getattr(self.server.secret, "good", {self.server.secret: self.server.user})
        self.is_in = user == self.server.user and good.get(token, "nobody") in ("", user)
        if self.is_in:
            return ["OK AUTHENTICATE completed."]
        self.send("+ " + base64.b64encode(b'{"status":"401","schemes":"bearer"}').decode())
        if self.file.readline().strip():
            raise Gone
        return ["NO AUTHENTICATE failed."]

    def do_login(self, words):
        return self.log_in(words[0].decode(), words[1].decode())

    def do_authenticate(self, words):
        if len(words) < 2:
            self.send("+ ")
            words.append(self.file.readline().strip())
        text = base64.b64decode(words[1]).decode()
        if words[0].upper() == b"XOAUTH2":
            found = re.fullmatch("user=(.*)\1auth=Bearer (.*)\1\1", text)
            return self.log_in_by_token(found[1], found[2])
        return self.log_in(*text.split("\0")[1:])

    def do_namespace(self, _):
        return ["* NAMESPACE " + self.habits.namespace, "OK NAMESPACE completed."]

    def do_list(self, words, word="LIST"):
        if words[1] != b"*":
            is_there = self.folder(words[1]) is not None
            return [f'* LIST () "/" "{words[1].decode()}"'] * is_there + ["OK LIST completed."]
        lines = []
        if len(words) > 2 and not self.habits.special_use:
            return ["BAD Command Argument Error. 11"]
        for name in self.server.folders:
            use = self.habits.special_use.get(name, "")
            lines.append(f'* {word} (\\HasNoChildren {use}) "{self.habits.delimiter}" '
                         f'"{_encode(name)}"')
        return lines + [f"OK {word} completed."]

    def do_xlist(self, words):
        return self.do_list(words, "XLIST")

    def folder(self, word):
        return self.server.folders.get(_decode(word.decode()))

    def do_create(self, words):
        name = _decode(words[0].decode())
        if name in self.server.folders:
            return ["NO Mailbox already exists."]
        self.server.folders[name] = Folder(100 + len(self.server.folders))
        return ["OK CREATE completed."]

    def do_subscribe(self, words):
        self.server.subscribed.add(_decode(words[0].decode()))
        return ["OK SUBSCRIBE completed."]

    def do_status(self, words):
        return [f'* STATUS "x" (APPENDLIMIT {self.habits.status_limit})', "OK STATUS completed."]

    def select(self, words, is_rw):
        self.selected, self.is_rw = self.folder(words[0]), is_rw
        if not self.selected:
            return ["NO does not exist."]
        flags = " ".join(SYSTEM_FLAGS)
        kept = flags + " \\*" if self.habits.keywords else flags + " $MDNSent"
        return [f"* {len(self.selected.messages)} EXISTS", "* 0 RECENT", f"* FLAGS ({flags})",
                f"* OK [PERMANENTFLAGS ({kept if is_rw else ''})] Permanent flags",
                f"* OK [UIDVALIDITY {self.selected.validity}] UIDVALIDITY value",
                f"* OK [UIDNEXT {self.selected.next}] The next unique identifier value",
                f"OK [READ-{'WRITE' if is_rw else 'ONLY'}] completed."]

    def do_select(self, words):
        return self.select(words, True)

    def do_examine(self, words):
        return self.select(words, False)

    def seen(self, message):
        return self.habits.rewrite(message.raw) if self.habits.rewrite else message.raw

    def matches(self, words, message):
        """Takes one key off the words."""
        key = words.pop(0).upper()
        if key == b"OR":
            first = self.matches(words, message)
            return self.matches(words, message) or first
        assert key == b"HEADER", key
        name, value = words.pop(0).decode(), words.pop(0).decode("latin-1")
        head = email.message_from_bytes(self.seen(message))
        return any(value.lower() in str(one).lower() for one in head.get_all(name, []))

    def do_search(self, words):
        found = [str(m.uid) for m in self.selected.messages if self.matches(list(words), m)]
        return ["* SEARCH " + " ".join(found), "OK SEARCH completed."]

    def of_set(self, word):
        wanted = set()
        for part in word.decode().split(","):
            first, _, last = part.partition(":")
            wanted |= set(range(int(first), int(last or first) + 1))
        return [m for m in self.selected.messages if m.uid in wanted]

    def do_fetch(self, words):
        lines = []
        for m in self.of_set(words[0]):
            head = self.seen(m).partition(b"\r\n\r\n")[0] + b"\r\n"
            fields = re.findall(rb"(?ims)^(?:message-id|date|from|staffetta-trace):.*?\r\n(?![ \t])",
                                head)
            data = b"".join(fields) + b"\r\n"
            number = self.selected.messages.index(m) + 1
            lines.append(b"* %d FETCH (UID %d FLAGS (%s) BODY[HEADER.FIELDS (MESSAGE-ID DATE FROM "
                         b"STAFFETTA-TRACE)] {%d}\r\n%s)" %
                         (number, m.uid, " ".join(sorted(m.flags)).encode(), len(data), data))
        return lines + ["OK FETCH completed."]

    def do_store(self, words):
        if not self.is_rw:
            return ["NO read-only"]
        for m in self.of_set(words[0]):
            flags = {flag.decode() for flag in words[2]}
            if not self.habits.keywords:
                flags &= set(SYSTEM_FLAGS)
            m.flags = m.flags | flags if words[1].startswith(b"+") else m.flags - flags
        return ["OK STORE completed."]

    def do_expunge(self, words):
        if not self.is_rw or (words and "UIDPLUS" not in self.habits.caps):
            return ["BAD Command Argument Error. 11"]
        chosen = self.of_set(words[0]) if words else self.selected.messages
        gone = [m for m in chosen if "\\Deleted" in m.flags]
        self.selected.messages = [m for m in self.selected.messages if m not in gone]
        return ["OK EXPUNGE completed."]

    def copy(self, words, is_move):
        target = self.folder(words[1])
        if target is None:
            return ["NO [TRYCREATE] The destination folder does not exist."]
        code = ""
        for m in self.of_set(words[0]):
            uid = target.add(m.raw, m.flags, m.date)
            code = f"[COPYUID {target.validity} {m.uid} {uid}] "
            if is_move:
                self.selected.messages.remove(m)
        return [f"OK {code if 'UIDPLUS' in self.habits.caps else ''}completed."]

    def do_copy(self, words):
        return self.copy(words, False)

    def do_move(self, words):
        if "MOVE" not in self.habits.caps:
            return ["BAD Command Error. 12"]
        return self.copy(words, True)

    def do_append(self, words):
        target, raw = self.folder(words[0]), words[-1]
        if isinstance(raw, bytes) and re.fullmatch(rb"\{\d+\}", raw):
            return ["NO Message exceeds the maximum size."]
        if target is None:
            return ["NO [TRYCREATE] The destination folder does not exist."]
        if len(raw) > self.habits.size_max:
            return ["NO Message exceeds the maximum size."]
        flags = next((word for word in words[1:-1] if isinstance(word, list)), [])
        date = next((word for word in words[1:-1] if isinstance(word, bytes)), b"")
        uid = target.add(raw, [flag.decode() for flag in flags], date.decode())
        code = f"[APPENDUID {target.validity} {uid}] " if "UIDPLUS" in self.habits.caps else ""
        return [f"OK {code}APPEND completed."]


def _encode(name):
    """Modified UTF-7."""
    def shifted(found):
        coded = base64.b64encode(found.group().encode("utf-16-be")).rstrip(b"=").decode()
        return "&" + coded.replace("/", ",") + "-"
    return re.sub(r"[^\x20-\x7e]+", shifted, name.replace("&", "&-"))


def _decode(name):
    def plain(found):
        if not found[1]:
            return "&"
        coded = found[1].replace(",", "/")
        return base64.b64decode(coded + "=" * (-len(coded) % 4)).decode("utf-16-be")
    return re.sub(r"&([^-]*)-", plain, name)


def at_random(seed, share):
    """A `drop` that breaks off a share of all commands, this way or that."""
    chance = random.Random(seed)
    return lambda verb, _: (chance.choice(("before", "after", "after", "bye"))
                            if verb != "LOGOUT" and chance.random() < share else None)
