"""A receiver of webhooks, as somebody outside would write it: checks signatures, keeps what came.

    receiver = stage.start(Hooks, secret="12345678")      # or Hooks(directory, ...).start()
    node.must("alert", "add", "ops", "--url", receiver.url, "--secret", receiver.secret)
    hook = receiver.wait(lambda hook: hook.name == "primary.emergency")

It is a thread of the test, in whatever network the caller of start() is. `answers`: statuses that
the next requests get (a function gets the request and answers by itself); then it is `status`.
"""

import dataclasses
import hashlib
import hmac
import json
import time

from harness import netns
from harness.httpd import Httpd, body_of, reply
from harness.process import Failure, wait_for


def is_signed(secret, header, body, seconds=300):
    """Is this header Staffetta's signature of these bytes, made lately? (docs/alerts.md)"""
    parts = dict(part.split("=", 1) for part in header.split(",") if "=" in part)
    when, given = parts.get("t", ""), parts.get("v1", "")
    if not when.isdigit() or abs(time.time() - int(when)) > seconds:
        return False
    wanted = hmac.new(secret.encode(), f"{when}.".encode() + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(given, wanted)


@dataclasses.dataclass
class Hook:
    """One request. `body` is its JSON; its members are attributes too: hook.state, hook.happened."""

    id: str
    path: str
    headers: dict
    body: dict
    is_signed: bool
    status: int  # what it was answered
    time: float  # monotonic

    def __getattr__(self, name):
        if name in ("body", "__setstate__"):
            raise AttributeError(name)
        return self.body.get(name)


class Hooks:
    """`received`: every request that had an answer, in order; `told` without those that failed."""

    def __init__(self, directory=None, *, secret="a secret of the test", address="127.0.0.1",
                 port=None, tls=None, host=None, path="/staffetta"):
        self.directory = directory
        self.secret = secret
        self.address, self.port = address, port or netns.free_port(address)
        self.tls = tls  # (certificate, key): paths
        self.url = f"{'https' if tls else 'http'}://{host or address}:{self.port}{path}"
        self.received = []
        self.answers = []
        self.status = 200
        self.server = None

    @property
    def told(self):
        return [hook for hook in self.received if 200 <= hook.status < 300]

    def ids(self):
        """Of what was told, in order, each once: a lost answer may bring one twice."""
        return list(dict.fromkeys(hook.id for hook in self.told))

    def start(self):
        if self.server:
            raise Failure("the receiver is running")
        self.server = Httpd(self.address, self.port, self.take, self.tls)

    def stop(self):
        """Nobody answers any more; start() takes the same port again."""
        if self.server:
            self.server.stop()
        self.server = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def take(self, request):
        body = body_of(request)
        answer = self.answers.pop(0) if self.answers else self.status
        if callable(answer):
            answer(request)
            return
        self.received.append(Hook(
            id=request.headers.get("Staffetta-Id"), path=request.path,
            headers=dict(request.headers), body=json.loads(body),
            is_signed=is_signed(self.secret, request.headers.get("Staffetta-Signature", ""), body),
            status=answer, time=time.monotonic()))
        reply(request, answer, b"thank you\n" if answer < 300 else b"not now\n")

    def wait(self, wanted=lambda hook: True, seconds=20):
        """The first word that was told and is `wanted`."""
        return wait_for(lambda: next((hook for hook in self.told if wanted(hook)), None),
                        "a webhook arrives", seconds, pause=0.02)
