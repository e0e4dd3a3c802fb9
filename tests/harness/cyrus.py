"""Cyrus IMAP 3.6 as it serves JMAP: the peer of mailboxes. LMTP in, HTTP out; one directory, free ports.

Debian's cyrus-imapd excludes dovecot-imapd, so its IMAP server is not used: mailboxes come into being
when the first letter does.
"""

import socket
from pathlib import Path

from harness import netns
from harness.peers import chown, greeting
from harness.process import Daemon, run

PROGRAMS = "/usr/lib/cyrus/bin"

IMAPD_CONF = """\
configdirectory: {dir}/conf
partition-default: {dir}/mail
defaultpartition: default
sievedir: {dir}/sieve
admins: admin
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {dir}/sasldb2
sasl_mech_list: PLAIN
allowplaintext: yes
unixhierarchysep: yes
altnamespace: yes
httpmodules: jmap
conversations: yes
autocreate_post: yes
autocreate_quota: 0
autocreate_inbox_folders: Sent|Drafts|Trash
lmtp_downcase_rcpt: yes
duplicatesuppression: no
lmtpsocket: {dir}/lmtp.sock
idlesocket: {dir}/idle.sock
notifysocket: {dir}/notify.sock
"""
CYRUS_CONF = """\
START {{
  recover cmd="{programs}/ctl_cyrusdb -C {dir}/imapd.conf -r"
}}
SERVICES {{
  http cmd="{programs}/httpd -C {dir}/imapd.conf" listen="{address}:{http}" prefork=2
  lmtp cmd="{programs}/lmtpd -a -C {dir}/imapd.conf" listen="{address}:{lmtp}" prefork=2 maxchild=60
}}
EVENTS {{
}}
"""


class Cyrus(Daemon):
    """`users`: name -> password (names without a domain)."""

    name = "cyrus"

    def __init__(self, directory, *, users, address="127.0.0.1"):
        super().__init__(directory)
        self.users = dict(users)
        self.address = address
        self.http_port = netns.free_port(address)
        self.lmtp_port = netns.free_port(address)

    def prepare(self):
        for part in ("conf", "mail", "sieve", "conf/socket", "conf/proc", "conf/db", "conf/log",
                     "conf/lock"):
            (self.directory / part).mkdir(exist_ok=True)
        values = {"dir": self.directory, "programs": PROGRAMS, "address": self.address,
                  "http": self.http_port, "lmtp": self.lmtp_port}
        (self.directory / "imapd.conf").write_text(IMAPD_CONF.format(**values), encoding="ascii")
        (self.directory / "cyrus.conf").write_text(CYRUS_CONF.format(**values), encoding="ascii")
        for user, password in self.users.items():
            run("saslpasswd2", "-p", "-c", "-f", self.directory / "sasldb2", "-u",
                socket.gethostname(), user, stdin=password)
        for path in (self.directory, *Path(self.directory).rglob("*")):
            chown(path, "cyrus")

    def command(self):
        return [f"{PROGRAMS}/master", "-C", str(self.directory / "imapd.conf"), "-M",
                str(self.directory / "cyrus.conf"), "-p", str(self.directory / "master.pid"), "-D"]

    def is_ready(self):
        return greeting(self.address, self.lmtp_port, "220")

    def put(self, user, letters):
        """Straight into the inbox, much faster than by LMTP; the first of them must have come that way,
        and it must be stopped."""
        inbox, = (path.parent for path in (self.directory / "mail").rglob("1.")
                  if b"To: <%s>" % user.encode() in path.read_bytes()[:2000])
        for number, letter in enumerate(letters, 2):
            (inbox / f"{number}.").write_bytes(letter)
        run("chown", "-R", "cyrus:mail", inbox)
        run("runuser", "-u", "cyrus", "--", f"{PROGRAMS}/reconstruct", "-C",
            self.directory / "imapd.conf", "-s", f"user/{user}", seconds=600)
