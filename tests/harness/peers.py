"""Real peers on loopback: Postfix, Dovecot, both as a company's primary, Knot, Unbound, smtp_sink.

Each has a private directory, an address and ports of its own, and the verbs of process.Daemon:
start, stop, kill9, pause, resume, restart. `start` returns when the peer has greeted.
"""

import dataclasses
import imaplib
import json
import os
import pwd
import re
import shutil
import signal
import socket
import time

from harness import certs, netns
from harness.process import Daemon, Failure, run, signal_pid, tool, wait_for

POSTFIX_PROGRAMS = "/usr/lib/postfix/sbin"


def greeting(address, port, expect, seconds=2, tls=None):
    """True when the first line from there begins with `expect`. Says goodbye in words that every
    protocol here takes for an end or an error, so that no log fills with lost connections."""
    try:
        with socket.create_connection((address, port), timeout=seconds) as connection:
            if tls:
                connection = tls.wrap_socket(connection, server_hostname="localhost")
            line = connection.recv(512)
            connection.sendall(b"QUIT\r\n" if expect[:1].isdigit() else b"a LOGOUT\r\n")
            connection.settimeout(seconds)
            connection.recv(512)
            return line.startswith(expect.encode())
    except OSError:
        return False


def chown(path, user):
    entry = pwd.getpwnam(user)
    os.chown(path, entry.pw_uid, entry.pw_gid)


# ---- Postfix -------------------------------------------------------------------------------------

