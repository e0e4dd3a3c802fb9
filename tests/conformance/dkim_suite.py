#!/usr/bin/python3
"""Verify the signed messages of other projects with our verifier.

usage: dkim_suite.py PROBE DATA-FOLDER

Every message is named here with the result it must have, one for each signature. Exit 1 and a
list if any differs, or if a message is missing or not named."""
import pathlib
import subprocess
import sys
import tempfile

NOW = 1667843664  # 005 expires later, 004 was made five hours later

# What RFC 8301 took away: rsa-sha1 is `policy` wherever the corpus, which is older, says good.
# A signature without v=1 is of a draft (RFC 6376 section 3.5 demands it): `neutral`.
EXPECTED = {
    "mail-auth/001.txt": ["pass", "pass"],
    "mail-auth/002.txt": ["pass"],
    "mail-auth/003.txt": ["pass", "pass"],
    "mail-auth/004.txt": ["pass"],
    "mail-auth/005.txt": ["pass"],
    "mail-auth/006.txt": ["pass"],
    "mimekit/gmail.msg": ["pass"],
    "mimekit/multipart-no-end-boundary.msg": ["pass"],
    "mimekit/related.msg": ["pass"],
    "mimekit/rfc8463-example.msg": ["pass", "pass"],
    "mail-dkim/bad_1.txt": ["neutral"],
    "mail-dkim/bad_ietf01_1.txt": ["neutral"],
    "mail-dkim/bad_ietf01_3.txt": ["neutral"],
    "mail-dkim/badkey2_ed25519.txt": ["fail"],
    "mail-dkim/badkey4_ed25519.txt": ["fail"],  # its body was changed too: no key is asked for
    "mail-dkim/badkey_1.txt": ["neutral"],
    "mail-dkim/badkey_3.txt": ["neutral"],
    "mail-dkim/badkey_5.txt": ["neutral"],
    "mail-dkim/badkey_7.txt": ["neutral"],
    "mail-dkim/badkey_9.txt": ["policy"],
    "mail-dkim/badkey_11.txt": ["permerror"],
    "mail-dkim/badkey_13.txt": ["policy"],
    "mail-dkim/badkey_15.txt": ["policy"],
    "mail-dkim/good_83176.txt": ["policy"],
    "mail-dkim/good_ietf00_2.txt": ["neutral"],
    "mail-dkim/good_ietf00_4.txt": ["neutral"],
    "mail-dkim/good_ietf01_1.txt": ["neutral"],
    "mail-dkim/good_qp_1.txt": ["policy"],
    "mail-dkim/good_qp_3.txt": ["policy"],
    "mail-dkim/good_rfc4871_4.txt": ["policy"],
    "mail-dkim/goodkey_2.txt": ["policy"],
    "mail-dkim/goodkey_4.txt": ["policy"],
    "mail-dkim/ignore_1.txt": ["neutral"],
    "mail-dkim/ignore_3.txt": ["neutral"],
    "mail-dkim/ignore_5.txt": ["policy"],
    "mail-dkim/ignore_7.txt": ["policy"],
    "mail-dkim/mine_ietf01_1.txt": ["neutral"],
    "mail-dkim/mine_ietf01_3.txt": ["neutral"],
    "mail-dkim/mine_ietf05_1.txt": ["neutral"],
    "mail-dkim/multiple_2.txt": ["policy", "policy", "policy", "neutral"],
    "mail-dkim/no_body_2.txt": ["neutral"],
}


def crlf(raw):
    return raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def mail_auth(path):
    """Key records stand on the first lines, then an empty line, then the message."""
    keys, message = path.read_bytes().split(b"\n\n", 1)
    zone = [b" TXT ".join(line.split(b" ", 1)) for line in keys.split(b"\n")]
    return zone, crlf(message)


def fake_dns(path):
    for line in path.read_bytes().split(b"\n"):
        if not line or line.startswith(b"#"):
            continue
        name, value = line.split(None, 1)
        if value.startswith(b"~~"):
            yield name + b" TEMPFAIL"
        elif value != b"NXDOMAIN":
            yield name + b" TXT " + (b"" if value == b'""' else value)


def pem_body(path):
    lines = path.read_bytes().split(b"\n")
    return b"".join(l for l in lines if not l.startswith(b"-----"))


def load(folder, name):
    path = folder / name
    if name.startswith("mail-auth/"):
        return mail_auth(path)
    if name.startswith("mail-dkim/"):
        return list(fake_dns(folder / "mail-dkim/FAKE_DNS.dat")), crlf(path.read_bytes())
    if "rfc8463" in name:
        return mail_auth(folder / "mail-auth/001.txt")[0], crlf(path.read_bytes())
    key = b"20120113._domainkey.gmail.com TXT v=DKIM1; k=rsa; p="
    return [key + pem_body(folder / "mimekit/gmail.pub")], crlf(path.read_bytes())


def verify(probe, zone, message):
    with tempfile.NamedTemporaryFile() as z, tempfile.NamedTemporaryFile() as m:
        z.write(b"\n".join(zone) + b"\n")
        m.write(message)
        z.flush()
        m.flush()
        out = subprocess.run([probe, "dkim", z.name, str(NOW), m.name], check=True,
                             stdout=subprocess.PIPE).stdout
    return [line.split("\t") for line in out.decode("latin-1").splitlines()]


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[2])
    there = {str(p.relative_to(folder)) for p in folder.glob("*/*")
             if p.suffix in (".txt", ".msg")}
    bad = [f"{name}: in the folder or the table only" for name in there ^ EXPECTED.keys()]
    for name in sorted(there & EXPECTED.keys()):
        got = verify(sys.argv[1], *load(folder, name))
        if [g[0] for g in got] != EXPECTED[name]:
            bad.append(f"{name}: {got} instead of {EXPECTED[name]}")
    print("\n".join(bad + [f"{len(EXPECTED)} messages, {len(bad)} failed"]))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
