"""The contract of an object engine: what the object server and its daemons ask of whatever keeps the bytes.

DiskEngine (disk.py) keeps them as formats section 4 says; MemoryEngine (memory.py) keeps the same names in dicts, for
tests. One contract suite, tests/unit/storage/test_engine_contract.py, runs on both.

Every call may block on a disk: a server makes those that can stall in a native thread of the device. None of them logs
or touches green primitives. Expected outcomes are values (Absent); errors are those of core/errors.py.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from objstore.core.timestamp import Timestamp
from objstore.runtime.checksum import crc_text, parse_crc
from objstore.storage.layout import ObjectAddress
from objstore.storage.pending import DeferredUpdate

CRC_HEADER = "x-object-sysmeta-objstore-crc32c"
"""Metadata key of the body's CRC32C, 8 hex digits: ours, written at every PUT, never shown outside."""
TIMESTAMP, CONTENT_LENGTH, CONTENT_TYPE, ETAG = "x-timestamp", "content-length", "content-type", "etag"
CONTENT_TYPE_TIMESTAMP = "content-type-timestamp"


def data_headers(timestamp: Timestamp, headers: Mapping[str, str], size_bytes: int, crc: int) -> dict[str, str]:
    """What the metadata of an upload holds: what is to be kept, and what the engine adds."""
    return {
        TIMESTAMP: timestamp.internal,
        **headers,
        CONTENT_LENGTH: str(size_bytes),
        CRC_HEADER: crc_text(crc),
    }


@dataclass(frozen=True, slots=True)
class Absent:
    """No object. timestamp: when it was deleted; None when nothing is known about the name."""

    timestamp: Timestamp | None = None


class Body(Protocol):
    """The stored bytes of one object, open for reading."""

    @property
    def fd(self) -> int | None:
        """A descriptor for sendfile; None where there is no file."""

    def pread(self, count: int, offset: int) -> bytes: ...

    def pread_cached(self, count: int, offset: int) -> bytes | None:
        """As pread, but None where that would have to wait for a disk."""

    def readinto_cached(self, buffer: memoryview, offset: int) -> int | None:
        """Fill buffer from offset; the bytes read. None where that would have to wait for a disk."""

    def crc32c(self) -> int:
        """Of all of it, by reading it. Raises OSError."""

    def close(self) -> None: ...


@dataclass(slots=True)
class StoredObject:
    """An object as it stands: metadata merged of PUT and POSTs, and its body. Whoever gets one closes it.

    headers: lower-case names to WSGI strings, content-type, etag, content-length and sysmeta among them; not the
    timestamps, which are fields. timestamp: of the last change of any kind. content_type_timestamp: data_timestamp when
    no POST changed the type.
    """

    address: ObjectAddress
    timestamp: Timestamp
    data_timestamp: Timestamp
    content_type_timestamp: Timestamp
    size: int
    headers: dict[str, str]
    body: Body

    @property
    def etag(self) -> str:
        return self.headers.get(ETAG, "")

    @property
    def crc32c(self) -> int | None:
        """What the body must have; None for an object written by somebody who does not note it."""
        return parse_crc(self.headers.get(CRC_HEADER))

    @property
    def delete_at_s(self) -> int | None:
        """X-Delete-At in seconds since 1970; None when the object does not expire."""
        text = self.headers.get("x-delete-at", "")
        return int(text) if text.isascii() and text.isdigit() else None

    def is_expired(self, now: Timestamp) -> bool:
        moment = self.delete_at_s
        return moment is not None and moment <= now.seconds

    def close(self) -> None:
        self.body.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Writer(Protocol):
    """One upload: bytes, then commit(). Leaving the `with` without commit leaves nothing behind."""

    @property
    def size(self) -> int:
        """Bytes written so far."""

    @property
    def crc32c(self) -> int:
        """Of the bytes written so far."""

    def write(self, data: bytes | memoryview) -> None:
        """Raises InsufficientStorage."""

    def commit(self, timestamp: Timestamp, headers: Mapping[str, str], *, next_part_power: int | None = None) -> None:
        """Make it the object, durably, and remove what it supersedes. headers: content-type, etag and what else is to
        be kept; the engine adds timestamp, length, checksum and name. Once this returns, no crash loses the object.

        Raises InsufficientStorage."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class ChangeMark(Protocol):
    """Says on a device since when its process has had changes open (storage/untold.py)."""

    def set(self, since_ns: int, is_idle: bool) -> None: ...

    def is_in_place(self) -> bool: ...

    def abandon(self) -> None: ...


class Engine(Protocol):
    def open(self, address: ObjectAddress) -> StoredObject | Absent:
        """Raises DeviceUnavailable, NameCollision, and Corrupt after quarantining what it names."""

    def check_room(self, device: str, incoming_bytes: int) -> None:
        """Raises InsufficientStorage when an upload of so many bytes would touch the device's reserve."""

    def create(self, address: ObjectAddress, size_bytes: int | None) -> Writer:
        """Begin an upload; size_bytes: how much will come, None when not known. Raises InsufficientStorage."""

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
        """An upload that is all here: as create(), write() and commit() in one go. crc: the CRC32C of the body.

        Raises InsufficientStorage."""

    def post(
        self,
        address: ObjectAddress,
        timestamp: Timestamp,
        headers: Mapping[str, str],
        content_type_timestamp: Timestamp | None,
        *,
        next_part_power: int | None = None,
    ) -> None:
        """Replace the user metadata. headers: the complete new set, with content-type when content_type_timestamp says
        when that was set."""

    def delete(self, address: ObjectAddress, timestamp: Timestamp, *, next_part_power: int | None = None) -> None:
        """Write a tombstone, whether there is an object or not. Works on a device whose reserve is used up."""

    def quarantine(self, address: ObjectAddress, seen: Timestamp | None = None) -> str | None:
        """Set the object aside; where it went, None when it was gone. seen: data timestamp of what was found damaged;
        when something else is there by now, that stays."""

    def hashes(
        self,
        device: str,
        policy_index: int,
        partition: str,
        recalculate: Collection[str] = (),
        *,
        relist: bool = False,
    ) -> dict[str, str]:
        """Suffix → hash of a partition, {} when it is not there. relist: look at every directory of it for what the
        list of changes does not tell: strangers' suffixes, and tombstones that have become old enough to go."""

    def invalidate(self, device: str, policy_index: int, partition: str, suffixes: Collection[str]) -> None:
        """Have these suffixes hashed again; nothing when the partition is not there."""

    def defer(
        self, device: str, policy_index: int, hash_hex: str, timestamp: Timestamp, update: DeferredUpdate
    ) -> None:
        """Keep a container row for the updater, durably."""

    def mark(self, device: str, since_ns: int) -> ChangeMark:
        """A new mark of this process on a device, with changes open since then; durable."""
