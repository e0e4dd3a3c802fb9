"""The measuring itself, against costs that are known beforehand."""

import os
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

import run as bench  # noqa: E402
import sides  # noqa: E402
from harness import load, measure  # noqa: E402
from harness.peers import Sink  # noqa: E402
from harness.process import Daemon, Failure  # noqa: E402

pytestmark = pytest.mark.usefixtures("network")


class Script(Daemon):
    """A Python program as a daemon; it is ready when it has made the file `ready`."""

    name = "script"

    def __init__(self, directory, text):
        super().__init__(directory)
        self.text = text

    def command(self):
        return ["/usr/bin/python3", "-c", self.text]

    def is_ready(self):
        return (self.directory / "ready").exists()


def test_cpu_of_children_that_ended_is_counted(directory):
    group = measure.CpuGroup()
    if not group.files:
        pytest.skip("no control groups that we may use")
    burner = Script(directory, """
import os, time
if os.fork() == 0:
    while time.process_time() < 0.3: pass
    os._exit(0)
os.wait()
open("ready", "w").close()
time.sleep(60)
""")
    burner.groups = group.files
    with burner:
        assert 0.3 <= group.seconds() < 2
    group.remove()
    assert not group.path.exists()


def test_syncs_are_counted_in_children_and_threads_too(directory):
    syncer = Script(directory, """
import os, threading, time
f = os.open("file", os.O_CREAT | os.O_WRONLY)
open("ready", "w").close()
while not os.path.exists("go"): time.sleep(0.01)
def some(n):
    for _ in range(n): os.fsync(f)
t = threading.Thread(target=some, args=(3,)); t.start(); t.join()
if os.fork() == 0:
    some(4); os._exit(0)
os.wait()
os.fdatasync(f)
open("done", "w").close()
time.sleep(60)
""")
    with syncer:
        syncs = measure.Syncs(syncer.pids(), directory)
        (directory / "go").touch()
        while not (directory / "done").exists():
            time.sleep(0.01)
        assert syncs.stop() == 8


def test_bytes_are_counted_on_a_filesystem_of_its_own(directory):
    pid = os.fork()  # the mount namespace must not stay with the other tests
    if pid == 0:
        code = 1
        try:
            measure.private_mounts()
            with measure.Disk(directory, size="64M") as disk:
                before = disk.written_bytes()
                (disk.path / "file").write_bytes(os.urandom(1 << 20))
                written = disk.written_bytes() - before
                code = 0 if 1 << 20 <= written < 3 << 20 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_memory_of_idle_connections_is_seen(directory):
    with Sink(directory, record=False) as sink:
        before = measure.proportional_kib(sink.pids())
        idle = load.Load(sink.at, "--idle", 1000, "--seconds", 60)
        assert idle.greeted() == 1000
        each = (measure.proportional_kib(sink.pids()) - before) / 1000
        assert idle.stop()["alive"] == 1000
    assert 0.05 < each < 64


def test_disk_limit_is_a_rate_and_a_time(directory):
    limit = measure.disk_limit(directory, seconds=0.2, segment_mib=1)
    assert limit["per_second"] > 1 and limit["p50_ms"] > 0


def test_lines_say_whether_the_target_is_met():
    work = bench.receive(50)
    figure = bench.Figure("name", (work,), bench.rate(work), "/s", ("ratio", ">=", 8), "rate")
    limits = {work.name: {"per_second": 20000}}
    text, met = bench.line(figure, {work.name: {"per_second": 8000}},
                           {work.name: {"per_second": 1000}}, limits)
    assert text == "name ours=8000/s peer=1000/s ratio=8 limit=20000/s target=>=8x ok" and met
    text, met = bench.line(figure, {work.name: {"per_second": 7990}},
                           {work.name: {"per_second": 1000}}, limits)
    assert text.endswith("target=>=8x short") and not met
    idle = bench.chosen(["idle_smtp_tls"])[0]
    rows = {idle.works[0].name: {"idle_kib": 20}}
    assert bench.line(idle, rows, rows, {})[0] == \
        "idle_smtp_tls ours=20KiB peer=20KiB ratio=1 limit=- target=<=24KiB ok"


def test_names_choose_figures_by_their_beginning():
    names = {"idle_smtp", "idle_smtp_tls", "idle_eventsource"}
    assert {figure.name for figure in bench.chosen(["idle"])} == names
    assert [figure.name for figure in bench.chosen(["relay_cpu"])] == ["relay_cpu"]
    every = bench.chosen([])
    assert len(every) == len({figure.name for figure in every})
    assert {figure.name for figure in bench.FIGURES} < {figure.name for figure in every}
    with pytest.raises(Failure):
        bench.chosen(["nothing"])


@pytest.mark.parametrize("mode", ["receive", "relay"])
def test_the_tuned_peer_keeps_or_relays_all_mail(directory, mode):
    sink = Sink(directory / "sink", record=False).start() if mode == "relay" else None
    work = bench.Work(mode, sessions=5, size=2048)
    with sides.postfix(mode, directory, sink=sink) as server:
        result = bench.measure_load(server, work, sink, 1, lambda: 0)
        queued = server.queued()
    if sink:
        assert result["duplicates"] == 0
        assert sink.stop()["ids"] == result["accepted"]
    else:
        assert len(queued) == result["accepted"]
        assert {row["queue_name"] for row in queued} == {"hold"}
