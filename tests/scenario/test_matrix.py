"""Everybody against everybody over the real door: two companies, two people each, every JMAP method,
upload, download, event stream. Nobody sees or changes what is another's; an id of another is answered
exactly as one that does not exist. And an answer always reflects the caller's own last change."""

import collections
import http.client
import itertools
import json
import re
import socket
import ssl
import threading
import urllib.parse
from pathlib import Path

import pytest

from harness import certs, company, netns
from harness.jmap import Client, Refused
from harness.process import wait_for
from harness.sender import Client as Sender
from story import STRANGER, letter

pytestmark = pytest.mark.usefixtures("network")

ALICE, BOB = "alice@example.test", "bob@example.test"
CARLA, DARIO = "carla@verdi.test", "dario@verdi.test"
EVERYBODY = (ALICE, BOB, CARLA, DARIO)
METHODS = Path(__file__).resolve().parents[2] / "src/jmap/jmap_method.def"
# Of ids: one letter and what people see of an id.
ID = re.compile(r"\b[A-Z][a-z2-7]{13}\b")


class Person:
    """Somebody with one thing of each kind. `ids`: its id by kind."""

    def __init__(self, node, url, authority, address):
        made = node.must("person", "password", address, "--generate")
        self.address = address
        self.client = Client(url, address, made["password"], authority=authority)
        self.ids = {"account": self.client.account}

    def settle_in(self):
        call = self.client.call
        mail = wait_for(lambda: self.client.list(properties=("id", "blobId", "threadId")),
                        "the letter is there", 10)[0]
        box = call("Mailbox/set", create={"m": {"name": "Geheim"}})["created"]["m"]["id"]
        self.ids |= {"email": mail["id"], "blob": mail["blobId"], "thread": mail["threadId"],
                     "mailbox": box, "inbox": self.client.mailbox("inbox"),
                     "upload": self.client.upload(b"an upload of mine")["blobId"],
                     "identity": call("Identity/get")["list"][0]["id"]}
        call("VacationResponse/set", update={"singleton": {"subject": f"away {self.address}"}})
        draft = call("Email/set", create={"d": {
            "mailboxIds": {box: True}, "keywords": {"$draft": True, "geheim": True},
            "from": [{"email": self.address}], "to": [{"email": STRANGER}], "subject": "Entwurf",
            "textBody": [{"partId": "t", "type": "text/plain"}],
            "bodyValues": {"t": {"value": "verborgenes Wort"}}}})["created"]["d"]
        self.ids |= {"draft": draft["id"]}
        submitted = call("EmailSubmission/set", create={"s": {
            "emailId": draft["id"], "identityId": self.ids["identity"], "envelope": {
                "mailFrom": {"email": self.address, "parameters": {"HOLDFOR": "3600"}},
                "rcptTo": [{"email": STRANGER}]}}})
        self.ids["submission"] = submitted["created"]["s"]["id"]
        pushed = call("PushSubscription/set", create={"p": {
            "deviceClientId": "phone", "url": "https://127.0.0.1:9/push"}})
        self.ids["push"] = pushed["created"]["p"]["id"]

    def everything(self):
        """All that is hers, to compare."""
        names = ("Mailbox/get", "Identity/get", "VacationResponse/get", "EmailSubmission/get",
                 "Quota/get", "PushSubscription/get")
        found = self.client.calls(*((name, {"ids": None}) for name in names))
        emails = self.client.call("Email/query")["ids"]
        found += self.client.calls(("Email/get", {"ids": emails}))
        found.append(self.client.download(self.ids["upload"]))
        return found


# ---- what is tried with ids of somebody else -----------------------------------------------------

