"""The harness judges our program, so it is tested against programs that are known to work."""

import smtplib
import socket
import threading
import time

import pytest

from harness import corpus, load, netns, sender
from harness.certs import Authority
from harness.peers import Dovecot, Knot, Postfix, Primary, Sink, Unbound
from harness.process import Daemon, Failure, build_dir, run, session_pids, wait_for
from harness.staffetta import Staffetta, settings, yaml_text

pytestmark = pytest.mark.usefixtures("network")

ALICE, BOB = "alice@example.test", "bob@example.test"


def letter(name, text="hello"):
    return (f"From: <x@y.test>\r\nTo: <{ALICE}>\r\nSubject: {name}\r\nX-Load-Id: {name}\r\n"
            f"Message-ID: <{name}@y.test>\r\n\r\n{text}\r\n").encode()


@pytest.fixture(scope="module")
def primary(module_directory, network):
    with Primary(module_directory / "p", authority=Authority(module_directory / "ca")) as company:
        yield company


@pytest.fixture
def sink(directory):
    sinks = []

    def start(*options, **more):
        sinks.append(Sink(directory / f"sink{len(sinks)}", *options, **more).start())
        return sinks[-1]

    yield start
    for one in sinks:
        one.stop()


# ---- the primary ---------------------------------------------------------------------------------


def test_mail_goes_through_postfix_into_dovecot(primary):
    before = primary.count(ALICE)
    reply = sender.send(primary.smtp, "x@y.test", [ALICE], letter("one", ".dot\r\n..dots"))
    assert reply.code == 250
    primary.wait_count(before + 1, ALICE)
    mail = primary.messages(ALICE)[-1]
    assert mail.id == "one"
    assert mail.raw.endswith(b"\r\n\r\n.dot\r\n..dots\r\n")
    assert mail.flags in ((), ("\\Recent",))


def test_unknown_recipients_are_refused(primary):
    reply = sender.send(primary.smtp, "x@y.test", ["nobody@example.test"], letter("nobody"))
    assert (reply.code, reply.enhanced) == (550, "5.1.1")


def test_starttls_and_certificate_of_our_authority(primary, module_directory):
    with sender.Client(primary.smtp, authority=module_directory / "ca" / "ca.pem") as client:
        client.ehlo()
        assert "STARTTLS" in client.offers
        assert client.starttls().code == 220
        assert client.ehlo().is_ok


def test_append_keeps_folder_flags_and_date(primary):
    primary.append(BOB, letter("sent"), mailbox="Sent", flags="(\\Seen)", date=1_000_000_000)
    mail = primary.messages(BOB, "Sent")[-1]
    assert mail.id == "sent"
    assert "\\Seen" in mail.flags
    assert "Sep-2001" in mail.date
    assert "Sent" in primary.dovecot.mailboxes(BOB)


def test_killed_primary_comes_back_with_its_mail(primary):
    before = set(primary.ids())
    counting = sender.Counting(primary.smtp)
    for number in range(5):
        assert counting.send(f"kill-{number}", [ALICE], letter(f"kill-{number}")) == "accepted"
    counting.close()
    pids = primary.pids()
    assert len(pids) > 6
    primary.kill9()
    assert not [pid for leader in pids for pid in session_pids(leader)]
    with pytest.raises(sender.Lost):
        sender.Client(primary.smtp, seconds=1)
    primary.start()
    wait_for(lambda: counting.ids() <= set(primary.ids()), "all accepted mail at the primary")
    assert before <= set(primary.ids())


def test_paused_primary_takes_connections_and_says_nothing(primary):
    primary.pause()
    try:
        with socket.create_connection(primary.smtp, timeout=0.3) as hanging:
            with pytest.raises(TimeoutError):
                hanging.recv(10)
    finally:
        primary.resume()
    assert sender.send(primary.smtp, "x@y.test", [BOB], letter("resumed")).code == 250


def test_postfix_relays_to_a_sink_and_tells_its_queue(directory, sink):
    hop = sink("--reply-mail", "first 1 451 4.3.0 later")
    with Postfix(directory / "relay", relayhost=hop.at) as postfix:
        assert sender.send((postfix.address, postfix.port), "a@y.test", ["b@z.test"],
                           letter("relay")).code == 250
        wait_for(lambda: hop.counts()["faults"] == 1, "first try")
        wait_for(lambda: postfix.queued() and postfix.queued()[0]["queue_name"] == "deferred",
                 "deferred")
        assert hop.records() == []
        postfix.flush()
        wait_for(lambda: hop.ids() == ["relay"], "relayed")
    assert hop.records()[0]["rcpts"] == ["b@z.test"]


