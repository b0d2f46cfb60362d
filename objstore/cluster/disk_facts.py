"""What can be said of one device by looking: whether it can be used, how full it is, what waits or lies in quarantine.

Only reads, and counts at most so much. Every call may stall as long as the disk does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from objstore.cluster.verdict import DiskFact
from objstore.core.timestamp import InvalidTimestamp, Timestamp

PENDING_COUNTED = 20_000
"""Of a device; beyond it the count is said as "at least"."""


def disk_fact(node: str, path: Path, mount_check: bool) -> DiskFact:
    """path: of the device's directory. Raises nothing: a fault is a fact."""
    if not path.is_dir():
        return DiskFact(node, path.name, f"gone: there is no {os.path.normpath(path)}")
    if mount_check and not os.path.ismount(path):
        return DiskFact(node, path.name, f"nothing is mounted at {os.path.normpath(path)}")
    try:
        status = os.statvfs(path)
        pending, is_bound_reached, oldest_s = pendings(path)
        quarantined, partitions = _quarantined(path), _partitions(path)
    except OSError as error:
        return DiskFact(node, path.name, f"cannot be read ({error.strerror})")
    return DiskFact(
        node,
        path.name,
        size=status.f_blocks * status.f_frsize,
        avail=status.f_bavail * status.f_frsize,
        partitions=partitions,
        quarantined=quarantined,
        pending=pending,
        is_bound_reached=is_bound_reached,
        pending_oldest_s=oldest_s,
    )


def pendings(device: Path, bound: int = PENDING_COUNTED) -> tuple[int, bool, float | None]:
    """(rows in async_pending of a device, whether the bound was reached, when the oldest was written). Raises
    OSError of a disk that cannot be read."""
    count, oldest = 0, None
    for name in _pending_names(device):
        if count >= bound:
            return count, True, oldest
        count += 1
        try:
            written_s = Timestamp.parse(name.partition("-")[2]).seconds
        except InvalidTimestamp:
            continue
        oldest = written_s if oldest is None else min(oldest, written_s)
    return count, False, oldest


def _pending_names(device: Path) -> Iterator[str]:
    for top in os.listdir(device):
        if top == "async_pending" or top.startswith("async_pending-"):
            for suffix in os.listdir(device / top):
                try:
                    yield from os.listdir(device / top / suffix)
                except (FileNotFoundError, NotADirectoryError):  # The updater removes what it has emptied.
                    continue


def _quarantined(device: Path) -> int:
    """Entries of all kinds."""
    quarantine = device / "quarantined"
    try:
        return sum(len(os.listdir(quarantine / kind)) for kind in os.listdir(quarantine))
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _partitions(device: Path) -> int:
    """Directories of partitions, of accounts, containers and objects of every policy."""
    return sum(
        name.isdecimal()
        for top in os.listdir(device)
        if top in ("accounts", "containers", "objects") or top.startswith("objects-")
        for name in os.listdir(device / top)
    )
