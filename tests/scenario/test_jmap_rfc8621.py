"""What RFC 8621 says of looking for words, with the real index behind it. The table is
conformance/jmap/rfc8621.txt; most of it is shown by src/jmap/test."""

import pytest

from harness import netns
from harness.jmap import Client
from harness.process import wait_for
from story import ALICE

pytestmark = pytest.mark.usefixtures("network")


@pytest.fixture(scope="module")
def anna(shared_stage):
    address = "127.0.0.1"
    ports = [netns.free_port(address) for _ in range(2)]
    node, _ = shared_stage.before(settings={"listen": [
        {"for": "smtp", "at": f"{address}:{ports[0]}"},
        {"for": "https", "at": f"{address}:{ports[1]}", "tls": "none"}]})
    made = node.must("person", "password", ALICE, "--generate")
    return Client(f"http://{address}:{ports[1]}", ALICE, made["password"])


def keep(anna, **fields):
    """The id of a new email with these header fields, and a text."""
    text = fields.pop("text", "nothing")
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    blob = anna.upload(f"{head}\r\n{text}\r\n".encode(), "message/rfc822")["blobId"]
    made = anna.call("Email/import", emails={
        "e": {"blobId": blob, "mailboxIds": {anna.mailbox("inbox"): True}}})
    return made["created"]["e"]["id"]


def find(anna, **filter):
    return set(anna.call("Email/query", filter=filter)["ids"])


def wait(anna, ids, **filter):
    wait_for(lambda: find(anna, **filter) == ids, f"{filter} finds what is there", 10, pause=0.1)


def test_text_is_looked_up_in_every_field_that_people_write(anna):
    words = {"From": "Zanzara <quokka@x.test>", "To": "Balena <b@x.test>",
             "Cc": "=?utf-8?q?Ri=C3=A7cio?= <c@x.test>", "Bcc": "d@tartaruga.test",
             "Subject": "=?utf-8?q?Il_p=C3=A0ssero?= solo"}
    one = keep(anna, **words, text="in testa una giraffa")
    wait(anna, {one}, text="giraffa")
    for word in ("Zanzara", "quokka", "balena", "riçcio", "RICCIO", "tartaruga", "pàssero", "GIRAFFA"):
        assert find(anna, text=word) == {one}, word
    # Each of the narrow ones looks where it says, and nowhere else.
    places = {"from": "zanzara", "to": "balena", "cc": "riccio", "bcc": "tartaruga",
              "subject": "passero", "body": "giraffa"}
    for place in places:
        for other, word in places.items():
            assert find(anna, **{place: word}) == ({one} if other == place else set()), (place, word)


def test_all_words_must_be_there_and_phrases_as_they_stand(anna):
    both = keep(anna, Subject="lupo bianco", text="he said: say \"hi\" there, or not")
    one = keep(anna, Subject="lupo nero", text="there hi say")
    turned = keep(anna, Subject="bianco come un lupo")
    wait(anna, {both, one, turned}, text="lupo")
    for text, ids in (("lupo bianco", {both, turned}), ("bianco   lupo", {both, turned}),
                      ("lupo rosso", set()), ('"lupo bianco"', {both}), ("'lupo bianco'", {both}),
                      ('"say \\"hi\\" there"', {both}), ("'say \\'hi\\' there'", {both}),
                      ("say hi there", {both, one})):
        assert find(anna, text=text) == ids, text
    assert find(anna, subject="lupo bianco") == {both, turned}
    assert find(anna, subject="'lupo bianco'") == {both}
    assert find(anna, body="lupo") == set()


def test_snippets_show_what_was_found(anna):
    one = keep(anna, Subject="per <tutti> i castori", text="un castoro & due castori")
    wait(anna, {one}, text="castori")
    said = anna.call("SearchSnippet/get", emailIds=[one], filter={"text": "castori"})["list"]
    assert said == [{"emailId": one, "subject": "per &lt;tutti&gt; i <mark>castori</mark>",
                     "preview": "un castoro &amp; due <mark>castori</mark>"}]
    long = keep(anna, Subject="altro", text="parola " * 200 + "castori")
    wait(anna, {one, long}, text="castori")
    snippet = anna.call("SearchSnippet/get", emailIds=[long], filter={"text": "castori"})["list"][0]
    assert snippet["subject"] is None
    assert snippet["preview"] is None or len(snippet["preview"].encode()) <= 255
