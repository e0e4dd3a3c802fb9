"""Before it hurts: the DNS of a domain is wrong and then right, our certificate comes to its end, the
resolver is dead; what the person in charge sees, hears and is told to write."""

import contextlib
import http.server
import ssl
import subprocess
import threading
import urllib.request

import pytest

from harness import netns
from harness.certs import Authority
from harness.peers import Knot, Unbound
from harness.process import wait_for

pytestmark = pytest.mark.usefixtures("network")

US = "mx1.node.test"
ZONES = {
    "test": "", "node.test": "mx1 A 127.0.0.1\n",
    "rossi.test": "@ MX 10 old\nold A 198.51.100.7\n@ TXT \"v=spf1 ip4:198.51.100.7 -all\"\n"
                  "_dmarc TXT \"v=DMARC1 p=reject\"\n",
    "in-addr.arpa": "1.0.0.127 PTR mx1.node.test.\n",
}


@pytest.fixture
def dns(directory, network):
    """(Knot, Unbound) that know what is above. The port is that of DNS: who has learned of a zone's
    name server asks there."""
    with Knot(directory / "knot", zones=ZONES, unsigned=list(ZONES), port=53) as knot:
        knot.update("test", *[f"add {zone}. 2 NS ns.test." for zone in ("node.test", "rossi.test")],
                    "add ns.test. 2 A 127.0.0.1")
        with Unbound(directory / "unbound", knot) as resolver:
            yield knot, resolver


def node_of(stage, dns, networks=("198.51.100.0/24",), **more):
    """A node mx1.node.test with the company rossi.test, whose mail system is in these networks."""
    sink = stage.sink()
    settings = {"network": {"internet": False, "resolver": [f"{dns[1].address}:{dns[1].port}"]}}
    return stage.company(sink, domain="rossi.test", people=["anna@rossi.test"],
                         networks=networks, settings=settings | {"name": US} | more)


def look(node):
    """(exit code, check -> finding) of a look at rossi.test now."""
    code, answer = node.cli("domain", "check", "rossi.test")
    return code, {one["check"]: one for one in answer["watches"]}


def events(node, name):
    return [e for e in node.must("events")["events"] if e["name"] == name]


def test_wrong_records_are_found_explained_and_found_right(stage, dns):
    knot, _ = dns
    node = node_of(stage, dns, networks=("198.51.100.0/24", "127.0.0.0/8"))
    code, found = look(node)
    assert code == 1
    assert {check: one["class"] for check, one in found.items()} == {
        "mx": "alarm", "ttl": "ok", "spf": "alarm", "dkim": "unknown", "dmarc": "notice",
        "mta-sts": "ok", "tlsa": "ok", "ns": "notice"}
    assert found["mx"]["found"] == "10 old.rossi.test"
    assert f"rossi.test. 3600 MX 10 {US}." in found["mx"]["advice"]
    assert f'TXT "v=spf1 a:{US} ip4:198.51.100.7 -all"' in found["spf"]["advice"]
    assert "does not begin" in found["dmarc"]["why"]
    assert "ns.test (inside the company's network)" in found["ns"]["found"]
    wait_for(lambda: events(node, "domain.mx"), "it is told")
    assert [e["class"] for e in events(node, "domain.mx")] == ["notice"], "it is being set up"

    # The person in charge does what the advice says.
    knot.update("rossi.test", "delete rossi.test. MX", f"add rossi.test. 2 MX 10 {US}.",
                "delete rossi.test. TXT",
                f'add rossi.test. 2 TXT "v=spf1 a:{US} ip4:198.51.100.7 -all"',
                "delete _dmarc.rossi.test. TXT",
                'add _dmarc.rossi.test. 2 TXT "v=DMARC1; p=reject"')
    wait_for(lambda: look(node)[0] == 0, "well", 30)
    _, found = look(node)
    assert {found[check]["class"] for check in ("mx", "spf", "dmarc")} == {"ok"}
    wait_for(lambda: events(node, "domain.mx.fine"), "that it is over is told")
    assert events(node, "domain.spf.fine") and events(node, "domain.dmarc.fine")

    # From now on it is no set-up any more: somebody broke it.
    stage.expected.append("name=domain.mx ")
    knot.update("rossi.test", "delete rossi.test. MX", "add rossi.test. 2 MX 10 old.rossi.test.")
    wait_for(lambda: look(node)[0] == 1, "wrong again", 30)
    wait_for(lambda: len(events(node, "domain.mx")) == 2, "it is told")
    assert events(node, "domain.mx")[0]["class"] == "alarm"


