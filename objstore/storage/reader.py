"""Opening an object: names → files → merged metadata and an open body, checked as far as can be without reading it.

Between listing a directory and opening a file another process may replace the object; then a name is missing, and the
reader lists again, a bounded number of times. A file whose size, name or metadata is not what was written is damaged:
DamagedObject says so, and the engine quarantines it.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from objstore.core.timestamp import Timestamp
from objstore.runtime.checksum import crc32c_of_file
from objstore.runtime.fs import Fs
from objstore.storage import merge, metadata
from objstore.storage.engine import CONTENT_LENGTH, CONTENT_TYPE_TIMESTAMP, Absent, StoredObject
from objstore.storage.layout import ObjectAddress
from objstore.storage.metadata import BadMetadata, Metadata, OverflowMissing
from objstore.storage.resolve import File, LiveSet, overflow_name, resolve

MAX_LISTINGS = 5
"""How often a reader lists again when the object changes under it."""


class DamagedObject(Exception):
    """What is stored is not what was written. reason: for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class OtherName(Exception):
    """The stored object has another name: a collision of hashes, or a file in the wrong place. name: the stored one."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class FileBody:
    """The body of an open .data file."""

    __slots__ = ("_fd", "_size")

    def __init__(self, fd: int, size: int) -> None:
        self._fd: int | None = fd
        self._size = size

    @property
    def fd(self) -> int | None:
        return self._fd

    def pread(self, count: int, offset: int) -> bytes:
        assert self._fd is not None, "the body is closed"
        return os.pread(self._fd, count, offset)

    def preadinto(self, view: memoryview, offset: int) -> int:
        """As pread, into memory of the caller's; how many bytes."""
        assert self._fd is not None, "the body is closed"
        return os.preadv(self._fd, [view], offset)

    def pread_cached(self, count: int, offset: int) -> bytes | None:
        buffer = bytearray(count)
        got = self.readinto_cached(memoryview(buffer), offset)
        return bytes(buffer) if got == count else None

    def readinto_cached(self, buffer: memoryview, offset: int) -> int | None:
        assert self._fd is not None, "the body is closed"
        try:
            return os.preadv(self._fd, [buffer], offset, os.RWF_NOWAIT)
        except OSError as error:
            if error.errno == errno.EAGAIN:
                return None
            if error.errno in (errno.EOPNOTSUPP, errno.EINVAL):
                return os.preadv(self._fd, [buffer], offset)  # This file system cannot tell.
            raise

    def crc32c(self) -> int:
        assert self._fd is not None, "the body is closed"
        return crc32c_of_file(self._fd, self._size)

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


@dataclass(frozen=True, slots=True)
class _Open:
    """A .data file that was opened and checked."""

    fd: int
    size: int
    metadata: Metadata


def open_object(fs: Fs, directory: str, address: ObjectAddress) -> StoredObject | Absent:
    """The object in a hash directory. Raises DamagedObject, OtherName, OSError."""
    for attempt in range(MAX_LISTINGS):
        try:
            names = os.listdir(directory)
        except (FileNotFoundError, NotADirectoryError):
            return Absent()
        live = resolve(names)
        if live.data is None:
            return Absent(live.tombstone.timestamp if live.tombstone else None)
        try:
            return _open_live(fs, directory, address, live, live.data)
        except (FileNotFoundError, OverflowMissing) as error:
            # Replaced between the listing and the opening; on the last attempt a side file is truly missing.
            if attempt == MAX_LISTINGS - 1:
                raise DamagedObject(str(error)) from None
        except BadMetadata as error:
            raise DamagedObject(error.reason) from None
    raise AssertionError("the last attempt returns or raises")


def read_metadata(fs: Fs, directory: str, name: str) -> Metadata:
    """The metadata of one file. Raises BadMetadata, FileNotFoundError."""
    fd = fs.open_read(f"{directory}/{name}")
    try:
        return _metadata_of(fs, fd, directory, name)
    finally:
        os.close(fd)


def _open_live(fs: Fs, directory: str, address: ObjectAddress, live: LiveSet, data: File) -> StoredObject:
    opened = _open_data(fs, directory, address, data.name)
    try:
        headers, content_type_at = _effective(fs, directory, live, data, opened.metadata.headers)
    except BaseException:
        os.close(opened.fd)
        raise
    return StoredObject(
        address=address,
        timestamp=live.meta.timestamp if live.meta else data.timestamp,
        data_timestamp=data.timestamp,
        content_type_timestamp=content_type_at,
        size=opened.size,
        headers=headers,
        body=FileBody(opened.fd, opened.size),
    )


def _open_data(fs: Fs, directory: str, address: ObjectAddress, name: str) -> _Open:
    fd = fs.open_read(f"{directory}/{name}")
    try:
        size = os.fstat(fd).st_size
        found = _metadata_of(fs, fd, directory, name)
        if found.name != address.name:
            raise OtherName(found.name)
        stated = found.headers.get(CONTENT_LENGTH)
        if stated != str(size):
            raise DamagedObject(f"{name} holds {size} bytes, its metadata says {stated}")
    except BaseException:
        os.close(fd)
        raise
    return _Open(fd, size, found)


def _effective(
    fs: Fs, directory: str, live: LiveSet, data: File, headers: dict[str, str]
) -> tuple[dict[str, str], Timestamp]:
    """(headers in effect, when their content type was set)."""
    if live.meta is None:
        return merge.without_timestamps(headers), data.timestamp
    posted = read_metadata(fs, directory, live.meta.name).headers
    typed, typed_by = posted, live.meta
    if live.content_type_meta is not None:
        typed, typed_by = read_metadata(fs, directory, live.content_type_meta.name).headers, live.content_type_meta
    newest = merge.posted_type(typed, typed_by.content_type or _stated(typed), data.timestamp)
    if newest is None:
        return merge.merged(headers, posted, None), data.timestamp
    return merge.merged(headers, posted, newest[0]), newest[1]


def _stated(headers: dict[str, str]) -> Timestamp | None:
    """When the metadata itself says its content type was set; for .meta names without it."""
    text = headers.get(CONTENT_TYPE_TIMESTAMP)
    return Timestamp.parse(text) if text else None


def _metadata_of(fs: Fs, fd: int, directory: str, name: str) -> Metadata:
    def side_file(checksum: str) -> bytes | None:
        return fs.content(f"{directory}/{overflow_name(name, checksum)}")

    return metadata.read(fs, fd, side_file)
