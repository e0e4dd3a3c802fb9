"""Who gets mail here is decided by our own list of the company's people, never by asking a primary
that may be dead. Unknown people are refused for good only by a complete list that is newer than the
first time somebody wrote there; before that the sender is asked to come again."""

import time

import pytest

from harness import company
from harness.process import wait_for
from harness.sender import Client
from story import ALICE, BOB, STRANGER, Story, at, letter, rows, settled, sums

pytestmark = pytest.mark.usefixtures("network")


def asked(node, *recipients, sender=STRANGER, **more):
    """The replies to RCPT, in one transaction."""
    with Client(node.at(), **more) as client:
        client.ehlo()
        assert client.mail(sender).is_ok
        return [client.rcpt(recipient) for recipient in recipients]


def codes(node, *recipients, **more):
    return [(reply.code, reply.enhanced) for reply in asked(node, *recipients, **more)]


def test_known_people_in_any_spelling(stage):
    node, sink = stage.before()
    assert codes(node, ALICE, "ALICE@Example.TEST", "alice+lists@example.test",
                 '"alice"@example.test') == [(250, "2.1.5")] * 4
    assert Story(node).send("plus", "Alice+Lists@EXAMPLE.test").code == 250
    wait_for(sink.records, "it")
    # As it was written: what an address means is the primary's business.
    assert sink.records()[0]["rcpts"] == ["Alice+Lists@EXAMPLE.test"]


def test_domains_of_others_are_not_relayed(stage):
    node, _ = stage.before()
    for address in ("x@elsewhere.test", "x@sub.example.test", "x@example.test.evil.test",
                    "alice%example.test@elsewhere.test", "@example.test:x@elsewhere.test",
                    "alice@[127.0.0.1]"):
        (reply,) = asked(node, address)
        assert (reply.code, reply.enhanced) == (550, "5.7.1"), f"{address}: {reply}"


def test_unknown_first_450_then_550_after_a_newer_complete_list(stage):
    node, _ = stage.before()
    nobody = "nobody@example.test"
    assert codes(node, nobody) == [(450, "4.2.1")]
    assert codes(node, nobody) == [(450, "4.2.1")]
    time.sleep(0.01)
    company.import_people(node, [ALICE, BOB])
    assert codes(node, nobody, ALICE) == [(550, "5.1.1"), (250, "2.1.5")]
    assert codes(node, "somebody.else@example.test") == [(450, "4.2.1")]


def test_incomplete_list_refuses_nobody_for_good(stage):
    node, _ = stage.before(complete=False)
    assert codes(node, "nobody@example.test") == [(450, "4.2.1")]
    time.sleep(0.01)
    company.import_people(node, [ALICE], complete=False)
    assert codes(node, "nobody@example.test", ALICE, BOB) == \
        [(450, "4.2.1"), (250, "2.1.5"), (250, "2.1.5")]


def test_person_who_comes_is_known_at_once_and_who_goes_is_not(stage):
    node, _ = stage.before()
    carla = "carla@example.test"
    assert codes(node, carla) == [(450, "4.2.1")]
    company.import_people(node, [ALICE, BOB, carla])
    assert codes(node, carla) == [(250, "2.1.5")]
    company.import_people(node, [ALICE, BOB], force=True)
    assert codes(node, carla)[0][0] in (450, 550)


def test_list_that_would_remove_most_people_is_not_believed(stage):
    node, _ = stage.before(people=[f"p{n}@example.test" for n in range(50)])
    path = node.directory / "few.json"
    path.write_text('[{"address": "p1@example.test"}]')
    code, _ = node.cli("person", "import", path, "--tenant", "rossi", "--complete")
    assert code == 1
    assert codes(node, "p49@example.test") == [(250, "2.1.5")]


def test_aliases_groups_and_two_addresses_of_one_mailbox(stage):
    node, sink = stage.before(people=[
        {"address": ALICE, "aliases": ["info@example.test", "a.rossi@example.test"]}, BOB])
    node.must("group", "add", "all@example.test", "--member", ALICE, "--member", BOB)
    assert Story(node).send("twice", ["info@example.test", ALICE]).code == 250
    assert Story(node).send("group", "all@example.test").code == 250
    found = settled(node)
    # One copy for one mailbox. The primary expands its own groups; who has a copy here stands in
    # child rows, which are not in the sum.
    assert (found["accepted"], found["delivered"], found["merged"]) == (3, 2, 1)
    children = [row for row in node.must("trace", "group")["messages"][0]["rows"] if "group" in row]
    assert [row["to"] for row in children] == [ALICE, BOB]
    assert sorted(row["rcpts"] for row in sink.records()) == \
        [["all@example.test"], ["info@example.test"]]


