"""Daemons as child processes: started in a session of their own, ended by process id.

A daemon is its session: whatever its leader started belongs to it, also after the leader died.
"""

import atexit
import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 20
STOP_SECONDS = 10

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_live = []


class Failure(Exception):
    """A peer or our program did not do what the test needs."""


def build_dir():
    """Where meson built: $STAFFETTA_BUILD, or build/ in the root of the repository."""
    return Path(os.environ.get("STAFFETTA_BUILD", ROOT / "build"))


def tool(name):
    """Path of a program of tests/bench; fails with a hint when it is not built."""
    path = build_dir() / "tests" / "bench" / name
    if not path.exists():
        raise Failure(f"{path} is missing: build first (or set STAFFETTA_BUILD)")
    return str(path)


def test_dir():
    """Where private directories are made: $STAFFETTA_TEST_DIR or /tmp. Short, because a Unix
    socket's path has at most 107 bytes."""
    return os.environ.get("STAFFETTA_TEST_DIR", "/tmp")


@contextlib.contextmanager
def private_dir(prefix="sf-"):
    """A directory that daemons of other users can reach; removed at the end, unless
    $STAFFETTA_KEEP is set."""
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=test_dir()))
    path.chmod(0o755)
    try:
        yield path
    finally:
        if not os.environ.get("STAFFETTA_KEEP"):
            shutil.rmtree(path, ignore_errors=True)


def wait_for(condition, what, seconds=READY_SECONDS, pause=0.01):
    """Asks `condition` until it gives something true, and returns that."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {seconds} s")
        time.sleep(pause)


def _stat(pid):
    """State, parent and session of a process; None when it is gone. One whose first thread has
    ended while others are still ending is not dead yet: it has its files and sockets open."""
    try:
        with open(f"/proc/{pid}/stat", encoding="latin-1") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    is_ending = fields[0] == "Z" and int(fields[17]) > 1
    return "D" if is_ending else fields[0], int(fields[1]), int(fields[3])


def _session(leader):
    """(pid, state, parent) of all processes of the session, dead ones too."""
    for name in os.listdir("/proc"):
        stat = _stat(name) if name.isdigit() else None
        if stat and stat[2] == leader:
            yield int(name), stat[0], stat[1]


def session_pids(leader):
    """Living processes of the session."""
    return [pid for pid, state, _ in _session(leader) if state not in "ZX"]


def _reap(leader):
    """Children whose parents died come to us (see Daemon.start) and stay as zombies, which hold
    control groups and mislead others, until somebody asks for them."""
    for pid, state, parent in _session(leader):
        if state == "Z" and parent == os.getpid() and pid != leader:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def signal_pid(pid, number):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _before_exec(groups, is_tied):
    """Runs in the child. `is_tied`: it shall not outlive its parent."""
    for path in groups:
        with open(path, "w", encoding="ascii") as file:
            file.write(str(os.getpid()))
    if is_tied:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


class Daemon:
    """One child process and all it starts. Subclasses say how it is started and when it is ready.
    """

    name = "daemon"

    def __init__(self, directory):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o755)
        self.process = None
        self.is_paused = False
        self.groups = []  # cgroup.procs files that the first process enters; see measure.py

    # what subclasses give

    def prepare(self):
        """Writes settings; called before each start."""

    def command(self):
        raise NotImplementedError

    def environment(self):
        return None

    def is_ready(self):
        return True

    # what everybody uses

    def start(self):
        if self.process:
            raise Failure(f"{self.name} is running")
        self.prepare()
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        # A thread that ends would take the child with it, so only the main thread's children are
        # tied to their parent's life.
        is_main = threading.current_thread() is threading.main_thread()
        with open(self.log_path, "ab") as out:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=self.output(out), stderr=out,
                env=self.environment(), start_new_session=True, cwd=self.directory,
                preexec_fn=lambda: _before_exec(self.groups, is_main))
        _live.append(self)
        try:
            self.wait_ready()
        except Failure:
            self.kill9()
            raise
        return self

    def output(self, default):
        return default

    def wait_ready(self):
        def ready():
            if self.process.poll() is not None:
                raise Failure(f"{self.name} ended with {self.process.returncode} at its start:\n"
                              f"{self.log_tail()}")
            return self.is_ready()

        wait_for(ready, f"{self.name} ready")

    @property
    def log_path(self):
        return self.directory / f"{self.name}.out"

    def log_tail(self, n_bytes=4000):
        path = self.log_path
        return path.read_bytes()[-n_bytes:].decode(errors="replace") if path.exists() else ""

    @property
    def pid(self):
        return self.process.pid if self.process else None

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def pids(self):
        """All living processes of this daemon, the leader first."""
        if not self.process:
            return []
        found = session_pids(self.process.pid)
        return sorted(found, key=lambda pid: (pid != self.process.pid, pid))

    def stop(self, seconds=STOP_SECONDS):
        """TERM to the leader, time to leave, then KILL for whatever is left."""
        if not self.process:
            return
        if self.is_paused:
            self.resume()
        signal_pid(self.process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        with contextlib.suppress(Failure):
            wait_for(lambda: not self.pids(), "children gone", seconds=1)
        self.kill9()

    def kill9(self):
        """KILL for every process of the daemon at once; returns when all are gone."""
        if not self.process:
            return
        leader = self.process.pid
        deadline = time.monotonic() + STOP_SECONDS
        while True:  # again, since one that lived a moment longer may have forked
            pids = self.pids()
            for pid in pids:
                signal_pid(pid, signal.SIGKILL)
            if self.process.poll() is None:
                self.process.wait(STOP_SECONDS)
            if not pids:
                break
            if time.monotonic() > deadline:
                raise Failure(f"{self.name} (session {leader}) survives KILL: {pids}")
            time.sleep(0.005)
        _reap(leader)
        self.process = None
        self.is_paused = False
        if self in _live:
            _live.remove(self)

    def restart(self):
        self.stop()
        return self.start()

    def pause(self):
        """STOP for all processes: the peer hangs, its sockets still take connections."""
        stopped = set()
        while True:  # until no new child has slipped through
            new = set(self.pids()) - stopped
            if not new:
                break
            for pid in new:
                signal_pid(pid, signal.SIGSTOP)
            stopped |= new
        self.is_paused = True

    def resume(self):
        for pid in self.pids():
            signal_pid(pid, signal.SIGCONT)
        self.is_paused = False

    def __enter__(self):
        return self if self.is_running() else self.start()

    def __exit__(self, *_):
        self.stop()


@atexit.register
def _end_all():
    for daemon in list(_live):
        with contextlib.suppress(Exception):
            daemon.kill9()


def run(*command, seconds=60, check=True, stdin=None, env=None):
    """A short program with a deadline; its output as text."""
    done = subprocess.run([str(part) for part in command], input=stdin, capture_output=True,
                          text=True, timeout=seconds, env=env, check=False)
    if check and done.returncode != 0:
        raise Failure(f"{' '.join(map(str, command))}: {done.returncode}\n"
                      f"{done.stdout}{done.stderr}")
    return done.stdout
