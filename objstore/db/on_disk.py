"""Finding the databases of a device: what a daemon walks. Only looks; blocks, for a native thread.

Directories that hold no database (any more) are found too: what was left in them is somebody's to clear. Names that
are no partition, suffix or hash are passed over. Source: formats 1.4.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from objstore.core.hashing import suffix_of
from objstore.db.location import Location

_HASH = re.compile(r"[0-9a-f]{32}")


def partitions(device_path: str, datadir: str) -> list[int]:
    """Partitions that have a directory, in order."""
    return sorted(int(name) for name in _names(f"{device_path}/{datadir}") if _is_partition(name))


def locations(device_path: str, datadir: str, partition: int) -> Iterator[Location]:
    """Every database directory of a partition. Lazy."""
    base = f"{device_path}/{datadir}/{partition}"
    for suffix in sorted(_names(base)):
        for name in sorted(_names(f"{base}/{suffix}")):
            if _HASH.fullmatch(name) and suffix_of(name) == suffix:
                yield Location(device_path, datadir, str(partition), name)


def _is_partition(name: str) -> bool:
    return name.isascii() and name.isdigit() and (name == "0" or name[0] != "0")


def _names(directory: str) -> list[str]:
    """[] for what is no directory, or is just being removed."""
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
