"""From the company to the world.

Its mail system may send outwards through Staffetta, in its own name only. The world is found by DNS,
validated; who says no for good brings a notice to the sender inside; who is silent is tried again.
And as long as nobody has written network.internet: true, nothing leaves to an address outside."""

import email
import signal

import pytest

from harness.peers import Knot, Postfix, Sink, Unbound
from harness.process import run, signal_pid, wait_for
from harness.sender import Client
from story import ALICE, STRANGER, at, letter, rows, settled, sums

pytestmark = pytest.mark.usefixtures("network")

OUTSIDE = "203.0.113.7"  # RFC 5737: nobody's
HOME = "127.0.0.9"       # from where the primary sends
ZONES = {
    "test": "", "world.test": "@ MX 20 b\n@ MX 10 a\na A 127.0.0.21\nb A 127.0.0.22\n",
    "plain.test": "@ A 127.0.0.21\n", "null.test": "@ MX 0 .\n",
    "far.test": f"@ MX 10 mx\nmx A {OUTSIDE}\n", "loop.test": "@ MX 10 mx1.staffetta.example.\n",
    "bogus.test": "@ MX 10 a\na A 127.0.0.21\n", "dead.test": "@ MX 10 a\na A 127.0.0.99\n",
}


@pytest.fixture(scope="module")
def dns(module_directory, network):
    """A signed world: Knot is its authority, Unbound validates."""
    with Knot(module_directory / "knot", zones=ZONES, unsigned=["plain.test"]) as knot:
        lines = ["add ns.test. 2 A 127.0.0.1"]
        for zone in list(ZONES)[1:]:
            lines.append(f"add {zone}. 2 NS ns.test.")
            lines += [f"add {row.replace(' DS ', ' 2 DS ')}" for row in
                      (knot.delegation(zone) if zone != "plain.test" else [])]
        # What the parent says about bogus.test belongs to another zone's key.
        lines = [line for line in lines if not line.startswith("add bogus.test. 2 DS")]
        lines += [f"add {row.replace(' DS ', ' 2 DS ')}".replace("null.test.", "bogus.test.")
                  for row in knot.delegation("null.test")]
        knot.update("test", *lines)
        anchor = knot.delegation("test")[0]
        path = module_directory / "anchor"
        path.write_text(anchor + "\n")
        path.chmod(0o644)
        with Unbound(module_directory / "unbound", knot, anchor=anchor) as resolver:
            yield resolver, path


@pytest.fixture
def company(stage, dns):
    """(node, the primary's sink, the world's sink at the better exchanger)."""
    resolver, anchor = dns
    at_resolver = f"{resolver.address}:{resolver.port}"
    inside = stage.sink()
    world = stage.start(Sink, address="127.0.0.21", port=25)
    node = stage.company(inside, networks=(f"{HOME}/32",), settings={
        "network": {"internet": False, "resolver": [at_resolver], "trust_anchor": str(anchor)}})
    return node, inside, world


def send_out(node, name, recipient, sender=ALICE, parameters=("", ""), author=None, source=HOME):
    with Client(node.at(), source=source) as client:
        client.ehlo("primary.example.test")
        reply = client.mail(sender, parameters[0])
        if reply.is_ok:
            reply = client.rcpt(recipient, parameters[1])
        if reply.is_ok:
            reply = client.data(letter(name, to=recipient, sender=author or sender or ALICE))
        return reply


def test_mail_goes_to_the_best_exchanger_of_the_domain(company):
    node, _, world = company
    reply = send_out(node, "out", "friend@world.test")
    assert reply.code == 250, reply
    wait_for(world.records, "it is in the world")
    row = world.records()[0]
    assert (row["from"], row["rcpts"], row["id"]) == (ALICE, ["friend@world.test"], "out")
    assert settled(node)["delivered"] == 1
    message = node.must("trace", "out")["messages"][0]
    assert message["direction"] == "out"


def test_domain_without_mx_and_one_address_literal(company):
    node, _, world = company
    assert send_out(node, "plain", "a@plain.test").code == 250
    assert send_out(node, "literal", "a@[127.0.0.21]").code == 250
    wait_for(lambda: sorted(world.ids()) == ["literal", "plain"], "both")


def test_worse_exchanger_when_the_better_one_is_away(company, stage):
    node, _, world = company
    world.stop()
    second = stage.start(Sink, address="127.0.0.22", port=25)
    assert send_out(node, "second", "friend@world.test").code == 250
    wait_for(lambda: second.ids() == ["second"], "at the second exchanger", 40)


