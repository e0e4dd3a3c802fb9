"""A real rspamd that does nothing but verify DKIM signatures, with the records of one name server."""

import json
import urllib.error
import urllib.request

from harness import netns
from harness.peers import chown
from harness.process import Daemon

# A list of its own in place of all top-level domains, which take long to compile and say nothing about
# signatures; everything that would ask the world is not loaded at all.
CONFIG = """\
options {{
  filters = "dkim";
  url_tld = "{dir}/domains";
  tempdir = "{dir}/db";
  pidfile = "{dir}/run/pid";
  control_socket = "{dir}/run/control mode=0600";
  dns {{ nameserver = ["{resolver}:1"]; timeout = 5s; retransmits = 3; }}
}}
logging {{ type = "file"; filename = "{dir}/log/log"; level = "info"; }}
worker "normal" {{ bind_socket = "{address}:{port}"; count = 1; task_timeout = 30s; }}
dkim {{ check_local = true; check_authed = true; }}
"""


class Rspamd(Daemon):
    """`resolver`: (address, port) of who knows the records."""

    name = "rspamd"

    def __init__(self, directory, resolver, *, address="127.0.0.1", port=None):
        super().__init__(directory)
        self.resolver = resolver
        self.address = address
        self.port = port or netns.free_port(address)
        self.conf = self.directory / "rspamd.conf"

    def prepare(self):
        self.directory.chmod(0o755)
        for part in ("db", "run", "log"):
            (self.directory / part).mkdir(exist_ok=True)
            chown(self.directory / part, "_rspamd")
        (self.directory / "domains").write_text("test\n", encoding="ascii")
        self.conf.write_text(CONFIG.format(dir=self.directory, address=self.address, port=self.port,
                                           resolver="{}:{}".format(*self.resolver)),
                             encoding="ascii")

    def command(self):
        return ["/usr/bin/rspamd", "-f", "-u", "_rspamd", "-g", "_rspamd", "-c", str(self.conf),
                f"--var=DBDIR={self.directory}/db", f"--var=RUNDIR={self.directory}/run",
                f"--var=LOGDIR={self.directory}/log"]

    def _ask(self, path, body=None, **headers):
        request = urllib.request.Request(f"http://{self.address}:{self.port}{path}", data=body,
                                         headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def is_ready(self):
        try:
            return self._ask("/ping").startswith(b"pong")
        except (urllib.error.URLError, OSError):
            return False

    def dkim(self, message):
        """What it says of the signatures of this message: {"R_DKIM_ALLOW": [details]}."""
        answer = json.loads(self._ask("/checkv2", message, Ip="192.0.2.10"))
        return {name: symbol.get("options", []) for name, symbol in answer["symbols"].items()
                if "DKIM" in name}
