"""Idle event streams over TLS: what one costs in memory, and how fast news reach all of them.

`streams`: the program measures itself (src/web/test/bench_web_streams.c): a server beside a core that
only answers, and that many clients. `idle_eventsource`: the same clients at the real program with two
doors, all of its processes together; as many as one process may have files (ulimit -n)."""

import re
import resource
import subprocess
import time

from decide import Alone
from harness import company, netns
from harness.certs import Authority
from harness.measure import proportional_kib
from harness.process import Failure, build_dir
from harness.staffetta import Staffetta

STREAMS = 5000
LINE = re.compile(r"streams=(\d+) kib_each=([\d.]+) told_all_ms=(\d+) idle_cpu=[\d.]+\n")
ALL = 19000
PEOPLE = ["anna@next.test", "bruno@next.test"]


def idle_kib(_):
    printed = subprocess.run([build_dir() / "bench_web_streams", str(STREAMS)], check=True,
                             capture_output=True, text=True, timeout=300).stdout
    streams, kib, milliseconds = LINE.fullmatch(printed).groups()
    return float(kib), float(streams) * 1000 / max(1, int(milliseconds))


def node_with_doors(directory):
    authority = Authority(directory / "ca")
    certificate, key = authority.issue("node", ("DNS:mail.example.test",))
    listen = [{"for": purpose, "at": f"127.0.0.1:{netns.free_port('127.0.0.1')}"}
              for purpose in ("smtp", "https")]
    return Staffetta(directory / "staffetta", listen=listen, tls=(certificate, key),
                     door={"count": 2}, https={
                         "connections": ALL + 100, "connections_per_address": ALL + 100,
                         "streams_per_person": 10000})


def hear(clients, word):
    said = clients.stdout.readline().strip()
    if said != word:
        raise Failure(f"the clients said {said!r} instead of {word!r}")


def whole_kib(directory):
    """KiB of all our processes for each stream; beside it, streams that were opened a second."""
    number = min(ALL, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 400)
    with node_with_doors(directory) as node:
        company.add(node, ("127.0.0.1", 9), PEOPLE, domain="next.test")
        tokens = [node.must("person", "token", "add", person, "bench")["token"]
                  for person in PEOPLE]
        with subprocess.Popen([build_dir() / "bench_web_streams", str(number),
                               str(node.at("https")[1]), *tokens], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as clients:
            hear(clients, "warm")
            before, began = proportional_kib(node.pids()), time.monotonic()
            clients.stdin.write("\n")
            clients.stdin.flush()
            hear(clients, "open")
            took = time.monotonic() - began
            after = proportional_kib(node.pids())
            if len(node.role_pids("door")) != 2:
                raise Failure("not both doors are there")
    return (after - before) / number, number / took


FIGURES = (Alone("streams", "KiB", 24, idle_kib, "told"),
           Alone("idle_eventsource", "KiB", 24, whole_kib, "opened"))
