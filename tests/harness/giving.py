"""The liaison's way of giving changes back by IMAP, driven without the rest of the program."""

import dataclasses
import email
import email.utils
import re
from pathlib import Path

from harness.process import build_dir, run


def message(name, *, sender="anna@example.test", when=1763627415, trace="", body=b"Hello\r\n",
            more=b""):
    """A small message with CRLF line ends."""
    head = (f"From: Anna <{sender}>\r\nTo: bob@example.test\r\nSubject: {name}\r\n"
            f"Date: {email.utils.formatdate(when)}\r\nMessage-ID: <{name}@example.test>\r\n")
    if trace:
        head += f"Staffetta-Trace: v=1; t=acme;\r\n\ti={trace}; d=20261120;\r\n\ts=YWJj\r\n"
    return head.encode() + more + b"\r\n" + body


class Op:
    """One message to append or to change; what it is known by is read from `raw`."""

    def __init__(self, what, raw, **more):
        self.what = what
        self.raw = raw
        self.more = more

    def arguments(self, directory, number):
        head = email.message_from_bytes(self.raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        known = {"message_id": head["Message-ID"] or "",
                 "sender": email.utils.parseaddr(head["From"])[1]}
        if head["Date"]:
            date = email.utils.parsedate_to_datetime(head["Date"])
            known["date"] = int(date.timestamp()) * 1000
        if self.what == "append":
            path = Path(directory) / f"op{number}.eml"
            path.write_bytes(self.raw)
            known["file"] = path
        return [f"op={self.what}", *(f"{key}={value}" for key, value in (known | self.more).items())]


@dataclasses.dataclass
class Row:
    result: str
    uid: int
    folder: str
    text: str


class Rows(list):
    """Results, one an op; `facts`: what was told about the whole."""

    facts = None


def give(directory, at, ops):
    """Does all ops in one conversation."""
    words = [word for number, op in enumerate(ops) for word in op.arguments(directory, number)]
    answer = run(build_dir() / "tests" / "conformance" / "mailbox_probe", "do",
                 *(f"{name}={value}" for name, value in at.items()), *words)
    rows = Rows()
    rows.facts = {}
    for line in answer.splitlines():
        name, _, rest = line.partition(" ")
        if name != "op":
            rows.facts[name] = rest
            continue
        found = re.fullmatch(r"(\S+) (\d+) ([^\t]*)\t(.*)", rest)
        rows.append(Row(found[1], int(found[2]), found[3], found[4]))
    return rows