def test_a_long_ttl_says_how_long_a_switch_would_take(stage, dns):
    knot, resolver = dns
    node = node_of(stage, dns)
    resolver.stop()  # the harness' resolver cuts every TTL; here the authority is asked itself
    other = stage.company(stage.sink(), node=stage.node(
        name="mx2.node.test", network={"internet": False,
                                       "resolver": [f"{knot.address}:{knot.port}"]}),
        domain="rossi.test", people=["anna@rossi.test"])
    knot.update("rossi.test", "delete rossi.test. MX",
                "add rossi.test. 172800 MX 10 mx2.node.test.")
    _, found = look(other)
    assert found["ttl"]["class"] == "notice"
    assert "172800 seconds" in found["ttl"]["found"] and "2 days" in found["ttl"]["found"]
    knot.update("rossi.test", "delete rossi.test. MX", "add rossi.test. 600 MX 10 mx2.node.test.")
    _, found = look(other)  # what was seen freshly may not be over yet: it may be a cache's rest
    assert found["ttl"]["class"] == "notice"
    assert node.is_running()


def test_without_a_resolver_nothing_is_said_about_the_domain(stage, dns):
    knot, resolver = dns
    node = node_of(stage, dns)
    assert look(node)[1]["mx"]["class"] == "alarm"
    wait_for(lambda: events(node, "domain.mx"), "it is told")
    resolver.stop()
    code, answer = node.cli("domain", "check", "rossi.test", seconds=100)
    assert code == 1 and "no name could be resolved" in answer["detail"]
    assert {w["class"] for w in node.must("watch", "list")["watches"] if w["check"] == "mx"} == \
        {"alarm"}, "what was found before stays"
    assert len(events(node, "domain.mx")) == 1 and not events(node, "domain.ns")


def test_a_certificate_that_ends_soon(stage, dns, directory):
    authority = Authority(directory / "ca")
    soon = authority.issue("soon", (f"DNS:{US}",), days=5)
    stage.expected.append("name=node.certificate ")
    node = node_of(stage, dns, tls=soon)

    def certificate():
        found = {w["check"]: w for w in node.must("watch", "show", US)["watches"]}
        return found.get("certificate")

    one = wait_for(certificate, "the node was looked at", 15)
    assert one["class"] == "alarm" and "it ends" in one["found"] and "Renew" in one["advice"]
    assert [e["class"] for e in events(node, "node.certificate")] == ["alarm"]
    found = {w["check"]: w["class"] for w in node.must("watch", "show", US)["watches"]}
    assert found["address"] == found["reverse"] == "ok"


def test_tlsa_has_to_fit_our_certificate(stage, dns, directory):
    knot, _ = dns
    pem, key = Authority(directory / "ca").issue("node", (f"DNS:{US}",))
    node = node_of(stage, dns, tls=(pem, key))
    knot.update("rossi.test", "delete rossi.test. MX", f"add rossi.test. 2 MX 10 {US}.")
    knot.update("node.test", f"add _25._tcp.{US}. 2 TLSA 3 1 1 {'00' * 32}")
    found = wait_for(lambda: look(node)[1] if look(node)[1]["tlsa"]["class"] != "ok" else None,
                     "the record is seen", 30)
    assert "0 of 1 fit" in found["tlsa"]["found"]
    wanted = found["tlsa"]["advice"].split("TLSA 3 1 1 ")[1].split(",")[0]
    spki = subprocess.run(f"openssl x509 -in {pem} -noout -pubkey | openssl pkey -pubin -outform DER "
                          "| openssl dgst -sha256 -r", shell=True, text=True, capture_output=True,
                          check=True).stdout.split()[0]
    assert wanted == spki
    knot.update("node.test", f"delete _25._tcp.{US}. TLSA", f"add _25._tcp.{US}. 2 TLSA 3 1 1 {spki}")
    wait_for(lambda: look(node)[1]["tlsa"]["class"] == "ok", "it fits", 30)


