"""Idle event streams over TLS: what one costs the door in memory, and how fast news reach all of them.
The program measures itself (src/web/test/bench_web_streams.c): a server beside a core that only
answers, and that many clients."""

import re
import subprocess

from decide import Alone
from harness.process import build_dir

STREAMS = 5000
LINE = re.compile(r"streams=(\d+) kib_each=([\d.]+) told_all_ms=(\d+) idle_cpu=[\d.]+\n")


def idle_kib(_):
    printed = subprocess.run([build_dir() / "bench_web_streams", str(STREAMS)], check=True,
                             capture_output=True, text=True, timeout=300).stdout
    streams, kib, milliseconds = LINE.fullmatch(printed).groups()
    return float(kib), float(streams) * 1000 / max(1, int(milliseconds))


FIGURES = (Alone("streams", "KiB", 24, idle_kib, "told"),)