def test_several_domains_in_one_message(company):
    node, _, world = company
    with Client(node.at(), source=HOME) as client:
        client.ehlo()
        client.mail(ALICE)
        for recipient in ("a@world.test", "b@plain.test", "c@world.test"):
            assert client.rcpt(recipient).is_ok
        assert client.data(letter("fan", sender=ALICE)).code == 250
    wait_for(lambda: len(world.records()) == 2, "two deliveries")
    assert sorted(row["rcpts"] for row in world.records()) == \
        [["a@world.test", "c@world.test"], ["b@plain.test"]]
    assert settled(node)["delivered"] == 3


# ---- notices -------------------------------------------------------------------------------------


@pytest.fixture
def told(stage, dns, directory):
    """Like `company`, with an exchanger that says no for good, and a primary whose mail is stored."""
    resolver, anchor = dns
    inside = stage.sink("--store", directory / "inside")
    world = stage.start(Sink, "--reply-rcpt", "550 5.1.1 no such user here",
                        address="127.0.0.21", port=25)
    node = stage.company(inside, networks=(f"{HOME}/32",), settings={
        "network": {"internet": False, "resolver": [f"{resolver.address}:{resolver.port}"],
                    "trust_anchor": str(anchor)}})
    (directory / "inside").mkdir(exist_ok=True)
    return node, inside, world


def stored(inside, directory, count=1):
    def there():
        found = [r for r in inside.records() if r["from"] == ""]
        return found if len(found) >= count else None

    return [email.message_from_bytes((directory / "inside" / row["file"]).read_bytes())
            for row in wait_for(there, f"{count} notices", 15)]


@pytest.mark.parametrize("recipient,status,words", [
    ("nobody@world.test", "5.1.1", "no such user here"),
    ("x@null.test", "5.1.10", "takes no mail"),
    ("x@missing.test", "5.1.2", "does not exist"),
    ("x@loop.test", "5.4.6", "come back to us"),
])
def test_refusal_for_good_brings_a_notice_to_the_sender_inside(told, directory, recipient, status,
                                                               words):
    node, inside, _ = told
    assert send_out(node, "lost", recipient, parameters=("RET=HDRS ENVID=e42", "")).code == 250
    mail = stored(inside, directory)[0]
    assert mail.get_content_type() == "multipart/report"
    assert mail.get_param("report-type") == "delivery-status"
    text, report, original = mail.get_payload()
    assert words in report.as_string() or words in text.as_string()
    fields = report.get_payload()
    assert fields[0]["Original-Envelope-Id"] == "e42"
    assert fields[1]["Final-Recipient"].endswith(recipient)
    assert (fields[1]["Action"], fields[1]["Status"]) == ("failed", status)
    assert "X-Load-Id: lost" in original.as_string() and "hello" not in original.as_string()
    found = settled(node)
    assert (found["returned"], found["delivered"]) == (1, 1)


def test_nobody_is_told_who_did_not_want_it(told):
    """NOTIFY=NEVER, and the empty sender: notices about notices would never end."""
    node, inside, _ = told
    assert send_out(node, "never", "nobody@world.test", parameters=("", "NOTIFY=NEVER")).code == 250
    found = settled(node)
    assert found["returned"] == 1
    assert send_out(node, "empty", "nobody@world.test", sender="").code == 250
    wait_for(lambda: sums(node)["held"] == 1, "held, since nobody may be told", 10)
    assert inside.records() == []


def test_who_asked_hears_that_it_was_relayed(told, directory, stage):
    """NOTIFY=SUCCESS, and the next system offers no DSN (RFC 3461 section 5.2.2)."""
    node, inside, _ = told
    deaf = stage.start(Sink, "--no-dsn", address="127.0.0.99", port=25)
    asks = ("RET=FULL ENVID=QQ314159", "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b@dead.test")
    assert send_out(node, "unasked", "b@dead.test", parameters=("", "NOTIFY=FAILURE")).code == 250
    assert send_out(node, "heard", "b@dead.test", parameters=asks).code == 250
    mail = stored(inside, directory)[0]
    settled(node)
    assert sorted(deaf.ids()) == ["heard", "unasked"]
    assert inside.records()[0]["rcpts"] == [ALICE] and len(inside.records()) == 1
    assert mail.get_content_type() == "multipart/report" and not mail.defects
    assert mail.get_param("report-type") == "delivery-status"
    assert mail["Auto-Submitted"] == "auto-replied"
    text, report, original = mail.get_payload()
    assert "without confirmations" in text.get_payload()
    whole, row = report.get_payload()
    assert whole["Original-Envelope-Id"] == "QQ314159"
    assert (row["Action"], row["Status"]) == ("relayed", "2.0.0")
    assert row["Original-Recipient"] == "rfc822; b@dead.test"
    assert row["Final-Recipient"].endswith("b@dead.test")
    assert original.get_content_type() == "text/rfc822-headers"
    assert "X-Load-Id: heard" in original.as_string() and "hello" not in original.as_string()


