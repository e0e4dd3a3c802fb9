"""Searching a mailbox as people type it, and as programs ask: what is found, what is not, what must not
be found any more, also after the index of words was lost."""

import base64
import contextlib
import sqlite3
import subprocess

import pytest

from harness import netns
from harness.jmap import Client
from harness.process import tool, wait_for
from harness.sender import Client as Sender
from story import ALICE, BOB, letter

pytestmark = pytest.mark.usefixtures("network")

# Name of a letter, and how it came: a whole message.
LETTERS = {
    "invoice": """From: Zoë Müller <zoe@outside.test>
To: Alice <alice@example.test>
Cc: Björn Ångström <bjorn@elsewhere.test>
Subject: Rechnung für März
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Die Überweisung über dreihundert Euro steht noch aus.
""",
    "report": """From: Luca Rossi <luca@outside.test>
To: Alice <alice@example.test>
Subject: Relazione annuale
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/html; charset=utf-8

<p>La <b>relazione</b> &egrave; in allegato, con i conti di marzo.</p>
--b
Content-Type: application/pdf; name="bilancio-2025.pdf"
Content-Disposition: attachment; filename="bilancio-2025.pdf"
Content-Transfer-Encoding: base64

JVBERi0xLjQK
--b--
""",
    "plums": """From: Oma <oma@outside.test>
To: Alice <alice@example.test>
Subject: Kuchen am Sonntag
Content-Type: text/plain; charset=utf-8

Zwetschgenkuchen und Apfelstrudel, kommt alle.
""",
}
# Kept by Alice herself: (when, words, keywords, mailbox role)
OLD = """From: Archive <archive@outside.test>
To: Alice <alice@example.test>
Subject: altes Protokoll
Date: Tue, 03 Mar 2020 10:00:00 +0000
Content-Type: text/plain

Sitzung vom Dienstag.
"""

# What is typed -> the letters that are found.
TYPED = [
    ("zwetschgenkuchen", "plums"),
    ("ZWETSCHGENKUCHEN", "plums"),
    ("zwetsch*", "plums"),
    ("zwetsch", ""),
    ("uberweisung", "invoice"),
    ("Überweisung", "invoice"),
    ("uber*", "invoice"),
    ('"steht noch aus"', "invoice"),
    ('"noch steht aus"', ""),
    ("noch steht aus", "invoice"),
    ("kuchen -apfelstrudel", ""),
    ("kuchen -rechnung", "plums"),
    ("rechnung OR kuchen", "invoice plums"),
    ("relazione marzo", "report"),
    ("from:zoe", "invoice"),
    ("from:müller", "invoice"),
    ("from:muller", "invoice"),
    ("from:alice", ""),
    ("from:zoe@outside.test", "invoice"),
    ('from:"Luca Rossi"', "report"),
    ("to:alice", "invoice old plums report"),
    ("to:bjorn", ""),
    ("cc:bjorn", "invoice"),
    ("cc:angstrom", "invoice"),
    ("subject:marz", "invoice"),
    ("subject:überweisung", ""),
    ('subject:"kuchen am sonntag"', "plums"),
    ("subject:kuch*", "plums"),
    ("body:strudel*", ""),
    ("body:apfel*", "plums"),
    ("filename:bilancio*", "report"),
    ("bilancio-2025.pdf", "report"),
    ("has:attachment", "report"),
    ("-has:attachment kuchen", "plums"),
    ("before:2020-03-04", "old"),
    ("before:2020-03-03", ""),
    ("after:2020-03-03 before:2021", "old"),
    ("on:3.3.2020", "old"),
    ("after:2021", "invoice plums report"),
    ("after:2100", ""),
    ("in:inbox", "invoice plums report"),
    ("in:Sent", "old"),
    ("in:sent protokoll", "old"),
    ("in:nowhere", ""),
    ("is:unread", "invoice plums report"),
    ("is:read", "old"),
    ("is:flagged", "old"),
    ("is:answered", ""),
    ("is:draft", ""),
    ("from:zoe OR from:oma", "invoice plums"),
    ("from:zoe OR has:attachment", "invoice report"),
    ("da:zoe", "invoice"),
    ("von:oma betreff:kuchen", "plums"),
    ("larger:1M", ""),
    ("smaller:1M is:flagged", "old"),
    ('"', "invoice old plums report"),
    ('from: "" AND NEAR( * {', ""),
]
# Filters of RFC 8621 section 4.4.1 -> the letters that are found.
FILTERS = [
    ({"subject": "marz"}, "invoice"),
    ({"from": "zoe"}, "invoice"),
    ({"to": "alice", "hasAttachment": True}, "report"),
    ({"cc": "bjorn"}, "invoice"),
    ({"body": "uberweisung"}, "invoice"),
    ({"body": "from:zoe"}, ""),
    ({"text": "kuchen", "before": "2021-01-01T00:00:00Z"}, ""),
    ({"operator": "NOT", "conditions": [{"text": "kuchen"}, {"text": "rechnung"}]}, "old report"),
    ({"operator": "OR", "conditions": [{"subject": "kuchen"}, {"hasKeyword": "$flagged"}]},
     "old plums"),
    ({"operator": "AND", "conditions": [{"text": "alice"}, {"after": "2021-01-01T00:00:00Z"}]},
     "invoice plums report"),
]


