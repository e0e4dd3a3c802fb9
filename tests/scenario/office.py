"""A small office whose mail system is dead: who sends, by JMAP, and what became of it."""

from harness import netns
from harness.jmap import Client
from harness.peers import Sink
from harness.process import wait_for
from story import ALICE, BOB

CAROL = "carol@example.test"  # relayed: no mailbox here
TEAM, ALL = "team@example.test", "all@example.test"
FRIEND, NOBODY = "friend@[127.0.0.21]", "nobody@[127.0.0.22]"


class Office:
    """Alice, Bob and Carol, whose mail system is dead; a world with a friend in it."""

    def __init__(self, stage, has_world=True, **settings):
        self.address = "127.0.0.1"
        ports = [netns.free_port(self.address) for _ in range(2)]
        if has_world:
            self.stored = stage.directory / "world"
            self.stored.mkdir(exist_ok=True)
            self.world = stage.start(Sink, "--store", self.stored, address="127.0.0.21", port=25)
            stage.start(Sink, "--reply-rcpt", "550 5.1.1 no such user here", address="127.0.0.22",
                        port=25)
        self.inside = stage.sink()
        self.node = stage.company(
            self.inside, people=[ALICE, BOB, {"address": CAROL, "name": "Carol", "covered": False}],
            settings={**settings, "listen": [
                {"for": "smtp", "at": f"{self.address}:{ports[0]}"},
                {"for": "https", "at": f"{self.address}:{ports[1]}", "tls": "none"}]})
        self.node.must("tenant", "set", "rossi", "--language", "it")
        self.node.must("group", "add", TEAM, "--member", BOB, "--member", CAROL)
        self.node.must("group", "add", ALL, "--member", TEAM, "--member", ALICE)
        self.inside.stop()
        self.node.must("state", "emergency", "exchange", "--why", "it is dead")
        self.url = f"http://{self.address}:{ports[1]}"
        self.clients = {who: self.client(who) for who in (ALICE, BOB)}

    def client(self, who):
        made = self.node.must("person", "password", who, "--generate")
        return Client(self.url, who, made["password"])

    def letter(self, who, to, subject):
        """A draft; its id."""
        client = self.clients[who]
        made = client.call("Email/set", create={"d": {
            "mailboxIds": {client.mailbox("drafts"): True}, "keywords": {"$draft": True},
            "from": [{"email": who}], "to": [{"email": one} for one in to], "subject": subject,
            "textBody": [{"partId": "t", "type": "text/plain"}],
            "bodyValues": {"t": {"value": "Ciao"}}}})
        return made["created"]["d"]["id"]

    def send(self, who, to, subject, parameters=None):
        """The submission's id and the state before it."""
        client = self.clients[who]
        draft = self.letter(who, to, subject)
        before = client.call("EmailSubmission/get", ids=[])["state"]
        identity = client.call("Identity/get")["list"][0]["id"]
        submission = {"identityId": identity, "emailId": draft}
        if parameters:
            submission["envelope"] = {"mailFrom": {"email": who, "parameters": parameters},
                                      "rcptTo": [{"email": one} for one in to]}
        made = client.call("EmailSubmission/set", create={"s": submission}, onSuccessUpdateEmail={
            "#s": {f"mailboxIds/{client.mailbox('drafts')}": None,
                   f"mailboxIds/{client.mailbox('sent')}": True, "keywords/$draft": None}})
        assert made.get("created"), made["notCreated"]["s"]
        return made["created"]["s"]["id"], before

    def submission(self, who, one):
        return self.clients[who].call("EmailSubmission/get", ids=[one])["list"][0]

    def statuses(self, who, one):
        return self.submission(who, one)["deliveryStatus"] or {}

    def await_status(self, who, one, recipient, delivered, seconds=20):
        def is_there():
            found = self.statuses(who, one).get(recipient, {})
            return found if found.get("delivered") == delivered else None

        return wait_for(is_there, f"{recipient}: {delivered}", seconds, pause=0.05)
