"""Cut-through: the primary's word while the sender waits.

The message is on the disk first, then it is offered to the primary, and the sender hears what that
means: yes is yes; no to this message's content is passed on, so that nobody has to write a bounce;
everything else is 250 and our business. After 20 seconds the sender has its 250 in any case."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.process import wait_for
from harness.sender import Client
from story import ALICE, BOB, STRANGER, Story, letter, message_id, rows, settled, sums

pytestmark = pytest.mark.usefixtures("network")

# stage, reply of the primary -> code for the sender, what the ledger says then
TABLE = [
    # yes
    ("dot", "250 2.0.0 thank you", 250, "delivered"),
    # no, because of this message's content: the sender hears it, nothing is kept
    ("dot", "554 5.6.0 I do not like the look of this", 554, "refused"),
    ("dot", "550 5.7.1 your message contains a virus", 550, "refused"),
    ("dot", "550 5.7.9 policy", 550, "refused"),
    ("dot", "552 5.3.4 message too big", 552, "refused"),
    ("dot", "552 5.2.3 too big for this mailbox", 552, "refused"),
    ("dot", "554 this smells", 554, "refused"),
    ("data", "554 5.6.1 no such media", 554, "refused"),
    # no, but about us, the route or the system: our 250, and it waits
    ("dot", "554 5.3.0 system trouble", 250, "waiting"),
    ("dot", "554 5.4.6 loop", 250, "waiting"),
    ("dot", "550 5.7.8 log in first", 250, "waiting"),
    ("dot", "552 exceeded storage", 250, "waiting"),
    ("data", "554 no valid recipients", 250, "waiting"),
    ("mail", "550 5.7.1 you are blocked", 250, "waiting"),
    ("mail", "530 5.7.0 must issue STARTTLS first", 250, "waiting"),
    ("rcpt", "550 5.1.1 no such user", 250, "waiting"),
    ("rcpt", "550 5.7.1 relaying denied", 250, "waiting"),
    ("ehlo", "550 5.7.1 bad name", 250, "waiting"),
    ("banner", "554 5.3.2 no service here", 250, "waiting"),
    # not now
    ("banner", "421 4.3.2 shutting down", 250, "waiting"),
    ("mail", "421 4.3.2 shutting down", 250, "waiting"),
    ("mail", "452 4.3.1 disk full", 250, "waiting"),
    ("rcpt", "450 4.2.0 greylisted", 250, "waiting"),
    ("rcpt", "452 4.2.2 mailbox full", 250, "waiting"),
    ("data", "451 4.3.0 try again", 250, "waiting"),
    ("dot", "451 4.7.1 try again", 250, "waiting"),
    ("dot", "421 4.3.2 shutting down", 250, "waiting"),
]


@pytest.mark.parametrize("where,word,code,fate", TABLE,
                         ids=[f"{row[0]}-{row[1][:24]}" for row in TABLE])
def test_row_of_the_table(stage, where, word, code, fate):
    node, sink = stage.before(f"--reply-{where}", word, cut_through=True)
    story = Story(node)
    reply = story.send("one")
    assert reply.code == code, reply
    found = sums(node)
    if fate == "refused":
        assert word[:3] == str(reply.code) and word.split(" ", 1)[1].split(" ")[-1] in reply.text
        # The row is written behind the reply.
        wait_for(lambda: sums(node)["waiting"] == 0, "nothing is kept", 5)
        assert {row["disposition"] for row in
                rows(node, "--disposition", "refused")} == {"refused"}
        assert sums(node)["accepted"] == 0
    else:
        wait_for(lambda: sums(node)[fate] == 1, fate, 5)
        assert found["accepted"] == 1
    assert sums(node)["held"] == sums(node)["returned"] == 0


def test_refusal_is_told_in_the_primarys_own_words(stage):
    node, _ = stage.before("--reply-dot", "554 5.7.1 Virus: EICAR found, ask help@example.test",
                           cut_through=True)
    reply = Story(node).send("virus")
    assert (reply.code, reply.enhanced) == (554, "5.7.1")
    assert "Virus: EICAR found, ask help@example.test" in reply.text


def test_slow_primary_25_seconds_before_its_word(stage, tell):
    """The sender has its 250 after 20 seconds; the delivery goes on alone; nothing is doubled. A
    refusal that comes after our 250 is held and announced: nobody gets a bounce."""
    scenes = [stage.before("--delay-ms", 25000, cut_through=True),
              stage.before("--delay-ms", 25000, "--reply-dot", "554 5.7.1 virus", cut_through=True)]
    stage.expected.append(r"name=queue\.(held|hold-refused) ")
    stories = [Story(node) for node, _ in scenes]
    with ThreadPoolExecutor() as pool:
        replies = list(pool.map(lambda story: story.send("slow"), stories))
    assert [reply.code for reply in replies] == [250, 250]
    for story in stories:
        tell(f"250 after {story.seconds['slow']:.2f} s")
        assert 19.5 < story.seconds["slow"] < 21
        assert sums(story.node)["attempting"] == 1
    (node, sink), (other, other_sink) = scenes
    found = settled(node, 15)
    assert (found["delivered"], found["possible_doubles"]) == (1, 0)
    assert sink.ids() == ["slow"] and sink.counts()["messages"] == 1
    wait_for(lambda: sums(other)["held"] == 1, "held", 15)
    assert other_sink.ids() == []
    held = rows(other)[0]
    assert held["disposition"] == "held" and held["code"] == 554 and "virus" in held["text"]
    event = next(e for e in other.must("events")["events"] if e["name"] == "queue.held")
    assert event["class"] == "alarm" and held["message"] in event["text"]


def test_refusal_for_some_recipients_only(stage):
    """One of two is unknown to the primary, though we know him: 250 for both; his row waits."""
    node, sink = stage.before("--reply-rcpt", "for bob 550 5.1.1 no such user", cut_through=True)
    assert Story(node).send("both", [ALICE, BOB]).code == 250
    wait_for(lambda: sums(node)["delivered"] == 1, "one of them", 5)
    row = wait_for(lambda: rows(node), "the other")[0]
    assert (row["to"], row["disposition"], row["code"]) == (BOB, "waiting", 550)
    assert sink.records()[0]["rcpts"] == [ALICE]


def test_everybody_is_asked_one_after_the_other_and_answered_in_order(stage):
    """Twenty messages in one connection, PIPELINING, every second one with content that is refused:
    each gets its own answer."""
    node, sink = stage.before("--reply-dot", "every 2 554 5.6.0 no", cut_through=True)
    codes = []
    with Client(node.at()) as client:
        client.ehlo()
        for number in range(20):
            replies = client.pipeline(f"MAIL FROM:<{STRANGER}>", f"RCPT TO:<{ALICE}>", "DATA")
            assert [reply.code for reply in replies] == [250, 250, 354]
            client.send(letter(f"n{number}") + b".\r\n")
            codes.append(client.reply().code)
    assert codes == [250, 554] * 10
    wait_for(lambda: len(sink.ids()) == 10, "ten of them")
    assert settled(node)["accepted"] == 10


def test_sender_that_leaves_while_it_waits_loses_nothing_and_doubles_nothing(stage):
    """It went away before it heard 250. We have the message, the ledger says that the sender may
    come again with it."""
    node, sink = stage.before("--delay-ms", 3000, cut_through=True)
    with Client(node.at()) as client:
        client.ehlo()
        client.mail(STRANGER)
        client.rcpt(ALICE)
        assert client.data_raw(letter("gone") + b".\r\n").code == 354
        wait_for(lambda: sums(node)["attempting"] == 1, "the primary has it")
        client.abort()
    found = settled(node)
    assert (found["accepted"], found["delivered"]) == (1, 1)
    assert sink.ids() == ["gone"]
    wait_for(lambda: sums(node)["unanswered"] == 1, "listed as unanswered", 5)


def test_size_and_abilities_are_judged_before_the_250(stage):
    """What the primary cannot take is refused while the sender can still be told, also when the
    primary is dead by then: its last known abilities count."""
    node, sink = stage.before("--no-smtputf8", "--no-8bitmime", "--size", 20000)
    wait_for(lambda: node.must("primary", "show", "exchange")["state"].get("size_max") == 20000,
             "its abilities are known", 15)
    for is_dead in (False, True):
        if is_dead:
            sink.stop()
        with Client(node.at()) as client:
            client.ehlo()
            big = client.transaction(STRANGER, ALICE, letter("big", "x" * 70 + "\r\n" * 20000))
            assert (big.code, big.enhanced) == (552, "5.3.4")
            assert client.mail(STRANGER, "SMTPUTF8").is_ok
            assert client.rcpt(ALICE).is_ok
            reply = client.data(letter("utf8", more="X-Note: Größe\r\n"))
            assert (reply.code, reply.enhanced) == (550, "5.6.7")
            client.rset()
            assert client.transaction(STRANGER, ALICE, letter(f"plain-{is_dead}")).code == 250
    assert sums(node)["accepted"] == 2


def test_no_slot_means_no_waiting(stage, tell):
    """All slots of the primary are taken by deliveries that take long: the next sender has its 250
    as soon as the message is on the disk."""
    node, sink = stage.before("--delay-ms", 5000, cut_through=True,
                              settings={"queue": {"per_primary": 2}})
    stories = [Story(node) for _ in range(2)]
    with ThreadPoolExecutor() as pool:
        running = [pool.submit(story.send, f"slow-{n}") for n, story in enumerate(stories)]
        wait_for(lambda: sums(node)["attempting"] == 2, "both slots are taken", 3)
        quick = Story(node)
        assert quick.send("quick").code == 250
        tell(f"with all slots taken: 250 after {quick.seconds['quick'] * 1000:.0f} ms")
        assert quick.seconds["quick"] < 1
        assert all(future.result().code == 250 for future in running)
    settled(node)
    assert sorted(sink.ids()) == ["quick", "slow-0", "slow-1"]


def test_id_in_the_reply_is_the_one_in_received(stage, directory):
    node, sink = stage.before("--store", directory, cut_through=True)
    reply = Story(node).send("id")
    row = wait_for(sink.records, "the message")[0]
    raw = (directory / row["file"]).read_bytes()
    assert re.search(rb"with ESMTP id " + message_id(reply).encode(), raw)