def test_dovecot_sees_new_users_while_it_runs(directory):
    with Dovecot(directory / "d", users={ALICE: "x"}) as dovecot:
        dovecot.users["carol@example.test"] = "y"
        dovecot.write_users()
        lmtp = ("127.0.0.1", dovecot.lmtp_port)
        with sender.Client(lmtp) as client:
            client.ehlo(verb="LHLO")
            client.mail("x@y.test")
            client.rcpt("carol@example.test")
            assert client.data(letter("carol")).is_ok
        assert dovecot.ids() == ["carol"]


# ---- the sink ------------------------------------------------------------------------------------


def test_sink_keeps_bytes_envelope_and_counts_duplicates(sink):
    hop = sink("--store", "kept")
    raw = letter("same", ".a\r\n.\u00e9")
    for _ in range(2):
        assert sender.send(("127.0.0.1", hop.port), "x@y.test", ["a@b", "c@d"], raw).code == 250
    first = hop.records()[0]
    assert (first["id"], first["size"], first["rcpts"]) == ("same", len(raw), ["a@b", "c@d"])
    assert (hop.directory / "kept" / first["file"]).read_bytes() == raw
    counts = hop.stop()
    assert (counts["messages"], counts["ids"], counts["duplicates"]) == (2, 1, 1)


@pytest.mark.parametrize("stage, begins", [
    ("banner", ""), ("ehlo", "220"), ("mail", "250"), ("rcpt", "250"), ("data", "250"),
    ("dot", "354"), ("accepted", "354")])
def test_sink_hangs_and_hangs_up_at_each_stage(sink, stage, begins):
    """`begins`: the last reply before the fault."""
    def replies(at):
        seen = []
        try:
            client = sender.Client(at, seconds=0.6)
            seen.append(str(client.banner))
            for line in ("EHLO x", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA",
                         "a: b\r\n\r\nc\r\n."):
                seen.append(str(client.command(line)))
        except sender.Lost as why:
            return seen, str(why)
        return seen, ""

    for option, reason in (("--hang-at", "timed out"), ("--close-at", "hung up")):
        hop = sink(option, stage)
        seen, why = replies(("127.0.0.1", hop.port))
        assert reason in why or (stage == "banner" and why)
        assert (seen[-1] if seen else "").startswith(begins)
        assert len(hop.records()) == (1 if stage == "accepted" else 0)


def test_sink_gives_the_replies_it_was_told(sink):
    hop = sink("--reply-mail", "every 2 451 4.3.0 later", "--reply-rcpt",
               "for bad@ 550 5.1.1 who", "--reply-dot", "first 1 452 4.3.1 full", "--size", "4000",
               "--no-pipelining")
    with sender.Client(("127.0.0.1", hop.port)) as client:
        client.ehlo()
        assert "PIPELINING" not in client.offers and client.offers["SIZE"] == "4000"
        assert client.transaction("a@b", ["bad@x", "c@d"], letter("1")).code == 452
        assert client.transaction("a@b", ["c@d"], letter("2")).code == 451
        assert client.transaction("a@b", ["bad@x"], letter("3")).code == 550
        assert client.transaction("a@b", ["c@d"], letter("4")).code == 451
        assert client.transaction("a@b", ["bad@x", "c@d"], letter("5")).code == 250
        assert client.mail("a@b").code == 451
        assert client.mail("a@b", "SIZE=5000").code == 552
    assert [row["rcpts"] for row in hop.records()] == [["c@d"]]


def test_sink_delays_only_the_final_reply(sink):
    hop = sink("--delay-ms", "400")
    with sender.Client(("127.0.0.1", hop.port)) as client:
        client.ehlo()
        began = time.monotonic()
        client.pipeline("MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA")
        assert time.monotonic() - began < 0.35
        client.send(sender.stuffed(letter("slow")) + b"NOOP\r\n")
        assert client.reply().code == 250
        assert time.monotonic() - began >= 0.4
        assert client.reply().code == 250  # the NOOP behind it


