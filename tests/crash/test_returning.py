"""Core dies at each step of a state change and of giving back: at the k-th write and at the k-th sync
of each decision. It continues where it was, each step is told in the history once, and the statement
of the whole proves itself."""

import json
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import stage as stages
from harness import company, load, peers
from harness.process import wait_for
from harness.staffetta import Staffetta
from stage import Stage, say
from test_faults import Strace

DECISIONS = [("emergency", "emergency"), ("isolate", "emergency"), ("clean", "emergency"),
             ("return", "returning"), ("pause", "returning"), ("resume", "returning"),
             ("emergency", "emergency")]
POINTS = [("pwritev", 1), ("fdatasync", 1), ("fdatasync", 2)]
KEPT = 120
THERE, LOST = 500, 450


class Killer(Strace):
    """Kills the process at its k-th such call; on when every thread of it is watched."""

    def __init__(self, pid, directory, call, k):
        super().__init__(pid, directory, f"{call}:signal=KILL:when={k}")
        self.pid = pid

    def __enter__(self):
        def is_watched():
            try:
                tasks = list(Path(f"/proc/{self.pid}/task").iterdir())
                return all("TracerPid:\t0\n" not in (task / "status").read_text()
                           for task in tasks)
            except (FileNotFoundError, ProcessLookupError):
                return True  # one of its own calls was the k-th: it is dead already

        wait_for(is_watched, "strace is on", 10, 0.01)
        return self


def shown(node):
    code, answer = node.cli("state", "show", "exchange")
    return answer if code == 0 else None


def newest(node):
    episodes = node.must("state", "history", "exchange")["episodes"]
    return episodes[0] if episodes else None


def is_done(node, what, state):
    """Is this decision in force? By the state itself, not by the history."""
    now = node.must("state", "show", "exchange")
    flags = {"isolate": ("isolated", True), "clean": ("isolated", False),
             "pause": ("paused", True), "resume": ("paused", False)}
    if now["state"] != state:
        return False
    name, value = flags.get(what, (None, None))
    return name is None or bool(now.get(name)) == value


def decide(node, what):
    return node.cli("state", what, "exchange", "--why", f"a test of {what}")[0]


def killed_at(stage, call, k, act, seconds=1):
    """Does something while core is to die at its k-th such call. True: it did die."""
    old = stage.node.role_pids("core")
    with Killer(old[0], stage.directory, call, k):
        act()
        end = time.monotonic() + seconds
        while stage.node.role_pids("core") == old and time.monotonic() < end:
            time.sleep(0.05)
    is_dead = stage.node.role_pids("core") != old
    if is_dead:
        stage.node.wait_role("core", old, 20)
    wait_for(lambda: shown(stage.node), "core answers", 20)
    return is_dead


def check_history(node):
    """The history ends where the state is, and no step stands there twice."""
    def agrees():
        now, episode = shown(node), newest(node)
        if now["state"] in ("standby", "suspect"):
            return not episode or episode["over"]
        return episode and episode["steps"][-1]["state"] == now["state"]

    wait_for(agrees, "history and state agree", 5)
    steps = (newest(node) or {"steps": []})["steps"]
    keys = [(step["what"], step["time"], step.get("why")) for step in steps]
    assert len(keys) == len(set(keys)), keys
    for one, other in zip(steps, steps[1:]):
        assert one["what"] != other["what"] or one["what"] == "ready", keys


def statement(node):
    code, found = node.cli("state", "report", "exchange", "--limit", 10000)
    assert code == 0 and found["proved"], found and found["text"]
    return found


def go_on_to(node, what, state):
    if not is_done(node, what, state):
        assert decide(node, what) == 0
    assert is_done(node, what, state), what


def test_core_dies_at_each_step_of_each_decision(directory):
    with stages.fresh_network(), Stage(directory, sink_options=("--delay-ms", "500")) as stage:
        stage.companies()
        node = stage.node
        # One at a time and slowly, or giving back is over before the next decision.
        node.must("primary", "set", "exchange", "--connections", 1)
        assert decide(node, "emergency") == 0
        load.run(node.at(), "--sessions", 2, "--messages", 200, "--rcpt", "anna@example.test")
        assert decide(node, "return") == 0
        n_killed = 0
        for what, state in DECISIONS:
            for call, k in POINTS:
                if is_done(node, what, state) and what not in ("return", "emergency"):
                    undo = {"isolate": "clean", "clean": "isolate", "pause": "resume",
                            "resume": "pause"}[what]
                    assert decide(node, undo) == 0
                elif is_done(node, what, state):
                    continue
                n_killed += killed_at(stage, call, k, lambda w=what: decide(node, w))
                check_history(node)
            go_on_to(node, what, state)
            check_history(node)
            # The supervisor's turn: it lets a role that dies again and again wait for its start.
            node.kill9()
            node.start()
            check_history(node)
        say(f"{n_killed} kills")
        assert n_killed >= 10
        node.must("primary", "set", "exchange", "--connections", 100)
        go_on_to(node, "return", "returning")
        wait_for(lambda: shown(node)["state"] == "standby", "standby", 30)
        check_history(node)
        assert len(node.must("state", "history", "exchange")["episodes"]) == 1
        assert statement(node)["sums"]["waiting"] == 0