MASTER_CF = """\
{listen} inet n - n - - smtpd
{extra}pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix(Daemon):
    """Postfix in the foreground, chroot off, native names only.

    `mailboxes`: addresses it takes for final; they go to `lmtp` ("127.0.0.1:24").
    `relayhost`: where everything else goes ("127.0.0.1:2600").
    `settings`: further main.cf lines (they win); `services`: further master.cf lines.
    `tls`: (certificate, key) for STARTTLS; `queue`: the queue directory, perhaps on another disk.
    """

    name = "postfix"

    def __init__(self, directory, *, address="127.0.0.1", port=None,
                 hostname="primary.example.test", mailboxes=(), lmtp=None, relayhost=None,
                 tls=None, queue=None, settings=None, services=""):
        super().__init__(directory)
        self.address = address
        self.port = port or netns.free_port(address)
        self.hostname = hostname
        self.mailboxes = list(mailboxes)
        self.lmtp = lmtp
        self.relayhost = relayhost
        self.tls = tls
        self.queue = self.directory / "queue" if queue is None else queue
        self.settings = dict(settings or {})
        self.services = services
        self.etc = self.directory / "etc"

    def main_cf(self):
        domains = sorted({address.rpartition("@")[2] for address in self.mailboxes})
        rows = {
            "compatibility_level": "3.6",
            "queue_directory": self.queue,
            "data_directory": self.directory / "data",
            "maillog_file": self.directory / "log" / "maillog",
            "maillog_file_prefixes": self.directory / "log",
            "myhostname": self.hostname,
            "mydestination": "", "local_recipient_maps": "", "alias_maps": "",
            "alias_database": "",
            "inet_interfaces": self.address, "inet_protocols": "ipv4",
            "mynetworks": "127.0.0.0/8",
            "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
            "smtp_host_lookup": "native", "smtp_dns_support_level": "disabled",
            "smtpd_peername_lookup": "no", "biff": "no",
            "minimal_backoff_time": "5s", "maximal_backoff_time": "10s",
            "queue_run_delay": "5s",
            # Of a service whose process was killed before it served anybody, as tests do.
            "service_throttle_time": "1s",
        }
        if self.mailboxes:
            names = " ".join(f"{{{address}=x}}" for address in self.mailboxes)
            rows["virtual_mailbox_domains"] = " ".join(domains)
            rows["virtual_mailbox_maps"] = f"inline:{{ {names} }}"
        if self.lmtp:
            rows["virtual_transport"] = f"lmtp:inet:{self.lmtp}"
        if self.relayhost:
            host, _, port = self.relayhost.rpartition(":")
            rows["relayhost"] = f"[{host}]:{port}"
        if self.tls:
            rows |= {"smtpd_tls_security_level": "may", "smtpd_tls_cert_file": self.tls[0],
                     "smtpd_tls_key_file": self.tls[1]}
        rows |= self.settings
        return "".join(f"{key} = {value}\n" for key, value in rows.items())

    def prepare(self):
        for part in ("etc", "data", "log"):
            (self.directory / part).mkdir(exist_ok=True)
        os.makedirs(self.queue, exist_ok=True)
        os.chmod(self.queue, 0o755)
        chown(self.directory / "data", "postfix")
        (self.etc / "main.cf").write_text(self.main_cf(), encoding="ascii")
        services = self.services and self.services.rstrip("\n") + "\n"
        (self.etc / "master.cf").write_text(
            MASTER_CF.format(listen=f"{self.address}:{self.port}", extra=services),
            encoding="ascii")
        if not os.path.isdir(os.path.join(self.queue, "pid")):
            run("postfix", "-c", self.etc, "check")

    def command(self):
        return [f"{POSTFIX_PROGRAMS}/master", "-c", str(self.etc), "-d"]

    def is_ready(self):
        return greeting(self.address, self.port, "220")

    def log(self):
        path = self.directory / "log" / "maillog"
        return path.read_text(errors="replace") if path.exists() else ""

    def log_tail(self, n_bytes=4000):
        return super().log_tail(n_bytes) + self.log()[-n_bytes:]

    def queued(self):
        """What `postqueue -j` says: a list of messages."""
        return [json.loads(line)
                for line in run("postqueue", "-c", self.etc, "-j").splitlines()]

    def flush(self):
        run("postqueue", "-c", self.etc, "-f")

    def delete_all(self):
        run("postsuper", "-c", self.etc, "-d", "ALL")


# ---- Dovecot -------------------------------------------------------------------------------------

DOVECOT_CONF = """\
base_dir = {dir}/run
state_dir = {dir}/state
log_path = {dir}/dovecot.log
protocols = imap lmtp
listen = {address}
ssl = {ssl}
{certificate}disable_plaintext_auth = no
auth_mechanisms = plain login
auth_master_user_separator = *
first_valid_uid = 1
mail_location = maildir:{dir}/mail/%d/%n
mail_max_userip_connections = 10000
passdb {{
  driver = passwd-file
  master = yes
  args = {dir}/masters
}}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {dir}/passwd
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={dir}/mail/%d/%n
}}
namespace inbox {{
  inbox = yes
  mailbox Sent {{
    auto = subscribe
    special_use = \\Sent
  }}
  mailbox Drafts {{
    auto = subscribe
    special_use = \\Drafts
  }}
  mailbox Junk {{
    auto = subscribe
    special_use = \\Junk
  }}
  mailbox Trash {{
    auto = subscribe
    special_use = \\Trash
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    address = {address}
    port = {lmtp}
  }}
}}
service auth {{
  inet_listener {{
    address = {address}
    port = {auth}
  }}
}}
{more}"""


@dataclasses.dataclass
class Mail:
    """A message as it lies in a mailbox. `date` is the INTERNALDATE as IMAP writes it."""

    uid: int
    flags: tuple
    date: str
    raw: bytes

    @property
    def id(self):
        """X-Load-Id, or else Message-ID."""
        head = self.raw.partition(b"\r\n\r\n")[0]
        for name in (b"X-Load-Id", b"Message-ID"):
            found = re.search(rb"(?im)^" + name + rb":\s*(.*?)\s*$", head)
            if found:
                return found.group(1).decode(errors="replace")
        return None


class Dovecot(Daemon):
    """Dovecot in the foreground with IMAP, LMTP and a master user.

    `users`: address -> password. `tls`: (certificate, key); without it there is no IMAPS.
    """

    name = "dovecot"
    MASTER = ("admin", "masterpw")

    def __init__(self, directory, *, users, address="127.0.0.1", imap=None, imaps=None, lmtp=None,
                 auth=None, tls=None, more=""):
        super().__init__(directory)
        self.users = dict(users)
        self.address = address
        self.imap_port = imap or netns.free_port(address)
        self.imaps_port = (imaps or netns.free_port(address)) if tls else 0
        self.lmtp_port = lmtp or netns.free_port(address)
        self.auth_port = auth or netns.free_port(address)
        self.tls = tls
        self.more = more

    def prepare(self):
        for part in ("mail", "run"):
            (self.directory / part).mkdir(exist_ok=True)
        chown(self.directory / "mail", "mail")
        certificate = ""
        if self.tls:
            certificate = f"ssl_cert = <{self.tls[0]}\nssl_key = <{self.tls[1]}\n"
        text = DOVECOT_CONF.format(
            dir=self.directory, address=self.address, ssl="yes" if self.tls else "no",
            certificate=certificate, imap=self.imap_port, imaps=self.imaps_port,
            lmtp=self.lmtp_port, auth=self.auth_port, more=self.more)
        (self.directory / "dovecot.conf").write_text(text, encoding="ascii")
        (self.directory / "masters").write_text("%s:{PLAIN}%s\n" % self.MASTER, encoding="utf-8")
        self.write_users()

    def write_users(self):
        """Users can be added to `users` while it runs: it reads the file again by itself."""
        path = self.directory / "passwd"
        new = self.directory / "passwd.new"
        new.write_text("".join(f"{name}:{{PLAIN}}{password}::::::\n"
                               for name, password in self.users.items()), encoding="utf-8")
        os.chmod(new, 0o644)
        new.rename(path)

    def command(self):
        return ["/usr/sbin/dovecot", "-F", "-c", str(self.directory / "dovecot.conf")]

    def is_ready(self):
        return (greeting(self.address, self.imap_port, "* OK") and
                greeting(self.address, self.lmtp_port, "220"))

    def log(self):
        path = self.directory / "dovecot.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def log_tail(self, n_bytes=4000):
        return super().log_tail(n_bytes) + self.log()[-n_bytes:]

    def connect(self, user, seconds=10):
        """An imaplib session of that user, logged in by the master user."""
        session = imaplib.IMAP4(self.address, self.imap_port, timeout=seconds)
        session.login(f"{user}*{self.MASTER[0]}", self.MASTER[1])
        return session

    def mailboxes(self, user):
        session = self.connect(user)
        try:
            _, rows = session.list()
            return [row.decode().rpartition(' "/" ')[2].rpartition(' "." ')[2].strip('"')
                    for row in rows if row]
        finally:
            session.logout()

    def messages(self, user, mailbox="INBOX"):
        """All messages of a mailbox, by UID."""
        session = self.connect(user)
        try:
            answer, _ = session.select(f'"{mailbox}"', readonly=True)
            if answer != "OK":
                return []
            _, rows = session.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")
            return [_mail_of(row) for row in rows or [] if isinstance(row, tuple)]
        finally:
            session.logout()

    def count(self, user, mailbox="INBOX"):
        session = self.connect(user)
        try:
            answer, rows = session.select(f'"{mailbox}"', readonly=True)
            return int(rows[0]) if answer == "OK" else 0
        finally:
            session.logout()

    def ids(self, users=None, mailbox="INBOX"):
        """Ids of all messages of these users (all users), with repetitions."""
        return [mail.id for user in users or self.users for mail in self.messages(user, mailbox)]

    def lose(self, user, n, mailbox="INBOX"):
        """The first `n` messages are gone, as after a restored backup."""
        session = self.connect(user)
        try:
            session.select(f'"{mailbox}"')
            session.store(f"1:{n}", "+FLAGS", "\\Deleted")
            session.expunge()
        finally:
            session.logout()

    def append(self, user, raw, mailbox="INBOX", flags=None, date=None):
        """Puts a message into a mailbox; `date` in seconds since 1970."""
        session = self.connect(user)
        try:
            when = imaplib.Time2Internaldate(date if date is not None else time.time())
            answer, text = session.append(f'"{mailbox}"', flags, when, raw)
            if answer != "OK":
                raise Failure(f"APPEND: {text}")
        finally:
            session.logout()


def _mail_of(row):
    head = row[0].decode("latin-1")
    uid = int(re.search(r"UID (\d+)", head).group(1))
    flags = tuple(re.search(r"FLAGS \(([^)]*)\)", head).group(1).split())
    date = re.search(r'INTERNALDATE "([^"]*)"', head).group(1)
    return Mail(uid, flags, date, row[1])


# ---- a company's mail server ---------------------------------------------------------------------


class Primary:
    """Postfix delivering by LMTP to Dovecot: the company's own mail system.

    `users`: address -> password, default alice and bob at example.test. `relayhost`: where its
    outgoing mail goes. `authority`: a certs.Authority; with it STARTTLS and IMAPS are on.
    `smtp_port`, `address`: where it is reached; `postfix`, `dovecot`: further arguments for each.
    """

    def __init__(self, directory, *, users=None, address="127.0.0.1", smtp_port=None,
                 hostname="primary.example.test", relayhost=None, authority=None, queue=None,
                 postfix=None, dovecot=None):
        self.users = dict(users or {"alice@example.test": "secret", "bob@example.test": "secret"})
        tls = None
        if isinstance(authority, certs.Authority):
            tls = authority.issue(hostname, (f"DNS:{hostname}", "DNS:localhost", f"IP:{address}"))
        self.dovecot = Dovecot(f"{directory}/dovecot", users=self.users, address=address, tls=tls,
                               **(dovecot or {}))
        self.postfix = Postfix(f"{directory}/postfix", address=address, port=smtp_port,
                               hostname=hostname, mailboxes=self.users,
                               lmtp=f"{address}:{self.dovecot.lmtp_port}", relayhost=relayhost,
                               tls=tls, queue=queue, **(postfix or {}))
        self.parts = (self.dovecot, self.postfix)

    @property
    def smtp(self):
        return self.postfix.address, self.postfix.port

    @property
    def imap(self):
        return self.dovecot.address, self.dovecot.imap_port

    def start(self):
        try:
            for part in self.parts:
                part.start()
        except Exception:
            self.kill9()
            raise
        return self

    def stop(self):
        for part in reversed(self.parts):
            part.stop()

    def kill9(self):
        for part in reversed(self.parts):
            part.kill9()

    def restart(self):
        self.stop()
        return self.start()

    def pause(self):
        for part in self.parts:
            part.pause()

    def resume(self):
        for part in self.parts:
            part.resume()

    def pids(self):
        return [pid for part in self.parts for pid in part.pids()]

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def messages(self, user, mailbox="INBOX"):
        return self.dovecot.messages(user, mailbox)

    def count(self, user=None, mailbox="INBOX"):
        """Messages of one user, or of all."""
        return sum(self.dovecot.count(name, mailbox) for name in ([user] if user else self.users))

    def ids(self, users=None, mailbox="INBOX"):
        return self.dovecot.ids(users, mailbox)

    def lose(self, user, n, **more):
        self.dovecot.lose(user, n, **more)

    def append(self, user, raw, **more):
        self.dovecot.append(user, raw, **more)

    def wait_count(self, n, user=None, mailbox="INBOX", seconds=20):
        wait_for(lambda: self.count(user, mailbox) >= n, f"{n} messages at the primary", seconds,
                 pause=0.05)


# ---- smtp_sink -----------------------------------------------------------------------------------


class Sink(Daemon):
    """smtp_sink with its options as a list. `at` is where it listens; `records()` what came."""

    name = "sink"

    def __init__(self, directory, *options, address="127.0.0.1", port=None, path=None,
                 record=True):
        super().__init__(directory)
        self.address = address
        self.port = port or netns.free_port(address)
        self.at = f"unix:{path}" if path else f"{address}:{self.port}"
        self.options = [str(option) for option in options]
        self.record = self.directory / "record" if record else None
        self._out = None
        self._counts_before = []

    def command(self):
        record = ["--record", str(self.record)] if self.record else []
        return [tool("smtp_sink"), "--listen", self.at, *record, *self.options]

    def output(self, default):
        self._out = open(self.directory / "counts", "w+", encoding="ascii")
        return self._out

    def _lines(self):
        return (self.directory / "counts").read_text(encoding="ascii").splitlines()

    def is_ready(self):
        return bool(self._lines())

    def counts(self, reset=False):
        """What it has counted so far; with `reset` it begins anew (ids stay known)."""
        before = len(self._lines())
        signal_pid(self.process.pid, signal.SIGUSR2 if reset else signal.SIGUSR1)
        wait_for(lambda: len(self._lines()) > before, "counts of the sink")
        return json.loads(self._lines()[-1])

    def stop(self, seconds=10):
        """Ends it; gives its counts."""
        process = self.process if self.is_running() else None
        super().stop(seconds)
        if self._out:
            self._out.close()
            self._out = None
        if process and process.returncode != 0:
            raise Failure(f"the sink ended with {process.returncode}:\n{self.log_tail()}")
        return json.loads(self._lines()[-1]) if process else None

    def records(self):
        """One dict a message kept: id, size, sha256, time, from, rcpts, params, xclient ..."""
        if not self.record or not self.record.exists():
            return []
        return [json.loads(line) for line in self.record.read_text(encoding="ascii").splitlines()]

    def ids(self):
        return [row["id"] for row in self.records()]


# ---- DNS -----------------------------------------------------------------------------------------

KNOT_CONF = """\
server:
    rundir: "{dir}/run"
    listen: {address}@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: "{dir}/db"
