"""Reads the index of a stopped node directly: the ledger as it is on the disk, without the program
that wrote it (docs/disk-format.md, "Index tables", and src/store/record.def)."""

import dataclasses
import sqlite3
import struct
import subprocess
from pathlib import Path

DISPOSITIONS = ["", "waiting", "delivered", "held", "returned", "removed", "merged", "refused"]


class Packed:
    """A reader of what the PACK_ macros write."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def number(self, form):
        value, = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return value

    def text(self):
        n = self.number("I")
        self.at += n
        return self.data[self.at - n:self.at].decode("latin-1")


@dataclasses.dataclass
class Rcpt:
    """A ledger row; `why`: its last reply or reason. `n_open_ends`: attempts that may have arrived
    although nobody saw an answer."""

    address: str
    disposition: str
    is_double: bool
    why: str
    n_open_ends: int = 0


@dataclasses.dataclass
class Message:
    """A message; `name` is the sender's id, from the subject "load ID"."""

    id: int
    name: str
    n_accepted: int
    n_holders: int
    is_kept: bool
    is_unanswered: bool
    rcpts: list


@dataclasses.dataclass
class Books:
    messages: dict
    events: list  # (name, subject, text)
    n_aside: int


def _result(last):
    """(is_double, reply or reason in words) of a packed record_result; none yet: (False, "")."""
    if last is None:
        return False, ""
    packed = Packed(last)
    packed.number("Q"), packed.number("H"), packed.number("q"), packed.number("B")
    packed.number("B")
    is_double = bool(packed.number("B"))
    packed.number("I"), packed.number("q")
    code = packed.number("H")
    packed.text()
    return is_double, f"{code} {packed.text()} ({packed.text()})"


def _event(facts):
    packed = Packed(facts)
    packed.number("q"), packed.number("Q"), packed.number("B")
    return packed.text(), packed.text(), packed.text()


def _add_open_ends(db, rows):
    """An attempt without a result, and one whose result says that it may have arrived."""
    for message, rcpt, last in db.execute("SELECT message, rcpt, last FROM history"):
        if last is None or _result(last)[0]:
            rows[message, rcpt].n_open_ends += 1
    for message, rcpt, last in db.execute("SELECT message, rcpt, last FROM ledger"
                                          " WHERE last IS NOT NULL AND is_double"):
        if _result(last)[0]:
            rows[message, rcpt].n_open_ends += 1


def _check_doubles(db, rows):
    """The list of possible doubles and the rows' own marks are the same."""
    listed = set(db.execute("SELECT message, rcpt FROM double"))
    marked = {key for key, row in rows.items() if row.is_double}
    assert listed == marked, f"the list of doubles and the marks differ: {listed ^ marked}"


def open_index(data):
    return sqlite3.connect(f"file:{Path(data) / 'index' / 'index.db'}?mode=ro", uri=True)


def read(data):
    """Everything of a store whose node has stopped."""
    db = open_index(data)
    names = {message: Packed(facts).text().removeprefix("load ")
             for message, facts in db.execute("SELECT message, facts FROM fields")}
    unanswered = {row[0] for row in db.execute("SELECT message FROM unanswered")}
    messages = {}
    for row in db.execute("SELECT id, n_accepted, n_holders, is_kept FROM message"):
        messages[row[0]] = Message(row[0], names.get(row[0], "?"), row[1], row[2], bool(row[3]),
                                   row[0] in unanswered, [])
    rows = {}
    for message, number, disposition, is_double, facts, last in db.execute(
            "SELECT message, rcpt, disposition, is_double, facts, last FROM ledger"
            " ORDER BY message, rcpt"):
        rcpt = Rcpt(Packed(facts).text(), DISPOSITIONS[disposition], bool(is_double),
                    _result(last)[1])
        rows[message, number] = rcpt
        messages[message].rcpts.append(rcpt)
    _add_open_ends(db, rows)
    _check_doubles(db, rows)
    events = [_event(facts) for facts, in db.execute("SELECT facts FROM event ORDER BY number")]
    n_aside, = db.execute("SELECT count(*) FROM aside").fetchone()
    db.close()
    return Books(messages, events, n_aside)


def dump(data):
    """All tables, row by row, as comparable text; those that only say where the program is in its
    work (`meta`) last."""
    db = open_index(data)
    tables = [name for name, in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'"
                                           " ORDER BY name")]
    rows = {}
    for table in tables:
        rows[table] = sorted(map(repr, db.execute(f"SELECT * FROM {table}")))
    db.close()
    return rows


def tool(program, verb, data, seconds=120):
    """`staffetta store VERB DIR`: (exit code, what it said)."""
    done = subprocess.run([str(program), "store", verb, str(data)], capture_output=True, text=True,
                          timeout=seconds, check=False)
    return done.returncode, done.stdout + done.stderr
