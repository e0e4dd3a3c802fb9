"""A small JMAP client for scenarios: one person, over HTTP, with the words of RFC 8620."""

import base64
import json
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
    """`url`: where the door listens; `address` and `password` of the person."""

    def __init__(self, url, address, password):
        self.url, self.address = url, address
        pair = f"{address}:{password}".encode()
        self.headers = {"Authorization": "Basic " + base64.b64encode(pair).decode()}
        self.session = json.loads(self.http("GET", "/jmap/session"))
        self.account = self.session["primaryAccounts"]["urn:ietf:params:jmap:mail"]

    def http(self, method, path, body=None, kind="application/json"):
        headers = dict(self.headers)
        if body is not None:
            headers["Content-Type"] = kind
        request = urllib.request.Request(self.url + path, data=body, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise Refused(error.code, error.read().decode(errors="replace")) from None

    def calls(self, *calls):
        """Several at once: (method, arguments); their answers' arguments, in order."""
        body = {"using": USING, "methodCalls": [
            [method, {"accountId": self.account, **args}, str(i)]
            for i, (method, args) in enumerate(calls)]}
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
