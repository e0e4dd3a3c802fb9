"""What a server costs: CPU seconds, bytes written, syncs, memory.

CPU comes from a control group, which also counts processes that have ended; where there is none,
from /proc. Bytes come from a filesystem of their own, so that neither other programs nor the page
cache blur them.
"""

import contextlib
import ctypes
import itertools
import os
import re
import signal
import subprocess
import time
from pathlib import Path

from harness.process import Failure, run, signal_pid, wait_for

GROUPS = Path("/sys/fs/cgroup")
_CLONE_NEWNS = 0x20000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count()


class CpuGroup:
    """A control group (version 1 or 2) whose CPU time is read with seconds(). A daemon enters it
    by `daemon.groups = group.files`. Without control groups `files` is empty."""

    def __init__(self):
        name = f"bench-{os.getpid()}-{next(_numbers)}"
        self.path = None
        for base in (GROUPS / "cpuacct", GROUPS):
            if not ((base / "cpuacct.usage").exists() or (base / "cgroup.controllers").exists()):
                continue
            with contextlib.suppress(OSError):
                (base / name).mkdir()
                self.path = base / name
                break
        self.files = [self.path / "cgroup.procs"] if self.path else []

    def seconds(self, pids=()):
        """CPU seconds of all that ever were in the group; without groups, of these processes and
        their ended children."""
        if self.path and (self.path / "cpuacct.usage").exists():
            return int((self.path / "cpuacct.usage").read_text()) / 1e9
        if self.path:
            usage = re.search(r"usage_usec (\d+)", (self.path / "cpu.stat").read_text())
            return int(usage.group(1)) / 1e6
        ticks = 0
        for pid in pids:
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += sum(int(field) for field in fields[11:15])
        return ticks / os.sysconf("SC_CLK_TCK")

    def remove(self):
        """The group goes with its last process; one that nobody has reaped keeps it for ever."""
        if self.path:
            with contextlib.suppress(Failure):
                wait_for(self._removed, "empty group", seconds=1)

    def _removed(self):
        try:
            self.path.rmdir()
        except OSError:
            return False
        return True


def proportional_kib(pids):
    """Memory of these processes in KiB, shared pages divided among those who share them."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1))
    return total


class Syncs:
    """Counts fsync and fdatasync (and sync_file_range, msync) of running processes and of the
    children they start, by strace. It slows them down: never in the run that measures speed."""

    def __init__(self, pids, directory):
        self.output = Path(directory) / "strace.out"
        options = [word for pid in pids for word in ("-p", str(pid))]
        self.process = subprocess.Popen(
            ["strace", "-f", "-c", "-U", "calls,name", "-e",
             "trace=fsync,fdatasync,sync_file_range,msync", "-o", str(self.output), *options],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
        wait_for(lambda: all(_is_traced(pid) for pid in pids if os.path.exists(f"/proc/{pid}")),
                 "strace attached")

    def stop(self):
        """The number of calls."""
        signal_pid(self.process.pid, signal.SIGINT)
        self.process.communicate(timeout=20)
        rows = re.findall(r"^\s*(\d+)\s+(\w+)$", self.output.read_text(), re.M)
        return sum(int(calls) for calls, name in rows if name != "total")


def _is_traced(pid):
    try:
        return "TracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


def private_mounts():
    """Mounts of this process and its children vanish with it."""
    if _libc.unshare(_CLONE_NEWNS) != 0 or \
            _libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None) != 0:
        raise OSError(ctypes.get_errno(), "a mount namespace of our own (needs root)")


class Disk:
    """An ext4 of its own in an image file: written_bytes() is all that it wrote to its device,
    journal and metadata too. Call private_mounts() first."""

    def __init__(self, directory, size="6G"):
        self.image = Path(directory) / "disk.img"
        self.path = Path(directory) / "disk"
        self.path.mkdir()
        run("truncate", "-s", size, self.image)
        run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.image)
        run("mount", "-o", "loop", self.image, self.path)
        number = os.stat(self.path).st_dev
        self.device = os.path.basename(os.path.realpath(
            f"/sys/dev/block/{os.major(number)}:{os.minor(number)}"))

    def written_bytes(self):
        run("sync", "-f", self.path)
        return int(Path(f"/sys/block/{self.device}/stat").read_text().split()[6]) * 512

    def remove(self):
        run("umount", self.path, check=False)
        with contextlib.suppress(OSError):
            self.image.unlink()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()


def disk_limit(directory, size=10240, seconds=1.0, segment_mib=32):
    """The machine's own limit: overwriting blocks of a zero-filled file in turn, one fdatasync
    each. Gives syncs per second and the median in milliseconds."""
    path = Path(directory) / "limit"
    block = os.urandom(size)
    with open(path, "wb") as file:
        for _ in range(segment_mib):
            file.write(bytes(1 << 20))
        file.flush()
        os.fsync(file.fileno())
    handle = os.open(path, os.O_WRONLY)
    times, at = [], 0
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.monotonic()
            os.pwrite(handle, block, at)
            os.fdatasync(handle)
            times.append(time.monotonic() - began)
            at = (at + size) % ((segment_mib << 20) - size)
    finally:
        os.close(handle)
        path.unlink()
    return {"per_second": len(times) / sum(times), "p50_ms": sorted(times)[len(times) // 2] * 1000}