def send(node, message, recipient=ALICE):
    with Sender(node.at()) as client:
        client.ehlo()
        content = message if isinstance(message, bytes) else \
            message.replace("\n", "\r\n").encode()
        assert client.transaction("x@outside.test", recipient, content).is_ok


def keep(anna, content, role, keywords, received):
    blob = anna.upload(content.replace("\n", "\r\n").encode(), "message/rfc822")["blobId"]
    made = anna.call("Email/import", emails={"e": {
        "blobId": blob, "mailboxIds": {anna.mailbox(role): True}, "keywords": keywords,
        "receivedAt": received}})
    return made["created"]["e"]["id"]


def found(client, **filter):
    return client.call("Email/query", filter=filter)["ids"]


def have(client, text, n=1):
    return wait_for(lambda: len(found(client, text=text)) >= n, f"{text} is found", 10, pause=0.05)


def open_office(stage, **settings):
    """(node, Alice, Bob)"""
    address = "127.0.0.1"
    ports = [netns.free_port(address) for _ in range(2)]
    node, _ = stage.before(settings=settings | {"listen": [
        {"for": "smtp", "at": f"{address}:{ports[0]}"},
        {"for": "https", "at": f"{address}:{ports[1]}", "tls": "none"}]})
    clients = []
    for who in (ALICE, BOB):
        made = node.must("person", "password", who, "--generate")
        clients.append(Client(f"http://{address}:{ports[1]}", who, made["password"]))
    return node, *clients


@pytest.fixture(scope="module")
def office(shared_stage):
    return open_office(shared_stage)


@pytest.fixture(scope="module")
def names(office):
    """Ids of the letters, when all of them can be found: {id: name}."""
    node, anna, _ = office
    for message in LETTERS.values():
        send(node, message)
    old = keep(anna, OLD, "sent", {"$seen": True, "$flagged": True}, "2020-03-03T10:00:00Z")
    ids = {old: "old"}
    for name, word in (("invoice", "rechnung"), ("report", "relazione"), ("plums", "kuchen")):
        have(anna, word)
        ids[found(anna, text=word)[0]] = name
    have(anna, "protokoll")
    return ids


@pytest.mark.parametrize("typed, expected", TYPED)
def test_what_people_type(office, names, typed, expected):
    assert sorted(names[one] for one in found(office[1], text=typed)) == expected.split()


@pytest.mark.parametrize("filter, expected", FILTERS)
def test_what_programs_ask(office, names, filter, expected):
    assert sorted(names[one] for one in found(office[1], **filter)) == expected.split()


def test_what_was_found_is_marked(office, names):
    anna = office[1]
    ids = {name: one for one, name in names.items()}
    list_ = anna.call("SearchSnippet/get", filter={"text": "rechnung uberweis*"},
                      emailIds=[ids["invoice"], ids["plums"]])["list"]
    by_id = {one["emailId"]: one for one in list_}
    assert by_id[ids["invoice"]]["subject"] == "<mark>Rechnung</mark> für März"
    assert "<mark>Überweisung</mark>" in by_id[ids["invoice"]]["preview"]
    assert by_id[ids["plums"]]["subject"] is None


def test_nobody_finds_anothers_words(office, names):
    for typed in ("kuchen", "zoe", "to:alice", "-nothing", "has:attachment"):
        assert found(office[2], text=typed) == []


