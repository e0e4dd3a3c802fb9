"""Somebody who gives tokens (OAuth 2.0), as Microsoft 365, Google and others do: an endpoint over
HTTPS, and a place where a mail server asks whether a token is good (RFC 7662, for Dovecot).

    with Tokens(authority.issue("tokens")) as giver:
        giver.clients["staffetta"] = "a secret"
        giver.url, giver.introspection
"""

import base64
import functools
import json
import secrets
import subprocess
import time
import urllib.parse

from harness import netns
from harness.httpd import Httpd, body_of, reply

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class Refused(Exception):
    """An error of RFC 6749 section 5.2."""


class Tokens:
    """`clients`: id -> secret; `keys`: id -> public key (PEM file) of a service account; `refreshes`:
    refresh token -> whose. `asked`: the forms that came; `good`: tokens -> whose ("" any), `lives`
    seconds each, in words to who asks, and as long as the test does not take them away."""

    def __init__(self, tls, *, address="127.0.0.1", scope=None):
        self.address, self.tls, self.scope = address, tls, scope
        self.port, self.port_in = netns.free_port(address), netns.free_port(address)
        self.url = f"https://{address}:{self.port}/tenant/oauth2/v2.0/token"
        self.introspection = f"http://{address}:{self.port_in}/introspect?token="
        self.clients, self.keys, self.refreshes = {}, {}, {}
        self.asked, self.given, self.good = [], [], {}
        self.opens = ""        # what Dovecot is told that an application's token opens: it wants one
        self.lives = 3600
        self.rotates = False   # each refresh token is good once
        self.answers = []      # (status, bytes) that the next ones get
        self.servers = []

    def secrets(self):
        """What may stand in no log."""
        return [*self.clients.values(), *self.refreshes, *self.given]

    def __enter__(self):
        for port, take, tls in ((self.port, self.take, self.tls), (self.port_in, self.look, None)):
            self.servers.append(Httpd(self.address, port, functools.partial(self.answer, take), tls))
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.stop()
        self.servers = []

    @staticmethod
    def answer(take, request):
        reply(request, *take(request.path, body_of(request)), {"Content-Type": "application/json"})

    # the endpoint

    def take(self, _, body):
        form = dict(urllib.parse.parse_qsl(body.decode(), strict_parsing=True))
        self.asked.append(form)
        if self.answers:
            return self.answers.pop(0)
        try:
            return 200, json.dumps(self.give(form)).encode()
        except Refused as error:
            return 400, json.dumps({"error": str(error),
                                    "error_description": f"AADSTS7000215: {error}."}).encode()

    def give(self, form):
        whose, more = "", {}
        if form["grant_type"] == JWT_BEARER:
            whose = self.judge(form["assertion"])
        elif self.clients.get(form["client_id"]) != form.get("client_secret"):
            raise Refused("invalid_client")
        elif form["grant_type"] == "refresh_token":
            if form["refresh_token"] not in self.refreshes:
                raise Refused("invalid_grant")
            whose = self.refreshes[form["refresh_token"]]
            if self.rotates:
                del self.refreshes[form["refresh_token"]]
                more["refresh_token"] = secrets.token_urlsafe(40)
                self.refreshes[more["refresh_token"]] = whose
                self.given.append(more["refresh_token"])
        elif form["grant_type"] != "client_credentials":
            raise Refused("unsupported_grant_type")
        if self.scope and form.get("scope", self.scope) != self.scope:
            raise Refused("invalid_scope")
        token = secrets.token_urlsafe(900)
        self.good[token] = whose
        self.given.append(token)
        return {"token_type": "Bearer", "expires_in": self.lives, "ext_expires_in": self.lives,
                "access_token": token} | more

    def judge(self, assertion):
        """In whose name: the signature is looked at by openssl."""
        def raw(part):
            return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))

        head, claims, sum_ = assertion.split(".")
        said = json.loads(raw(claims))
        key = self.keys.get(said["iss"])
        if json.loads(raw(head))["alg"] != "RS256" or not key or said["aud"] != self.url:
            raise Refused("invalid_client")
        if not said["iat"] - 5 < time.time() < said["exp"] <= said["iat"] + 3600:
            raise Refused("invalid_grant")
        signature = key.parent / "signature"
        signature.write_bytes(raw(sum_))
        answer = subprocess.run(["openssl", "dgst", "-sha256", "-verify", key, "-signature",
                                 signature], input=f"{head}.{claims}".encode(), check=False,
                                capture_output=True)
        if answer.returncode != 0:
            raise Refused("invalid_grant")
        if self.scope and said["scope"] != self.scope:
            raise Refused("invalid_scope")
        return said["sub"]

    # RFC 7662

    def look(self, path, _):
        token = urllib.parse.parse_qs(path.partition("?")[2])["token"][0]
        if token not in self.good:
            return 200, b'{"active": false}'
        return 200, json.dumps({"active": True, "username": self.good[token] or self.opens,
                                "token_type": "Bearer"}).encode()

    def dovecot(self, directory):
        """Settings for Dovecot that take XOAUTH2 with tokens of the mailbox's owner."""
        path = directory / "oauth2.conf.ext"
        path.write_text(f"introspection_url = {self.introspection}\nintrospection_mode = get\n"
                        "active_attribute = active\nactive_value = true\n"
                        "username_attribute = username\nusername_format = %u\n", "ascii")
        path.chmod(0o644)
        return ("auth_mechanisms = plain login xoauth2\npassdb {\n  driver = oauth2\n"
                f"  mechanisms = xoauth2\n  args = {path}\n}}\n")
