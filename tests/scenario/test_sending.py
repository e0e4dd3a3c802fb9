"""What people send while their mail system is down: colleagues have it at once, the world a moment
later, and its sender sees what became of it, also when it comes back."""

import email
import email.policy
import time

import pytest

from harness.process import wait_for
from office import ALL, CAROL, FRIEND, NOBODY, TEAM, Office
from story import ALICE, BOB, settled, state

pytestmark = pytest.mark.usefixtures("network")

@pytest.fixture(scope="module")
def office(shared_stage):
    return Office(shared_stage)


def changed_since(client, since):
    answer = client.call("EmailSubmission/changes", sinceState=since)
    return answer["created"] + answer["updated"], answer["newState"]


def test_colleagues_have_it_at_once_and_the_sender_sees_who_reads_it_later(office):
    one, _ = office.send(ALICE, [BOB, CAROL, TEAM, FRIEND], "a tutti")
    wait_for(lambda: [m for m in office.clients[BOB].list() if m["subject"] == "a tutti"],
             "Bob has it", 10, pause=0.05)
    office.await_status(ALICE, one, FRIEND, "unknown")  # gone out; what they do there is not known
    found = office.statuses(ALICE, one)
    assert found[BOB]["delivered"] == "yes"
    assert found[CAROL]["delivered"] == found[TEAM]["delivered"] == "queued"
    assert "relayed" in found[CAROL]["smtpReply"] and "1 of the 2" in found[TEAM]["smtpReply"]
    assert office.submission(ALICE, one)["undoStatus"] == "final"
    assert len([m for m in office.clients[BOB].list() if m["subject"] == "a tutti"]) == 1


def test_groups_in_groups_reach_everybody_once(office):
    one, _ = office.send(ALICE, [ALL], "per tutti")
    for who in (ALICE, BOB):
        wait_for(lambda who=who: [m for m in office.clients[who].list()
                                  if m["subject"] == "per tutti"], f"{who} has it", 10, pause=0.05)
    found = office.await_status(ALICE, one, ALL, "queued")
    assert "2 of the 3" in found["smtpReply"]
    assert len([m for m in office.clients[BOB].list() if m["subject"] == "per tutti"]) == 1


def test_what_becomes_of_it_is_a_change_also_after_everything_died(office):
    client = office.clients[ALICE]
    one, before = office.send(ALICE, [CAROL], "piu tardi")
    office.await_status(ALICE, one, CAROL, "queued")

    def is_known():
        ids, state_now = changed_since(client, before)
        return state_now if one in ids and office.submission(ALICE, one)["sendAt"] else None

    wait_for(is_known, "it is a change", 10, pause=0.05)
    wait_for(lambda: client.call("EmailSubmission/get", ids=[])["state"] ==
             quiet(client), "nothing changes for a moment", 20)
    since = client.call("EmailSubmission/get", ids=[])["state"]
    office.node.kill9()
    office.inside.start()
    office.node.start()
    office.node.must("state", "return", "exchange", "--why", "it is back")
    office.await_status(ALICE, one, CAROL, "yes", 60)
    wait_for(lambda: one in changed_since(client, since)[0], "and that is a change", 20, pause=0.1)
    settled(office.node)
    office.inside.stop()
    office.node.must("state", "emergency", "exchange", "--why", "dead again")


def quiet(client):
    time.sleep(1)
    return client.call("EmailSubmission/get", ids=[])["state"]


def test_what_fails_comes_back_in_words_into_the_conversation(office):
    client = office.clients[ALICE]
    one, before = office.send(ALICE, [NOBODY, BOB], "senza fortuna")
    found = office.await_status(ALICE, one, NOBODY, "no")
    assert "no such user here" in found["smtpReply"]
    blobs = wait_for(lambda: office.submission(ALICE, one)["dsnBlobIds"], "it names its notice", 10)
    assert len(blobs) == 1
    mail = email.message_from_bytes(client.download(blobs[0], "n.eml", "message/rfc822"),
                                    policy=email.policy.default)
    assert mail.get_content_type() == "multipart/report"
    text = mail.get_payload(0).get_content()
    assert "Che cosa è successo" in text and "questa casella non esiste" in text
    assert "Controlla che l'indirizzo sia scritto bene" in text
    sent = [m for m in client.list("sent") if m["subject"] == "senza fortuna"][0]
    here = [m for m in client.list() if m["threadId"] == sent["threadId"]]
    assert [m["subject"] for m in here] == ["Il tuo messaggio non è stato consegnato"]
    wait_for(lambda: one in changed_since(client, before)[0], "and that is a change", 10)
    assert state(office.node) == "emergency"