log:
  - target: stderr
    any: info
key:
  - id: upd
    algorithm: hmac-sha256
    secret: {secret}
acl:
  - id: allow_upd
    address: 127.0.0.0/8
    key: upd
    action: [update, transfer]
policy:
  - id: test
    algorithm: ecdsap256sha256
    single-type-signing: on
template:
  - id: default
    storage: "{dir}/zones"
    file: "%s.zone"
    zonefile-sync: 0
    zonefile-load: whole
    journal-content: changes
    acl: allow_upd
    dnssec-signing: on
    dnssec-policy: test
zone:
{zones}"""

ZONE_HEAD = """\
$TTL 2
@ SOA ns.test. admin.test. 1 60 60 3600 2
@ NS ns.test.
"""


class Knot(Daemon):
    """The authority for test zones. `zones`: name -> records (without SOA and NS); names in
    `unsigned` are not signed. Records change with update()."""

    name = "knot"
    SECRET = "c3RhZmZldHRhIHRlc3Qga2V5IG5vIHNlY3JldCAhIQ=="

    def __init__(self, directory, *, zones, unsigned=(), address="127.0.0.1", port=None):
        super().__init__(directory)
        self.zones = dict(zones)
        self.unsigned = set(unsigned)
        self.address = address
        self.port = port or netns.free_port(address)
        self.conf = self.directory / "knot.conf"

    def prepare(self):
        for part in ("run", "db", "zones"):
            (self.directory / part).mkdir(exist_ok=True)
        rows = []
        for name, records in self.zones.items():
            rows.append(f"  - domain: {name}.\n" +
                        ("    dnssec-signing: off\n" if name in self.unsigned else ""))
            path = self.directory / "zones" / f"{name}.zone"
            if not path.exists():
                path.write_text(ZONE_HEAD + records, encoding="ascii")
        self.conf.write_text(
            KNOT_CONF.format(dir=self.directory, address=self.address, port=self.port,
                             secret=self.SECRET, zones="".join(rows)), encoding="ascii")

    def command(self):
        return ["/usr/sbin/knotd", "-c", str(self.conf)]

    def ask(self, name, kind="A"):
        """Answers as kdig prints them, in short form."""
        return run("kdig", f"@{self.address}", "-p", self.port, "+short", "+retry=0", "+timeout=1",
                   name, kind, check=False).split("\n")[:-1]

    def is_ready(self):
        return all(self.ask(f"{name}.", "SOA") for name in self.zones)

    def update(self, zone, *lines, key=True):
        """Lines such as "delete example.test. MX" or "add example.test. 5 MX 10 a.test."."""
        text = "\n".join([f"server {self.address} {self.port}", f"zone {zone}.",
                          *(f"update {line}" for line in lines), "send", ""])
        options = ["-y", f"hmac-sha256:upd:{self.SECRET}"] if key else []
        run("knsupdate", *options, stdin=text)

    def delegation(self, zone):
        """The DS records of a signed zone, as update() lines for its parent take them."""
        rows = run("keymgr", "-c", self.conf, f"{zone}.", "ds").splitlines()
        return [row for row in rows if " DS " in row]


UNBOUND_CONF = """\
server:
  directory: "{dir}"
  chroot: ""
  username: ""
  pidfile: "{dir}/unbound.pid"
  use-syslog: no
  logfile: "{dir}/log"
  interface: {address}
  port: {port}
  do-not-query-localhost: no
  {anchor}
  local-zone: "test." nodefault
  cache-max-ttl: 1
  cache-max-negative-ttl: 1
  module-config: "validator iterator"
  val-log-level: 2
