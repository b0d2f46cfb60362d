"""How much the data of this machine's drives takes, and how much more fits: what a plan reckons with.

Names are spread evenly over partitions, so a few partitions of a drive tell about all: their files are added up, of the
others only the directories are counted. Only reads; a drive that cannot be read says nothing.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from objstore.cluster.change_plan import Place, Usage
from objstore.cluster.directory import STORAGE_KINDS
from objstore.cluster.servers import ServerFile
from objstore.ring.model import Ring

PARTITIONS_SAMPLED = 8
"""Of a drive and ring."""
ENTRIES_MAX = 20_000
"""Files and directories looked at per drive and ring: a second of a disk whose inodes are not in memory."""
_BLOCK_BYTES = 512


def measured(servers: Sequence[ServerFile], rings: Mapping[str, Ring], new_drives: Iterable[Path] = ()) -> Usage:
    """servers: storage servers of this machine. rings: by name, account, container, object, object-1 … new_drives:
    directories that are to join. Blocks as long as the disks do."""
    used, assigned = Counter[str](), Counter[str]()
    paths: dict[Place, Path] = {}
    for server in servers:
        kind = server.role.removesuffix("-server")
        for name, ring in rings.items():
            if name.partition("-")[0] != kind:
                continue
            for device, count in _held_here(ring, server):
                path = server.devices / device
                paths[(*server.address, device)] = path
                size = _bytes_of(path / _top(name))
                if size is not None:
                    used[name] += size
                    assigned[name] += count
        paths |= {(*server.address, path.name): path for path in new_drives if path.parent == server.devices}
    sizes = {name: used[name] // assigned[name] for name in assigned if assigned[name]}
    return Usage(sizes, _room(paths))


def _top(ring: str) -> str:
    """The directory of a drive that has a ring's partitions: account → accounts, object-1 → objects-1."""
    kind, dash, index = ring.partition("-")
    assert kind in STORAGE_KINDS
    return f"{kind}s{dash}{index}"


def _held_here(ring: Ring, server: ServerFile) -> Iterator[tuple[str, int]]:
    """(device, partition replicas) of a server's devices."""
    counts: Counter[int] = Counter()
    for row in ring.rows:
        counts.update(row)
    for device in ring.devices:
        if device is not None and (device.ip, device.port) == server.address and counts[device.id]:
            yield device.device, counts[device.id]


def _bytes_of(top: Path) -> int | None:
    """Of all partitions below a directory, from some of them; None when it cannot be read."""
    try:
        names = sorted((name for name in os.listdir(top) if name.isdecimal()), key=int)
        if not names:
            return 0
        step = max(1, len(names) // PARTITIONS_SAMPLED)
        budget = [ENTRIES_MAX]
        sizes = [_tree_bytes(str(top / name), budget) for name in names[::step]]
    except FileNotFoundError:
        return 0 if top.parent.is_dir() else None
    except OSError:
        return None
    whole = [size for size in sizes if size is not None]
    return sum(whole) * len(names) // len(whole) if whole else None


def _tree_bytes(directory: str, budget: list[int]) -> int | None:
    """None when the budget does not last."""
    total = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            budget[0] -= 1
            if budget[0] < 0:
                return None
            try:
                if entry.is_dir(follow_symlinks=False):
                    below = _tree_bytes(entry.path, budget)
                    if below is None:
                        return None
                    total += below
                else:
                    total += entry.stat(follow_symlinks=False).st_blocks * _BLOCK_BYTES
            except FileNotFoundError:
                continue  # Replaced or deleted meanwhile.
    return total


def _room(paths: Mapping[Place, Path]) -> dict[Place, int]:
    """Bytes free on each drive; drives that share a file system share what is free there."""
    free: dict[Path, tuple[int, int]] = {}
    for path in set(paths.values()):
        try:
            status = os.statvfs(path)
            free[path] = os.stat(path).st_dev, status.f_bavail * status.f_frsize
        except OSError:
            continue
    sharing = Counter(device for device, _ in free.values())
    return {place: free[path][1] // sharing[free[path][0]] for place, path in paths.items() if path in free}