# Method -> calls; each is made from the ids of another, or from ids that do not exist.
TRIES = {
    "Core/echo": [lambda i, me: {"hello": True}],
    "Mailbox/get": [lambda i, me: {"ids": [i["mailbox"], i["inbox"]]}],
    "Mailbox/changes": [lambda i, me: {"sinceState": me["state"]}],
    "Mailbox/query": [lambda i, me: {"filter": {"parentId": i["mailbox"]}}],
    "Mailbox/queryChanges": [lambda i, me: {"sinceQueryState": me["state"],
                                            "filter": {"parentId": i["mailbox"]},
                                            "upToId": i["inbox"]}],
    "Mailbox/set": [lambda i, me: {"update": {i["mailbox"]: {"name": "mine"}}},
                    lambda i, me: {"create": {"x": {"name": "below", "parentId": i["mailbox"]}}},
                    lambda i, me: {"update": {me["mailbox"]: {"parentId": i["mailbox"]}}},
                    lambda i, me: {"destroy": [i["mailbox"]], "onDestroyRemoveEmails": True}],
    "Thread/get": [lambda i, me: {"ids": [i["thread"]]}],
    "Thread/changes": [lambda i, me: {"sinceState": me["state"]}],
    "Email/get": [lambda i, me: {"ids": [i["email"], i["draft"]]},
                  lambda i, me: {"ids": [i["draft"]], "fetchAllBodyValues": True,
                                 "properties": ["bodyValues", "textBody", "header:subject"]}],
    "Email/changes": [lambda i, me: {"sinceState": me["state"]}],
    "Email/query": [lambda i, me: {"filter": {"inMailbox": i["mailbox"]}},
                    lambda i, me: {"filter": {"inMailboxOtherThan": [i["inbox"]]}},
                    lambda i, me: {"filter": {"text": "verborgenes"}},
                    lambda i, me: {"filter": {"hasKeyword": "geheim"}, "anchor": i["draft"]},
                    lambda i, me: {"anchor": i["email"]}],
    "Email/queryChanges": [lambda i, me: {"sinceQueryState": me["state"], "upToId": i["email"],
                                          "filter": {"inMailbox": i["mailbox"]}}],
    "Email/set": [lambda i, me: {"update": {i["email"]: {"keywords/$seen": True}}},
                  lambda i, me: {"update": {me["email"]: {f"mailboxIds/{i['mailbox']}": True}}},
                  lambda i, me: {"destroy": [i["email"], i["draft"]]},
                  lambda i, me: {"create": {"x": {"mailboxIds": {i["mailbox"]: True}}}},
                  lambda i, me: {"create": {"x": {
                      "mailboxIds": {me["mailbox"]: True}, "attachments": [
                          {"blobId": i["upload"], "type": "text/plain"}]}}},
                  lambda i, me: {"create": {"x": {
                      "mailboxIds": {me["mailbox"]: True}, "attachments": [
                          {"blobId": i["blob"], "type": "message/rfc822"}]}}}],
    "Email/copy": [lambda i, me: {"fromAccountId": i["account"], "create": {"x": {
                      "id": i["email"], "mailboxIds": {me["mailbox"]: True}}}},
                   lambda i, me: {"fromAccountId": me["account"], "accountId": i["account"],
                                  "create": {"x": {"id": me["email"],
                                                   "mailboxIds": {i["mailbox"]: True}}}}],
    "Email/import": [lambda i, me: {"emails": {"x": {"blobId": i["upload"],
                                                     "mailboxIds": {me["mailbox"]: True}}}},
                     lambda i, me: {"emails": {"x": {"blobId": i["blob"],
                                                     "mailboxIds": {me["mailbox"]: True}}}},
                     lambda i, me: {"emails": {"x": {"blobId": me["blob"],
                                                     "mailboxIds": {i["mailbox"]: True}}}}],
    "Email/parse": [lambda i, me: {"blobIds": [i["upload"], i["blob"]]}],
    "SearchSnippet/get": [lambda i, me: {"emailIds": [i["email"], i["draft"]],
                                         "filter": {"text": "verborgenes"}}],
    "Quota/get": [lambda i, me: {"ids": None}],
    "Quota/changes": [lambda i, me: {"sinceState": me["state"]}],
    "Quota/query": [lambda i, me: {}],
    "Quota/queryChanges": [lambda i, me: {"sinceQueryState": me["state"]}],
    "Blob/upload": [lambda i, me: {"create": {"x": {"data": [{"blobId": i["upload"]}]}}},
                    lambda i, me: {"create": {"x": {"data": [{"blobId": i["blob"], "offset": 0,
                                                              "length": 3}]}}}],
    "Blob/get": [lambda i, me: {"ids": [i["upload"], i["blob"]], "properties": ["data", "size"]}],
    "Blob/lookup": [lambda i, me: {"ids": [i["upload"], i["blob"]],
                                   "typeNames": ["Email", "Mailbox", "Thread"]}],
    "Blob/copy": [lambda i, me: {"fromAccountId": i["account"],
                                 "blobIds": [i["upload"], i["blob"]]},
                  lambda i, me: {"fromAccountId": me["account"], "accountId": i["account"],
                                 "blobIds": [me["upload"]]},
                  lambda i, me: {"fromAccountId": me["account"], "blobIds": [i["upload"]]}],
    "Identity/get": [lambda i, me: {"ids": [i["identity"]]}],
    "Identity/changes": [lambda i, me: {"sinceState": me["state"]}],
    "Identity/set": [lambda i, me: {"update": {i["identity"]: {"name": "mine"}}},
                     lambda i, me: {"destroy": [i["identity"]]}],
    "VacationResponse/get": [lambda i, me: {"ids": ["singleton"]}],
    "VacationResponse/set": [lambda i, me: {"update": {i["identity"]: {"subject": "mine"}}}],
    "EmailSubmission/get": [lambda i, me: {"ids": [i["submission"]]}],
    "EmailSubmission/changes": [lambda i, me: {"sinceState": me["state"]}],
    "EmailSubmission/query": [lambda i, me: {"filter": {"emailIds": [i["draft"]]}},
                              lambda i, me: {"filter": {"identityIds": [i["identity"]]}},
                              lambda i, me: {"filter": {"threadIds": [i["thread"]]}}],
    "EmailSubmission/queryChanges": [lambda i, me: {"sinceQueryState": me["state"],
                                                    "filter": {"emailIds": [i["draft"]]}}],
    "EmailSubmission/set": [
        lambda i, me: {"create": {"x": {"emailId": i["draft"], "identityId": me["identity"]}}},
        lambda i, me: {"create": {"x": {"emailId": me["draft"], "identityId": i["identity"]}}},
        lambda i, me: {"update": {i["submission"]: {"undoStatus": "canceled"}}},
        lambda i, me: {"destroy": [i["submission"]]},
        lambda i, me: {"update": {}, "onSuccessDestroyEmail": [i["submission"]]}],
    "PushSubscription/get": [lambda i, me: {"ids": [i["push"]]}],
    "PushSubscription/set": [lambda i, me: {"update": {i["push"]: {"verificationCode": "x"}}},
                             lambda i, me: {"update": {i["push"]: {"types": ["Email"]}}},
                             lambda i, me: {"destroy": [i["push"]]}],
}