# ---- waiting -------------------------------------------------------------------------------------


def test_world_that_is_silent_is_tried_again(company):
    node, inside, world = company
    world.stop()
    for name, recipient in (("away", "a@plain.test"), ("dead", "b@dead.test"),
                            ("bogus", "c@bogus.test")):
        assert send_out(node, name, recipient).code == 250
    wait_for(lambda: len([r for r in rows(node) if r["attempts"]]) == 3, "tried once each", 40)
    why = {row["to"]: row["text"] for row in rows(node)}
    assert "refused" in why["a@plain.test"].lower()
    assert "DNS" in why["c@bogus.test"], why
    assert sums(node)["waiting"] == 3 and inside.records() == []
    assert all("due" in row for row in rows(node))


def test_nothing_leaves_to_an_address_outside(company, stage, dns):
    """The exchanger of far.test has an address outside (here it even listens). It is never connected
    to: the message waits, and the refusal is announced by its name. When the operator lists that
    network and reloads, it goes."""
    node, _, world = company
    stage.expected.append("name=network.outside")
    run("ip", "address", "replace", f"{OUTSIDE}/32", "dev", "lo")
    far = stage.start(Sink, address=OUTSIDE, port=25)
    assert send_out(node, "far", "x@far.test").code == 250
    wait_for(lambda: rows(node) and rows(node)[0]["attempts"] == 1, "tried once", 20)
    row = rows(node)[0]
    assert row["disposition"] == "waiting" and "network.internet" in row["text"]

    def limit():
        return next(one for one in node.must("limits")["limits"]
                    if one["name"] == "network.outside")

    wait_for(lambda: limit()["count"] >= 1, "announced", 5)
    assert OUTSIDE in limit()["example"] and limit()["class"] == "alarm"
    assert far.counts()["connections"] == 0
    text = node.config.read_text()
    node.config.write_text(text.replace("internet: false", f"internet: false\n  allow: [{OUTSIDE}/32]"))
    signal_pid(node.pid, signal.SIGHUP)
    wait_for(lambda: "settings.changed" in node.log(), "reloaded", 5)
    node.must("queue", "retry", row["message"], "--why", "it is listed now")
    wait_for(lambda: far.ids() == ["far"], "it went", 10)
    assert world.records() == []


# ---- in whose name -------------------------------------------------------------------------------


def test_only_in_the_companys_own_name(company):
    node, _, world = company
    reply = send_out(node, "forged", "friend@world.test", sender="boss@bank.test")
    assert (reply.code, reply.enhanced) == (550, "5.7.1")
    reply = send_out(node, "forged", "friend@world.test", author="boss@bank.test")
    assert (reply.code, reply.enhanced) == (550, "5.7.1")
    assert send_out(node, "notice", "friend@world.test", sender="").code == 250
    wait_for(lambda: world.ids() == ["notice"], "its own notice")


def test_strangers_are_not_relayed(company):
    node, _, world = company
    reply = send_out(node, "relay", "friend@world.test", source="127.0.0.10")
    assert (reply.code, reply.enhanced) == (550, "5.7.1")
    reply = send_out(node, "relay", "friend@world.test", sender=STRANGER, source="127.0.0.10")
    assert reply.code == 550
    assert world.records() == []


def test_real_postfix_sends_through_us(stage, dns):
    """Its relayhost is Staffetta; it sends from its own network."""
    resolver, anchor = dns
    world = stage.start(Sink, address="127.0.0.21", port=25)
    inside = stage.sink()
    node = stage.company(inside, networks=(f"{HOME}/32",), settings={
        "network": {"internet": False, "resolver": [f"{resolver.address}:{resolver.port}"],
                    "trust_anchor": str(anchor)}})
    primary = stage.start(Postfix, relayhost=f"{node.at()[0]}:{node.at()[1]}",
                          settings={"smtp_bind_address": HOME})
    with Client(at(primary)) as client:
        client.ehlo()
        for number in range(10):
            assert client.transaction(ALICE, "friend@world.test",
                                      letter(f"p{number}", sender=ALICE)).code == 250
    wait_for(lambda: len(world.ids()) == 10, "all ten")
    assert primary.queued() == []


def test_without_internet_and_resolver_nobody_is_asked_for_names(stage):
    """No resolver means to ask from the root down: servers outside."""
    inside = stage.sink()
    node = stage.company(inside, networks=(f"{HOME}/32",))
    assert send_out(node, "out", "friend@world.test").code == 250
    row = wait_for(lambda: [r for r in rows(node) if r["attempts"]], "tried")[0]
    assert "network.resolver names nobody" in row["text"], row