def test_a_draft_is_found_as_it_is_now(office, names):
    anna = office[1]
    drafts = anna.mailbox("drafts")

    def write(text):
        made = anna.call("Email/set", create={"d": {
            "mailboxIds": {drafts: True}, "keywords": {"$draft": True}, "subject": text,
            "textBody": [{"partId": "t", "type": "text/plain"}],
            "bodyValues": {"t": {"value": f"the body says {text}"}}}})
        return made["created"]["d"]["id"]

    first = write("quetzalcoatl")
    wait_for(lambda: found(anna, text="quetzalcoatl") == [first], "the draft is found", 10)
    assert found(anna, text="is:draft in:drafts quetzal*") == [first]
    second = write("tezcatlipoca")
    anna.call("Email/set", destroy=[first])
    wait_for(lambda: found(anna, text="tezcatlipoca") == [second], "the new one is found", 10)
    assert found(anna, text="quetzalcoatl") == []
    anna.call("Email/set", destroy=[second])


def test_very_long_mail_does_not_stop_the_search(office, names):
    """More words than search keeps of one message, and more recipients than anybody reads."""
    node, anna, _ = office
    words = "\r\n".join(f"wort{i} " * 8 for i in range(20000))
    send(node, letter("longest", f"beginning\r\n{words}"))
    to = ",\n ".join(f"Person {i} <p{i}@elsewhere.test>" for i in range(5000))
    send(node, f"From: <x@outside.test>\nSubject: crowded\nTo: {to}\n\ncrowdtext\n")
    send(node, letter("afterwards", "not forgotten"))
    for typed in ("afterwards", "longest beginning", "crowdtext", "crowded"):
        have(anna, typed)


def test_large_mail_that_others_overtake_is_found(office, names):
    """It is written in pieces: others that came later are durable first."""
    node, anna, _ = office
    padding = base64.encodebytes(bytes(3 << 20)).decode().replace("\n", "\r\n")
    large = letter("overtaken", padding, more="Content-Transfer-Encoding: base64\r\n"
                   "Content-Type: application/octet-stream; name=\"giant.bin\"\r\n"
                   "MIME-Version: 1.0\r\n")
    for i in range(3):
        send(node, large.replace(b"overtaken", b"overtaken%d" % i))
        send(node, letter(f"quick{i}", "swift"))
    for i in range(3):
        have(anna, f"subject:overtaken{i}")
        have(anna, f"subject:quick{i}")


def test_what_is_destroyed_is_not_found_and_rebuilding_finds_the_rest(office, names):
    node, anna, _ = office
    ids = {name: one for one, name in names.items()}
    before = {typed: found(anna, text=typed) for typed, _ in TYPED if "plums" not in _}
    anna.call("Email/set", destroy=[ids["plums"]])
    assert found(anna, text="zwetschgenkuchen") == []
    node.stop()
    words = node.data / "index" / "search.db"
    assert words.exists()
    done = subprocess.run([node.program, "store", "rebuild", str(node.data)], text=True,
                          capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not words.exists()
    node.start()
    wait_for(lambda: found(anna, text="rechnung"), "the words are there again", 20, pause=0.1)
    for typed, expected in before.items():
        wait_for(lambda t=typed, e=expected: found(anna, text=t) == e, f"{typed} as before", 20)
    assert found(anna, text="zwetschgenkuchen") == []


def is_on_disk(node, word):
    """Anywhere in the file of the words, or beside it. Words share their beginnings there."""
    folder = node.data / "index"
    return any(word.encode() in path.read_bytes() for path in folder.glob("search.db*"))


def n_removed(node):
    """Entries that are not found any more while their words are still there."""
    path = node.data / "index" / "search.db"
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return db.execute("SELECT count(*) FROM removed").fetchone()[0]


def test_words_of_what_was_destroyed_leave_the_disk(stage, directory):
    """Two days later nothing of them is in the file; it is promised after seven."""
    moved = directory / "moved"
    moved.write_text("0 ".ljust(32))
    moved.chmod(0o644)
    node, anna, _ = open_office(stage, environment={"LD_PRELOAD": tool("clock_moved.so"),
                                                    "CLOCK_MOVED": str(moved)})
    send(node, letter("secret", "quetzalcoatl"))
    send(node, letter("other", "tezcatlipoca"))
    have(anna, "quetzalcoatl")
    have(anna, "tezcatlipoca")
    assert is_on_disk(node, "etzalcoatl") and is_on_disk(node, "zcatlipoca")
    anna.call("Email/set", destroy=found(anna, text="quetzalcoatl"))
    wait_for(lambda: n_removed(node) == 1, "its entry is removed", 10)
    node.stop()
    assert is_on_disk(node, "etzalcoatl")
    moved.write_text(f"{2 * 86400} ".ljust(32))
    node.start()
    wait_for(lambda: not is_on_disk(node, "etzalcoatl"), "the words are gone", 20, pause=0.2)
    assert is_on_disk(node, "zcatlipoca") and len(found(anna, text="tezcatlipoca")) == 1
