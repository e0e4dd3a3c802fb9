"""Starting with something wrong: refused in words, with file, line and key, and what would be right.

The rows of docs/bad-input.md, section "Settings and start", each tried with the real program."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
STAFFETTA = os.environ.get("STAFFETTA", str(ROOT / "build" / "staffetta"))
NOT_STARTED = "Staffetta was not started."


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Node:
    """A settings file in a folder of its own, and the program started with it."""

    def __init__(self, folder):
        self.folder = folder
        self.file = folder / "staffetta.yaml"
        self.data = folder / "data"
        self.socket = folder / "admin.sock"
        self.port = free_port()
        self.running = []

    def lines(self, more="", data=None, listen=None, admin=""):
        """Line 1 node, 2 listen, 3 admin, 4 whatever more is."""
        listen = listen or f"[{{for: smtp, at: 127.0.0.1:{self.port}}}]"
        return (f"node: {{name: mx.example.com, data: {data or self.data}}}\n"
                f"listen: {listen}\n"
                f"admin: {{socket: {self.socket}{admin}}}\n"
                f"{more}")

    def write(self, text):
        self.file.write_text(text)

    def refused(self, *words, line=None, code=1, wrapper=()):
        """Starts, expects the end, and every word in what is said."""
        done = subprocess.run([*wrapper, STAFFETTA, "serve", "--config", str(self.file)],
                              capture_output=True, text=True, timeout=20)
        where = f"{self.file}:{line}: " if line else str(self.file)
        assert done.returncode == code, done.stderr
        assert done.stdout == ""
        for word in (where, *words):
            assert word in done.stderr, f"{word!r} not in:\n{done.stderr}"
        assert done.stderr.endswith(NOT_STARTED + "\n")
        # Three parts: what is wrong, what would be right (indented), what was done.
        assert any(line.startswith("    ") for line in done.stderr.splitlines())
        return done.stderr

    def start(self):
        p = subprocess.Popen([STAFFETTA, "serve", "--config", str(self.file)],
                             stderr=subprocess.PIPE, text=True)
        self.running.append(p)
        for line in p.stderr:
            if " ready " in line:
                return p
        raise AssertionError("did not become ready")

    def stop(self):
        for p in self.running:
            p.send_signal(signal.SIGTERM)
            p.communicate(timeout=20)


@pytest.fixture
def node():
    # Not pytest's own folder: the core's user must be able to pass the folders above its data.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="staffetta-bad-start-"))
    folder.chmod(0o755)
    n = Node(folder)
    yield n
    n.stop()
    shutil.rmtree(folder)


def openssl(*args, **kwargs):
    subprocess.run(["openssl", *args], check=True, capture_output=True, **kwargs)


def make_pair(folder, name, *more):
    crt, key = folder / f"{name}.crt", folder / f"{name}.key"
    openssl("req", "-x509", "-newkey", "rsa:2048", "-days", "2", "-subj", "/CN=mx.example.com",
            "-keyout", str(key), "-out", str(crt), *(more or ("-nodes",)))
    return crt, key


def tls(crt, key):
    return f"tls: {{certificate: {crt}, key: {key}}}\n"


# ---- the settings file itself ----

def test_a_missing_file(node):
    node.refused("cannot be read: No such file or directory", "write the right path")


def test_a_folder_instead_of_a_file(node):
    node.file.mkdir()
    node.refused("is no file of at most 256 KiB")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(node):
    node.write(node.lines())
    node.file.chmod(0)
    node.refused("cannot be read: Permission denied", "Make it readable")


def test_a_file_that_is_too_large(node):
    node.write("# comment\n" * 30000)
    node.refused("is no file of at most 256 KiB")


def test_a_file_that_is_not_yaml(node):
    node.write(node.lines("limits: [5\n"))
    node.refused("this is not YAML", line=5)


def test_a_file_of_zeros(node):
    node.file.write_bytes(b"\0" * 100)
    node.refused("this is not YAML")


def test_an_unknown_key(node):
    node.write(node.lines("limits: {mesage: 5 MiB}\n"))
    node.refused('unknown key "limits.mesage"', "Did you mean limits.message?", line=4)


def test_a_key_given_twice(node):
    node.write(node.lines("limits:\n  hops: 20\n  hops: 30\n"))
    node.refused("limits.hops is given twice", "line 5", line=6)


def test_a_missing_key(node):
    node.write("node: {data: /nowhere}\nlisten: [{for: smtp, at: 127.0.0.1:25}]\n")
    node.refused("node.name is missing and has no default")


def test_a_wrong_type(node):
    node.write(node.lines("network: {internet: perhaps}\n"))
    node.refused('"perhaps" is neither true nor false', "true or false", line=4)


def test_a_size_without_unit(node):
    node.write(node.lines("limits: {message: 50}\n"))
    node.refused('"50" has no unit', "such as 50 MiB", line=4)


def test_a_value_out_of_bounds(node):
    node.write(node.lines("gate: {count: 99}\n"))
    node.refused('gate.count: "99" is too large', "from 1 to 8", line=4)


def test_several_problems_are_told_together(node):
    node.write(node.lines("gate: {count: 99}\nlog: {level: loud}\nfoo: bar\n"))
    said = node.refused("gate.count", "log.level", 'unknown key "foo"')
    assert said.count(str(node.file)) == 3


# ---- certificate and key ----

def test_a_missing_key_file(node):
    crt, _ = make_pair(node.folder, "a")
    node.write(node.lines(tls(crt, node.folder / "no.key")))
    node.refused("tls.key:", "no.key cannot be read: No such file", line=4)


def test_a_key_file_that_cannot_be_read(node):
    crt, key = make_pair(node.folder, "a")
    if os.geteuid() == 0:
        key.unlink()
        key.mkdir()  # root reads any file, but no folder
        words = "is no file"
    else:
        key.chmod(0)
        words = "Permission denied"
    node.write(node.lines(tls(crt, key)))
    node.refused("tls.key:", words, line=4)


def test_a_certificate_that_is_none(node):
    _, key = make_pair(node.folder, "a")
    (node.folder / "x.crt").write_text("hello\n")
    node.write(node.lines(tls(node.folder / "x.crt", key)))
    node.refused("tls.certificate: the file holds no certificate", "BEGIN CERTIFICATE", line=4)


def test_a_key_that_is_none(node):
    crt, _ = make_pair(node.folder, "a")
    node.write(node.lines(tls(crt, crt)))
    node.refused("tls.key: the file holds no private key", "BEGIN PRIVATE KEY", line=4)


def test_a_key_with_a_password(node):
    crt, key = make_pair(node.folder, "a", "-passout", "pass:secret")
    node.write(node.lines(tls(crt, key)))
    node.refused("tls.key: the key is protected by a password", "openssl pkey", line=4)


def test_a_key_of_another_certificate(node):
    crt, _ = make_pair(node.folder, "a")
    _, key = make_pair(node.folder, "b")
    node.write(node.lines(tls(crt, key)))
    node.refused("tls.key: the key does not belong to the certificate", line=4)


def test_tls_without_a_certificate(node):
    node.write(node.lines(listen=f"[{{for: smtp, at: 127.0.0.1:{node.port}, tls: starttls}}]"))
    node.refused("smtp with TLS, but there is no certificate", "tls.certificate", line=2)


def test_missing_trust_anchors(node):
    node.write(node.lines("network: {trust_anchor: /nowhere/root.key}\n"))
    node.refused("network.trust_anchor: /nowhere/root.key cannot be read", line=4)


# ---- the machine ----

def test_a_port_in_use(node):
    with socket.socket() as s:
        s.bind(("127.0.0.1", node.port))
        s.listen()
        node.write(node.lines())
        node.refused(f"cannot listen at 127.0.0.1:{node.port} for smtp: Address already in use",
                     "ss -ltnp", line=2)


def test_an_address_that_is_not_ours(node):
    node.write(node.lines(listen="[{for: smtp, at: 192.0.2.1:2525}]"))
    node.refused("192.0.2.1:2525", "ip addr", line=2)


def test_a_port_below_1024_without_the_right_to_it(node):
    """Also in a container that runs as root without that capability."""
    wrapper = ["setpriv", "--bounding-set", "-net_bind_service"] if os.geteuid() == 0 else []
    node.write(node.lines(listen="[{for: smtp, at: 127.0.0.1:25}]"))
    node.refused("cannot listen at 127.0.0.1:25 for smtp: Permission denied", "1024", line=2,
                 wrapper=wrapper)


def test_a_second_instance(node):
    node.write(node.lines())
    node.start()
    first = node.file.read_text()
    node.port = free_port()  # other ports and socket: the store is what they share
    node.socket = node.folder / "other.sock"
    node.write(node.lines())
    node.refused(f"node.data: {node.data} is in use by a Staffetta that is running",
                 "data directory of its own", line=1)
    node.write(first)


def test_a_data_directory_that_cannot_be_written(node):
    node.data.mkdir()
    (node.data / "something").touch()  # an empty one would be given to the core
    node.data.chmod(0o500)
    node.write(node.lines())
    node.refused("node.data:", "cannot be written: Permission denied", line=1)
    node.data.chmod(0o700)


def test_a_data_directory_below_nothing(node):
    node.write(node.lines(data="/nowhere/at/all"))
    node.refused("node.data: /nowhere/at/all is no directory and cannot be made one", line=1)


def test_a_file_for_the_data_directory(node):
    node.data.write_text("x")
    node.write(node.lines())
    node.refused("is no directory", "Remove the file", line=1)


def test_an_admin_socket_in_use(node):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(node.socket))
        s.listen()
        node.write(node.lines())
        node.refused("admin.socket:", "is in use by a program that is running", line=3)


def test_something_else_in_the_place_of_the_admin_socket(node):
    node.socket.write_text("precious")
    node.write(node.lines())
    node.refused("admin.socket:", "is something else", line=3)
    assert node.socket.read_text() == "precious"


def test_an_admin_socket_in_a_folder_that_is_not_there(node):
    node.socket = pathlib.Path("/nowhere/at/all/admin.sock")
    node.write(node.lines())
    node.refused("admin.socket: /nowhere/at/all/admin.sock cannot be made", line=3)


def test_a_group_that_is_not_there(node):
    node.write(node.lines(admin=", group: no-such-group"))
    node.refused("admin.group: there is no group no-such-group", "addgroup", line=3)


def test_the_socket_of_a_killed_node_is_no_obstacle(node):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(node.socket))  # bound, never listening, closed: a leftover
    node.write(node.lines())
    p = node.start()
    assert p.poll() is None


# ---- what is there to look at ----

def test_check_says_good_and_starts_nothing(node):
    node.write(node.lines())
    done = subprocess.run([STAFFETTA, "serve", "--config", str(node.file), "--check"],
                          capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout) == (0, f"{node.file}: the settings are good\n")
    assert not node.data.exists()


def test_what_print_config_shows_is_good_settings(node):
    node.write(node.lines("limits: {hops: 33}\n"))
    show = [STAFFETTA, "serve", "--config", str(node.file), "--print-config"]
    first = subprocess.run(show, capture_output=True, text=True, timeout=20)
    assert first.returncode == 0 and "hops: 33" in first.stdout
    node.write(first.stdout)
    again = subprocess.run(show, capture_output=True, text=True, timeout=20)
    assert again.stdout == first.stdout


@pytest.mark.parametrize("arguments", [["serve", "--bogus"], ["serve", "--config"],
                                       ["serve", "--check", "--print-config"],
                                       ["settings"], ["settings", "--bogus"],
                                       ["--child"], ["--child", "gate", "1"], ["bogus"]])
def test_wrong_use_is_exit_code_2(arguments):
    done = subprocess.run([STAFFETTA, *arguments], capture_output=True, text=True, timeout=20)
    assert done.returncode == 2 and done.stderr != "" and done.stdout == ""


def test_the_node_stops_cleanly(node):
    node.write(node.lines())
    p = node.start()
    start = time.monotonic()
    p.send_signal(signal.SIGTERM)
    _, said = p.communicate(timeout=20)
    node.running.clear()
    assert p.returncode == 0 and "stopped exit=0" in said and "process.died" not in said
    assert time.monotonic() - start < 15
