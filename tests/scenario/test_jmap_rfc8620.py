"""What RFC 8620 says of the door as programs find it: its session, its templates of addresses, JSON
both ways, uploads, downloads and event streams. The table is conformance/jmap/rfc8620.txt."""

import http.client
import json
import re
import urllib.parse

import pytest

from harness import netns
from harness.jmap import USING, Client, Refused
from story import ALICE, BOB, Story

pytestmark = pytest.mark.usefixtures("network")

CORE = "urn:ietf:params:jmap:core"


class Program(Client):
    """A client that keeps the last answer's head, and goes where the session's templates lead."""

    def http(self, method, path, body=None, kind="application/json"):
        at = urllib.parse.urlsplit(self.url)
        connection = http.client.HTTPConnection(at.hostname, at.port, timeout=20)
        headers = self.headers | ({"Content-Type": kind} if kind and body is not None else {})
        connection.request(method, path, body=body, headers=headers)
        self.last = connection.getresponse()
        content = self.last.read()
        connection.close()
        if self.last.status >= 400:
            raise Refused(self.last.status, content.decode(errors="replace"))
        return content

    def place(self, template, /, **values):
        """The path of one of the session's templates (RFC 6570, level 1)."""
        template = self.session[template]
        assert set(re.findall(r"\{(.*?)\}", template)) == set(values), template
        for key, value in values.items():
            template = template.replace("{%s}" % key, urllib.parse.quote(value, safe=""))
        assert template.startswith(self.url)
        return template[len(self.url):]

    def request(self, body, kind="application/json"):
        return json.loads(self.http("POST", self.session["apiUrl"][len(self.url):], body, kind))

    def watch(self, **values):
        """(connection, answer) of an event stream."""
        at = urllib.parse.urlsplit(self.url)
        connection = http.client.HTTPConnection(at.hostname, at.port, timeout=30)
        connection.request("GET", self.place("eventSourceUrl", **values), headers=self.headers)
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.getheader("Content-Type").startswith("text/event-stream")
        return connection, answer


def events(answer):
    """Each event's fields as a dictionary, as long as there are any."""
    fields = {}
    while line := answer.readline().decode():
        name, _, value = line.rstrip("\n").partition(": ")
        if name:
            fields[name] = value
        elif fields:
            if set(fields) != {"retry"}:
                yield fields
            fields = {}


@pytest.fixture(scope="module")
def people(shared_stage):
    """(node, Alice's program, Bob's)"""
    address = "127.0.0.1"
    listen = [{"for": purpose, "at": f"{address}:{netns.free_port(address)}"} |
              ({"tls": "none"} if purpose == "https" else {}) for purpose in ("smtp", "https")]
    node, _ = shared_stage.before(settings={"listen": listen})
    programs = []
    for who in (ALICE, BOB):
        password = node.must("person", "password", who, "--generate")["password"]
        programs.append(Program("http://" + listen[1]["at"], who, password))
    return node, *programs


def test_the_session_is_where_programs_look_for_it(people):
    _, alice, _ = people
    found = json.loads(alice.http("GET", "/.well-known/jmap"))
    assert alice.last.getheader("Content-Type").startswith("application/json")
    assert found == alice.session
    assert {"capabilities", "accounts", "primaryAccounts", "username", "apiUrl", "downloadUrl",
            "uploadUrl", "eventSourceUrl", "state"} <= set(found)
    core = found["capabilities"][CORE]
    limits = {name for name, value in core.items() if isinstance(value, int) and value > 0}
    assert limits >= {"maxSizeUpload", "maxConcurrentUpload", "maxSizeRequest",
                      "maxConcurrentRequests", "maxCallsInRequest", "maxObjectsInGet",
                      "maxObjectsInSet"}
    assert isinstance(core["collationAlgorithms"], list)
    account, = found["accounts"].values()
    for urn in found["capabilities"]:  # nothing of our own that a vendor's URL would have to name
        assert urn.startswith("urn:ietf:params:jmap:") and urn in account["accountCapabilities"]
    assert set(found["primaryAccounts"].values()) == set(found["accounts"])


