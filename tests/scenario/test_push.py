"""Programs that are not connected hear of changes at an address that they named (RFC 8620 section
7.2): through a real push service on this machine, encrypted for the device where it wants that."""

import datetime
import json
import time

import pytest

from harness import netns
from harness.certs import Authority
from harness.jmap import Refused
from harness.process import wait_for
from harness.pushes import Keys, Pushes
from story import ALICE, Story
from test_https import NAME, PASSWORD, Secure

pytestmark = pytest.mark.usefixtures("network")

CORE = ["urn:ietf:params:jmap:core"]


class Device(Secure):
    """A program that logs in with a token of its own, and has its subscriptions."""

    def __init__(self, node, authority, token):
        self.bearer, self.authority = {"Authorization": f"Bearer {token}"}, authority
        super().__init__(node, authority)

    def _knows(self, _):
        return self.bearer

    def push(self, method, **args):
        body = {"using": CORE, "methodCalls": [[f"PushSubscription/{method}", args, "0"]]}
        answer = json.loads(self.http("POST", "/jmap/api", json.dumps(body).encode()))
        name, said, _ = answer["methodResponses"][0]
        assert name == f"PushSubscription/{method}", said
        return said

    def create(self, url, **more):
        said = self.push("set", create={"a": {"deviceClientId": "phone", "url": url, **more}})
        assert said["created"], said
        return said["created"]["a"]["id"]

    def update(self, subscription, **patch):
        return self.push("set", update={subscription: patch})

    def ids(self):
        return [one["id"] for one in self.push("get", ids=None)["list"]]


class Browser(Device):
    """The same with a cookie, for which a one-time code was given."""

    def __init__(self, node, authority, code):
        self.code = code
        super().__init__(node, authority, None)

    def _knows(self, _):
        self.headers = {"Origin": f"https://{NAME}"}
        login = json.dumps({"address": ALICE, "code": self.code}).encode()
        answer = json.loads(self.http("POST", "/auth/login", login))
        return self.headers | {"Cookie": self.last.headers["Set-Cookie"].partition(";")[0],
                               "X-CSRF": answer["csrf"]}


@pytest.fixture
def inside(stage, directory):
    """(node, pushes, device): a phone of Alice's with a token, and a push service."""
    authority = Authority(directory / "ca")
    certificate, key = authority.issue("node", (f"DNS:{NAME}",))
    listen = [{"for": purpose, "at": f"127.0.0.1:{netns.free_port('127.0.0.1')}"}
              for purpose in ("smtp", "https")]
    node, _ = stage.before(settings={"listen": listen, "tls": (certificate, key),
                                     "alerts": {"authorities": str(authority.pem)}})
    node.must("person", "password", ALICE, stdin=PASSWORD + "\n")
    pushes = stage.start(Pushes, authority=authority)
    token = node.must("person", "token", "add", ALICE, "phone")["token"]
    return node, pushes, Device(node, authority, token)


def confirmed(pushes, device, path="/phone", **more):
    """A subscription whose code came and was given back."""
    subscription = device.create(pushes.url(path), **more)
    code = pushes.wait(path).said
    assert code["@type"] == "PushVerification" and code["pushSubscriptionId"] == subscription
    said = device.update(subscription, verificationCode=code["verificationCode"])
    assert said["updated"] == {subscription: None}, said
    return subscription


def test_a_device_hears_of_mail_in_a_language_only_it_can_read(inside):
    node, pushes, device = inside
    pushes.keys["/phone"] = Keys()
    subscription = confirmed(pushes, device, keys=pushes.keys["/phone"].public)
    Story(node).send("news")
    push = pushes.wait("/phone", 2)
    assert push.is_sealed and push.said["@type"] == "StateChange"
    state = device.call("Email/get", ids=[])["state"]
    assert all(one.is_sealed for one in pushes.at("/phone"))
    changed = push.said["changed"][device.account]
    assert set(changed) == {"Email", "Thread", "Mailbox", "Quota", "EmailDelivery"}
    assert changed["Email"] == state and len(push.said["changed"]) == 1
    assert int(push.headers["TTL"]) > 0 and push.headers["Urgency"] == "normal"
    assert push.headers["Content-Type"] == "application/json" and push.headers["Topic"]
    got = device.push("get", ids=[subscription])["list"][0]
    assert set(got) == {"id", "deviceClientId", "verificationCode", "expires", "types"}
    ends = datetime.datetime.fromisoformat(got["expires"].replace("Z", "+00:00")).timestamp()
    assert 6 * 86400 < ends - time.time() <= 7 * 86400


def test_nothing_is_pushed_before_the_code_comes_back(inside):
    node, pushes, device = inside
    subscription = device.create(pushes.url("/phone"))
    pushes.wait("/phone")
    said = device.update(subscription, verificationCode="guessed")
    assert said["notUpdated"][subscription]["type"] == "invalidProperties"
    confirmed(pushes, device, "/other")
    Story(node).send("news")
    pushes.wait("/other", 2)  # whoever confirmed hears
    assert len(pushes.at("/phone")) == 1


def test_only_wanted_types_and_only_once_for_many_changes(inside):
    node, pushes, device = inside
    confirmed(pushes, device, "/identities", types=["Identity"])
    confirmed(pushes, device, "/mail", types=["EmailDelivery"])
    Story(node).send_all("many", 50)
    push = pushes.wait("/mail", 2)
    assert list(push.said["changed"][device.account]) == ["EmailDelivery"]
    assert push.headers["Urgency"] == "high"
    state = device.call("Email/get", ids=[])["state"]
    wait_for(lambda: pushes.at("/mail")[-1].said.get("changed", {}).get(device.account)
             == {"EmailDelivery": state}, "the last state is told")
    assert len(pushes.at("/mail")) < 20 and len(pushes.at("/identities")) == 1


