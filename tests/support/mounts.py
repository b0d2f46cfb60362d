"""File systems of their own for a node's disk: mounted, unmounted, full, and such as give EIO. Only root may.

with Mount(image_directory, point, "ext4", size_bytes) as disk:
    disk.unmount(); disk.mount()
    disk.lose_the_end(of)            reading what lies behind it gives EIO, as from a disk with bad blocks
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support.packages import programs


class CannotMount(Exception):
    """Not here; says why. For the reason of a skipped test."""


class Mount:
    """kind: tmpfs (gone when it is unmounted) or ext4 (a loop device, whose image stays). point: made when absent."""

    def __init__(self, images: Path, point: Path, kind: str, size_bytes: int) -> None:
        self.point = point
        self._kind = kind
        self._size_bytes = size_bytes
        self.image = images / f"{point.name}-{point.parent.name}.img"

    def __enter__(self) -> Mount:
        if os.geteuid() != 0:
            raise CannotMount("only root may mount")
        self.point.mkdir(parents=True, exist_ok=True)
        if self._kind == "ext4":
            self.make_anew()
        self.mount()
        return self

    def __exit__(self, *_: object) -> None:
        if os.path.ismount(self.point):
            self.unmount()

    def make_anew(self) -> None:
        """An empty file system, as on a disk that was replaced. Not while it is mounted."""
        maker = programs({"mkfs.ext4": "e2fsprogs"})["mkfs.ext4"]
        self.image.unlink(missing_ok=True)
        with open(self.image, "wb") as image:
            image.truncate(self._size_bytes)
        # No journal, no lazy writing of tables: nothing writes to it by itself.
        _run([str(maker), "-q", "-O", "^has_journal", "-E", "lazy_itable_init=0", "-m", "0", str(self.image)])

    def mount(self) -> None:
        if self._kind == "tmpfs":
            _run(["mount", "-t", "tmpfs", "-o", f"size={self._size_bytes}", "none", str(self.point)])
        else:
            _run(["mount", "-o", "loop,errors=continue", str(self.image), str(self.point)])

    def unmount(self) -> None:
        """At once, whoever has files open there: as when a disk is pulled."""
        _run(["umount", "--lazy", str(self.point)])

    def lose_the_blocks_of(self, file: Path) -> None:
        """Reading this file gives EIO from now on: its blocks lie behind the end of the device."""
        first = _first_byte_on_device(file)
        os.sync()
        with open(file, "rb") as opened:
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with open(self.image, "r+b") as image:
            image.truncate(first)


def _first_byte_on_device(file: Path) -> int:
    """By FIEMAP: where the file's first extent lies."""
    import array
    import fcntl
    import struct

    request = array.array("B", struct.pack("=QQLLLL", 0, (1 << 64) - 1, 1, 0, 1, 0) + bytes(56))
    with open(file, "rb") as opened:
        fcntl.ioctl(opened.fileno(), 0xC020660B, request)
    physical: int = struct.unpack_from("=QQ", request, 32)[1]
    return physical


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise CannotMount(f"{' '.join(command)}: {done.stderr.strip()}")