def test_sink_speaks_tls_xclient_and_lmtp(sink, directory):
    pem, key = Authority(directory / "ca").issue("sink")
    hop = sink("--starttls", str(pem), str(key), "--xclient", "--name", "localhost")
    with sender.Client(("127.0.0.1", hop.port), authority=directory / "ca" / "ca.pem") as client:
        client.ehlo()
        assert client.starttls().code == 220
        client.ehlo()
        assert client.xclient(addr="192.0.2.1").code == 220
        client.ehlo("after.test")
        assert client.transaction("a@b", ["c@d"], letter("tls")).code == 250
    row = hop.records()[0]
    assert (row["tls"], row["xclient"], row["helo"]) == (True, "ADDR=192.0.2.1", "after.test")
    lmtp = sink("--lmtp", "--reply-dot", "for bad 550 5.1.1 who")
    with sender.Client(("127.0.0.1", lmtp.port)) as client:
        client.ehlo(verb="LHLO")
        client.pipeline("MAIL FROM:<a@b>", "RCPT TO:<bad@d>", "RCPT TO:<c@d>", "DATA")
        client.send(sender.stuffed(letter("lmtp")))
        assert [client.reply().code, client.reply().code] == [550, 250]
    assert lmtp.records()[0]["rcpts"] == ["c@d"]


def test_sink_takes_every_split_of_a_message(sink):
    hop = sink()
    raw = letter("split", ".\r\n..\r\n.x\r\n")
    for sizes in ((1,), (2, 3), (7,)):
        with sender.Client(("127.0.0.1", hop.port)) as client:
            client.ehlo()
            client.mail("a@b")
            client.rcpt("c@d")
            assert client.data(raw, sizes=sizes).code == 250
    assert {(row["id"], row["size"]) for row in hop.records()} == {("split", len(raw))}
    with sender.Client(("127.0.0.1", hop.port)) as client:
        client.ehlo()
        client.mail("a@b")
        client.rcpt("c@d")
        client.data_raw(b"a: b\n.\nc\r.\r\n.\r\n")  # only CRLF.CRLF ends it
        assert client.reply().code == 250
        assert not client.has_reply()
    assert hop.records()[-1]["size"] == len(b"a: b\n\nc\r.\r\n")


# ---- the load generator --------------------------------------------------------------------------


def test_journal_counts_and_sink_agree(sink, directory):
    hop = sink("--reply-mail", "every 7 451 4.3.0 later", "--close-at", "accepted every 31")
    for run_name, options in (("a", []), ("b", ["--pipeline"]), ("c", ["--per-session", "3"])):
        journal = directory / run_name
        result = load.run(hop.at, "--sessions", 8, "--messages", 500, "--size", 3000, "--run",
                          run_name, "--journal", journal, "--retry-ms", 5, *options)
        rows = load.read_journal(journal)
        assert len(rows) == 500
        for word in ("accepted", "refused", "unknown"):
            assert len(load.ids(journal, word)) == result[word] > 0
        kept = {name for name in hop.ids() if name.startswith(f"{run_name}-")}
        assert load.ids(journal) <= kept <= load.ids(journal) | load.ids(journal, "unknown")
        assert not kept & load.ids(journal, "refused")
    sizes = [row["size"] for row in hop.records()]
    assert set(sizes) == {3000}
    assert hop.counts()["duplicates"] == 0


def test_journal_and_sink_agree_on_the_digest(sink, directory):
    hop = sink("--digest-from", "From: <")
    for run_name, size in (("d1", 300), ("d2", 10240), ("d3", 77777), ("d4", 76 * 40 + 1)):
        load.run(hop.at, "--messages", 40, "--size", size, "--journal", directory / run_name,
                 "--digest", "--run", run_name)
        sent = {row.id: row.sha256 for row in load.read_journal(directory / run_name).values()}
        came = {row["id"]: row["sha256"] for row in hop.records()}
        assert len(set(sent.values())) == 40
        assert sent == {key: came[key] for key in sent}


def test_journal_is_true_when_the_server_is_killed(sink, directory):
    hop = sink()
    journal = directory / "journal"
    running = load.Load(hop.at, "--sessions", 10, "--seconds", 60, "--journal", journal,
                        "--retry-ms", 20, "--run", "k")
    for _ in range(2):
        time.sleep(0.3)
        hop.kill9()
        hop.start()
    time.sleep(0.3)
    result = running.stop()
    rows = load.read_journal(journal)
    assert result["failures"] >= 10
    assert len(rows) == result["accepted"] + result["refused"] + result["unknown"]
    assert load.ids(journal) <= set(hop.ids())
    late = [row for row in rows.values() if row.word == "accepted"][-1]
    assert late.replied > rows["k-0"].replied + 0.5