@pytest.mark.parametrize("call", ["pwritev", "fdatasync"])
def test_core_dies_in_the_middle_of_giving_back(directory, call):
    """So slowly that it cannot be over before the last of them: the rest goes at once then."""
    with stages.fresh_network(), Stage(directory, sink_options=("--delay-ms", "500")) as stage:
        stage.companies()
        node = stage.node
        node.must("primary", "set", "exchange", "--connections", 2)
        assert decide(node, "emergency") == 0
        load.run(node.at(), "--sessions", 2, "--messages", KEPT, "--rcpt", "anna@example.test")
        assert decide(node, "return") == 0
        n_killed = 0
        for k in (1, 2, 3, 5, 8):
            assert shown(node)["state"] == "returning"
            n_killed += killed_at(stage, call, k, lambda: None, 10)
            check_history(node)
        say(f"{n_killed} kills")
        assert n_killed == 5
        node.must("primary", "set", "exchange", "--connections", 100)
        wait_for(lambda: shown(node)["state"] == "standby", "standby", 60)
        check_history(node)
        steps = [step["what"] for step in newest(node)["steps"]]
        assert [s for s in steps if s != "ready"] == ["emergency", "returning", "end"]
        found = statement(node)
        assert found["sums"]["given_back"] == KEPT
        lines = subprocess.run([node.program, "--socket", str(node.control), "state", "report",
                                "exchange", "--messages"], capture_output=True, text=True,
                               timeout=30, check=True).stdout.splitlines()
        assert len(lines) == KEPT
        ids = {json.loads(line)["message"] for line in lines}
        came = [record["id"] for record in stage.sink.records()]
        # One may have come three times: it is listed once.
        doubled = {name for name, n in Counter(came).items() if n > 1}
        assert len(set(came)) == len(ids) == KEPT and len(doubled) <= len(found["doubles"])


def how_it_stands(node):
    return node.cli("state", "again", "exchange")[1]


def killed_soon(node, directory, call, k):
    """Core is to die at its k-th such call, whatever it does by itself. True: it did."""
    old = node.role_pids("core")
    with Killer(old[0], directory, call, k):
        for _ in range(100):
            if node.role_pids("core") != old:
                break
            time.sleep(0.02)
    is_dead = node.role_pids("core") != old
    if is_dead:
        node.wait_role("core", old, 20)
    return is_dead


def give_again(node):
    return node.cli("state", "return", "exchange", "--since", "1h", "--why", "the disk died",
                    seconds=120)


def test_core_dies_while_what_a_disk_lost_is_given_again(directory):
    people = ["alice@example.test", "bob@example.test"]
    with stages.fresh_network(), peers.Primary(directory / "primary") as primary, \
            Staffetta(directory / "node", limits=stages.OPEN_LIMITS) as node:
        company.add(node, primary.smtp, people)
        host, port = primary.imap
        node.must("access", "set", "exchange", "--host", f"{host}:{port}", "--tls", "never",
                  "--master-user", "%s*admin", "--master-secret", "masterpw")
        for person in people:
            load.run(node.at(), "--sessions", 4, "--messages", THERE, "--rcpt", person)
        wait_for(lambda: primary.count() == 2 * THERE, "all there", 60)
        wait_for(lambda: node.must("ledger")["total"]["delivered"] == 2 * THERE, "known", 10)
        sent = sorted(primary.ids())
        for person in people:
            primary.lose(person, LOST)
        n_killed = 0
        with ThreadPoolExecutor() as pool:
            pool.submit(give_again, node)
            wait_for(lambda: (how_it_stands(node) or {}).get("running"), "it began", 10, 0.01)
            for call, k in POINTS + [("pwritev", 40), ("fdatasync", 90)]:
                n_killed += killed_soon(node, directory, call, k)
        wait_for(lambda: shown(node), "core answers", 20)
        say(f"{n_killed} kills", how_it_stands(node))
        assert n_killed >= 4
        wait_for(lambda: not how_it_stands(node)["running"], "its end", 60)
        done = how_it_stands(node)
        assert done["whole"], done
        assert (done["found"], done["present"], done["absent"], done["given"]) == \
            (2 * THERE, 2 * (THERE - LOST), 2 * LOST, 2 * LOST)
        wait_for(lambda: node.must("ledger")["total"]["waiting"] == 0, "nothing waits", 30)
        wait_for(lambda: len(set(primary.ids())) == 2 * THERE, "all there again", 30)
        found = Counter(primary.ids())
        doubled = [name for name, n in found.items() if n > 1]
        say(f"{len(doubled)} doubles")
        assert sorted(found) == sent
        ledger = node.must("ledger")
        assert ledger["balanced"] and len(doubled) <= ledger["total"]["possible_doubles"]
        events = [event["name"] for event in node.must("events", "--limit", 1000)["events"]]
        assert events.count("primary.again") == 1
