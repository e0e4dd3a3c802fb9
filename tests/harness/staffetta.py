"""Our own program: `staffetta serve` in the foreground with the settings of a node."""

import contextlib
import json
import os
import signal
import socket
import subprocess

from harness import netns
from harness.process import Daemon, Failure, build_dir, signal_pid, wait_for


def yaml_text(value, indent=0):
    """Dicts, lists and scalars as YAML. Strings are quoted unless they are plain words."""
    pad = "  " * indent
    if isinstance(value, dict):
        return "".join(f"{pad}{key}:{_yaml_tail(item, indent)}" for key, item in value.items())
    if isinstance(value, list):
        return "".join(f"{pad}- {{{', '.join(f'{k}: {_scalar(v)}' for k, v in item.items())}}}\n"
                       if isinstance(item, dict) else f"{pad}- {_scalar(item)}\n"
                       for item in value)
    return f"{pad}{_scalar(value)}\n"


def _yaml_tail(item, indent):
    if isinstance(item, (dict, list)):
        return ("\n" + yaml_text(item, indent + 1)) if item else \
            (" {}\n" if isinstance(item, dict) else " []\n")
    return f" {_scalar(item)}\n"


def _scalar(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_scalar(item) for item in value)}]"
    text = str(value)
    plain = text and all(c.isalnum() or c in "/._- " for c in text) and text == text.strip() \
        and text[0] not in "-"
    return text if plain else json.dumps(text)


# Making 256 MiB of log ready takes longer than most tests; and how full this machine's disk happens to
# be is not what they are about.
SMALL_STORE = {"segment": "8 MiB", "pool": 2, "free_percent": "1 %", "alarm_percent": "2 %"}


def settings(data, *, listen=(), name="mx1.staffetta.example", resolver=(), tls=None,
             control=None, **more):
    """The settings of a node; `listen`: rows such as {"for": "smtp", "at": "127.0.0.1:25"};
    `tls`: (certificate, key) or a dict of its keys; `control`: the socket of the command line.
    Further top-level keys (limits={...}) are added or win; an empty one goes."""
    node = {
        "node": {"name": name, "data": str(data)},
        "network": {"internet": False, "resolver": list(resolver)},
        "listen": [dict(row) for row in listen],
        "store": SMALL_STORE,
    }
    if tls:
        node["tls"] = dict(tls) if isinstance(tls, dict) else \
            {"certificate": str(tls[0]), "key": str(tls[1])}
    if control:
        node["admin"] = {"socket": str(control)}
    return {key: value for key, value in (node | more).items() if value}


class Staffetta(Daemon):
    """One node. Without `listen` it gets SMTP on a free port of `address`.

    start() returns after READY=1; kill9() ends everything, kill9("gate") the processes of one role.
    `listen`: rows of the settings; `data`: the store; `wrapper`: a command put before the program
    (strace, prlimit, faketime); further arguments are keys of the settings (limits={...}).
    """

    name = "staffetta"

    def __init__(self, directory, *, address="127.0.0.1", listen=None, data=None, program=None,
                 wrapper=(), environment=None, **node):
        super().__init__(directory)
        self.address = address
        self.listen = listen if listen is not None else [
            {"for": "smtp", "at": f"{address}:{netns.free_port(address)}"}]
        self.data = data or self.directory / "data"
        self.program = program or os.environ.get("STAFFETTA_PROGRAM") or \
            str(build_dir() / "staffetta")
        self.wrapper = list(wrapper)
        self.more_environment = dict(environment or {})
        self.node = node
        self.config = self.directory / "staffetta.yaml"
        self.control = self.directory / "control.sock"
        self._notify = None
        self.notices = []  # lines that came over NOTIFY_SOCKET

    def at(self, purpose="smtp"):
        """(address, port) of the first listener for that purpose."""
        for row in self.listen:
            if row["for"] == purpose:
                host, _, port = row["at"].rpartition(":")
                return host.strip("[]"), int(port)
        raise Failure(f"nothing listens for {purpose}")

    def prepare(self):
        os.makedirs(self.data, exist_ok=True)
        node = settings(self.data, listen=self.listen, control=self.control, **self.node)
        self.config.write_text(yaml_text(node), encoding="utf-8")
        path = self.directory / "notify"
        path.unlink(missing_ok=True)
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(path))
        self._notify.setblocking(False)
        path.chmod(0o777)
        self.notices = []

    def environment(self):
        return os.environ | {"NOTIFY_SOCKET": str(self.directory / "notify")} | \
            self.more_environment

    def command(self):
        return [*self.wrapper, self.program, "serve", "--config", str(self.config)]

    def is_ready(self):
        try:
            while True:
                self.notices += self._notify.recv(65536).decode().splitlines()
        except BlockingIOError:
            return "READY=1" in self.notices

    def stop(self, seconds=10):
        super().stop(seconds)
        if self._notify:
            self._notify.close()
            self._notify = None

    def log(self):
        return self.log_tail(1 << 30)

    # the operator's commands

    def cli(self, *args, stdin=None, seconds=30):
        """Runs `staffetta ARGS --json`; (exit code, what it printed as JSON or None)."""
        done = subprocess.run([self.program, "--socket", str(self.control), *map(str, args),
                               "--json"], input=stdin, capture_output=True, text=True,
                              timeout=seconds, check=False)
        try:
            answer = json.loads(done.stdout) if done.stdout.strip() else None
        except json.JSONDecodeError:
            answer = None
        self.last_error = done.stderr
        return done.returncode, answer

    def must(self, *args, **options):
        """A command that has to succeed; its answer."""
        code, answer = self.cli(*args, **options)
        if code != 0:
            raise Failure(f"staffetta {' '.join(map(str, args))}: {code}\n{self.last_error}")
        return answer

    def role_pids(self, role=None):
        """Process ids by role, or those of one role. Read from the command lines (`staffetta
        --child ROLE NUMBER`) rather than asked for by `status`, which needs a living core."""
        roles = {}
        for pid in self.pids():
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read().decode().split("\0")
                is_child = len(words) > 2 and words[1] == "--child"
                roles.setdefault(words[2] if is_child else "supervisor", []).append(pid)
        return roles if role is None else roles.get(role, [])

    def kill9(self, role=None):
        if role is None:
            super().kill9()
            return []
        pids = self.role_pids(role)
        if not pids:
            raise Failure(f"no process with the role {role}")
        for pid in pids:
            signal_pid(pid, signal.SIGKILL)
        return pids

    def wait_role(self, role, not_pids=(), seconds=10):
        """Waits until the supervisor has started that role anew, in full strength."""
        def fresh():
            pids = set(self.role_pids(role)) - set(not_pids)
            return pids if pids and len(pids) >= len(not_pids) else None

        return wait_for(fresh, f"{role} is back", seconds)
