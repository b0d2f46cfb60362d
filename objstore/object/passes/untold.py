"""Telling the rows again of names whose server was killed before it could: part of the object-updater's pass.

A mark without a process (storage/untold.py) says since when. A name given since then stands in a suffix that was listed
as changed before (storage/hashes.py), and its directory was changed since: so a few partitions are looked into, and no
file is opened but those it is about. What is in effect there is kept as an async pending, as the server would have
done; a row that the container has already changes nothing there. The mark goes when all is kept.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from objstore.core.hashing import HashSecrets
from objstore.core.policy import Policies
from objstore.object.expiring import ENTRY_CONTENT_TYPE, ExpiryQueue
from objstore.object.rows import ContainerRow
from objstore.runtime.fs import Fs
from objstore.storage import pending, untold
from objstore.storage.engine import CONTENT_TYPE, ETAG
from objstore.storage.hashes import INVALID, PICKLE
from objstore.storage.layout import DeviceLayout
from objstore.storage.pending import DeferredUpdate
from objstore.storage.reader import DamagedObject
from objstore.storage.replica import OpenReplica, is_hash, open_replica, suffixes

_OVERRIDE = "x-object-sysmeta-container-update-override-"
_EMPTY_MD5 = "d41d8cd98f00b204e9800998ecf8427e"
_QUEUE_POLICY = 0


@dataclass(frozen=True, slots=True)
class Retelling:
    """Of one device. Everything here may block on the disk: for native threads."""

    fs: Fs
    layout: DeviceLayout
    policies: Policies
    secrets: HashSecrets
    queue: ExpiryQueue
    boot: str

    def is_due(self) -> bool:
        """Whether a process has left a mark. Raises OSError."""
        return untold.has_abandoned(self.fs, self.layout, self.boot)

    def run(self) -> int:
        """Keep a row for every name that may lack one; how many rows. Raises OSError: the marks stay."""
        count = 0
        for mark in untold.abandoned(self.fs, self.layout, self.boot):
            if mark.since_ns is not None:
                count += sum(
                    self._keep(policy, hash_hex, path) for policy, hash_hex, path in self._since(mark.since_ns)
                )
            self.fs.unlink(mark.path)
        return count

    def _since(self, since_ns: int) -> Iterator[tuple[int, str, str]]:
        """(policy index, hash, partition's path) of what was changed since."""
        for policy in self.policies:
            data = self.layout.data(policy.index)
            for partition in filter(str.isdigit, _listed(data)):
                path = f"{data}/{partition}"
                for suffix in self._changed_suffixes(path, since_ns):
                    for hash_hex in filter(is_hash, _listed(f"{path}/{suffix}")):
                        if _changed_ns(f"{path}/{suffix}/{hash_hex}") >= since_ns:
                            yield policy.index, hash_hex, path

    def _changed_suffixes(self, path: str, since_ns: int) -> list[str]:
        """Those listed as changed, or all when that list was used up since, or there never was one to rely on."""
        digests_ns = _changed_ns(f"{path}/{PICKLE}")
        if not digests_ns or digests_ns >= since_ns:
            return suffixes(path)
        listed = (self.fs.content(f"{path}/{INVALID}") or b"").decode("ascii", "replace").split()
        return [suffix for suffix in suffixes(path) if suffix in listed] if listed else []

    def _keep(self, policy_index: int, hash_hex: str, partition_path: str) -> int:
        try:
            found = open_replica(self.fs, partition_path, hash_hex, self.secrets)
        except DamagedObject:
            return 0  # The auditor's, or a reader's, to set aside; its copies elsewhere have rows of their own.
        if found is None:
            return 0
        try:
            rows = self._rows(found, policy_index)
        finally:
            found.close()
        return sum(self._defer(policy_index, row) for row in rows)

    def _rows(self, found: OpenReplica, policy_index: int) -> list[ContainerRow]:
        account, container, obj = found.name[1:].split("/", 2)
        if found.data is None:
            return [ContainerRow("DELETE", account, container, obj, policy_index, found.times.data)]
        rows = [_row(found, policy_index, account, container, obj)]
        expires = (found.data if found.meta is None else found.meta).get("x-delete-at", "")
        if expires.isascii() and expires.isdigit():
            entry = self.queue.entry(int(expires), account, container, obj)
            rows.append(
                ContainerRow(
                    "PUT", entry.account, entry.container, entry.obj, _QUEUE_POLICY,
                    found.times.meta or found.times.data, 0, ENTRY_CONTENT_TYPE.format(found.size), _EMPTY_MD5,
                    content_type_timestamp=found.times.data,
                )
            )  # fmt: skip
        return rows

    def _defer(self, policy_index: int, row: ContainerRow) -> bool:
        """Unless it waits already: that one may know more (who has it, and what only its request said)."""
        digest = self.secrets.hash_path(row.account, row.container, row.obj)
        if os.path.exists(pending.path_of(self.layout, policy_index, digest, row.changed_at)):
            return False
        update = DeferredUpdate(row.op, row.account, row.container, row.obj, row.headers())
        pending.keep(self.fs, self.layout, policy_index, digest, row.changed_at, update)
        return True


def _row(found: OpenReplica, policy_index: int, account: str, container: str, obj: str) -> ContainerRow:
    """As the PUT, or the POST that came after it, would have told it."""
    data, meta, times = found.data or {}, found.meta or {}, found.times
    size = data.get(f"{_OVERRIDE}size", "")
    content_type = data.get(f"{_OVERRIDE}content-type") or data.get(CONTENT_TYPE, "")
    return ContainerRow(
        "PUT", account, container, obj, policy_index, times.data,
        int(size) if size.isascii() and size.isdigit() else found.size,
        meta.get(CONTENT_TYPE, content_type) if times.content_type else content_type,
        data.get(f"{_OVERRIDE}etag") or data.get(ETAG, ""),
        content_type_timestamp=(times.content_type or times.data) if times.meta else None,
        meta_timestamp=times.meta,
    )  # fmt: skip


def _listed(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _changed_ns(path: str) -> int:
    """When a name in a directory, or a file, was last changed: not what a copying program says (mtime). 0: it is not
    there."""
    try:
        return os.stat(path).st_ctime_ns
    except (FileNotFoundError, NotADirectoryError):
        return 0