def test_one_transaction_goes_to_one_primary(stage):
    """Two companies on one node: the second one's recipient is asked for in a message of its own,
    and the sender brings it next, as RFC 5321 has it for 452."""
    node, sink = stage.before()
    other = stage.sink()
    company.add(node, at(other), ["verdi@other.test"], tenant="verdi", domain="other.test",
                primary="zimbra")
    assert codes(node, ALICE, "verdi@other.test", BOB) == \
        [(250, "2.1.5"), (452, "4.5.3"), (250, "2.1.5")]
    assert Story(node).send("mine").code == 250
    assert Story(node).send("theirs", "verdi@other.test").code == 250
    settled(node)
    assert (sink.ids(), other.ids()) == (["mine"], ["theirs"])
    assert sums(node, "verdi")["accepted"] == 1


def test_postmaster_and_abuse_always_reach_somebody(stage):
    node, sink = stage.before()
    assert codes(node, "postmaster", "Postmaster@example.test", "abuse@example.test") == \
        [(250, "2.1.5")] * 3
    assert Story(node).send("help", "postmaster").code == 250
    wait_for(sink.records, "it")
    assert sink.records()[0]["rcpts"][0].lower().startswith("postmaster")


def test_postmaster_may_have_an_owner(stage):
    node, sink = stage.before(domain_options=("--postmaster", BOB))
    assert Story(node).send("help", "postmaster@example.test").code == 250
    found = settled(node)
    assert found["delivered"] == 1
    assert node.must("trace", "help")["messages"][0]["rows"][0]["to"].startswith("postmaster")
    assert sink.records()[0]["rcpts"] in ([BOB], ["postmaster@example.test"])


def test_catch_all(stage):
    node, sink = stage.before(domain_options=("--catch-all", BOB))
    assert codes(node, "whoever@example.test") == [(250, "2.1.5")]
    assert Story(node).send("any", "whoever@example.test").code == 250
    wait_for(sink.records, "it")


def test_many_recipients_and_the_limit(stage):
    people = [f"p{n}@example.test" for n in range(1000)]
    node, sink = stage.before(people=people, covered=False,
                              settings={"limits": {"recipients": 900}})
    with Client(node.at()) as client:
        client.ehlo()
        replies = client.pipeline(f"MAIL FROM:<{STRANGER}>",
                                  *(f"RCPT TO:<{person}>" for person in people))
        assert [reply.code for reply in replies].count(250) == 901
        assert {str(reply.code) + reply.enhanced for reply in replies[901:]} == {"4524.5.3"}
        assert client.data(letter("many")).code == 250
    found = settled(node)
    assert (found["accepted"], found["delivered"]) == (900, 900)
    assert len(set(sum((row["rcpts"] for row in sink.records()), []))) == 900


def test_nobody_can_guess_addresses_for_long(stage):
    """Errors in a session are counted; unknown people alone do not end it (a forwarder with old
    addresses is no attacker), everything else does."""
    node, _ = stage.before()
    with Client(node.at()) as client:
        client.ehlo()
        client.mail(STRANGER)
        for number in range(30):
            assert client.rcpt(f"guess{number}@example.test").code == 450
        for number in range(40):
            reply = client.rcpt(f"guess{number}@elsewhere.test")
            if reply.code == 421:
                break
        assert reply.code == 421 and number < 25
        assert client.is_closed()


def test_all_this_holds_while_the_primary_is_dead(stage):
    node, sink = stage.before()
    sink.stop()
    company.import_people(node, [ALICE, BOB])
    assert codes(node, ALICE, BOB, "nobody@example.test")[:2] == [(250, "2.1.5")] * 2
    assert Story(node).send("kept").code == 250
    assert [row["to"] for row in rows(node)] == [ALICE]
