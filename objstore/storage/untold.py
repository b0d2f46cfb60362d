"""Marks: since when names on a device may lack their container rows, should the process that gave them not live on.

    <device>/untold/<32 hex digits>     one of each process that changes objects on the device:
        8 bytes      2 × nanoseconds of wall time, + 1 when no change was open then; little-endian, signed
        the rest     the boot id of the machine, ASCII

An object's name is durable before its row is safe, and what comes between the two is short; a process that is killed
there leaves an object that no listing knows. So each has a mark that says since when it has had changes open, or when
its last one was closed, and holds a lock on it while it lives. Nothing of that is synced but the mark's first content:
after a kill the mark says exactly what was open; after a power cut it may be late, and never says too much. The row is
never written before the name instead: that would list objects that are not there.

object/changes.py keeps the mark of a server; object/passes/untold.py finds those whose process is gone, and tells the
rows again. Nobody removes a copy meanwhile whose row may be unsafe (removal.py).
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from objstore.runtime.fs import Fs
from objstore.storage.layout import DeviceLayout

MARGIN_NS = 2_000_000_000
"""The kernel dates files by a clock that is some milliseconds behind, and clocks are set a little now and then."""
_VALUE_BYTES = 8
_NAME_CHARS = 32


class Mark:
    """The mark of this process on one device."""

    def __init__(self, fs: Fs, fd: int, path: str) -> None:
        self._fs = fs
        self._fd = fd
        self._path = path

    def set(self, since_ns: int, is_idle: bool) -> None:
        """since_ns: when the oldest change that is open was begun; without any, now. Raises OSError."""
        self._fs.write_at(self._fd, _encoded(since_ns, is_idle), 0)

    def is_in_place(self) -> bool:
        """Whether its file still stands where others look: the disk may have been replaced."""
        with suppress(OSError):
            return os.path.samestat(os.stat(self._path), os.fstat(self._fd))
        return False

    def abandon(self) -> None:
        """Let go of it as it stands: it is for the updater now, as if this process had ended."""
        os.close(self._fd)


@dataclass(frozen=True, slots=True)
class Abandoned:
    """A mark whose process is gone, held by its finder. since_ns: names since then may lack their rows; None: none
    does. fd: to be closed by whoever has it."""

    path: str
    fd: int
    since_ns: int | None


def boot_id() -> str:
    """Of this run of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def make_mark(fs: Fs, layout: DeviceLayout, since_ns: int, boot: str) -> Mark:
    """A new mark with a change open, durable and held. Raises OSError."""
    directory = layout.untold()
    fs.make_directories(directory)
    path = f"{directory}/{uuid.uuid4().hex}"
    fs.make_directories(layout.temporary(0))
    fd, temporary = fs.open_temporary(layout.temporary(0))
    try:
        fs.write(fd, _encoded(since_ns, False) + boot.encode())
        fs.sync(fd)
        # Before it has its name: nobody may find it free.
        fs.hold(fd)
        fs.rename(temporary, path)
        fs.sync_directory(directory)
    except BaseException:
        os.close(fd)
        fs.unlink(temporary)
        raise
    return Mark(fs, fd, path)


def abandoned(fs: Fs, layout: DeviceLayout, boot: str) -> Iterator[Abandoned]:
    """Marks whose processes are gone, each held until the next is asked for. Raises OSError."""
    for path in _paths(layout):
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            if fs.hold(fd):
                yield Abandoned(path, fd, _since(fd, boot, is_alive=False))
        finally:
            os.close(fd)


def has_abandoned(fs: Fs, layout: DeviceLayout, boot: str) -> bool:
    """Raises OSError."""
    return any(True for _ in abandoned(fs, layout, boot))


def unsafe_since(fs: Fs, layout: DeviceLayout, boot: str) -> int | None:
    """Names given on the device since then (nanoseconds) may lack their rows; None: none does. Raises OSError."""
    found = []
    for path in _paths(layout):
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            found.append(_since(fd, boot, is_alive=not fs.hold(fd)))
        finally:
            os.close(fd)
    return min((since for since in found if since is not None), default=None)


def _paths(layout: DeviceLayout) -> list[str]:
    directory = layout.untold()
    try:
        return sorted(f"{directory}/{name}" for name in os.listdir(directory) if len(name) == _NAME_CHARS)
    except FileNotFoundError:
        return []


def _since(fd: int, boot: str, *, is_alive: bool) -> int | None:
    """A mark of an earlier run of the machine may be older than what came after it, so its idleness says nothing. Of
    one that cannot be understood its file's time counts: nobody has changed it since."""
    content = os.pread(fd, 256, 0)
    if len(content) <= _VALUE_BYTES:
        return os.fstat(fd).st_ctime_ns - MARGIN_NS
    value = int.from_bytes(content[:_VALUE_BYTES], "little", signed=True)
    is_of_this_run = is_alive or content[_VALUE_BYTES:] == boot.encode()
    return None if value & 1 and is_of_this_run else (value >> 1) - MARGIN_NS


def _encoded(since_ns: int, is_idle: bool) -> bytes:
    return (since_ns << 1 | is_idle).to_bytes(_VALUE_BYTES, "little", signed=True)
