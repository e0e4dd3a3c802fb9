"""An ordinary day.

A stranger brings mail over TLS. Staffetta makes it durable and hands it on, over TLS, to the
company's Postfix while the stranger waits; Dovecot shows it with every byte as it was sent, below
the headers of those who carried it. The primary hears by XCLIENT who really came."""

import re
import time

import pytest

from harness import corpus
from harness.certs import Authority
from harness.peers import Primary
from harness.process import wait_for
from harness.sender import Client, send
from story import ALICE, BOB, STRANGER, letter, message_id, settled

pytestmark = pytest.mark.usefixtures("network")

OURS = (b"staffetta-trace", b"authentication-results", b"received")


@pytest.fixture(scope="module")
def office(shared_stage, module_directory):
    """A company with Postfix and Dovecot, certificates on both sides, XCLIENT allowed."""
    stage = shared_stage
    authority = Authority(module_directory / "ca")
    primary = stage.start(Primary, authority=authority, postfix={"settings": {
        "smtpd_authorized_xclient_hosts": "127.0.0.0/8", "smtpd_tls_received_header": "yes"}})
    node = stage.company(primary, cut_through=True, primary_options=("--xclient",),
                         settings={"tls": authority.issue("mx1.staffetta.example")})
    return node, primary, authority


def header_names(raw):
    head = raw.partition(b"\r\n\r\n")[0] if b"\r\n\r\n" in raw else raw
    return [line.partition(b":")[0].lower() for line in head.split(b"\r\n")
            if line and line[:1] not in b" \t"]


def arrived(primary, *names, person=ALICE):
    """The mails of these names, when all are there."""
    def all_there():
        found = {mail.id: mail for mail in primary.messages(person)}
        return [found[name] for name in names] if set(names) <= set(found) else None

    return wait_for(all_there, f"{names} in the mailbox", pause=0.05)


def carried(mail, original):
    """What stands above the original: the original must be there, byte for byte."""
    assert mail.raw.endswith(original), "the message was changed on its way"
    return mail.raw[:-len(original)]


def test_each_byte_arrives_and_only_the_carriers_headers_stand_above(office, tell):
    node, primary, authority = office
    # The last system of a message's way takes Return-Path out (RFC 5321 section 4.4).
    letters = [(name, re.sub(rb"(?mi)^Return-Path:.*\r\n(?:[ \t].*\r\n)*", b"", raw, count=1))
               for name, raw in corpus.load("day", 120)]
    began = time.monotonic()
    with Client(node.at(), authority=authority.pem) as client:
        client.ehlo()
        assert client.starttls().code == 220
        client.ehlo()
        for number, (name, raw) in enumerate(letters):
            person = (ALICE, BOB)[number % 2]
            reply = client.transaction(STRANGER, person, raw)
            assert reply.code == 250, f"{name}: {reply}"
        client.quit()
    tell(f"120 letters, each handed on while its sender waited: {time.monotonic() - began:.2f} s")
    primary.wait_count(120)
    found = {mail.id: mail for person in (ALICE, BOB) for mail in primary.messages(person)}
    assert len(found) == 120
    for name, raw in letters:
        above = carried(found[name], raw)
        ours = above[above.lower().index(b"staffetta-trace:"):]
        assert header_names(ours) in (list(OURS), [OURS[0], OURS[2]])
        theirs = header_names(above[:-len(ours)])
        assert set(theirs) <= {b"return-path", b"delivered-to", b"received"}, theirs
    assert settled(node)["delivered"] == 120


def test_primary_hears_over_tls_who_really_came(office):
    node, primary, _ = office
    reply = send(node.at(), STRANGER, ALICE, letter("who"), source="127.0.0.77")
    assert reply.code == 250
    above = carried(*arrived(primary, "who"), letter("who"))
    received = re.findall(rb"(?ms)^Received: .*?(?=^\S|\Z)", above)
    theirs = next(r for r in received if b"(Postfix)" in r)
    ours = next(r for r in received if b"(Staffetta)" in r)
    assert b"using TLSv1" in theirs
    assert b"[127.0.0.77]" in theirs and b"from client.test" in theirs
    assert b"[127.0.0.77]" in ours and message_id(reply).encode() in ours
    assert b"for <alice@example.test>" in ours