def vacation(client, **what):
    answer = client.call("VacationResponse/set", update={"singleton": what})
    assert "singleton" in answer["updated"], answer


def test_who_is_away_answers_once(office):
    """Bob's mail system is dead, so it does not answer for him."""
    anna, bob = office.clients[ALICE], office.clients[BOB]
    vacation(bob, isEnabled=True, subject="Sono via", textBody="Torno domani.")
    office.send(ALICE, [BOB], "domanda")
    found = wait_for(lambda: [m for m in anna.list() if m["subject"] == "Sono via"],
                     "his answer", 15, pause=0.05)
    full = anna.call("Email/get", ids=[found[0]["id"]], fetchTextBodyValues=True, properties=[
        "from", "bodyValues", "header:Auto-Submitted", "header:Return-Path"])["list"][0]
    assert full["from"][0]["email"] == BOB
    assert full["header:Auto-Submitted"].strip() == "auto-replied"
    assert list(full["bodyValues"].values())[0]["value"].strip() == "Torno domani."
    question = [m for m in anna.list("sent") if m["subject"] == "domanda"][0]
    assert found[0]["threadId"] == question["threadId"]
    office.node.kill9()
    office.node.start()
    one, _ = office.send(ALICE, [BOB, TEAM], "ancora")
    office.send(ALICE, [TEAM], "alla squadra")  # he is not named
    vacation(bob, isEnabled=False)
    wait_for(lambda: [m for m in bob.list() if m["subject"] == "alla squadra"], "Bob has it", 10)
    office.await_status(ALICE, one, BOB, "yes")
    assert len([m for m in anna.list() if m["subject"] == "Sono via"]) == 1


def test_what_is_held_is_undone_or_goes_by_itself_also_after_everything_died(office):
    client = office.clients[ALICE]
    never, _ = office.send(ALICE, [BOB], "mai", {"HOLDFOR": "600"})
    later, _ = office.send(ALICE, [BOB], "tra poco", {"HOLDFOR": "2"})
    assert office.submission(ALICE, never)["undoStatus"] == "pending"
    office.node.kill9()
    office.node.start()
    answer = client.call("EmailSubmission/set", update={never: {"undoStatus": "canceled"}})
    assert never in answer["updated"]
    wait_for(lambda: office.submission(ALICE, later)["undoStatus"] == "final", "it went", 20)
    answer = client.call("EmailSubmission/set", update={later: {"undoStatus": "canceled"}})
    assert answer["notUpdated"][later]["type"] == "cannotUnsend"
    wait_for(lambda: [m for m in office.clients[BOB].list() if m["subject"] == "tra poco"],
             "Bob has it", 10)
    assert not [m for m in office.clients[BOB].list() if m["subject"] == "mai"]
    assert client.call("EmailSubmission/query", filter={"undoStatus": "canceled"})["ids"] == [never]


def test_a_person_sends_so_much_and_is_told_why_not_more(stage):
    office = Office(stage, has_world=False, sending={"recipients_per_hour": 3})
    office.send(ALICE, [BOB, CAROL], "uno")
    with pytest.raises(AssertionError) as refused:
        office.send(ALICE, [BOB, CAROL], "due")
    assert "rateLimit" in str(refused.value) and "in an hour" in str(refused.value)
    office.send(ALICE, [BOB], "tre")
    office.send(BOB, [ALICE, CAROL], "un altro")
    found = [one for one in office.node.must("limits")["limits"]
             if one["name"] == "desk.recipients-per-hour"][0]
    assert found["setting"] == "sending.recipients_per_hour", found
    wait_for(lambda: [one for one in office.node.must("limits")["limits"]
                      if one["name"] == "desk.recipients-per-hour"][0]["count"] == 1,
             "it is counted", 10)
