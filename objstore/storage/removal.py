"""Removing a copy that is not needed here any more: the only code that takes away what is still in effect.

Called by the replicator for a handoff, after every primary has confirmed the very names that go. Rules:
1. Under the partition's lock, a hash directory is looked at again. If it does not hold exactly the names that were
   confirmed (a PUT, POST or DELETE came meanwhile), nothing of it is touched.
2. The suffix is listed as changed before anything goes, as with every change.
3. A crash in between leaves some of the files: they are confirmed again, then removed, by the next pass.
4. What was named so lately that its container row may not be safe stays (untold.py): the row is told from this copy,
   should its server be killed.
5. The partition directory goes when nothing but hash files and locks is left, while its lock is held. Who waits for
   that lock notices (runtime/fs.py), makes the directory again, and locks the new one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from objstore.runtime.fs import Fs
from objstore.storage.hashes import INVALID, LOCK, LOCK_TIMEOUT_S, PICKLE, PartitionHashes
from objstore.storage.replica import Replica, removal_order

REPLICATION_LOCK = ".lock-replication"


def remove_confirmed(
    fs: Fs, partition_path: str, suffix: str, confirmed: Iterable[Replica], unsafe_since_ns: int | None = None
) -> int:
    """Remove objects of one suffix as they were confirmed; how many went. unsafe_since_ns: what was named since then
    stays. Raises LockTimeout, OSError."""
    removed = 0
    try:
        with PartitionHashes(fs, partition_path).changing(suffix):
            for replica in confirmed:
                directory = f"{partition_path}/{suffix}/{replica.hash_hex}"
                if (
                    replica.is_understood
                    and _holds_exactly(directory, replica.names)
                    and (unsafe_since_ns is None or os.stat(directory).st_ctime_ns < unsafe_since_ns)
                ):
                    for name in removal_order(replica.names):
                        fs.unlink(f"{directory}/{name}")
                    fs.remove_directory(directory)
                    removed += 1
            fs.remove_directory(f"{partition_path}/{suffix}")
    except FileNotFoundError:
        return removed  # Somebody else removed the whole partition.
    return removed


def remove_partition(fs: Fs, partition_path: str) -> bool:
    """Remove a partition directory that holds no object; False when it does, or something unknown lies there.
    Raises LockTimeout, OSError."""
    own = (PICKLE, INVALID, REPLICATION_LOCK, LOCK)
    if set(_listed(partition_path)) - set(own):
        return False
    try:
        with fs.lock(f"{partition_path}/{LOCK}", LOCK_TIMEOUT_S):
            if set(_listed(partition_path)) - set(own):
                return False
            # Digests first, durably: without them everything is hashed again, whatever else is left. With them, and
            # without the list of what has changed, digests of what is gone would be believed.
            fs.unlink(f"{partition_path}/{PICKLE}")
            fs.sync_directory(partition_path)
            for name in own[1:]:
                fs.unlink(f"{partition_path}/{name}")
            return fs.remove_directory(partition_path)
    except FileNotFoundError:
        return False


def _holds_exactly(directory: str, names: tuple[str, ...]) -> bool:
    return tuple(sorted(_listed(directory))) == names


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
