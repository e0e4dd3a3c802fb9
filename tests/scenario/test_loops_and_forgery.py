"""Loops and forgery.

Mail that goes round is stopped after a few turns. What came from a primary is never offered to it
again. And headers that pretend to be ours do not survive: nobody can make Staffetta, or those who
trust it, believe that it has been here or was checked."""

import re
import socket

import pytest

from harness.process import wait_for
from harness.sender import Client, send
from story import ALICE, BOB, STRANGER, letter, settled

pytestmark = pytest.mark.usefixtures("network")

HOME = "127.0.0.9"


@pytest.fixture
def stored(stage, directory):
    """A node and what its primary got, as bytes by name."""
    (directory / "kept").mkdir()
    node, sink = stage.before("--store", directory / "kept", networks=(f"{HOME}/32",))

    def raw(name):
        wait_for(lambda: name in sink.ids(), f"{name} at the primary")
        row = next(r for r in sink.records() if r["id"] == name)
        return (directory / "kept" / row["file"]).read_bytes()

    return node, sink, raw


def traces(raw):
    return re.findall(rb"(?mi)^Staffetta-Trace:[^\r\n]*(?:\r\n[ \t][^\r\n]*)*", raw.partition(b"\r\n\r\n")[0])


def test_primary_that_sends_back_what_it_got_is_refused(stored):
    """A forwarding rule at the primary leads back to Staffetta: same people, same primary."""
    node, sink, raw = stored
    assert send(node.at(), STRANGER, ALICE, letter("ring")).code == 250
    got = raw("ring")
    with Client(node.at(), source=HOME) as client:
        client.ehlo()
        assert client.mail(ALICE).is_ok
        reply = client.rcpt(BOB)
        assert (reply.code, reply.enhanced) == (554, "5.4.6")
    # From elsewhere it looks like any mail, but our own marks tell.
    reply, turns = send(node.at(), STRANGER, ALICE, got), 1
    while reply.is_ok and turns < 20:
        wait_for(lambda n=turns: len(sink.records()) > n, "one more turn")
        row = sink.records()[-1]
        got = (sink.directory.parent / "kept" / row["file"]).read_bytes()
        assert len(traces(got)) == turns + 1
        reply, turns = send(node.at(), STRANGER, ALICE, got), turns + 1
    assert (reply.code, reply.enhanced) == (554, "5.4.6")
    assert 5 <= turns <= 7
    assert settled(node)["accepted"] == turns


def test_a_hundred_hops_are_a_loop(stored):
    node, _, raw = stored
    hop = "Received: from a.test by b.test; Sat, 21 Nov 2026 10:00:00 +0000\r\n"
    reply = send(node.at(), STRANGER, ALICE, letter("far", more=hop * 60))
    assert (reply.code, reply.enhanced) == (554, "5.4.6")
    assert send(node.at(), STRANGER, ALICE, letter("near", more=hop * 40)).code == 250
    assert raw("near").count(b"from a.test by b.test") == 40


def test_forged_marks_do_not_survive(stored):
    """A stranger writes our headers himself, also folded, in odd case, many of them, with control
    characters; and pretends that we had checked him."""
    node, _, raw = stored
    forged = [
        "Staffetta-Trace: v=1; t=1; m=buiaf7bxsaaaa; d=1795302590; p=1; b=AAAA\r\n",
        "STAFFETTA-TRACE: x\r\n\tfolded\r\n\tmore\r\n",
        "Staffetta-Trace : with a space\r\n",
        "Authentication-Results: mx1.staffetta.example; dkim=pass header.d=bank.test\r\n",
        "authentication-results:\r\n mx1.staffetta.example (yes) ; spf=pass\r\n",
        "Authentication-Results: MX1.Staffetta.Example 1; dmarc=pass\r\n",
    ]
    honest = "Authentication-Results: mx.other.test; dkim=pass header.d=outside.test\r\n"
    name = "forged"
    original = letter(name, more="".join(forged) + honest + "X-After: 1\r\n")
    assert send(node.at(), STRANGER, ALICE, original).code == 250
    head = raw(name).partition(b"\r\n\r\n")[0]
    assert len(traces(raw(name))) == 1
    for words in (b"AAAA", b"folded", b"with a space", b"bank.test", b"(yes)", b"dmarc=pass"):
        assert words not in head, words
    assert b"mx.other.test" in head and b"X-After: 1" in head


def test_honest_mark_survives_and_a_changed_one_does_not(stored):
    node, sink, raw = stored
    assert send(node.at(), STRANGER, ALICE, letter("first")).code == 250
    (mark,) = traces(raw("first"))
    assert send(node.at(), STRANGER, ALICE,
                letter("second", more=mark.decode() + "\r\n")).code == 250
    assert len(traces(raw("second"))) == 2
    broken = re.sub(rb"m=\w", b"m=z", mark, count=1) if b"m=" in mark else mark[:-2] + b"zz"
    assert send(node.at(), STRANGER, ALICE,
                letter("third", more=broken.decode() + "\r\n")).code == 250
    assert len(traces(raw("third"))) == 1


def test_marks_with_an_xclient_of_ones_own_are_not_for_strangers(stored):
    """Who may say for whom he speaks stands in the settings; everybody else hears 550."""
    node, _, _ = stored
    with Client(node.at()) as client:
        client.ehlo()
        assert "XCLIENT" not in client.offers
        assert client.xclient(addr=HOME).code == 550
        client.mail(ALICE)
        assert client.rcpt("friend@elsewhere.test").code == 550


def test_listed_proxy_may_say_for_whom_it_speaks(stage):
    """XCLIENT and PROXY from listed networks: limits, Received and rights follow the real client."""
    sink = stage.sink()
    node = stage.company(sink, settings={"listen": [
        {"for": "smtp", "at": "127.0.0.1:2525", "xclient": ["127.0.0.0/8"]},
        {"for": "smtp", "at": "127.0.0.1:2526", "proxy": ["127.0.0.0/8"]}]})
    with Client(node.at()) as client:
        client.ehlo()
        assert "XCLIENT" in client.offers
        assert client.xclient(addr="198.51.100.9", helo="far.test").code == 220
        client.ehlo("far.test")
        assert client.transaction(STRANGER, ALICE, letter("xclient")).code == 250
    through_proxy(("127.0.0.1", 2526), "PROXY TCP4 198.51.100.10 127.0.0.1 4711 25\r\n")
    settled(node)
    assert sorted(sink.ids()) == ["proxy", "xclient"]
    for name, address in (("xclient", "198.51.100.9"), ("proxy", "198.51.100.10")):
        message = node.must("trace", name)["messages"][0]
        assert (message["client"], message["helo"]) == (address, "far.test")


def through_proxy(at, header):
    """The header comes before our greeting, so it cannot be sent by Client."""
    with socket.create_connection(at, timeout=5) as connection:
        file = connection.makefile("rwb")
        for said in (header, "EHLO far.test\r\n", f"MAIL FROM:<{STRANGER}>\r\n",
                     f"RCPT TO:<{ALICE}>\r\n", "DATA\r\n",
                     letter("proxy").decode() + ".\r\n"):
            file.write(said.encode())
            file.flush()
            while (line := file.readline())[3:4] == b"-":
                pass
            assert line[:1] in b"23", line
