"""How much of a cluster's data a drive is to hold: a weight of 1 for each gigabyte of its file system.

Clusters that were laid out before drives were weighed have weights of 100 for each, and go on so: the members file says
which way is theirs (members.py). What an operator says goes before both.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from objstore.cluster.new_rings import WEIGHT

GIGABYTE = 10**9
WEIGHT_MAX = 1_000_000
"""Of one drive: a petabyte."""


def of(paths: Sequence[Path], weight: int | None, *, is_by_size: bool = True) -> dict[str, float]:
    """Drive name → weight, of a node's first drives. weight: what the operator says of each. is_by_size: as the
    cluster does. Raises OSError."""
    if weight is None and is_by_size:
        return {name: float(found) for name, found in by_size(paths).items()}
    return {path.name: float(weight or WEIGHT) for path in paths}


def by_size(paths: Sequence[Path]) -> dict[str, int]:
    """Drive name → weight. Drives that lie in one file system share it. Raises OSError."""
    sharing = Counter(os.stat(path).st_dev for path in paths)
    return {path.name: _weight(_size(path) // sharing[os.stat(path).st_dev]) for path in paths}


def of_own_file_system(path: Path) -> int | None:
    """The weight of a drive with a file system of its own; None where it shares one with the directory it lies in, or
    cannot be looked at."""
    try:
        return None if os.stat(path).st_dev == os.stat(path.parent).st_dev else _weight(_size(path))
    except OSError:
        return None


def _size(path: Path) -> int:
    status = os.statvfs(path)
    return status.f_blocks * status.f_frsize


def _weight(size_bytes: int) -> int:
    return min(WEIGHT_MAX, max(1, round(size_bytes / GIGABYTE)))