class PolicyServer:
    """https://mta-sts.rossi.test:443, with what is served there now: `answers` maps paths to
    (status, headers, body); `asked`: the requests (Host, path)."""

    PATH = "/.well-known/mta-sts.txt"

    def __init__(self, certificate, address="127.0.0.1"):
        self.asked = []
        self.answers = {}
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # pylint: disable=invalid-name
                server.asked.append((self.headers["Host"], self.path))
                status, headers, body = server.answers.get(self.path, (404, {}, b"no"))
                self.send_response(status)
                for key, value in headers.items():
                    self.send_header(key, value)
                self.end_headers()
                with contextlib.suppress(OSError):  # who has seen enough hangs up
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((address, 443), Handler)
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*map(str, certificate))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                 do_handshake_on_connect=False)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def serve(self, body, kind="text/plain", status=200, **headers):
        self.answers[self.PATH] = (status, {"Content-Type": kind} | headers, body.encode())


def policy(*hosts, mode="enforce", max_age=604800):
    return "".join(f"{line}\r\n" for line in ("version: STSv1", f"mode: {mode}",
                                              *(f"mx: {host}" for host in hosts),
                                              f"max_age: {max_age}"))


def sts_of(node):
    return look(node)[1]["mta-sts"]


def readable(authority):
    """The processes of the node have users of their own."""
    authority.directory.chmod(0o755)
    authority.pem.chmod(0o644)
    return str(authority.pem)


def with_policy(knot):
    """rossi.test comes to us and says that there is a policy."""
    knot.update("rossi.test", "delete rossi.test. MX", f"add rossi.test. 2 MX 10 {US}.",
                'add _mta-sts.rossi.test. 2 TXT "v=STSv1; id=20261122T1;"',
                "add mta-sts.rossi.test. 2 A 127.0.0.1")


def test_a_policy_that_forgets_this_node_keeps_mail_away(stage, dns, directory):
    knot, _ = dns
    authority = Authority(directory / "ca")
    stage.expected.append("name=domain.mta-sts ")
    node = node_of(stage, dns, tls=authority.issue("node", (f"DNS:{US}",)),
                   alerts={"authorities": readable(authority)})
    with_policy(knot)
    with PolicyServer(authority.issue("web", ("DNS:mta-sts.rossi.test",))) as web:
        web.serve(policy("mail.rossi.test", "*.mail.rossi.test"))
        found = wait_for(lambda: (f := sts_of(node))["class"] == "alarm" and f, "it is seen", 30)
        assert found["found"] == "mode enforce for 7 days, mx mail.rossi.test, mx *.mail.rossi.test"
        assert US in found["expected"] and "refuse to deliver to" in found["why"]
        assert f'Add the line "mx: {US}" to https://mta-sts.rossi.test/' in found["advice"]
        assert set(web.asked) == {("mta-sts.rossi.test", web.PATH)}
        wait_for(lambda: events(node, "domain.mta-sts"), "it is told")

        web.serve(policy("mail.rossi.test", mode="testing"))
        assert sts_of(node)["class"] == "notice"
        web.serve(policy(US))
        assert sts_of(node)["class"] == "ok"
        wait_for(lambda: events(node, "domain.mta-sts.fine"), "that it is over is told")
        web.serve(policy("*.node.test"))
        assert sts_of(node)["class"] == "ok"
        web.serve(policy("mail.rossi.test", mode="none"))
        assert sts_of(node)["class"] == "ok"

        # What senders cannot use is no policy for them.
        for (body, kind, status, more), part in {
                (policy(US), "text/html", 200, ()): "not text/plain",
                (policy(US), "text/plain", 404, ()): "404",
                (policy(US), "text/plain", 301, (("Location", "https://node.test/"),)): "redirects",
                ("x" * 70000, "text/plain", 200, ()): "64 KiB",
                ("hello", "text/plain", 200, ()): "key: value"}.items():
            web.serve(body, kind, status, **dict(more))
            found = sts_of(node)
            assert found["class"] == "notice" and part in found["why"], (part, found)
    found = sts_of(node)
    assert found["class"] == "notice" and "onnect" in found["why"], "nobody answers there"


