#!/usr/bin/python3
"""Let python3-dkim judge our signer, and argue with our verifier.

usage: dkim_judge.py PROBE

1. What we sign verifies with python3-dkim and with us.
2. What python3-dkim signs, in every canonical form, verifies with us.
3. After a small change to such a message both say the same.
The random numbers have a fixed seed. Exit 1 and a list if there is any difference."""
import base64
import random
import subprocess
import sys
import tempfile
import time

import dkim

NOW = int(time.time())  # the judge signs with its own clock
N_MESSAGES = 60
BLANKS = [b" ", b"  ", b"\t", b" \t ", b"\r\n ", b"\r\n\t", b" \r\n  "]
WORDS = [b"hello", b"x", b"a.b@example.com", b"=?utf-8?q?=C3=A9?=", b"\xc3\xa9", b"<1@x>", b":", b";"]
NAMES = [b"To", b"Subject", b"subject", b"Date", b"Cc", b"X-Odd", b"Received", b"List-Id", b"CC"]


def openssl(*args, stdin=None):
    return subprocess.run(["openssl", *args], input=stdin, check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout


def probe(program, *args):
    return subprocess.run([program, *args], check=True, stdout=subprocess.PIPE).stdout


def words(rng, n):
    out = rng.choice([b" ", b"", b"\t"])
    for _ in range(n):
        out += rng.choice(WORDS) + rng.choice(BLANKS)
    return out.rstrip() + rng.choice([b"", b" ", b"\t "])


def make_message(rng):
    fields = [b"From:" + words(rng, 1)]
    for _ in range(rng.randrange(8)):
        fields.append(rng.choice(NAMES) + b":" + words(rng, rng.randrange(1, 5)))
    rng.shuffle(fields)
    lines = [rng.choice([b"", b" ", b"\t", b"text", b" a  b\t", b"end "])
             for _ in range(rng.randrange(8))]
    # A last line of blanks only and without an end cannot come by SMTP; there the judge differs.
    body = b"".join(l + b"\r\n" for l in lines) + rng.choice([b"", b"", b"no line end"])
    return b"\r\n".join(fields) + b"\r\n\r\n" + body


def change(rng, message):
    """One small change that leaves a message a message."""
    header, body = message.split(b"\r\n\r\n", 1)
    kind = rng.randrange(6)
    if kind == 0:
        return message + rng.choice([b"\r\n", b"x", b"more\r\n", b" \r\n\r\n"])
    if kind == 1 and body:
        at = rng.randrange(len(body))
        return header + b"\r\n\r\n" + body[:at] + rng.choice([b" ", b"x", b"\t"]) + body[at:]
    if kind == 2:
        return rng.choice([b"Subject: added\r\n", b"X-New: y\r\n", b"From: other@x\r\n"]) + message
    if kind == 3:
        return header.replace(b" ", b"  ") + b"\r\n\r\n" + body
    if kind == 4:
        return message.replace(b"Subject:", b"SUBJECT:").replace(b"hello", b"Hello")
    return header.replace(b"X-Odd", b"X-Even") + b"\r\n\r\n" + body.rstrip(b"\r\n") + b"\r\n"


class Arguing:
    def __init__(self, program):
        self.program = program
        self.zone = {}
        self.bad = []

    def ours(self, message):
        with tempfile.NamedTemporaryFile() as z, tempfile.NamedTemporaryFile() as m:
            for name, record in self.zone.items():
                z.write(name + b" TXT " + record + b"\n")
            m.write(message)
            z.flush()
            m.flush()
            out = probe(self.program, "dkim", z.name, str(NOW), m.name)
        return out.startswith(b"pass\t")

    def theirs(self, message):
        try:
            return bool(dkim.verify(message, dnsfunc=self.ask))
        except Exception:  # a message it cannot read is one it does not accept
            return False

    def ask(self, name, timeout=5):
        return self.zone.get((name if isinstance(name, bytes) else name.encode()).rstrip(b"."))

    def expect(self, what, ours, theirs, message):
        if ours != theirs:
            self.bad.append(f"{what}: we say {ours}, the judge says {theirs}\n{message!r}")


def check_our_signatures(arguing, rng, kind):
    for i in range(10):
        with tempfile.NamedTemporaryFile() as f:
            f.write(make_message(rng))
            f.flush()
            out = probe(arguing.program, "sign", kind, "example.com", "s1", str(NOW), f.name)
        record, signed = out.split(b"\n", 1)
        arguing.zone[b"s1._domainkey.example.com"] = record
        arguing.expect(f"our {kind} signature {i}, judged", True, arguing.theirs(signed), signed)
        arguing.expect(f"our {kind} signature {i}, by us", arguing.ours(signed), True, signed)
        added = b"Subject: added\r\n" + signed
        arguing.expect("a subject added", arguing.ours(added), False, added)


def check_their_signatures(arguing, rng):
    pem = openssl("genrsa", "-traditional", "1024")
    der = openssl("rsa", "-pubout", "-outform", "DER", stdin=pem)
    arguing.zone[b"s2._domainkey.example.com"] = b"v=DKIM1; p=" + base64.b64encode(der)
    n_agreed = [0, 0]
    for i in range(N_MESSAGES):
        message = make_message(rng)
        canon = tuple(rng.choice([b"relaxed", b"simple"]) for _ in range(2))
        names = [n for n in NAMES if n != b"Received" and rng.randrange(2)] + [b"From"]
        header = dkim.sign(message, b"s2", b"example.com", pem, canonicalize=canon,
                           include_headers=names, length=rng.randrange(3) == 0)
        signed = header + message
        arguing.expect(f"their signature {i} {canon}", arguing.ours(signed), True, signed)
        changed = change(rng, signed)
        verdict = arguing.theirs(changed)
        n_agreed[verdict] += 1
        arguing.expect(f"changed {i} {canon}", arguing.ours(changed), verdict, changed)
    if min(n_agreed) < 5:
        arguing.bad.append(f"the changes are too one-sided to tell anything: {n_agreed}")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    rng = random.Random(6376)
    arguing = Arguing(sys.argv[1])
    check_our_signatures(arguing, rng, "rsa")
    check_our_signatures(arguing, rng, "ed25519")
    check_their_signatures(arguing, rng)
    print("\n".join(arguing.bad + [f"{len(arguing.bad)} differences"]))
    sys.exit(1 if arguing.bad else 0)


if __name__ == "__main__":
    main()
