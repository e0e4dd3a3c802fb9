"""Several processes serve HTTPS on the same ports: whichever a connection comes to, the person, her
log-in, her limits and her news are the same; and one that dies takes only its own connections with it."""

import json

import pytest

from harness import netns
from harness.certs import Authority
from harness.jmap import Refused
from harness.process import signal_pid, wait_for
from story import ALICE, Story
from test_https import NAME, PASSWORD, Secure, next_event
from test_processes import inodes

pytestmark = pytest.mark.usefixtures("network")

DOORS = 3


@pytest.fixture
def inside(stage, directory):
    """(node, client) with three doors, a log-in for Alice, and few streams a person."""
    authority = Authority(directory / "ca")
    certificate, key = authority.issue("node", (f"DNS:{NAME}",))
    listen = [{"for": purpose, "at": f"127.0.0.1:{netns.free_port('127.0.0.1')}"}
              for purpose in ("smtp", "https")]
    node, _ = stage.before(settings={
        "listen": listen, "tls": (certificate, key), "door": {"count": DOORS},
        "https": {"streams_per_person": 12, "requests_per_address": 1000}})
    node.must("person", "password", ALICE, stdin=PASSWORD + "\n")
    return node, Secure(node, authority)


def door_of(node, connection):
    """The process at the other end of a connection."""
    here = connection.sock.getsockname()[1]
    there = f"{node.at('https')[1]:04X}"
    with open("/proc/net/tcp", encoding="ascii") as file:
        rows = [line.split() for line in file][1:]
    inode = next(int(row[9]) for row in rows if row[1].endswith(":" + there)
                 and row[2].endswith(f":{here:04X}"))
    return next(pid for pid in node.role_pids("door") if inode in inodes(pid))


def streams_at_two_doors(node, client, most=12):
    """Streams (connection, answer) by the process that holds them, of at least two of them."""
    found = {}
    for _ in range(most):
        connection, answer = client.watch("types=Email&closeafter=no&ping=0")
        found.setdefault(door_of(node, connection), []).append((connection, answer))
    assert len(found) > 1, "one process takes all connections"
    return found


def test_news_reach_the_streams_of_all_doors(inside):
    node, client = inside
    streams = streams_at_two_doors(node, client)
    Story(node).send("news")
    for of_one in streams.values():
        for _, answer in of_one:
            name, said = next_event(answer)
            assert name == "state" and "Email" in said["changed"][client.account]


def test_a_person_has_her_streams_over_all_doors(inside):
    node, client = inside
    streams_at_two_doors(node, client)
    with pytest.raises(AssertionError, match="Too many programs"):
        for _ in range(5):
            client.watch()


def test_one_that_dies_takes_only_its_own(stage, inside):
    node, client = inside
    stage.expected.append(r"process\.died")
    streams = streams_at_two_doors(node, client)
    before = node.role_pids()
    dead = next(iter(streams))
    signal_pid(dead, 9)
    for connection, answer in streams.pop(dead):
        assert next_event(answer) is None
        connection.close()
    assert json.loads(client.http("GET", "/health")) == {"status": "ok"}  # at once: by another one
    Story(node).send("news")
    for of_one in streams.values():
        for _, answer in of_one:
            assert next_event(answer)[0] == "state"
    wait_for(lambda: len(node.role_pids("door")) == DOORS, "it is started again")
    for role, pids in node.role_pids().items():
        assert set(before[role]) - {dead} <= set(pids), f"{role} was started again too"
    # What it held of her counts no longer.
    left = sum(len(of_one) for of_one in streams.values())
    again = [client.watch() for _ in range(12 - left)]
    assert len(again) + left == 12


def test_a_log_in_holds_at_every_door(inside):
    node, client = inside
    login = json.dumps({"address": ALICE, "password": PASSWORD}).encode()
    client.headers = {"Origin": f"https://{NAME}"}
    answer = json.loads(client.http("POST", "/auth/login", login))
    client.headers |= {"Cookie": client.last.headers["Set-Cookie"].split(";")[0],
                       "X-CSRF": answer["csrf"]}
    seen = set()
    for _ in range(200):
        connection = client.connect()
        connection.request("GET", "/jmap/session", headers=client.headers)
        assert connection.getresponse().status == 200
        seen.add(door_of(node, connection))
        connection.close()
        if len(seen) > 1:
            break
    assert len(seen) > 1
    client.http("POST", "/auth/logout", b"")
    for _ in range(20):
        with pytest.raises(Refused) as refused:
            client.http("GET", "/jmap/session")
        assert refused.value.status == 401


def test_many_uploads_at_once_are_no_nonsense(inside):
    """More than core once took for a door that is out of its mind; each has sent its first bytes."""
    node, client = inside
    doors = node.role_pids("door")
    open_ones = []
    for _ in range(700):
        connection = client.connect()
        connection.putrequest("POST", f"/jmap/upload/{client.account}/")
        for name, value in client.headers.items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", "3")
        connection.endheaders()
        connection.send(b"ab")
        open_ones.append(connection)
    for connection in open_ones:
        connection.send(b"c")
    for connection in open_ones:
        answer = connection.getresponse()
        said = json.loads(answer.read())
        assert answer.status in (201, 429), said  # at most so many of one person at a time
        connection.close()
    assert sorted(node.role_pids("door")) == sorted(doors)