def test_load_sends_when_due_and_measures_from_there(sink):
    hop = sink("--delay-ms", "20")
    result = load.run(hop.at, "--sessions", 20, "--messages", 200, "--rate", 400)
    assert 0.4 < result["seconds"] < 1.5
    assert 20 <= result["p50_ms"] < 200
    late = load.run(hop.at, "--sessions", 1, "--messages", 30, "--rate", 1000)
    assert late["p99_ms"] > 400  # 30 messages of 20 ms one after the other, all due at once


def test_idle_connections_stay_and_are_counted(sink):
    hop = sink()
    idle = load.Load(hop.at, "--idle", 300, "--seconds", 60, "--source-addresses",
                     "127.0.1.1-127.0.1.20")
    assert idle.greeted() == 300
    assert hop.counts()["open"] == 300
    assert idle.stop()["alive"] == 300
    idle = load.Load(hop.at, "--idle", 10, "--seconds", 60)
    idle.greeted()
    hop.kill9()
    time.sleep(0.1)
    assert idle.result()["alive"] == 0


def test_load_gives_up_on_a_server_that_hangs(sink):
    hop = sink("--hang-at", "dot")
    began = time.monotonic()
    result = load.run(hop.at, "--messages", 3, "--timeout-ms", 100, "--retry-ms", 1)
    assert result["unknown"] == 3
    assert time.monotonic() - began < 2
    dead = load.run("127.0.0.1:1", "--messages", 3, "--retries", 3, "--retry-ms", 1)
    assert (dead["accepted"], dead["failures"]) == (0, 4)


# ---- the rest ------------------------------------------------------------------------------------


def test_corpus_is_whole_and_has_clean_line_ends(primary):
    letters = corpus.letters()
    assert len(letters) == 1200
    assert all(raw.replace(b"\r\n", b"").find(b"\n") < 0 for raw in letters)
    assert not any(raw.startswith(b"From ") for raw in letters)
    pairs = list(corpus.load("c", count=1202))
    assert len({name for name, _ in pairs}) == 1202
    assert pairs[1201][1].endswith(letters[1])
    counting = sender.Counting(primary.smtp)
    for name, raw in pairs[:20]:
        counting.send(name, [BOB], raw)
    counting.close()
    assert len(counting.ids()) == 20
    wait_for(lambda: counting.ids() <= set(primary.ids([BOB])), "letters at the primary")


def test_counting_sender_marks_what_it_cannot_know(sink):
    hop = sink("--close-at", "accepted every 2")
    counting = sender.Counting(("127.0.0.1", hop.port))
    words = [counting.send(f"n{i}", ["a@b"], letter(f"n{i}")) for i in range(4)]
    counting.close()
    assert words == ["accepted", "unknown", "accepted", "unknown"]
    assert counting.ids() <= set(hop.ids())


def test_client_has_exact_control(primary):
    with sender.Client(primary.smtp) as client:
        client.ehlo()
        client.send_split(b"NOOP\r\nNOOP\r\n", (1, 4))
        assert client.reply().code == client.reply().code == 250
        assert [reply.code for reply in client.pipeline("RSET", "BOGUS", "NOOP")] == \
            [250, 500, 250]
        client.mail("x@y.test")
        client.rcpt(ALICE)
        assert [reply.code for reply in client.bdat(letter("bdat"), (20, 30))][-1] == 250
        assert not client.has_reply(0.05)
        client.abort()


def test_knot_signs_updates_and_unbound_validates(directory):
    zones = {"test": "", "example.test": "@ MX 10 mx\nmx A 127.0.0.25\n",
             "plain.test": "@ MX 10 a.plain.test.\n"}
    with Knot(directory / "knot", zones=zones, unsigned=["plain.test"]) as knot:
        assert knot.ask("example.test.", "MX") == ["10 mx.example.test."]
        knot.update("example.test", "delete example.test. MX",
                    "add example.test. 2 MX 5 b.example.test.")
        assert knot.ask("example.test.", "MX") == ["5 b.example.test."]
        with pytest.raises(Failure):
            knot.update("example.test", "add x.example.test. 2 A 127.0.0.1", key=False)
        delegation = knot.delegation("example.test")
        knot.update("test", "add example.test. 2 NS ns.test.", "add plain.test. 2 NS ns.test.",
                    "add ns.test. 2 A 127.0.0.1",
                    *(f"add {row.replace(' DS ', ' 2 DS ')}" for row in delegation))
        anchor = knot.delegation("test")[0]
        with Unbound(directory / "unbound", knot, anchor=anchor) as resolver:
            answer = resolver.ask("example.test.", "MX")
            assert "b.example.test." in answer and " ad" in answer.partition("Flags:")[2][:40]
            answer = resolver.ask("plain.test.", "MX")
            assert "a.plain.test." in answer and " ad" not in answer.partition("Flags:")[2][:40]
            assert "SERVFAIL" in resolver.ask("example.org.", "A")


