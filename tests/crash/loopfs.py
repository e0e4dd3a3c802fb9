"""A file system of its own on an image file: it can lose its power, and it can be full.

`cut` shuts the file system down as a power failure would: whatever was not synced by then is not
there after `revive`, and every call in between gets EIO. Needs root and a loop device."""

import contextlib
import shutil
import subprocess
import time

from harness.process import Failure, run

MAKE = {"ext4": ["mkfs.ext4", "-q", "-F", "-m", "0"], "xfs": ["mkfs.xfs", "-q", "-f"]}


class LoopFs:
    """`with LoopFs(directory, "xfs", 1000) as fs:` mounts it at fs.path; afterwards all is gone."""

    def __init__(self, directory, kind, mib):
        self.kind = kind
        self.image = directory / f"{kind}.img"
        self.path = directory / kind
        self.mib = mib

    def __enter__(self):
        self.path.mkdir()
        with open(self.image, "wb") as image:
            image.truncate(self.mib << 20)  # sparse: it takes what is written into it
        run(*MAKE[self.kind], self.image)
        self.mount()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(Failure, subprocess.TimeoutExpired):
            self.unmount()
        if self.is_mounted():
            run("umount", "--lazy", self.path, check=False)
        self.image.unlink(missing_ok=True)

    def is_mounted(self):
        """Without touching it: after a cut even stat gives EIO."""
        with open("/proc/self/mounts", encoding="ascii") as mounts:
            return any(line.split()[1] == str(self.path) for line in mounts)

    def mount(self):
        run("mount", "-o", "loop", self.image, self.path)
        self.path.chmod(0o755)

    def unmount(self, seconds=15):
        """Processes that were just killed may still hold files: again until they are gone."""
        end = time.monotonic() + seconds
        while self.is_mounted():
            try:
                run("umount", self.path)
            except Failure:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)

    def cut(self):
        """The power fails. XFS's own call, which ext4 understands too."""
        run("xfs_io", "-x", "-c", "shutdown", self.path)

    def revive(self):
        """The machine starts again: everybody who used the file system must be gone."""
        self.unmount()
        if self.kind == "ext4":
            run("e2fsck", "-p", self.image, check=False)  # replays its journal
        self.mount()  # replays it in any case

    def free_mib(self):
        return shutil.disk_usage(self.path).free >> 20

    def fill(self, leave_mib):
        """Another program's file takes everything but so much."""
        with open(self.path / "other", "ab") as file:
            size = file.tell() + max(0, self.free_mib() - leave_mib << 20)
        run("fallocate", "-l", size, self.path / "other")

    def make_room(self):
        (self.path / "other").unlink()
