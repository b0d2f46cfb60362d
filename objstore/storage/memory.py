"""MemoryEngine: the engine's contract without a disk, for tests of everything above it.

It keeps the same file names as DiskEngine, with their metadata and bodies, in dicts, and lets the same pure rules
(resolve, merge, hash_parts) decide; so what a test learns here holds there. One process, no durability.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from objstore.core.errors import Corrupt, DeviceUnavailable
from objstore.core.hashing import suffix_of
from objstore.core.timestamp import Timestamp
from objstore.runtime.checksum import EMPTY, crc32c
from objstore.runtime.clock import Clock
from objstore.storage import merge
from objstore.storage.engine import (
    CONTENT_LENGTH,
    CONTENT_TYPE_TIMESTAMP,
    TIMESTAMP,
    Absent,
    StoredObject,
    Writer,
    data_headers,
)
from objstore.storage.hashes import hash_parts
from objstore.storage.layout import ObjectAddress
from objstore.storage.pending import DeferredUpdate
from objstore.storage.resolve import data_name, meta_name, resolve, tombstone_name


@dataclass(slots=True)
class MemoryFile:
    headers: dict[str, str]
    content: bytes = b""


class MemoryBody:
    def __init__(self, content: bytes) -> None:
        self._content = content

    @property
    def fd(self) -> int | None:
        return None

    def pread(self, count: int, offset: int) -> bytes:
        return self._content[offset : offset + count]

    def pread_cached(self, count: int, offset: int) -> bytes | None:
        return self.pread(count, offset)

    def readinto_cached(self, buffer: memoryview, offset: int) -> int | None:
        data = self.pread(len(buffer), offset)
        buffer[: len(data)] = data
        return len(data)

    def crc32c(self) -> int:
        return crc32c(self._content)

    def close(self) -> None:
        return None


@dataclass(slots=True)
class MemoryMark:
    """values: all that it said, (since_ns, is_idle)."""

    values: list[tuple[int, bool]]
    is_abandoned: bool = False

    def set(self, since_ns: int, is_idle: bool) -> None:
        self.values.append((since_ns, is_idle))

    def is_in_place(self) -> bool:
        return True

    def abandon(self) -> None:
        self.is_abandoned = True


_Directory = dict[str, MemoryFile]
_Place = tuple[str, int, str, str]


@dataclass
class MemoryEngine:
    """devices: names that are there. reclaim_age_s: as on disk. deferred: what defer() kept, marks: what mark() made,
    oldest first."""

    devices: Iterable[str]
    clock: Clock
    reclaim_age_s: float = 604_800.0
    directories: dict[_Place, _Directory] = field(default_factory=dict)
    quarantined: list[_Directory] = field(default_factory=list)
    deferred: list[tuple[str, int, str, Timestamp, DeferredUpdate]] = field(default_factory=list)
    marks: list[MemoryMark] = field(default_factory=list)

    def open(self, address: ObjectAddress) -> StoredObject | Absent:
        self._check(address.device)
        files = self.directories.get(_place(address), {})
        live = resolve(files)
        if live.data is None:
            return Absent(live.tombstone.timestamp if live.tombstone else None)
        data = files[live.data.name]
        if data.headers.get(CONTENT_LENGTH) != str(len(data.content)):
            self.quarantine(address)
            raise Corrupt(address.name, "size and metadata differ")
        headers, typed_at = merge.without_timestamps(data.headers), live.data.timestamp
        if live.meta is not None:
            typed_by = live.content_type_meta or live.meta
            posted = merge.posted_type(files[typed_by.name].headers, typed_by.content_type, live.data.timestamp)
            content_type, typed_at = posted if posted else (None, typed_at)
            headers = merge.merged(data.headers, files[live.meta.name].headers, content_type)
        timestamp = live.meta.timestamp if live.meta else live.data.timestamp
        body = MemoryBody(data.content)
        return StoredObject(address, timestamp, live.data.timestamp, typed_at, len(data.content), headers, body)

    def check_room(self, device: str, incoming_bytes: int) -> None:
        self._check(device)

    def create(self, address: ObjectAddress, size_bytes: int | None) -> Writer:
        self._check(address.device)
        return _MemoryWriter(self, address)

    def store(
        self,
        address: ObjectAddress,
        body: bytes | bytearray | memoryview,
        crc: int,
        timestamp: Timestamp,
        headers: Mapping[str, str],
        *,
        next_part_power: int | None = None,
    ) -> None:
        kept = data_headers(timestamp, headers, len(body), crc)
        self.put_file(address, data_name(timestamp), MemoryFile(kept, bytes(body)))

    def post(
        self,
        address: ObjectAddress,
        timestamp: Timestamp,
        headers: Mapping[str, str],
        content_type_timestamp: Timestamp | None,
        *,
        next_part_power: int | None = None,
    ) -> None:
        kept = {TIMESTAMP: timestamp.internal, **headers}
        if content_type_timestamp is not None:
            kept[CONTENT_TYPE_TIMESTAMP] = content_type_timestamp.internal
        self.put_file(address, meta_name(timestamp, content_type_timestamp), MemoryFile(kept))

    def delete(self, address: ObjectAddress, timestamp: Timestamp, *, next_part_power: int | None = None) -> None:
        self.put_file(address, tombstone_name(timestamp), MemoryFile({TIMESTAMP: timestamp.internal}))

    def quarantine(self, address: ObjectAddress, seen: Timestamp | None = None) -> str | None:
        files = self.directories.get(_place(address))
        if files is None:
            return None
        data = resolve(files).data
        if seen is not None and (data is None or data.timestamp != seen):
            return None
        del self.directories[_place(address)]
        self.quarantined.append(files)
        return address.hash_hex

    def hashes(
        self,
        device: str,
        policy_index: int,
        partition: str,
        recalculate: Collection[str] = (),
        *,
        relist: bool = False,
    ) -> dict[str, str]:
        self._check(device)
        digests: dict[str, hashlib._Hash] = {}
        for place in sorted(place for place in self.directories if place[:3] == (device, policy_index, partition)):
            self._reclaim(place)
            parts = hash_parts(resolve(self.directories[place]))
            if parts:
                digest = digests.setdefault(suffix_of(place[3]), hashlib.md5(usedforsecurity=False))
                digest.update("".join(parts).encode())
        return {suffix: digest.hexdigest() for suffix, digest in digests.items()}

    def invalidate(self, device: str, policy_index: int, partition: str, suffixes: Collection[str]) -> None:
        self._check(device)

    def defer(
        self, device: str, policy_index: int, hash_hex: str, timestamp: Timestamp, update: DeferredUpdate
    ) -> None:
        self._check(device)
        self.deferred.append((device, policy_index, hash_hex, timestamp, update))

    def mark(self, device: str, since_ns: int) -> MemoryMark:
        self._check(device)
        self.marks.append(MemoryMark([(since_ns, False)]))
        return self.marks[-1]

    def put_file(self, address: ObjectAddress, name: str, file: MemoryFile) -> None:
        """Give a file its name and remove what it supersedes."""
        self._check(address.device)
        files = self.directories.setdefault(_place(address), {})
        files[name] = file
        for obsolete in resolve(files).obsolete:
            del files[obsolete]

    def _reclaim(self, place: _Place) -> None:
        files = self.directories[place]
        live = resolve(files)
        lonely = (live.tombstone, *((live.meta, live.content_type_meta) if live.data is None else ()))
        for file in lonely:
            if file is not None and self.clock.now().seconds - file.timestamp.seconds > self.reclaim_age_s:
                del files[file.name]

    def _check(self, device: str) -> None:
        if device not in self.devices:
            raise DeviceUnavailable(device, "no such device")


class _MemoryWriter:
    def __init__(self, engine: MemoryEngine, address: ObjectAddress) -> None:
        self._engine = engine
        self._address = address
        self._content = bytearray()
        self._crc = EMPTY

    @property
    def size(self) -> int:
        return len(self._content)

    @property
    def crc32c(self) -> int:
        return self._crc

    def write(self, data: bytes | memoryview) -> None:
        self._content += data
        self._crc = crc32c(data, self._crc)

    def commit(self, timestamp: Timestamp, headers: Mapping[str, str], *, next_part_power: int | None = None) -> None:
        self._engine.store(self._address, self._content, self._crc, timestamp, headers, next_part_power=next_part_power)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def _place(address: ObjectAddress) -> _Place:
    return address.device, address.policy_index, address.partition, address.hash_hex
