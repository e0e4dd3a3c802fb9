#!/usr/bin/python3
"""Let python3-dkim judge what people send, as the courier is given it.

usage: sending_judge.py PROBE

Each message carries two signatures of the author's domain, RSA and Ed25519, and both verify, also
after other systems have put their lines before it; a changed body or subject does not. Exit 1 and a
list if there is any difference."""
import pathlib
import re
import subprocess
import sys
import tempfile

import dkim

HEAD = (b"From: Anna <anna@example.test>\r\nTo: one@world.test\r\nSubject: hello\r\n"
        b"Message-ID: <%d@example.test>\r\nDate: Sun, 22 Nov 2026 05:00:00 +0000\r\n")
MESSAGES = [
    HEAD % 1 + b"\r\nhello\r\n",
    HEAD % 2 + b"\r\n",
    HEAD % 3 + b"In-Reply-To: <a@world.test>\r\nReferences: <b@world.test>\r\n <a@world.test>\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n\r\nciao, perch\xc3\xa9 no  \r\n\r\n.\r\n\r\n\r\n",
    HEAD % 4 + b"Reply-To: info@example.test\r\nX-Long: " + b"x" * 900 + b"\r\n\r\n"
    + b"line of text \t\r\n" * 5000,
]


def verifies(message, records, selector):
    """Only the signature with this selector counts."""
    signatures = dkim.DKIM(message)

    def answer(name, timeout=5):
        return records.get(name.decode().rstrip("."))

    found = [i for i, (name, value) in enumerate(
        (h for h in signatures.headers if h[0].lower() == b"dkim-signature"))
        if re.search(rb"\bs=" + selector.encode() + rb"\s*;", value)]
    assert len(found) == 1, f"{len(found)} signatures with {selector}"
    try:
        return signatures.verify(idx=found[0], dnsfunc=answer)
    except dkim.DKIMException:
        return False


def judge(original, sent, records):
    for selector in ("sf1r", "sf1e"):
        if not sent.endswith(original):
            yield "it is not what was written"
        if not verifies(sent, records, selector):
            yield f"{selector} does not verify"
        later = b"Received: from a by b; Sun, 22 Nov 2026 06:00:00 +0000\r\nX-New: y\r\n" + sent
        if not verifies(later, records, selector):
            yield f"{selector} does not verify behind another system"
        for what, changed in (("body", sent + b"more\r\n"),
                              ("subject", sent.replace(b"Subject: hello", b"Subject: other")),
                              ("second author", b"From: x@y.test\r\n" + sent)):
            if verifies(changed, records, selector):
                yield f"{selector} verifies with a changed {what}"


def main(probe):
    bad = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        paths = []
        for i, message in enumerate(MESSAGES):
            paths.append(folder / f"message{i}")
            paths[-1].write_bytes(message)
        subprocess.run([probe, folder, *paths], check=True)
        records = {f"{key}._domainkey.example.test": (folder / key).read_bytes()
                   for key in ("sf1r", "sf1e")}
        for i, message in enumerate(MESSAGES):
            sent = (folder / str(i)).read_bytes()
            bad += [f"message {i}: {why}" for why in judge(message, sent, records)]
    print("\n".join(bad) or f"{len(MESSAGES)} messages, both signatures of each: fine")
    return 1 if bad else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
