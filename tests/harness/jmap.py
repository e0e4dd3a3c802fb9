"""A small JMAP client: one person, over HTTP, with the words of RFC 8620."""

import base64
import json
import ssl
import urllib.error
import urllib.request

USING = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail",
         "urn:ietf:params:jmap:submission", "urn:ietf:params:jmap:vacationresponse",
         "urn:ietf:params:jmap:quota", "urn:ietf:params:jmap:blob"]


class Refused(Exception):
    def __init__(self, status, body):
        super().__init__(f"{status}: {body[:300]}")
        self.status, self.body = status, body


class Client:
    """`url`: where the door listens; `address` of the person, who comes with a password, or with a
    one-time code and goes on with a cookie. `authority`: who vouches for the door."""

    def __init__(self, url, address, password=None, *, code=None, authority=None):
        self.url, self.address = url, address
        self.tls = ssl.create_default_context(cafile=authority.pem) if authority else None
        self.headers = self._came_in(code) if code else self._knows(password)
        self.session = json.loads(self.http("GET", "/jmap/session"))
        self.account = self.session["primaryAccounts"]["urn:ietf:params:jmap:mail"]

    def _knows(self, password):
        pair = f"{self.address}:{password}".encode()
        return {"Authorization": "Basic " + base64.b64encode(pair).decode()}

    def _came_in(self, code):
        self.headers = {"Origin": self.url}
        answer = self._open("POST", "/auth/login", json.dumps(
            {"address": self.address, "code": code}).encode(), "application/json")
        with answer:
            cookie = answer.headers["Set-Cookie"].partition(";")[0]
            return self.headers | {"Cookie": cookie, "X-CSRF": json.load(answer)["csrf"]}

    def http(self, method, path, body=None, kind="application/json"):
        with self._open(method, path, body, kind) as answer:
            return answer.read()

    def _open(self, method, path, body, kind):
        headers = dict(self.headers)
        if body is not None:
            headers["Content-Type"] = kind
        request = urllib.request.Request(self.url + path, data=body, headers=headers, method=method)
        try:
            return urllib.request.urlopen(request, timeout=30, context=self.tls)
        except urllib.error.HTTPError as error:
            raise Refused(error.code, error.read().decode(errors="replace")) from None

    def calls(self, *calls):
        """Several at once: (method, arguments); their answers' arguments, in order."""
        # Subscriptions to pushes belong to a log-in, not to an account.
        own = [{} if method.startswith("PushSubscription/") else {"accountId": self.account}
               for method, _ in calls]
        body = {"using": USING, "methodCalls": [
            [method, own[i] | args, str(i)] for i, (method, args) in enumerate(calls)]}
        answer = json.loads(self.http("POST", "/jmap/api", json.dumps(body).encode()))
        return [(name, args) for name, args, _ in answer["methodResponses"]]

    def call(self, method, **args):
        name, answer = self.calls((method, args))[0]
        assert name == method, f"{method}: {answer}"
        return answer

    def mailbox(self, role):
        return self.call("Mailbox/query", filter={"role": role})["ids"][0]

    def list(self, role="inbox", properties=("subject", "from", "keywords", "threadId"), **filter):
        ids = self.call("Email/query", filter={"inMailbox": self.mailbox(role), **filter})["ids"]
        return self.call("Email/get", ids=ids, properties=list(properties))["list"]

    def upload(self, content, kind="application/octet-stream"):
        return json.loads(self.http("POST", f"/jmap/upload/{self.account}/", content, kind))

    def download(self, blob, name="x", kind="application/octet-stream"):
        return self.http("GET", f"/jmap/download/{self.account}/{blob}/{name}?accept={kind}")