def test_namespace_is_empty_and_ends(directory):
    with socket.create_server(("127.0.0.1", 0)) as outside:
        port = outside.getsockname()[1]
        with netns.fresh():
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=1)
            with socket.create_server(("127.0.0.1", 25)):
                pass
            assert netns.free_port() < 16384
        socket.create_connection(("127.0.0.1", port), timeout=1).close()


class Shell(Daemon):
    """A shell that has children; for the verbs of Daemon."""

    name = "shell"

    def __init__(self, directory, script):
        super().__init__(directory)
        self.script = script

    def command(self):
        return ["sh", "-c", self.script]


def test_daemons_leave_nothing_behind(directory):
    shell = Shell(directory, "sleep 100 & (sleep 100 & sleep 100) & wait")
    shell.start()
    leader = shell.pid
    wait_for(lambda: len(shell.pids()) >= 4, "children")
    shell.stop()
    assert session_pids(leader) == []
    stubborn = Shell(directory, "trap '' TERM; sleep 100 & while :; do wait; done").start()
    leader = stubborn.pid
    stubborn.stop(seconds=0.2)
    assert session_pids(leader) == []


def test_a_daemon_that_ends_at_its_start_is_a_failure_with_its_words(directory):
    class Broken(Shell):
        def is_ready(self):
            return False

    with pytest.raises(Failure, match="no such luck"):
        Broken(directory, "echo no such luck; exit 3").start()


def test_settings_are_yaml_that_says_the_same(directory):
    node = settings("/d", listen=[{"for": "smtp", "at": "127.0.0.1:25"}], resolver=["127.0.0.1:53"],
                    tls=("/c.pem", "/k.pem"), limits={"message": "50 MiB"})
    text = yaml_text(node)
    assert "  internet: false\n" in text
    assert '  - {for: smtp, at: "127.0.0.1:25"}\n' in text
    assert "  message: 50 MiB\n" in text
    assert '  resolver:\n    - "127.0.0.1:53"\n' in text


@pytest.mark.skipif(not (build_dir() / "staffetta").exists(), reason="our program is not built")
def test_our_program_starts_loses_a_role_and_leaves_nothing(directory):
    node = Staffetta(directory / "node").start()
    assert "READY=1" in node.notices
    roles = node.role_pids()
    assert {"supervisor", "gate", "core"} <= set(roles)
    killed = node.kill9("gate")
    assert killed == roles["gate"]
    assert not node.wait_role("gate", killed) & set(killed)
    assert node.role_pids("supervisor") == roles["supervisor"]
    leader = node.pid
    node.stop()
    assert session_pids(leader) == []
    assert node.start().is_running()
    leader = node.pid
    node.kill9()
    assert session_pids(leader) == []


def test_swaks_and_smtplib_agree_with_our_primary(primary):
    """Two other clients, so that our own sender's faults do not hide."""
    with smtplib.SMTP(*primary.smtp) as client:
        client.sendmail("x@y.test", [ALICE], letter("smtplib"))
    run("swaks", "--server", f"{primary.smtp[0]}:{primary.smtp[1]}", "--from", "x@y.test", "--to",
        ALICE, "--header", "X-Load-Id: swaks", "--silent", "2")
    wait_for(lambda: {"smtplib", "swaks"} <= set(primary.ids([ALICE])), "both at the primary")


def test_threads_may_send_at_the_same_time(sink):
    hop = sink()
    counters = [sender.Counting(("127.0.0.1", hop.port)) for _ in range(4)]
    threads = [threading.Thread(target=lambda i=i, c=c: [
        c.send(f"{i}-{k}", ["a@b"], letter(f"{i}-{k}")) for k in range(25)])
        for i, c in enumerate(counters)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for counter in counters:
        counter.close()
    assert len(set(hop.ids())) == 100
