"""A provider's node: a thousand primaries, all of them one sink that listens on every address of
loopback."""

import http.client
import json
import os
import socket
from concurrent.futures import ThreadPoolExecutor

from harness.process import Failure

COUNT = 1000
PORT = 2525
_WORKERS = 8


class Admin:
    """The administration interface over its socket: a thousand commands would take minutes."""

    def __init__(self, node):
        self.connection = http.client.HTTPConnection("localhost", timeout=30)
        self.connection.sock = socket.socket(socket.AF_UNIX)
        self.connection.sock.connect(str(node.control))

    def post(self, path, **body):
        self.connection.request("POST", path, json.dumps(body),
                                {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise Failure(f"POST {path}: {answer.status} {text}")

    def close(self):
        self.connection.close()


def address_of(number):
    return f"127.1.{number // 250}.{number % 250 + 1}"


def listen_everywhere(sink):
    """Makes a sink, not yet started, the home of all of them; it greets on 127.0.0.1."""
    sink.at, sink.address, sink.port = f"0.0.0.0:{PORT}", "127.0.0.1", PORT
    return sink


def add_primaries(node, tenant="sara", count=COUNT):
    """A company with primaries p0, p1, ..."""
    def part(worker):
        admin = Admin(node)
        for number in range(worker, count, _WORKERS):
            admin.post("/v1/primaries", name=f"p{number}", tenant=tenant,
                       hosts=[f"{address_of(number)}:{PORT}"])
        admin.close()

    node.must("tenant", "add", tenant)
    with ThreadPoolExecutor(_WORKERS) as pool:
        list(pool.map(part, range(_WORKERS)))


def looked_at(node):
    """How many primaries were probed so far."""
    return sum(1 for one in node.must("state", "list")["states"] if one.get("last_probe"))


def watching_seconds(node):
    """Processor seconds of core and liaison so far."""
    ticks = 0
    for role in ("core", "liaison"):
        for pid in node.role_pids(role):
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                fields = file.read().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