def test_a_policy_from_a_server_without_proof_is_none(stage, dns, directory):
    knot, _ = dns
    known, unknown = Authority(directory / "ca"), Authority(directory / "other")
    node = node_of(stage, dns, tls=known.issue("node", (f"DNS:{US}",)),
                   alerts={"authorities": readable(known)})
    with_policy(knot)
    for certificate, part in ((unknown.issue("web", ("DNS:mta-sts.rossi.test",)), "certificate"),
                              (known.issue("other", ("DNS:rossi.test",)), "mta-sts.rossi.test")):
        with PolicyServer(certificate) as web:
            web.serve(policy(US))
            found = wait_for(lambda: (f := sts_of(node))["class"] == "notice" and f, "seen", 30)
            assert part in found["why"] and not web.asked


def test_senders_with_a_policy_do_not_accept_our_own_certificate(stage, dns, directory):
    knot, _ = dns
    known, unknown = Authority(directory / "ca"), Authority(directory / "other")
    stage.expected.append("name=domain.mta-sts ")
    node = node_of(stage, dns, tls=unknown.issue("node", (f"DNS:{US}",)),
                   alerts={"authorities": readable(known)})
    with_policy(knot)
    with PolicyServer(known.issue("web", ("DNS:mta-sts.rossi.test",))) as web:
        web.serve(policy(US))
        found = wait_for(lambda: (f := sts_of(node))["class"] == "alarm" and f, "it is seen", 30)
    assert "no authority that others trust" in found["why"] and "tls.certificate" in found["advice"]


def test_what_we_cannot_fetch_is_not_held_against_the_domain(stage, dns, directory):
    knot, _ = dns
    authority = Authority(directory / "ca")
    node = node_of(stage, dns, tls=authority.issue("node", (f"DNS:{US}",)),
                   alerts={"authorities": readable(authority)})
    with_policy(knot)
    with PolicyServer(authority.issue("web", ("DNS:mta-sts.rossi.test",))) as web:
        web.serve(policy(US))
        wait_for(lambda: web.asked and sts_of(node)["class"] == "ok", "it is fetched", 30)
        knot.update("rossi.test", "delete mta-sts.rossi.test. A",
                    "add mta-sts.rossi.test. 2 A 203.0.113.7")
        found = wait_for(lambda: (f := sts_of(node))["stale"] and f,
                         "it leads outside, where this node does not go", 30)
    assert found["class"] == "ok", "what was known stays"
    assert not events(node, "domain.mta-sts")


def rsa_record(bits):
    command = (f"openssl genrsa {bits} 2>/dev/null | openssl rsa -pubout -outform DER 2>/dev/null "
               "| base64 -w0")
    key = subprocess.run(command, shell=True, text=True, capture_output=True, check=True).stdout
    text = f"v=DKIM1; k=rsa; p={key}"
    return " ".join(f'"{text[at:at + 200]}"' for at in range(0, len(text), 200))