def nowhere(ids):
    """Ids as theirs that nobody has: another day's."""
    def other(one):
        return one[0] + "".join("abcdefghijklmnopqrstuvwxyz234567"[
            ("abcdefghijklmnopqrstuvwxyz234567".index(c) + (3 if n in (2, 3) else 0)) % 32]
            for n, c in enumerate(one[1:], 1))

    return {kind: other(one) for kind, one in ids.items()}


def neutral(answer, ids):
    """An answer without the ids that the caller wrote, as text; what remains must be the same."""
    text = json.dumps(answer, sort_keys=True)
    for kind in sorted(ids):
        text = text.replace(ids[kind], f"<{kind}>")
    return text


def of_type(method):
    return method.split("/")[0]


@pytest.fixture(scope="module")
def people(shared_stage, module_directory):
    """address -> Person, in two companies of one node; everything is as it will stay."""
    authority = certs.Authority(module_directory / "ca")
    listen = [{"for": purpose, "at": f"127.0.0.1:{netns.free_port('127.0.0.1')}"}
              for purpose in ("smtp", "https")]
    sink = shared_stage.sink()
    at = (sink.address, sink.port)
    node = shared_stage.node(listen=listen, tls=authority.issue("node"))
    company.add(node, at, [ALICE, BOB])
    company.add(node, at, [CARLA, DARIO], tenant="verdi", primary="postfix", domain="verdi.test")
    for primary, tenant in (("exchange", "rossi"), ("postfix", "verdi")):
        node.must("state", "emergency", primary, "--tenant", tenant, "--why", "people write here")
    url = "https://localhost:%d" % node.at("https")[1]
    found = {who: Person(node, url, authority, who) for who in EVERYBODY}
    for who in EVERYBODY:
        send(node, who, f"for {who}")
    for one in found.values():
        one.settle_in()
    wait_for(lambda: all(one.client.call("Email/query", filter={"text": "verborgenes"})["ids"]
                         for one in found.values()), "the words are found", 10)
    found["node"], found["authority"] = node, authority
    return found


def send(node, who, name):
    with Sender(node.at()) as client:
        client.ehlo()
        assert client.transaction(STRANGER, who, letter(name.replace(" ", "-"), to=who)).is_ok


PAIRS = list(itertools.permutations(EVERYBODY, 2))


# ---- the matrix ----------------------------------------------------------------------------------


def test_every_method_is_tried():
    methods = set(re.findall(r'JMAP_METHOD\("([^"]+)"', METHODS.read_text()))
    assert methods <= TRIES.keys(), f"not in the matrix: {methods - TRIES.keys()}"