def test_who_fails_is_asked_again_and_who_forgot_is_not(inside):
    node, pushes, device = inside
    subscription = confirmed(pushes, device)
    pushes.answers = [503, 201, (429, {"Retry-After": "3"}), 201, 410]
    Story(node).send("first")
    pushes.wait("/phone", 3)
    assert [push.status for push in pushes.at("/phone")[1:]] == [503, 201]
    assert pushes.at("/phone")[1].said == pushes.at("/phone")[2].said
    Story(node).send("second")
    slow, again = pushes.wait("/phone", 4), pushes.wait("/phone", 5)
    assert again.time - slow.time > 2.5
    assert device.ids() == [subscription]
    Story(node).send("third")
    pushes.wait("/phone", 6)
    wait_for(lambda: device.ids() == [], "it is destroyed")
    Story(node).send("fourth")
    confirmed(pushes, device, "/new")
    assert len(pushes.at("/phone")) == 6


def test_it_ends_with_the_log_in_that_made_it(inside):
    node, pushes, device = inside
    confirmed(pushes, device)
    by_password = Secure(node, device.authority)
    assert Device.push(by_password, "get", ids=None)["list"] == []
    token = next(one for one in node.must("person", "token", "list", ALICE)["tokens"]
                 if one["name"] == "phone")
    node.must("person", "token", "remove", ALICE, token["id"])
    with pytest.raises(Refused):
        device.ids()
    Story(node).send("news")
    other = node.must("person", "token", "add", ALICE, "tablet")["token"]
    confirmed(pushes, Device(node, device.authority, other), "/tablet")
    Story(node).send("more")
    pushes.wait("/tablet", 2)
    assert len(pushes.at("/phone")) == 1
    wait_for(lambda: "push.ended" in node.log(), "the log says so")


def test_one_of_a_session_ends_with_it(inside):
    """A browser logs in with a cookie; what it subscribed to has no time of its own."""
    node, pushes, device = inside
    code = node.must("person", "code", ALICE)["code"]
    browser = Browser(node, device.authority, code)
    subscription = confirmed(pushes, browser, "/browser")
    assert browser.push("get", ids=[subscription])["list"][0]["expires"] is None
    Story(node).send("news")
    pushes.wait("/browser", 2)
    browser.http("POST", "/auth/logout", b"")
    wait_for(lambda: "push.ended" in node.log(), "the log says that it is over")
    confirmed(pushes, device)
    Story(node).send("more")
    pushes.wait("/phone", 2)
    assert len(pushes.at("/browser")) == 2


def test_nothing_is_pushed_after_its_time(inside):
    node, pushes, device = inside
    ends = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=4)
    subscription = confirmed(pushes, device, expires=ends.strftime("%Y-%m-%dT%H:%M:%SZ"))
    confirmed(pushes, device, "/other")
    assert subscription in device.ids()
    wait_for(lambda: subscription not in device.ids(), "its time is over")
    Story(node).send("news")
    pushes.wait("/other", 2)
    assert len(pushes.at("/phone")) == 1


def test_it_is_there_after_everything_died(stage, inside):
    node, pushes, device = inside
    pushes.keys["/phone"] = Keys()
    subscription = confirmed(pushes, device, keys=pushes.keys["/phone"].public)
    node.kill9()
    node.start()
    assert device.ids() == [subscription]
    Story(node).send("news")
    state = device.call("Email/get", ids=[])["state"]
    wait_for(lambda: pushes.at("/phone")[-1].said.get("changed", {}).get(device.account, {})
             .get("Email") == state, "it is told", 20)
    assert all(push.said["@type"] == "StateChange" for push in pushes.at("/phone")[1:])
    stage.expected += [r"process\.died", r"core\.away"]
    node.wait_role("liaison", node.kill9("liaison"), 20)
    Story(node).send("with another liaison")
    state = device.call("Email/get", ids=[])["state"]
    wait_for(lambda: pushes.at("/phone")[-1].said.get("changed", {}).get(device.account, {})
             .get("Email") == state, "it is told", 20)


def test_nobodys_inside_is_reached(inside):
    """No Internet here: an address that is not of this machine is refused, and counted."""
    node, pushes, device = inside
    for url in ("https://10.0.0.1/", "https://169.254.169.254/latest/meta-data"):
        device.create(url)
    for url in ("http://127.0.0.1/", "https://user@127.0.0.1/", "file:///etc/passwd"):
        said = device.push("set", create={"a": {"deviceClientId": "phone", "url": url}})
        assert said["notCreated"]["a"]["type"] == "invalidProperties"
    wait_for(lambda: any(row["name"] == "liaison.push-inside" and row["count"] >= 2 for row in
                         node.must("limits")["limits"]), "it was counted")
    assert pushes.received == []


def test_who_makes_too_many_is_told_so(inside):
    node, pushes, device = inside
    many = {f"a{i}": {"deviceClientId": "phone", "url": pushes.url(f"/{i}")} for i in range(25)}
    said = device.push("set", create=many)
    assert len(said["created"]) == 20
    assert {error["type"] for error in said["notCreated"].values()} == {"rateLimit"}
    gone = [one["id"] for one in said["created"].values()]
    assert device.push("set", destroy=gone)["destroyed"] == gone
    said = device.push("set", create=many)
    assert len(said["created"]) == 10  # more than 30 are not made in an hour
    assert {error["type"] for error in said["notCreated"].values()} == {"rateLimit"}
    wait_for(lambda: any(row["name"] == "jmap.push-subscriptions" and row["count"] for row in
                         node.must("limits")["limits"]), "it was counted")
