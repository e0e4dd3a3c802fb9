"""A push service and a device behind it, as somebody outside would write them: takes POSTs over HTTPS
(RFC 8030), and decrypts them with keys of its own (RFC 8291), by another implementation than ours."""

import base64
import dataclasses
import json
import os
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from harness import netns
from harness.httpd import Httpd, body_of, reply
from harness.process import wait_for


def text_of(some):
    return base64.urlsafe_b64encode(some).decode().rstrip("=")


def derive(salt, secret, info, length):
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)


class Keys:
    """Of one device: `public` is what a subscription names."""

    def __init__(self):
        self.key, self.auth = ec.generate_private_key(ec.SECP256R1()), os.urandom(16)
        self.point = self.key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        self.public = {"p256dh": text_of(self.point), "auth": text_of(self.auth)}

    def open(self, body):
        """The plain text of a body with Content-Encoding aes128gcm of one record."""
        salt, size, n = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        theirs, sealed = body[21:21 + n], body[21 + n:]
        assert len(sealed) <= size
        shared = self.key.exchange(
            ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), theirs))
        secret = derive(self.auth, shared, b"WebPush: info\0" + self.point + theirs, 32)
        key = derive(salt, secret, b"Content-Encoding: aes128gcm\0", 16)
        nonce = derive(salt, secret, b"Content-Encoding: nonce\0", 12)
        padded = AESGCM(key).decrypt(nonce, sealed, None).rstrip(b"\0")
        assert padded[-1:] == b"\2"
        return padded[:-1]


@dataclasses.dataclass
class Push:
    """One request. `said` is its JSON, decrypted if it was encrypted."""

    path: str
    headers: dict
    said: dict
    is_sealed: bool
    status: int  # what it was answered
    time: float  # monotonic


class Pushes:
    """`received`: every request, in order; `answers`: statuses, or (status, headers), of the next
    ones, then it is `status`. Paths in `keys` belong to a device that decrypts."""

    def __init__(self, directory, *, authority):
        self.directory = directory
        self.address, self.port = "127.0.0.1", netns.free_port("127.0.0.1")
        self.tls = authority.issue("push", ("IP:127.0.0.1",))
        self.keys, self.received, self.answers, self.status = {}, [], [], 201
        self.server = None

    def url(self, path):
        return f"https://{self.address}:{self.port}{path}"

    def start(self):
        self.server = Httpd(self.address, self.port, self.take, self.tls)

    def stop(self):
        if self.server:
            self.server.stop()
        self.server = None

    def take(self, request):
        body = body_of(request)
        is_sealed = request.headers.get("Content-Encoding") == "aes128gcm"
        if is_sealed:
            body = self.keys[request.path].open(body)
        answer = self.answers.pop(0) if self.answers else self.status
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        self.received.append(Push(request.path, dict(request.headers), json.loads(body), is_sealed,
                                  status, time.monotonic()))
        reply(request, status, headers=headers)

    def at(self, path):
        return [push for push in self.received if push.path == path]

    def wait(self, path, n=1, seconds=20):
        """The n-th push to that path, from 1."""
        wait_for(lambda: len(self.at(path)) >= n, f"push {n} to {path}", seconds, pause=0.02)
        return self.at(path)[n - 1]
