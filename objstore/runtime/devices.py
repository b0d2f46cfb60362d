"""The disks of a storage node: directories under one root, each a mount point where the operator says so.

Every backend request names a device. path() turns the name into a directory, or says why the device cannot be used;
the server then answers 507 and the caller goes to another node. An unmounted disk must never be written to: what lands
in the empty mount point fills the root file system and vanishes when the disk comes back. Source: formats 1.4.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from objstore.core.errors import DeviceUnavailable, InsufficientStorage


@dataclass(frozen=True, slots=True)
class Reserve:
    """Space that uploads may not take: bytes, or percent of the file system. 0 keeps nothing back."""

    amount: float
    is_percent: bool = False

    @classmethod
    def parse(cls, text: str) -> Reserve:
        """The reserve that a text like '10000000' (bytes) or '1%' means. Raises ValueError."""
        text = text.strip()
        if text.endswith("%"):
            percent = float(text[:-1])
            if not 0 <= percent <= 100:
                raise ValueError(f"{text} is not between 0% and 100%")
            return cls(percent, is_percent=True)
        size_bytes = int(text or "0")
        if size_bytes < 0:
            raise ValueError(f"{text} is less than 0 bytes")
        return cls(size_bytes)


NO_RESERVE = Reserve(0)
MEASURE_AGAIN_S = 0.2
"""How long a measurement of free space is used: others may fill the device by a few hundred megabytes meanwhile."""


LOOK_AGAIN_S = 1.0
"""How long the root of a mounted file system is taken for one as long as it is the same directory."""


@dataclass(frozen=True, slots=True)
class _Mounted:
    """identity: (st_dev, st_ino) of a directory that was a mount point. until: monotonic seconds."""

    identity: tuple[int, int]
    until: float


class Devices:
    """The devices under `root`. mount_check: each must be a mount point, a bare directory will not do."""

    def __init__(self, root: Path | str, mount_check: bool, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._root = str(root)
        if ".." in self._root.split("/"):
            # As `up` writes it, from the ini file's place. The kernel would go up and down again in every system call.
            self._root = os.path.realpath(self._root)
        self._mount_check = mount_check
        self._monotonic = monotonic
        self._mounted: dict[str, _Mounted] = {}

    @property
    def root(self) -> str:
        """The directory that has a directory per device."""
        return self._root

    def path(self, device: str) -> str:
        """The directory of a device. Raises DeviceUnavailable: missing, not mounted, or a name that leaves the root."""
        if not is_safe_name(device):
            raise DeviceUnavailable(device, f"not a device name under {self._root}")
        path = f"{self._root}/{device}"
        if self._mount_check:
            if not self._is_mounted(path):
                raise DeviceUnavailable(device, f"not mounted under {self._root}")
        elif not os.path.isdir(path):
            raise DeviceUnavailable(device, f"no such directory under {self._root}")
        return path

    def _is_mounted(self, path: str) -> bool:
        """As os.path.ismount, which looks at every directory above: asked once in a while, and whenever the directory
        is not the one it was. A disk that is unmounted uncovers another directory, so it is missed at once."""
        try:
            found = os.lstat(path)
        except OSError:
            return False
        known = self._mounted.get(path)
        now = self._monotonic()
        if known is not None and known.identity == (found.st_dev, found.st_ino) and now < known.until:
            return True
        if not os.path.ismount(path):
            self._mounted.pop(path, None)
            return False
        self._mounted[path] = _Mounted((found.st_dev, found.st_ino), now + LOOK_AGAIN_S)
        return True

    def names(self) -> list[str]:
        """Names of the usable devices, sorted; those that path() would refuse are left out."""
        usable = []
        for name in sorted(os.listdir(self._root)):
            try:
                self.path(name)
            except DeviceUnavailable:
                continue
            usable.append(name)
        return usable

    def all_names(self) -> list[str]:
        """Names of all directories that may be devices, sorted, usable or not (see path()). Raises OSError."""
        with os.scandir(self._root) as entries:
            return sorted(entry.name for entry in entries if is_safe_name(entry.name) and _may_be_directory(entry))

    @staticmethod
    def check_reserve(device_path: str, incoming_bytes: int, reserve: Reserve) -> None:
        """Raises InsufficientStorage when the device would hold less than its reserve after incoming_bytes more.

        Deletes do not ask: they must work on a full disk.
        """
        if reserve.amount:
            _refuse_below(reserve, device_path, *_space(device_path), incoming_bytes)


class Room:
    """As Devices.check_reserve for many uploads a second: the file system is asked now and then, and what was taken
    meanwhile is not free any more. So nothing is counted too little that comes through here."""

    def __init__(self, reserve: Reserve, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._reserve = reserve
        self._monotonic = monotonic
        self._known: dict[str, _Measured] = {}

    def check(self, device_path: str, incoming_bytes: int) -> None:
        """Raises InsufficientStorage when the device would hold less than its reserve after incoming_bytes more."""
        self._measured(device_path, incoming_bytes)

    def take(self, device_path: str, incoming_bytes: int) -> None:
        """As check(), and count these bytes as written: the caller writes them now."""
        measured = self._measured(device_path, incoming_bytes)
        if measured is not None:
            measured.free_bytes -= incoming_bytes

    def _measured(self, device_path: str, incoming_bytes: int) -> _Measured | None:
        if not self._reserve.amount:
            return None
        now = self._monotonic()
        known = self._known.get(device_path)
        if known is None or now >= known.until:
            known = self._known[device_path] = _Measured(*_space(device_path), now + MEASURE_AGAIN_S)
        _refuse_below(self._reserve, device_path, known.free_bytes, known.size_bytes, incoming_bytes)
        return known


@dataclass(slots=True)
class _Measured:
    free_bytes: int
    size_bytes: int
    until: float


def _space(path: str) -> tuple[int, int]:
    """(bytes free for an ordinary user, bytes in all) of the file system of path."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize


def _refuse_below(reserve: Reserve, device_path: str, free_bytes: int, size_bytes: int, incoming_bytes: int) -> None:
    left, unit = float(free_bytes - incoming_bytes), " bytes"
    if reserve.is_percent:
        left, unit = (left * 100 / size_bytes if size_bytes else 0.0), "%"
    if left <= reserve.amount:
        raise InsufficientStorage(
            os.path.basename(device_path),
            f"{left:.10g}{unit} would be free, fallocate_reserve keeps {reserve.amount:.10g}{unit}",
        )


def _may_be_directory(entry: os.DirEntry[str]) -> bool:
    """Whether it is, or cannot be told: a disk that fails is a device as well."""
    try:
        return entry.is_dir()
    except OSError:
        return True


@lru_cache(maxsize=1024)
def is_safe_name(device: str) -> bool:
    """Whether a device name is one directory and the same when percent-encoded."""
    return device not in ("", ".", "..") and quote(device, safe="") == device
