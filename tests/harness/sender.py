"""An SMTP client with exact control of every byte, and a sender that counts.

For scenario and crash tests; smtp_load (see load.py) is the one for speed.
"""

import dataclasses
import socket
import ssl
import time
from base64 import b64encode


class Lost(Exception):
    """The connection ended, or no reply came in time."""


@dataclasses.dataclass
class Reply:
    """A whole reply; `lines` without the codes."""

    code: int
    lines: list

    @property
    def text(self):
        return "\n".join(self.lines)

    @property
    def enhanced(self):
        """"5.1.1", or "" when there is none."""
        word = self.lines[-1].split(" ")[0] if self.lines[-1] else ""
        return word if word.count(".") == 2 and word.replace(".", "").isdigit() else ""

    @property
    def is_ok(self):
        return 200 <= self.code < 300

    def __str__(self):
        return f"{self.code} {self.text}"


def stuffed(raw):
    """Bytes with CRLF -> the same as DATA carries them, final dot included."""
    if raw.startswith(b"."):
        raw = b"." + raw
    raw = raw.replace(b"\r\n.", b"\r\n..")
    return raw + (b"" if raw.endswith(b"\r\n") or not raw else b"\r\n") + b".\r\n"


class Client:
    """One connection. Methods named after verbs send one command and return its Reply.

    `at`: (address, port) or the path of a Unix socket. `source`: the address to come from.
    """

    def __init__(self, at, *, source=None, seconds=20, tls=False, authority=None):
        self.seconds = seconds
        self.authority = authority
        self.offers = {}
        self.sent = b""  # all bytes sent so far, for failure messages
        self._in = b""
        try:
            if isinstance(at, str):
                self.socket = socket.socket(socket.AF_UNIX)
                self.socket.settimeout(seconds)
                self.socket.connect(at)
            else:
                self.socket = socket.create_connection(
                    at, timeout=seconds, source_address=(source, 0) if source else None)
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as why:
            raise Lost(f"connect: {why}") from why
        if tls:
            self._wrap()
        self.banner = self.reply()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # bytes

    def send(self, raw):
        self.sent += raw[:200]
        try:
            self.socket.sendall(raw)
        except OSError as why:
            raise Lost(f"send: {why}") from why

    def send_split(self, raw, sizes=(1,), pause=0):
        """Sends in pieces of these sizes in turn, each in a segment of its own."""
        at = turn = 0
        while at < len(raw):
            size = sizes[turn % len(sizes)]
            self.send(raw[at:at + size])
            at, turn = at + size, turn + 1
            if pause:
                time.sleep(pause)

    def line(self):
        while b"\n" not in self._in:
            try:
                more = self.socket.recv(65536)
            except OSError as why:
                raise Lost(f"receive: {why}") from why
            if not more:
                raise Lost("the server hung up")
            self._in += more
        line, _, self._in = self._in.partition(b"\n")
        return line.rstrip(b"\r").decode("utf-8", "surrogateescape")

    def reply(self):
        lines = []
        while True:
            line = self.line()
            if len(line) < 3 or not line[:3].isdigit():
                raise Lost(f"not a reply: {line!r}")
            lines.append(line[4:])
            if line[3:4] != "-":
                return Reply(int(line[:3]), lines)

    def has_reply(self, seconds=0.2):
        """True when bytes have come that nobody has read yet."""
        if self._in:
            return True
        self.socket.settimeout(seconds)
        try:
            self._in += self.socket.recv(65536)
        except (TimeoutError, ssl.SSLWantReadError):
            return False
        finally:
            self.socket.settimeout(self.seconds)
        return bool(self._in)

    def is_closed(self, seconds=5):
        """True when the server hangs up within that time; what it says before is thrown away."""
        self.socket.settimeout(seconds)
        try:
            while self.socket.recv(65536):
                pass
            return True
        except TimeoutError:
            return False
        except OSError:
            return True
        finally:
            self.socket.settimeout(self.seconds)

    def abort(self):
        """Ends the connection with a reset, as a dying machine does not, but a firewall does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def close(self):
        self.socket.close()

    # verbs

    def command(self, line):
        self.send(line.encode("utf-8", "surrogateescape") + b"\r\n")
        return self.reply()

    def pipeline(self, *lines):
        """All lines in one segment; the replies in order."""
        self.send("".join(f"{line}\r\n" for line in lines).encode("utf-8", "surrogateescape"))
        return [self.reply() for _ in lines]

    def ehlo(self, name="client.test", verb="EHLO"):
        reply = self.command(f"{verb} {name}")
        self.offers = {}
        for line in reply.lines[1:] if reply.is_ok else []:
            word, _, rest = line.partition(" ")
            self.offers[word.upper()] = rest
        return reply

    def helo(self, name="client.test"):
        return self.command(f"HELO {name}")

    def _wrap(self):
        if self.authority:
            context = ssl.create_default_context(cafile=str(self.authority))
        else:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        try:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        except OSError as why:
            raise Lost(f"TLS: {why}") from why

    def starttls(self):
        reply = self.command("STARTTLS")
        if reply.code == 220:
            self._wrap()
            self.offers = {}
        return reply

    def auth_plain(self, user, password, identity=""):
        secret = b64encode(f"{identity}\0{user}\0{password}".encode()).decode()
        return self.command(f"AUTH PLAIN {secret}")

    def xclient(self, **attributes):
        words = " ".join(f"{key.upper()}={value}" for key, value in attributes.items())
        return self.command(f"XCLIENT {words}")

    def mail(self, sender, parameters=""):
        return self.command(f"MAIL FROM:<{sender}> {parameters}".rstrip())

    def rcpt(self, recipient, parameters=""):
        return self.command(f"RCPT TO:<{recipient}> {parameters}".rstrip())

    def data(self, raw, sizes=None):
        """DATA and the message (bytes with CRLF), dots stuffed; the reply to the message, or to
        DATA when that is not 354. `sizes` splits as send_split does."""
        reply = self.command("DATA")
        if reply.code != 354:
            return reply
        body = stuffed(raw)
        if sizes:
            self.send_split(body, sizes)
        else:
            self.send(body)
        return self.reply()

    def data_raw(self, raw):
        """DATA, then exactly these bytes; no reply is read after them."""
        reply = self.command("DATA")
        if reply.code == 354:
            self.send(raw)
        return reply

    def bdat(self, raw, sizes=None):
        """BDAT chunks of these sizes in turn, the last marked; all replies."""
        replies, at, turn = [], 0, 0
        sizes = sizes or (max(len(raw), 1),)
        while True:
            chunk = raw[at:at + sizes[turn % len(sizes)]]
            at, turn = at + len(chunk), turn + 1
            last = " LAST" if at >= len(raw) else ""
            self.send(f"BDAT {len(chunk)}{last}\r\n".encode() + chunk)
            replies.append(self.reply())
            if last or not replies[-1].is_ok:
                return replies

    def rset(self):
        return self.command("RSET")

    def noop(self):
        return self.command("NOOP")

    def quit(self):
        reply = self.command("QUIT")
        self.close()
        return reply

    def transaction(self, sender, recipients, raw):
        """MAIL, RCPTs, DATA; the first refusal of MAIL or of the last open recipient, or the final
        reply."""
        if isinstance(recipients, str):
            recipients = [recipients]
        reply = self.mail(sender)
        if not reply.is_ok:
            return reply
        taken = 0
        for recipient in recipients:
            reply = self.rcpt(recipient)
            taken += reply.is_ok
        if not taken:
            self.rset()
            return reply
        reply = self.data(raw)
        if not reply.is_ok:
            self.rset()
        return reply


def send(at, sender, recipients, raw, **options):
    """One message over a connection of its own; the deciding Reply. Lost when there was none."""
    with Client(at, **options) as client:
        if not client.banner.is_ok:
            return client.banner
        client.ehlo()
        reply = client.transaction(sender, recipients, raw)
        if reply.code != 421:
            client.quit()
        return reply


class Counting:
    """Sends messages and remembers what was said about each id: "accepted", "refused" (with the
    code in `codes`) or "unknown" when the connection was lost after the message began.

    The rule of all crash tests: accepted ids are found later, each of them; unknown ones may be.
    """

    def __init__(self, at, sender="sender@load.test", seconds=20):
        self.at = at
        self.sender = sender
        self.seconds = seconds
        self.results = {}
        self.codes = {}
        self._client = None

    def _session(self):
        if self._client is None:
            client = Client(self.at, seconds=self.seconds)
            if not client.banner.is_ok:
                client.close()
                raise Lost(f"banner: {client.banner}")
            client.ehlo()
            self._client = client
        return self._client

    def close(self):
        if self._client:
            self._client.close()
        self._client = None

    def send(self, name, recipients, raw, tries=50, rest=0.1):
        """Reconnects while the server is away; returns the word for this id."""
        for _ in range(tries):
            begun = False
            try:
                client = self._session()
                begun = True
                reply = client.transaction(self.sender, recipients, raw)
            except Lost:
                self.close()
                if begun:
                    self.results[name] = "unknown"
                    return "unknown"
                time.sleep(rest)
                continue
            self.codes[name] = reply.code
            self.results[name] = "accepted" if reply.is_ok else "refused"
            if reply.code == 421:
                self.close()
            return self.results[name]
        raise Lost(f"{self.at} stayed away for {tries} tries")

    def ids(self, word="accepted"):
        return {name for name, result in self.results.items() if result == word}
