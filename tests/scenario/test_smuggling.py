"""SMTP smuggling: end of data is CRLF.CRLF and nothing else.

Each way to write an almost-end-of-data, with a second message behind it, is sent to Staffetta in
front of a real Postfix that takes such things for an end (as all did before December 2023), and
through Postfix outwards. Nowhere does one message become two, and no bare CR, LF or NUL goes on."""

import re

import pytest

from harness.certs import Authority
from harness.peers import Postfix, Sink
from harness.process import wait_for
from harness.sender import Client, send
from story import ALICE, STRANGER, at, letter, settled

pytestmark = pytest.mark.usefixtures("network")

ENDS = {
    "lf-dot-lf": b"\n.\n", "lf-dot-crlf": b"\n.\r\n", "crlf-dot-lf": b"\r\n.\n",
    "cr-dot-cr": b"\r.\r", "cr-dot-crlf": b"\r.\r\n", "crlf-dot-cr": b"\r\n.\r",
    "lf-dot-cr": b"\n.\r", "cr-dot-lf": b"\r.\n", "crlf-nul-dot-crlf": b"\r\n\0.\r\n",
    "crlf-dot-nul-crlf": b"\r\n.\0\r\n",
    "crlf-dot-crcrlf": b"\r\n.\r\r\n", "lfcr-dot-lfcr": b"\n\r.\n\r",
}
HONEST = {"dot-space": b"\r\n. \r\n", "dotdot": b"\r\n..\r\n", "nel": b"\xc2\x85.\xc2\x85",
          "vt": b"\x0b.\x0b", "utf8-ls": b"\xe2\x80\xa8.\xe2\x80\xa8"}
SECOND = ("MAIL FROM:<boss@example.test>\r\nRCPT TO:<" + ALICE + ">\r\nDATA\r\n"
          "Subject: smuggled\r\nX-Load-Id: smuggled\r\n\r\npay at once\r\n.\r\nQUIT\r\n").encode()


@pytest.fixture(scope="module")
def gullible(shared_stage):
    """A Postfix that takes LF.LF for the end, behind a node; its own next hop keeps everything."""
    final = shared_stage.sink("--store", shared_stage.directory)
    relay = shared_stage.start(Postfix, relayhost=final.at, settings={
        "relay_domains": "example.test", "smtpd_forbid_bare_newline": "no"})
    return shared_stage.company(relay), final


@pytest.fixture(scope="module")
def outward(shared_stage):
    """The same Postfix as a primary that sends to the world through a node."""
    home = "127.0.0.9"
    world = shared_stage.start(Sink, "--store", shared_stage.directory, address="127.0.0.21",
                               port=25)
    node = shared_stage.company(shared_stage.sink(), networks=(f"{home}/32",))
    host, port = node.at()
    primary = shared_stage.start(Postfix, relayhost=f"{host}:{port}", settings={
        "smtpd_forbid_bare_newline": "no", "smtp_bind_address": home,
        "resolve_numeric_domain": "yes"})
    return primary, world


def try_to_smuggle(where, name, end, sender=STRANGER, to=ALICE):
    """Replies to what may have become two messages."""
    with Client(where, seconds=5) as client:
        client.ehlo()
        client.mail(sender)
        client.rcpt(to)
        first = letter(name, "first", sender=sender).rstrip()
        assert client.data_raw(first + end + SECOND).code == 354
        replies = [client.reply()]
        while replies[-1].code != 221:
            replies.append(client.reply())
        return replies[:-1]


@pytest.mark.parametrize("end", ENDS)
def test_inward(gullible, end):
    """The bytes up to the true end are one message with bare line ends: refused, and the session goes
    on with what follows the true end only."""
    node, final = gullible
    replies = try_to_smuggle(node.at(), f"in-{end}", ENDS[end])
    assert len(replies) == 1 and replies[0].code == 550 and replies[0].enhanced == "5.6.11", \
        [str(reply) for reply in replies]
    assert "smuggled" not in final.ids() and f"in-{end}" not in final.ids()


@pytest.mark.parametrize("end", HONEST)
def test_what_only_looks_like_it_is_content(gullible, end):
    node, final = gullible
    replies = try_to_smuggle(node.at(), f"honest-{end}", HONEST[end])
    assert [reply.code for reply in replies] == [250]
    wait_for(lambda: f"honest-{end}" in final.ids(), "one message")
    assert "smuggled" not in final.ids()
    row = next(r for r in final.records() if r["id"] == f"honest-{end}")
    assert b"pay at once" in (final.directory.parent / row["file"]).read_bytes()


@pytest.mark.parametrize("raw", [b"a\nb", b"a\rb", b"a\0b", b"a\r", b"a\n"],
                         ids=["lf", "cr", "nul", "cr-at-end", "lf-at-end"])
def test_by_bdat_too(gullible, raw):
    """BDAT has no end-of-data, but what it brings would go on by DATA."""
    node, final = gullible
    with Client(node.at()) as client:
        client.ehlo()
        client.mail(STRANGER)
        client.rcpt(ALICE)
        replies = client.bdat(letter("bdat")[:-2] + raw)
        assert replies[-1].code == 550 and replies[-1].enhanced == "5.6.11"
        assert client.transaction(STRANGER, ALICE, letter(f"after-{len(raw)}-{raw[1]}")).code == 250
    wait_for(lambda: f"after-{len(raw)}-{raw[1]}" in final.ids(), "the session goes on")
    assert "bdat" not in final.ids()


def test_commands_with_bare_line_ends_are_refused(gullible):
    node, _ = gullible
    for raw in (b"NOOP\n", b"NO\rOP\r\n", b"NOOP\0\r\n"):
        with Client(node.at()) as client:
            client.ehlo()
            client.send(raw)
            if raw.endswith(b"\r\n"):
                assert client.reply().code == 501
            else:
                client.send(b"NOOP\r\n")
                assert client.reply().code in (500, 501)


def test_commands_behind_starttls_are_not_read(stage, directory):
    """The injection of 2011: bytes sent in the clear together with STARTTLS."""
    pair = Authority(directory / "ca").issue("mx1.staffetta.example")
    node = stage.node(tls=pair)
    with Client(node.at()) as client:
        client.ehlo()
        client.send(b"STARTTLS\r\nNOOP\r\nMAIL FROM:<x@y.test>\r\n")
        assert client.reply().code in (220, 501)
        assert not client.has_reply(0.3) or client.is_closed()


@pytest.mark.parametrize("end", ENDS)
def test_outward(outward, end):
    """A Postfix as the primary passes on what it was given. Whatever of it reaches us, nothing is
    smuggled out of it, and nothing with bare line ends goes on."""
    primary, world = outward
    name = f"out-{end}"
    replies = try_to_smuggle(at(primary), name, ENDS[end], sender=ALICE, to="friend@[127.0.0.21]")
    assert replies[0].code == 250
    assert send(at(primary), ALICE, "friend@[127.0.0.21]",
                letter(f"behind-{end}", sender=ALICE)).code == 250
    wait_for(lambda: f"behind-{end}" in world.ids(), "the next one")
    for row in world.records():
        raw = (world.directory.parent / row["file"]).read_bytes()
        assert not re.search(rb"\r(?!\n)|(?<!\r)\n|\0", raw)
    if "smuggled" in world.ids():
        # Then Postfix itself made two of it, before us: as two they came, with two of its ids.
        assert len(replies) > 1


def test_nothing_was_smuggled_in_all_this(gullible):
    node, final = gullible
    settled(node)
    ids = final.ids()
    assert len(ids) == len(set(ids)) and "smuggled" not in ids
