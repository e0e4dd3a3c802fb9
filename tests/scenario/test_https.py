"""People's programs over HTTPS: a whole way in and out through the real program, a certificate that
changes under open connections, news of mail, core killed, clients that are too slow."""

import http.client
import json
import os
import re
import signal
import socket
import ssl
import time

import pytest

from harness import netns
from harness.certs import Authority
from harness.jmap import Client, Refused
from harness.process import signal_pid, wait_for
from story import ALICE, Story

pytestmark = pytest.mark.usefixtures("network")

PASSWORD = "correct horse battery"
NAME = "mail.example.test"


class Secure(Client):
    """The client of stories, over TLS to a name that this machine cannot resolve."""

    def __init__(self, node, authority, **more):
        self.at, self.context = node.at("https"), ssl.create_default_context(cafile=authority.pem)
        super().__init__(f"https://{NAME}", ALICE, PASSWORD, **more)

    def connect(self):
        connection = http.client.HTTPSConnection(NAME, timeout=20, context=self.context)
        raw = socket.create_connection(self.at, timeout=20)
        connection.sock = self.context.wrap_socket(raw, server_hostname=NAME)
        return connection

    def http(self, method, path, body=None, kind="application/json"):
        with_type = {"Content-Type": kind} if body is not None else {}
        connection = self.connect()
        connection.request(method, path, body=body, headers=self.headers | with_type)
        answer = connection.getresponse()
        self.last, content = answer, answer.read()
        connection.close()
        if answer.status >= 400:
            raise Refused(answer.status, content.decode(errors="replace"))
        return content

    def watch(self, query="types=*&closeafter=no&ping=0"):
        connection = self.connect()
        connection.request("GET", f"/jmap/eventsource/?{query}", headers=self.headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        return connection, answer


def next_event(answer):
    """(event, data) of the next event; None at the end."""
    event, data = None, None
    while line := answer.readline().decode().rstrip("\n"):
        field, _, value = line.partition(": ")
        event, data = (value, data) if field == "event" else \
            (event, json.loads(value)) if field == "data" else (event, data)
        if field == "retry":
            answer.readline()
    return (event, data) if event else None


@pytest.fixture
def inside(stage, directory):
    """(node, sink, authority) with HTTPS, and a password for Alice."""
    authority = Authority(directory / "ca")
    certificate, key = authority.issue("node", (f"DNS:{NAME}",))
    listen = [{"for": purpose, "at": f"127.0.0.1:{netns.free_port('127.0.0.1')}"}
              for purpose in ("smtp", "https")]
    node, sink = stage.before(settings={"listen": listen, "tls": (certificate, key)})
    node.must("person", "password", ALICE, stdin=PASSWORD + "\n")
    return node, sink, authority


def test_a_file_goes_in_and_comes_out_as_it_was(inside):
    node, _, authority = inside
    client = Secure(node, authority)
    assert client.session["apiUrl"] == f"https://{NAME}/jmap/api"
    assert client.last.headers["Strict-Transport-Security"]
    for content in (b"", b"small", os.urandom(3 << 20), os.urandom(20 << 20)):
        blob = client.upload(content, "text/html")["blobId"]
        assert client.download(blob, "B%C3%A4r.html", "text/html") == content
        assert client.last.headers["Content-Disposition"].startswith("attachment; ")
        assert client.last.headers["X-Content-Type-Options"] == "nosniff"
    connection = client.connect()
    connection.putrequest("POST", f"/jmap/upload/{client.account}/")
    connection.putheader("Content-Length", str((50 << 20) + 1))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413 and json.load(answer)["limit"] == "maxSizeUpload"


def test_who_is_nobody_gets_nothing(inside):
    node, _, authority = inside
    client = Secure(node, authority)
    client.headers = {}
    for method, path, body in (("GET", "/jmap/session", None), ("POST", "/jmap/api", b"{}"),
                               ("POST", f"/jmap/upload/{client.account}/", b"x"),
                               ("GET", f"/jmap/download/{client.account}/Mx/x", None),
                               ("GET", "/jmap/eventsource/", None)):
        with pytest.raises(Refused) as refused:
            client.http(method, path, body)
        assert refused.value.status == 401
    assert json.loads(client.http("GET", "/health")) == {"status": "ok"}


def test_who_is_nobody_cannot_make_us_keep_much(inside):
    """The answer comes before the body, which is never sent; who is somebody may send as much."""
    node, _, authority = inside
    client = Secure(node, authority)
    long = {"using": ["urn:ietf:params:jmap:core"],
            "methodCalls": [["Core/echo", {"text": "x" * (1 << 20)}, "0"]]}
    answer = json.loads(client.http("POST", "/jmap/api", json.dumps(long).encode()))
    assert answer["methodResponses"] == long["methodCalls"]
    for name, value in (("Content-Length", "65537"), ("Transfer-Encoding", "chunked")):
        connection = client.connect()
        connection.putrequest("POST", "/jmap/api")
        connection.putheader("Content-Type", "application/json")
        connection.putheader(name, value)
        connection.endheaders()
        assert connection.getresponse().status == 401
        connection.close()


def test_a_cookie_is_given_used_and_taken_away(inside):
    node, _, authority = inside
    client = Secure(node, authority)
    client.headers = {"Origin": f"https://{NAME}"}
    login = json.dumps({"address": ALICE, "password": PASSWORD}).encode()
    answer = json.loads(client.http("POST", "/auth/login", login))
    cookie = re.match(r"(__Host-staffetta=[^;]+); Path=/; Secure; HttpOnly; SameSite=Lax; "
                      r"Max-Age=[1-9]\d*$", client.last.headers["Set-Cookie"]).group(1)
    client.headers |= {"Cookie": cookie}
    assert json.loads(client.http("GET", "/jmap/session"))["username"] == ALICE
    client.headers |= {"X-CSRF": answer["csrf"]}
    client.http("POST", "/auth/logout", b"")
    assert "Max-Age=0" in client.last.headers["Set-Cookie"]
    with pytest.raises(Refused):
        client.http("GET", "/jmap/session")


def test_a_new_certificate_comes_into_effect_under_open_connections(inside, directory):
    node, _, authority = inside
    client = Secure(node, authority)
    open_one = client.connect()
    stream, answer = client.watch("types=Email&closeafter=no&ping=5")
    assert next_event(answer) == ("ping", {"interval": 5})
    before = open_one.sock.getpeercert()["serialNumber"]
    certificate, key = authority.issue("node", (f"DNS:{NAME}",))  # over the old files
    signal_pid(node.pid, signal.SIGHUP)
    wait_for(lambda: client.connect().sock.getpeercert()["serialNumber"] != before,
             "the new certificate is shown")
    open_one.request("GET", "/health")
    assert open_one.getresponse().status == 200
    Story(node).send("news")
    event = next_event(answer)
    while event[0] == "ping":
        event = next_event(answer)
    assert event[0] == "state" and "Email" in event[1]["changed"][client.account]
    stream.close()
    open_one.close()


def test_news_of_mail_come_at_once_and_only_those_that_are_wanted(inside):
    node, _, authority = inside
    client = Secure(node, authority)
    story = Story(node)
    both = [client.watch(), client.watch("types=Quota,Email&closeafter=state")]
    began = time.monotonic()
    story.send("first")
    for _, answer in both:
        name, said = next_event(answer)
        assert name == "state" and said["@type"] == "StateChange"
    assert time.monotonic() - began < 5
    assert set(said["changed"][client.account]) <= {"Quota", "Email"}
    assert next_event(both[1][1]) is None  # closed after it
    for connection, _ in both:
        connection.close()


def test_core_dies_and_everybody_comes_back(stage, inside):
    node, _, authority = inside
    stage.expected.append("process.died")
    client = Secure(node, authority)
    connection, answer = client.watch()
    node.kill9("core")
    assert next_event(answer) is None
    connection.close()

    def is_back():
        try:
            return client.call("Mailbox/get", ids=None)["list"]
        except (Refused, OSError) as error:
            assert not isinstance(error, Refused) or error.status == 503
            return False

    wait_for(is_back, "requests are answered again")
    connection, answer = client.watch()
    Story(node).send("again")
    assert next_event(answer)[0] == "state"
    connection.close()


def test_who_is_too_slow_is_hung_up_on(inside):
    """Thirty seconds for a request's head, whether a byte comes now and then or not."""
    node, _, authority = inside
    client = Secure(node, authority)
    began = time.monotonic()
    silent, dripping = client.connect().sock, client.connect().sock
    dripping.sendall(b"GET /jmap/session HTTP/1.1\r\n")
    silent.settimeout(1)
    ended = set()
    while len(ended) < 2 and time.monotonic() - began < 45:
        for one in {silent, dripping} - ended:
            try:
                if one is dripping:
                    one.sendall(b"X")
                one.settimeout(1)
                if not one.recv(1):
                    ended.add(one)
            except TimeoutError:
                pass
            except OSError:
                ended.add(one)
    assert len(ended) == 2 and 25 < time.monotonic() - began < 45
    wait_for(lambda: any(row["name"] == "web.time" and row["count"] for row in
                         node.must("limits")["limits"]), "it was counted", 10)