stub-zone:
  name: "test."
  stub-addr: {knot}
forward-zone:
  name: "."
  forward-addr: {knot}
remote-control:
  control-enable: yes
  control-interface: {dir}/ctl.sock
"""


class Unbound(Daemon):
    """A validating resolver over one Knot. `anchor`: the DS line of zone "test", or None for no
    validation. Names outside the test zones fail at once: nothing leaves the machine."""

    name = "unbound"

    def __init__(self, directory, knot, *, anchor=None, address="127.0.0.1", port=None):
        super().__init__(directory)
        self.knot = knot
        self.anchor = anchor
        self.address = address
        self.port = port or netns.free_port(address)
        self.conf = self.directory / "unbound.conf"

    def prepare(self):
        anchor = f'trust-anchor: "{self.anchor}"' if self.anchor else 'domain-insecure: "test."'
        self.conf.write_text(
            UNBOUND_CONF.format(dir=self.directory, address=self.address, port=self.port,
                                anchor=anchor, knot=f"{self.knot.address}@{self.knot.port}"),
            encoding="ascii")

    def command(self):
        return ["/usr/sbin/unbound", "-d", "-p", "-c", str(self.conf)]

    def ask(self, name, kind="A"):
        """The whole answer of kdig with DNSSEC asked for."""
        return run("kdig", f"@{self.address}", "-p", self.port, "+dnssec", "+retry=0",
                   "+timeout=1", name, kind, check=False)

    def is_ready(self):
        return "status:" in self.ask("test.", "SOA")

    def flush(self, zone="test"):
        run("unbound-control", "-c", self.conf, "flush_zone", zone)


def missing_packages():
    """Names of programs that the peers need and that are not installed."""
    needed = {"postfix": f"{POSTFIX_PROGRAMS}/master", "dovecot": "/usr/sbin/dovecot",
              "knot": "/usr/sbin/knotd", "unbound": "/usr/sbin/unbound", "openssl": "openssl",
              "rspamd": "/usr/bin/rspamd"}
    return [name for name, path in needed.items() if not shutil.which(path)]
