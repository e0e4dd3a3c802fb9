"""A mailbox over JMAP: mail is there a moment after its 250, whatever became of the primary."""

import time

import pytest

from harness import corpus, netns
from harness.jmap import Client, Refused
from harness.process import ROOT, wait_for
from harness.sender import Client as SmtpClient
from story import ALICE, BOB, Story

pytestmark = pytest.mark.usefixtures("network")


@pytest.fixture(scope="module")
def office(shared_stage):
    address = "127.0.0.1"
    ports = [netns.free_port(address) for _ in range(2)]
    node, sink = shared_stage.before(settings={"listen": [
        {"for": "smtp", "at": f"{address}:{ports[0]}"},
        {"for": "https", "at": f"{address}:{ports[1]}", "tls": "none"}]})
    clients = {}
    for who in (ALICE, BOB):
        made = node.must("person", "password", who, "--generate")
        clients[who] = Client(f"http://{address}:{ports[1]}", who, made["password"])
    return node, sink, clients


def test_a_letter_is_in_the_list_a_second_after_its_250(office, tell):
    node, _, clients = office
    story = Story(node)
    assert story.send("first").is_ok
    began = time.monotonic()
    found = wait_for(lambda: [one for one in clients[ALICE].list() if one["subject"] == "first"],
                     "the letter is in the list", 1, pause=0.01)
    tell(f"visible {1000 * (time.monotonic() - began):.0f} ms after the 250")
    assert found[0]["from"][0]["email"] == "x@outside.test"
    assert clients[BOB].list() == []


def test_its_text_is_read_its_flag_is_set_and_it_is_found(office):
    node, _, clients = office
    Story(node).send("second", text="der Text mit Zwetschgenkuchen")
    anna = clients[ALICE]
    one = wait_for(lambda: anna.list(properties=("subject", "id"), subject="second"),
                   "the index of words has it", 10, pause=0.1)[0]
    full = anna.call("Email/get", ids=[one["id"]], fetchTextBodyValues=True)["list"][0]
    assert "Zwetschgenkuchen" in list(full["bodyValues"].values())[0]["value"]
    before = full["mailboxIds"]
    anna.call("Email/set", update={one["id"]: {"keywords/$seen": True}})
    again = anna.call("Email/get", ids=[one["id"]], properties=["keywords", "mailboxIds"])["list"][0]
    assert again["keywords"] == {"$seen": True} and again["mailboxIds"] == before
    assert [e["id"] for e in anna.list(properties=("id",), text="zwetschgen*")] == [one["id"]]


def test_a_list_shows_exactly_what_the_bytes_say(office):
    """Lists come from what was computed when the mail came; everything else from the bytes."""
    node, _, clients = office
    odd = [raw.read_bytes() for raw in sorted((ROOT / "tests" / "data" / "mime").rglob("*"))
           if raw.is_file() and raw.stat().st_size < 100_000]
    letters = [raw for raw in map(corpus.crlf, odd) if b":" in raw[:100] and b"\0" not in raw]
    letters += corpus.letters()[::12]
    with SmtpClient(node.at(), seconds=40) as client:
        client.ehlo()
        for raw in letters:
            assert client.transaction("x@outside.test", BOB, raw).is_ok
    bob, shown = clients[BOB], ["from", "to", "subject", "preview", "hasAttachment"]
    found = bob.call("Email/query", limit=1000)["ids"]
    assert len(found) == len(letters)
    for ids in (found[i:i + 100] for i in range(0, len(found), 100)):
        short = bob.call("Email/get", ids=ids, properties=shown)["list"]
        for one in (short, *[bob.call("Email/get", ids=ids, properties=[name])["list"]
                             for name in shown]):
            full = bob.call("Email/get", ids=ids, properties=[*shown, "headers"])["list"]
            for mine, theirs in zip(one, full):
                assert mine == {name: theirs[name] for name in mine}
    bob.call("Email/set", destroy=found)


def test_a_draft_with_an_attachment_is_kept_and_its_bytes_come_back(office):
    anna = office[2][ALICE]
    blob = anna.upload(b"an attachment" * 1000, "text/plain")
    made = anna.call("Email/set", create={"d": {
        "mailboxIds": {anna.mailbox("drafts"): True}, "keywords": {"$draft": True},
        "subject": "Bozza", "to": [{"email": BOB}],
        "textBody": [{"partId": "t", "type": "text/plain"}],
        "bodyValues": {"t": {"value": "Ciao"}},
        "attachments": [{"blobId": blob["blobId"], "type": "text/plain", "name": "a.txt"}]}})
    draft = made["created"]["d"]["id"]
    full = anna.call("Email/get", ids=[draft], properties=["attachments"])["list"][0]
    part = full["attachments"][0]
    assert anna.download(part["blobId"], "a.txt", "text/plain") == b"an attachment" * 1000


def test_nobody_reads_anothers_things(office):
    anna, bob = office[2][ALICE], office[2][BOB]
    email = anna.list(properties=("id", "blobId"))[0]
    assert bob.call("Email/get", ids=[email["id"]])["notFound"] == [email["id"]]
    with pytest.raises(Refused) as refused:
        bob.download(email["blobId"])
    assert refused.value.status == 404
    with pytest.raises(Refused) as refused:
        Client(anna.url, ALICE, "wrong wrong wrong")
    assert refused.value.status == 401


def test_mail_is_there_after_everything_died(office):
    node, _, clients = office
    before = [one["id"] for one in clients[ALICE].list(properties=("id",))]
    assert before
    node.kill9()
    node.start()
    assert [one["id"] for one in clients[ALICE].list(properties=("id",))] == before