def test_selectors_are_named_by_a_person_and_their_keys_are_watched(stage, dns):
    knot, _ = dns
    node = node_of(stage, dns)

    def publish(selector, record):
        knot.update("rossi.test", f"delete {selector}._domainkey.rossi.test. TXT",
                    f"add {selector}._domainkey.rossi.test. 2 TXT {record}")

    def wait(word, part):
        def seen():
            found = look(node)[1]["dkim"]
            is_so = found["class"] == word and part in found["found"] + found.get("why", "")
            return found if is_so else None

        return wait_for(seen, f"{word} with {part}", 30)

    assert "staffetta dkim add rossi.test SELECTOR" in wait("unknown", "no selector")["advice"]
    assert node.must("dkim", "add", "rossi.test", "Selector1")["selectors"] == ["selector1"]
    found = wait("alarm", "selector1: there is no key")
    assert "selector1._domainkey.rossi.test" in found["advice"]
    wait_for(lambda: events(node, "domain.dkim"), "it is told")
    assert [e["class"] for e in events(node, "domain.dkim")] == ["notice"], "it is being set up"
    for record, word, part in ((rsa_record(2048), "ok", "selector1: fine (RSA, 2048 bits)"),
                               (rsa_record(1024), "notice", "less than 2048 bits"),
                               (rsa_record(2048)[:-1] + '; t=y"', "notice", "t=y"),
                               (rsa_record(2048), "ok", "fine")):
        publish("selector1", record)
        wait(word, part)
    stage.expected.append("name=domain.dkim ")
    publish("selector1", '"v=DKIM1; p="')
    wait("alarm", "key revoked")

    # Over a start, and without those that a person takes away.
    node.stop()
    node.start()
    assert node.must("domain", "show", "rossi.test")["selectors"] == ["selector1"]
    node.must("dkim", "add", "rossi.test", "k2")
    assert node.must("dkim", "remove", "rossi.test", "SELECTOR1")["selectors"] == ["k2"]
    publish("k2", rsa_record(2048))
    wait("ok", "k2: fine")
    code, answer = node.cli("dkim", "remove", "rossi.test", "selector1")
    assert code == 1 and "No selector" in answer["detail"]
    assert node.must("dkim", "list")["domains"][0]["selectors"] == ["k2"]


def test_lists_words_and_figures(stage, dns):
    figures = f"127.0.0.1:{netns.free_port()}"
    mail = f"127.0.0.1:{netns.free_port()}"
    node = node_of(stage, dns, listen=[{"for": "smtp", "at": mail}, {"for": "metrics", "at": figures}])
    look(node)
    rows = node.must("watch", "list", "--class", "alarm")["watches"]
    assert {(w["name"], w["check"]) for w in rows} >= {("rossi.test", "mx"), ("rossi.test", "spf")}
    ranks = [w["class"] for w in node.must("watch", "list")["watches"]]
    order = ["alarm", "notice", "ok", "unknown"]
    assert ranks == sorted(ranks, key=order.index), "the worst first"
    said = subprocess.run([node.program, "--socket", str(node.control), "domain", "check",
                           "rossi.test"], text=True, capture_output=True, check=False)
    assert said.returncode == 1
    for words in ("mail exchangers (MX)", "Expected", "Why", "Do", f"MX 10 {US}."):
        assert words in said.stdout, said.stdout
    code, answer = node.cli("check")
    assert code == 1 and any(one["result"] == "FAIL" and one["what"] == "rossi.test"
                             for one in answer["checks"])
    with urllib.request.urlopen(f"http://{figures}/metrics", timeout=10) as reply:
        text = reply.read().decode()
    judged = subprocess.run(["promtool", "check", "metrics"], input=text, text=True,
                            capture_output=True, check=False)
    assert judged.returncode == 0 and not judged.stderr.strip(), judged.stdout + judged.stderr
    assert 'staffetta_watch_class{about="domain",tenant="rossi",name="rossi.test",check="mx"} 3' in text
    assert 'staffetta_mx_ttl_seconds{about="domain",tenant="rossi",name="rossi.test"} ' in text
    assert "staffetta_store_disk_free_files " in text


def test_what_was_found_is_known_after_a_kill(stage, dns):
    node = node_of(stage, dns)
    before = look(node)[1]["mx"]
    wait_for(lambda: events(node, "domain.mx"), "written")
    node.stop()
    dns[1].stop()
    node.start()
    after = {w["check"]: w for w in node.must("watch", "show", "rossi.test")["watches"]}["mx"]
    assert (after["class"], after["found"], after["since"]) == \
        (before["class"], before["found"], before["since"])
    assert len(events(node, "domain.mx")) == 1, "it is not told again"