def tries(theirs, mine):
    """All calls; a state is that of the type, as the caller sees it now."""
    for method, makers in TRIES.items():
        for make in makers:
            yield method, make(theirs, mine | {"state": mine["states"].get(of_type(method), "0")})


def states_of(person):
    types = ("Mailbox", "Thread", "Email", "Quota", "Identity", "EmailSubmission")
    answers = person.client.calls(*((f"{one}/get", {"ids": []}) for one in types))
    return {one: answer["state"] for one, (_, answer) in zip(types, answers)}


def ask(person, calls):
    answers = []
    for at in range(0, len(calls), 8):
        answers += person.client.calls(*calls[at:at + 8])
    return answers


@pytest.mark.parametrize("who, other", PAIRS)
def test_ids_of_another_are_ids_that_do_not_exist(people, who, other):
    me, her = people[who], people[other]
    mine = me.ids | {"states": states_of(me)}
    before_me, before_her = me.everything(), her.everything()
    fake = nowhere(her.ids)
    real_calls, fake_calls = list(tries(her.ids, mine)), list(tries(fake, mine))
    real, made_up = ask(me, real_calls), ask(me, fake_calls)
    assert len(real) == len(made_up) >= len(real_calls)
    hers = set(her.ids.values())
    for call, one, two in zip(real_calls, real, made_up):
        assert neutral(one, her.ids) == neutral(two, fake), call
        asked = set(ID.findall(json.dumps(call)))
        leaked = (set(ID.findall(json.dumps(one))) & hers) - asked
        assert not leaked, f"{call} told {leaked}"
        assert "verborgenes" not in json.dumps(one) or other not in json.dumps(one), call
    assert me.everything() == before_me
    assert her.everything() == before_her


@pytest.mark.parametrize("who, other", PAIRS)
def test_the_account_of_another_does_not_exist(people, who, other):
    me, her = people[who], people[other]
    before = her.everything()
    fake = nowhere(her.ids)
    mine = me.ids | {"states": states_of(me)}
    for ids in (her.ids, fake):
        calls = [(method, {"accountId": ids["account"]} | args)
                 for method, args in tries(ids, mine)
                 if method not in ("Core/echo", "Email/copy", "Blob/copy") and
                     of_type(method) != "PushSubscription"]
        for call, (name, answer) in zip(calls, ask(me, calls)):
            assert (name, answer["type"]) == ("error", "accountNotFound"), call
    assert her.everything() == before


def refusal(client, *request):
    with pytest.raises(Refused) as refused:
        client.http(*request)
    return refused.value.status, refused.value.body


@pytest.mark.parametrize("who, other", PAIRS)
def test_bytes_of_another_do_not_exist(people, who, other):
    me, her = people[who], people[other]
    fake = nowhere(her.ids)
    own = me.client.account
    for blob in ("upload", "blob"):
        answers = {refusal(me.client, "GET", f"/jmap/download/{account}/{ids[blob]}/x?accept=a/b")
                   for ids in (her.ids, fake) for account in (own, ids["account"])}
        assert len(answers) == 1 and answers.pop()[0] == 404
    answers = {refusal(me.client, "POST", f"/jmap/upload/{ids['account']}/", b"x")
               for ids in (her.ids, fake)}
    assert len(answers) == 1 and answers.pop()[0] == 404


# ---- event streams -------------------------------------------------------------------------------


class Stream:
    """What comes over one person's event stream, read in the background."""

    def __init__(self, person):
        client = person.client
        at = urllib.parse.urlsplit(client.url)
        raw = socket.create_connection((at.hostname, at.port), timeout=30)
        self.socket = client.tls.wrap_socket(raw, server_hostname=at.hostname)
        self.socket.settimeout(None)
        head = "".join(f"{key}: {value}\r\n" for key, value in client.headers.items())
        self.socket.sendall(f"GET /jmap/eventsource/?types=*&closeafter=no&ping=0 HTTP/1.1\r\n"
                            f"Host: {at.netloc}\r\n{head}\r\n".encode())
        self.accounts = collections.Counter()
        self.is_open = threading.Event()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        assert self.is_open.wait(10)

    def _read(self):
        answer = http.client.HTTPResponse(self.socket)
        answer.begin()
        if answer.status == 200:
            self.is_open.set()
        while line := answer.readline():
            if line.startswith(b"data: ") and b"changed" in line:
                self.accounts.update(json.loads(line[6:])["changed"].keys())

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)
        self.socket.close()


