"""What stories about giving back to mailboxes share: deeds of people, and looks into the mailboxes
over there."""

from harness.process import build_dir, run, wait_for
from story import ALICE, Story


def open_mailboxes(node, primary, secret="masterpw"):
    host, port = primary.imap
    node.must("access", "set", "exchange", "--host", f"{host}:{port}", "--tls", "never",
              "--master-user", "%s*admin", "--master-secret", secret)


def did(node, *deeds):
    """While the node is away."""
    node.stop()
    run(build_dir() / "tests" / "conformance" / "mailbox_deeds", str(node.data), ALICE, *deeds)
    node.start()


def written(directory, name):
    path = directory / f"{name}.eml"
    path.write_bytes((f"From: <{ALICE}>\r\nTo: <x@outside.test>\r\nSubject: {name}\r\n"
                      f"X-Load-Id: {name}\r\nMessage-ID: <{name}@example.test>\r\n"
                      "Date: Sat, 21 Nov 2026 10:00:00 +0000\r\n\r\nDear you\r\n").encode())
    return path


def names(primary, folder="INBOX"):
    """X-Load-Id -> flags."""
    if folder not in primary.dovecot.mailboxes(ALICE):
        return {}
    found = {}
    for mail in primary.messages(ALICE, folder):
        name = mail.raw.split(b"X-Load-Id: ")[1].split(b"\r\n")[0].decode()
        assert name not in found, f"{name} is there twice"
        found[name] = mail.flags
    return found


def everything(primary):
    return {folder: sorted((name, sorted(flag for flag in flags if flag != "\\Recent"))
                           for name, flags in names(primary, folder).items())
            for folder in primary.dovecot.mailboxes(ALICE)}


def given(node, number, seconds=30):
    def there():
        box = node.must("mailbox", "show", ALICE)
        return box if box["given"] + box["already"] >= number and not box["waiting"] else None

    return wait_for(there, f"{number} changes are given back", seconds)


def mail_arrives(node, primary, prefix, count):
    Story(node).send_all(prefix, count)
    wait_for(lambda: primary.count(ALICE) == count, "all there", 20)


def draft(client, subject):
    answer = client.call("Email/set", create={"d": {
        "mailboxIds": {client.mailbox("drafts"): True}, "keywords": {"$draft": True, "$seen": True},
        "subject": subject, "from": [{"email": ALICE}], "to": [{"email": "x@outside.test"}],
        "textBody": [{"partId": "t", "type": "text/plain"}],
        "header:X-Load-Id:asText": subject, "bodyValues": {"t": {"value": "Ciao"}}}})
    return answer["created"]["d"]["id"]
