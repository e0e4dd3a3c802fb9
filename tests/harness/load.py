"""smtp_load from Python: run it, or start it and look at its journal meanwhile."""

import dataclasses
import json
import subprocess

from harness.process import Failure, signal_pid, tool

import signal


@dataclasses.dataclass
class Row:
    """A line of the journal. `word`: accepted, refused or unknown; times in seconds; `sha256` of
    what was sent with --digest."""

    id: str
    word: str
    code: int
    sent: float
    replied: float
    sha256: str | None = None


def read_journal(path):
    """id -> Row. An id that stands there twice is an error of the sender, not of the server."""
    rows = {}
    with open(path, encoding="ascii") as file:
        for line in file:
            if not line.endswith("\n"):
                break  # the generator died while writing
            name, word, code, sent, replied, *digest = line.split()
            if name in rows:
                raise Failure(f"{path}: {name} twice")
            rows[name] = Row(name, word, int(code), float(sent), float(replied),
                             *digest)
    return rows


def ids(path, word="accepted"):
    return {row.id for row in read_journal(path).values() if row.word == word}


class Load:
    """A running smtp_load. `options` as on its command line: Load(at, "--sessions", 50)."""

    def __init__(self, at, *options):
        target = at if isinstance(at, str) else f"{at[0]}:{at[1]}"
        command = [tool("smtp_load"), "--to", target, *(str(option) for option in options)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True)

    def greeted(self):
        """--idle only: waits until all connections stand, gives their number."""
        return json.loads(self.process.stdout.readline())["greeted"]

    def stop(self):
        """No further messages; what is under way is waited for."""
        signal_pid(self.process.pid, signal.SIGTERM)
        return self.result()

    def result(self, seconds=700):
        """Its last line, when it has ended: accepted, refused, unknown, per_second, p50_ms ...
        (with --idle also `alive`)."""
        try:
            out, errors = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise Failure("smtp_load does not end") from None
        if self.process.returncode != 0:
            raise Failure(f"smtp_load: {errors}")
        result = {}
        for line in out.splitlines():
            result |= json.loads(line)
        return result

    def kill9(self):
        self.process.kill()
        self.process.communicate()


def run(at, *options):
    """Runs it to its end and gives its result."""
    return Load(at, *options).result()
