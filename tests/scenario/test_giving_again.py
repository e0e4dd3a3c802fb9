"""What a primary has lost with its disk is given to it again, and only that.

A real mail system (Postfix and Dovecot) takes mail; then some of its mailboxes lose letters, as a
restored backup would. `state return --since` looks into each mailbox and gives again what is
missing; run twice it changes nothing."""

import time

import pytest

from harness.peers import Primary
from harness.process import wait_for
from story import ALICE, BOB, Story, sums

pytestmark = pytest.mark.usefixtures("network")


def letters(primary, person):
    return primary.count(person)


@pytest.fixture
def company(stage):
    primary = stage.start(Primary)
    node = stage.company(primary, people=[ALICE, BOB])
    host, port = primary.imap
    node.must("access", "set", "exchange", "--host", f"{host}:{port}", "--tls", "never",
              "--master-user", "%s*admin", "--master-secret", "masterpw")
    return node, primary


def test_what_was_lost_is_given_again_and_nothing_else(company):
    node, primary = company
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 1))
    story = Story(node)
    for number in range(6):
        story.send(f"a{number}", ALICE)
    for number in range(4):
        story.send(f"b{number}", BOB)
    wait_for(lambda: letters(primary, ALICE) == 6 and letters(primary, BOB) == 4, "all there", 20)
    primary.lose(ALICE, 5)

    seen = node.must("state", "return", "exchange", "--since", since, "--dry-run",
                     "--why", "how much is lost?")
    assert (seen["present"], seen["absent"], seen["given"]) == (5, 5, 0)
    assert letters(primary, ALICE) == 1

    done = node.must("state", "return", "exchange", "--since", since, "--why", "the disk died")
    assert (done["found"], done["present"], done["absent"], done["given"]) == (10, 5, 5, 5)
    wait_for(lambda: letters(primary, ALICE) == 6, "given again", 20)
    assert letters(primary, BOB) == 4
    wait_for(lambda: sums(node)["waiting"] == 0, "nothing waits", 10)

    again = node.must("state", "return", "exchange", "--since", since, "--why", "once more")
    assert (again["present"], again["absent"], again["given"]) == (10, 0, 0)
    assert letters(primary, ALICE) == 6 and letters(primary, BOB) == 4
    assert node.must("ledger")["balanced"]


def test_an_id_is_not_found_within_another(company):
    node, primary = company
    story = Story(node)
    for number, name in enumerate(("7", "77", "177", "7@outside.test.7")):
        story.send(name, ALICE)
        wait_for(lambda n=number: letters(primary, ALICE) == n + 1, "one after the other", 20)
    primary.lose(ALICE, 1)
    done = node.must("state", "return", "exchange", "--since", "1h", "--why", "the disk died")
    assert (done["found"], done["present"], done["absent"], done["given"]) == (4, 3, 1, 1)
    wait_for(lambda: letters(primary, ALICE) == 4, "given again", 20)
    assert sorted(primary.ids([ALICE])) == sorted(["7", "77", "177", "7@outside.test.7"])


def test_nothing_is_given_where_nobody_can_look(stage):
    primary = stage.start(Primary)
    node = stage.company(primary, people=[ALICE, BOB])
    Story(node).send("one", ALICE)
    wait_for(lambda: letters(primary, ALICE) == 1, "there", 20)
    code, why = node.cli("state", "return", "exchange", "--since", "1h", "--why", "x")
    assert code != 0 and "access set" in why["detail"]
    host, port = primary.imap
    node.must("access", "set", "exchange", "--host", f"{host}:{port}", "--tls", "never",
              "--master-user", "%s*admin", "--master-secret", "wrong")
    code, told = node.cli("state", "return", "exchange", "--since", "1h", "--why", "x")
    assert code == 1 and told["unsure"] == 1 and told["given"] == 0