def test_sender_is_told_in_received_how_it_came(office):
    """RFC 3848: with ESMTPS when over TLS, ESMTP otherwise, SMTP after HELO."""
    node, primary, authority = office
    with Client(node.at(), authority=authority.pem) as client:
        client.ehlo()
        client.starttls()
        client.ehlo()
        assert client.transaction(STRANGER, ALICE, letter("esmtps")).is_ok
    with Client(node.at()) as client:
        client.ehlo()
        assert client.transaction(STRANGER, ALICE, letter("esmtp")).is_ok
    with Client(node.at()) as client:
        client.helo()
        assert client.transaction(STRANGER, ALICE, letter("smtp")).is_ok
    for mail in arrived(primary, "esmtps", "esmtp", "smtp"):
        how = re.search(rb"\(Staffetta\) with (\w+)", mail.raw).group(1)
        assert how.decode().lower() == mail.id


def test_all_extensions_that_are_offered_work(office):
    node, primary, _ = office
    with Client(node.at()) as client:
        client.ehlo()
        assert {"PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "CHUNKING", "DSN", "STARTTLS",
                "ENHANCEDSTATUSCODES"} <= set(client.offers)
        raw = letter("chunks", "zwölf Boxkämpfer\r\n." + "x" * 900)
        replies = client.pipeline(f"MAIL FROM:<{STRANGER}> BODY=8BITMIME SIZE={len(raw)} "
                                  "RET=HDRS ENVID=e+2B1",
                                  f"RCPT TO:<{ALICE}> NOTIFY=FAILURE ORCPT=rfc822;a@b.test",
                                  f"RCPT TO:<{BOB}> NOTIFY=NEVER")
        assert [reply.code for reply in replies] == [250, 250, 250]
        assert all(reply.code == 250 for reply in client.bdat(raw, (1, 100, 200)))
        assert client.command("VRFY alice").code == 252
        assert client.noop().is_ok
        assert client.quit().code == 221
    carried(*arrived(primary, "chunks"), raw)
    arrived(primary, "chunks", person=BOB)


def test_bytes_may_come_in_any_pieces(office):
    node, primary, _ = office
    raw = letter("pieces", ".\r\n..\r\n.x\r\n\r\n.")
    with Client(node.at()) as client:
        client.send_split(b"EHLO c.test\r\nMAIL FROM:<" + STRANGER.encode() + b">\r\nRCPT TO:<"
                          + ALICE.encode() + b">\r\n", (1, 3, 2))
        assert [client.reply().code for _ in range(3)] == [250, 250, 250]
        assert client.data(raw, sizes=(1,)).code == 250
    carried(*arrived(primary, "pieces"), raw)


def test_large_message_arrives_whole(office, tell):
    node, primary, _ = office
    raw = letter("large", "\r\n".join("%070d" % n for n in range(100_000)))
    began = time.monotonic()
    assert send(node.at(), STRANGER, ALICE, raw).code == 250
    tell(f"{len(raw) / 1e6:.1f} MB in and out in {time.monotonic() - began:.2f} s")
    carried(*arrived(primary, "large"), raw)


def test_too_large_is_said_before_and_after(stage):
    node, sink = stage.before(settings={"limits": {"message": "64 KiB", "header": "32 KiB"}})
    big = letter("big", "x" * 60 + "\r\n" + "y\r\n" * 40000)
    with Client(node.at()) as client:
        client.ehlo()
        assert client.offers["SIZE"] == str(64 * 1024)
        assert client.mail(STRANGER, "SIZE=70000").code == 552
        reply = client.transaction(STRANGER, ALICE, big)
        assert (reply.code, reply.enhanced) == (552, "5.3.4")
        assert client.transaction(STRANGER, ALICE, letter("small")).code == 250
    wait_for(lambda: sink.ids() == ["small"], "the small one")


def test_parameters_of_the_envelope_go_on(stage):
    """What the sender asked for with DSN, 8BITMIME and SMTPUTF8 is asked for at the next system."""
    node, sink = stage.before(cut_through=True)
    with Client(node.at()) as client:
        client.ehlo()
        assert client.mail("jörg@outside.test", "SMTPUTF8 BODY=8BITMIME RET=FULL ENVID=e+2B1").is_ok
        assert client.rcpt(ALICE, "NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb@b.test").is_ok
        assert client.data(letter("names", "Grüße", more="X-Note: Größe\r\n")).is_ok
    row = wait_for(sink.records, "the message")[0]
    assert row["from"].encode("latin-1").decode() == "jörg@outside.test"  # it records bytes
    assert {"SMTPUTF8", "BODY=8BITMIME", "RET=FULL", "ENVID=e+2B1"} <= set(row["params"].split())
    assert set(row["rcpt_params"][0].split()) == {"NOTIFY=SUCCESS,DELAY",
                                                  "ORCPT=rfc822;a+2Bb@b.test"}
