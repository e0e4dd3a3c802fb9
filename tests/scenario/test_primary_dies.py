"""The primary dies, in each way a mail server can.

It is killed, refuses, vanishes behind a firewall, stops in the middle, greets and hangs, is
misconfigured, is full. Whatever it does: every sender hears 250, nobody gets a bounce, everything is
kept, and everything is given back when it is well again."""

import re
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.peers import Primary
from harness.process import wait_for
from harness.sender import Counting
from story import ALICE, PEOPLE, Story, letter, rows, settled, state, sums

pytestmark = pytest.mark.usefixtures("network")

COUNT = 6


def kept_all(node, story):
    """What was accepted waits, each of it; nothing was held, returned or refused."""
    def waiting():
        found = sums(node)
        return found if found["waiting"] == len(story.accepted) else None

    found = wait_for(waiting, "all of it waits", 10, pause=0.05)
    assert found["accepted"] == len(story.accepted)
    assert found["held"] == found["returned"] == found["removed"] == 0


def gives_back_all(node, sink, story, tell):
    """The sink is well now."""
    began = time.monotonic()
    wait_for(sink.records, "giving back begins", 10)
    tell(f"giving back began {time.monotonic() - began:.2f} s after the primary was well")
    found = settled(node)
    assert found["delivered"] == found["accepted"] == len(story.accepted)
    assert sorted(sink.ids()) == sorted(story.accepted)
    assert state(node) == "standby"
    # A notice would be a message of the node's own, to the sender's domain.
    assert not [row for row in rows(node, "--limit", 1000) if row["from"] == ""]


def heal(sink, *options):
    """The same address, without faults."""
    sink.stop()
    sink.options = [str(option) for option in options]
    sink.start()


# Faults that show at once: the sender hears 250 at once too.
QUICK = {
    "refuses-connections": None,
    "421-at-once": ("--reply-banner", "421 4.3.2 shutting down"),
    "554-at-once": ("--reply-banner", "554 5.7.1 your address is on our list"),
    "no-greeting-but-noise": ("--bad-banner", "HTTP/1.1 400 Bad Request"),
    "hangs-up-after-banner": ("--close-at", "ehlo"),
    "5xx-to-ehlo": ("--reply-ehlo", "550 5.7.1 go away"),
    "5xx-at-mail": ("--reply-mail", "550 5.7.1 sender refused"),
    "4xx-at-mail": ("--reply-mail", "451 4.3.0 queue file write error"),
    "5xx-to-people-we-know": ("--reply-rcpt", "550 5.1.1 no such user"),
    "relaying-denied": ("--reply-rcpt", "554 5.7.1 relay access denied"),
    "4xx-to-all-recipients": ("--reply-rcpt", "451 4.3.0 lookup failure"),
    "full-at-mail": ("--reply-mail", "452 4.3.1 insufficient system storage"),
    "full-at-data": ("--reply-data", "452 4.3.1 insufficient system storage"),
    "full-at-the-dot": ("--reply-dot", "452 4.3.1 insufficient system storage"),
    "mailbox-full-552": ("--reply-dot", "552 5.2.2 mailbox full"),
    "system-says-5xx": ("--reply-dot", "554 5.3.5 system incorrectly configured"),
    "hangs-up-in-data": ("--close-at", "body"),
    "hangs-up-at-the-dot": ("--close-at", "dot"),
}


@pytest.mark.parametrize("fault", QUICK)
def test_fault_costs_nobody_a_message(stage, tell, fault):
    node, sink = stage.before(*(QUICK[fault] or ()), cut_through=True)
    if QUICK[fault] is None:
        sink.stop()
    story = Story(node)
    for number in range(COUNT):
        reply = story.send(f"m{number}", PEOPLE[number % 2])
        assert reply.code == 250, reply
    tell(f"slowest 250: {max(story.seconds.values()):.2f} s")
    assert max(story.seconds.values()) < 5
    kept_all(node, story)
    heal(sink)
    gives_back_all(node, sink, story, tell)


def test_silence_costs_one_sender_20_seconds_and_nobody_a_message(stage, tell):
    """One primary greets and hangs, another has vanished behind a firewall. The first sender of each
    waits 20 seconds; by then both are known to be ill, and nobody else waits."""
    scenes = {"greets and hangs": stage.before("--hang-at", "ehlo", cut_through=True),
              "black hole": stage.before(cut_through=True)}
    drop(scenes["black hole"][1].port)
    stories = {name: Story(node) for name, (node, _) in scenes.items()}
    with ThreadPoolExecutor() as pool:
        for reply in pool.map(lambda story: story.send("first"), stories.values()):
            assert reply.code == 250
    for name, story in stories.items():
        for number in range(COUNT):
            assert story.send(f"m{number}").code == 250
        first = story.seconds.pop("first")
        tell(f"{name}: the first sender waited {first:.1f} s, later ones at most "
             f"{max(story.seconds.values()):.2f} s")
        assert 0 < first < 22 and max(story.seconds.values()) < 2
        kept_all(story.node, story)
    undrop()
    heal(scenes["greets and hangs"][1])
    for name, (node, sink) in scenes.items():
        gives_back_all(node, sink, stories[name], tell)


def nft(text):
    subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True)


def drop(port):
    """A firewall that swallows what goes to that port."""
    nft("table inet fault {\nchain c {\ntype filter hook output priority 0;\n"
        f"tcp dport {port} drop\n}}\n}}\n")


def undrop():
    nft("delete table inet fault\n")


def handed_over(primary):
    """Ids of the messages as Postfix took them. A Postfix that is killed may bring one to Dovecot
    twice; that is one handing over, with one queue id."""
    taken = {(mail.id, re.search(rb"\(Postfix\) with \w+ id (\w+)", mail.raw).group(1))
             for mail in primary.messages(ALICE)}
    return [name for name, _ in taken]


def test_killed_and_stopped_postfix(stage, tell):
    """The real thing: Postfix and Dovecot are killed under load, come back, then all their
    processes stand still, and go on."""
    primary = stage.start(Primary)
    node = stage.company(primary, cut_through=True)
    sender = Counting(node.at(), seconds=40)
    for number in range(20):
        sender.send(f"well-{number}", [ALICE], letter(f"well-{number}"))
    primary.kill9()
    for number in range(20):
        sender.send(f"dead-{number}", [ALICE], letter(f"dead-{number}"))
    wait_for(lambda: state(node) == "suspect", "it is noticed", 20)
    assert sums(node)["waiting"] == 20
    primary.start()
    began = time.monotonic()
    settled(node)
    tell(f"all given back {time.monotonic() - began:.2f} s after Postfix was back")
    primary.pause()
    began = time.monotonic()
    for number in range(5):
        sender.send(f"stopped-{number}", [ALICE], letter(f"stopped-{number}"))
    tell(f"five messages while it stood still took {time.monotonic() - began:.1f} s")
    primary.resume()
    began = time.monotonic()
    settled(node, 60)
    tell(f"all given back {time.monotonic() - began:.2f} s after it went on")
    assert sender.ids() == {f"{word}-{n}" for word, count in
                            (("well", 20), ("dead", 20), ("stopped", 5)) for n in range(count)}
    wait_for(lambda: sender.ids() <= set(primary.ids()), "everything in the mailbox")
    given = Counter(handed_over(primary))
    assert sum(given.values()) - len(given) <= sums(node)["possible_doubles"]