def test_requests_and_answers_are_json(people):
    _, alice, _ = people
    body = json.dumps({"using": USING, "methodCalls": [["Core/echo", {"ü": [1, None]}, "a"]],
                       "unheardOf": {"of": "later"}}).encode()
    answer = alice.request(body)
    assert alice.last.getheader("Content-Type").startswith("application/json")
    assert answer["methodResponses"] == [["Core/echo", {"ü": [1, None]}, "a"]]
    for kind in ("text/plain", "application/x-www-form-urlencoded", None):
        with pytest.raises(Refused) as refused:
            alice.request(body, kind)
        assert 400 <= refused.value.status < 500
    with pytest.raises(Refused) as refused:
        alice.request(b'{"using":[],"using":[],"methodCalls":[]}')
    assert (refused.value.status, json.loads(refused.value.body)["type"]) == \
        (400, "urn:ietf:params:jmap:error:notJSON")
    assert alice.last.getheader("Content-Type").startswith("application/problem+json")


def test_what_a_method_refuses_is_no_error_of_http(people):
    _, alice, _ = people
    names = [name for name, _ in alice.calls(
        ("Email/get", {"ids": 7}), ("Core/echo", {}), ("Nothing/get", {}), ("Core/echo", {}))]
    assert names == ["error", "Core/echo", "error", "Core/echo"]
    assert alice.last.status == 200


def test_an_upload_comes_back_under_the_name_that_is_asked_for(people):
    _, alice, bob = people
    made = json.loads(alice.http("POST", alice.place("uploadUrl", accountId=alice.account),
                                 b"bytes", "text/csv"))
    assert alice.last.status == 201
    assert made == {"accountId": alice.account, "blobId": made["blobId"], "type": "text/csv",
                    "size": 5}
    values = {"blobId": made["blobId"], "name": "a b ü.csv", "type": "text/csv"}
    where = alice.place("downloadUrl", accountId=alice.account, **values)
    assert alice.http("GET", where) == b"bytes"
    assert alice.last.getheader("Content-Type").startswith("text/csv")
    said = alice.last.getheader("Content-Disposition")
    assert "filename*=UTF-8''a%20b%20%C3%BC.csv" in said, said
    for account in (alice.account, bob.account):  # nobody else's, whatever the address says
        with pytest.raises(Refused) as refused:
            bob.http("GET", bob.place("downloadUrl", accountId=account, **values))
        assert refused.value.status == 404


def test_event_streams_tell_what_was_asked_for(people):
    node, alice, _ = people
    mailbox, answer = alice.watch(types="Mailbox", closeafter="no", ping="30")
    once, last = alice.watch(types="*", closeafter="state", ping="0")
    ping = next(events(answer))
    assert ping["event"] == "ping" and json.loads(ping["data"]) == {"interval": 30}
    assert "id" not in ping
    Story(node).send("news")
    event = next(e for e in events(answer) if e["event"] == "state")
    change = json.loads(event["data"])
    assert change["@type"] == "StateChange"
    assert set(change["changed"]) == {alice.account}
    assert set(change["changed"][alice.account]) == {"Mailbox"}
    told = list(events(last))  # it ends by itself, and has no pings
    assert [e["event"] for e in told] == ["state"]
    states = json.loads(told[0]["data"])["changed"][alice.account]
    for kind in ("Email", "Thread", "Mailbox"):
        assert states[kind] == alice.call(kind + "/get", ids=[])["state"]
    mailbox.close()
    once.close()


@pytest.mark.parametrize("query", ["closeafter=now", "ping=-1", "ping=x", "types=%22"])
def test_an_event_stream_for_something_else_is_refused(people, query):
    with pytest.raises(Refused) as refused:
        people[1].http("GET", f"/jmap/eventsource/?{query}")
    assert refused.value.status == 400
