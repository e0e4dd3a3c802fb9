"""Real mail for tests: 1,200 letters of public mailing lists, committed as one archive.

tests/data/mail/README.md says where they come from. They hold real addresses and links: nothing may
be sent there or fetched.
"""

import lzma
import re
import tarfile

from harness.process import ROOT

ARCHIVE = ROOT / "tests" / "data" / "mail" / "easy-ham.tar.xz"

_cache = []


def letters():
    """All letters as bytes with CRLF line ends, in the order of their names."""
    if not _cache:
        with lzma.open(ARCHIVE) as packed, tarfile.open(fileobj=packed) as archive:
            for member in archive:
                if member.isfile():
                    _cache.append(crlf(archive.extractfile(member).read()))
    return list(_cache)


def crlf(raw):
    """LF, CR or CRLF as they come -> CRLF, an mbox line at the start removed."""
    raw = re.sub(rb"\AFrom [^\n]*\n", b"", raw)
    raw = re.sub(rb"\r\n|\r|\n", b"\r\n", raw)
    return raw if raw.endswith(b"\r\n") else raw + b"\r\n"


def load(run, count=None, first=0):
    """Yields (id, bytes): letters with an X-Load-Id of `run` and their number; after the last
    letter it begins again with the first, with new ids."""
    pool = letters()
    for number in range(first, first + (count if count is not None else len(pool))):
        name = f"{run}-{number}"
        yield name, b"X-Load-Id: " + name.encode() + b"\r\n" + pool[number % len(pool)]