def test_a_stream_tells_of_ones_own_account_only(people):
    streams = {who: Stream(people[who]) for who in EVERYBODY}
    for who in EVERYBODY:
        people[who].client.call("Mailbox/set", update={
            people[who].ids["mailbox"]: {"sortOrder": 7}})
        send(people["node"], who, f"news for {who}")
    for who, stream in streams.items():
        own = people[who].client.account
        wait_for(lambda s=stream, a=own: s.accounts[a] >= 1, f"{who} hears of it", 10)
    # Whoever would hear of another has heard by the time at which each hears of a second change.
    for who in EVERYBODY:
        seen = streams[who].accounts[people[who].client.account]
        people[who].client.call("Mailbox/set", update={
            people[who].ids["mailbox"]: {"sortOrder": 8}})
        wait_for(lambda s=streams[who], a=people[who].client.account, n=seen: s.accounts[a] > n,
                 f"{who} hears of the next", 10)
    for who, stream in streams.items():
        assert set(stream.accounts) == {people[who].client.account}
        stream.close()


# ---- one's own last change -----------------------------------------------------------------------

ROUNDS = 25


class Hand(threading.Thread):
    """One of two programs of the same person. After each change it asks: the answer has it."""

    def __init__(self, person, other_client, name):
        super().__init__(daemon=True)
        self.person, self.other, self.name_ = person, other_client, name
        self.client = other_client if name == "b" else person.client
        self.wrong = []

    def run(self):
        try:
            for i in range(ROUNDS):
                self._round(f"{self.name_}{i}")
        except Exception as error:  # pylint: disable=broad-exception-caught
            self.wrong.append(repr(error))

    def _expect(self, truth, what):
        if not truth:
            self.wrong.append(what)

    def _round(self, tag):
        call, ids = self.client.call, self.person.ids
        before = call("Email/get", ids=[])["state"]
        made = call("Email/set", create={"d": {
            "mailboxIds": {ids["mailbox"]: True}, "keywords": {tag: True}, "subject": tag,
            "textBody": [{"partId": "t", "type": "text/plain"}],
            "bodyValues": {"t": {"value": f"text {tag}"}}}})
        one = made["created"]["d"]["id"]
        self._expect(call("Email/query", filter={"hasKeyword": tag})["ids"] == [one],
                     f"{tag}: queried")
        self._expect(one in call("Email/changes", sinceState=before)["created"],
                     f"{tag}: changes")
        call("Email/set", update={one: {f"keywords/{tag}": None, "keywords/$flagged": True,
                                        "mailboxIds": {ids["inbox"]: True}}})
        seen = call("Email/get", ids=[one], properties=["keywords", "mailboxIds"])["list"][0]
        self._expect(seen["keywords"] == {"$flagged": True}, f"{tag}: {seen['keywords']}")
        self._expect(seen["mailboxIds"] == {ids["inbox"]: True}, f"{tag}: moved")
        box = call("Mailbox/set", create={"m": {"name": tag}})["created"]["m"]["id"]
        named = call("Mailbox/query", filter={"name": tag})["ids"]
        self._expect(box in named, f"{tag}: mailbox")
        call("Mailbox/set", destroy=[box])
        call("Email/set", destroy=[one])
        self._expect(call("Email/get", ids=[one])["notFound"] == [one], f"{tag}: destroyed")
        self._expect(box not in call("Mailbox/query")["ids"], f"{tag}: mailbox destroyed")


def test_an_answer_reflects_the_callers_own_last_change(people):
    """Two programs of one person at once, while mail comes in."""
    me, node = people[ALICE], people["node"]
    password = node.must("person", "password", ALICE, "--generate")["password"]
    clients = [Client(me.client.url, ALICE, password, authority=people["authority"])
               for _ in range(2)]
    me.client = clients[0]
    hands = [Hand(me, clients[1], name) for name in "ab"]
    for hand in hands:
        hand.start()
    n = 0
    while any(hand.is_alive() for hand in hands):
        n += 1
        send(node, ALICE, f"meanwhile {n}")
    for hand in hands:
        hand.join()
        assert not hand.wrong, hand.wrong[:5]


def test_what_one_program_wrote_the_other_reads(people):
    """As soon as the first has its answer."""
    me = people[ALICE]
    other = Client.__new__(Client)
    other.__dict__.update(me.client.__dict__)
    for i in range(ROUNDS):
        writer, reader = (me.client, other) if i % 2 else (other, me.client)
        writer.call("Email/set", update={me.ids["email"]: {"keywords": {f"k{i}": True}}})
        seen = reader.call("Email/get", ids=[me.ids["email"]], properties=["keywords"])["list"][0]
        assert seen["keywords"] == {f"k{i}": True}
