"""One copy of a partition as replication sees it: hash directories, the names in them, and the files themselves.

The Engine deals in objects; two copies of a partition are compared and mended file by file, because a .data and its
.meta have times of their own. Everything here takes paths, may block on a disk, and belongs into a native thread of
the device. Source: formats 4.6, 6.9; doc/formats/replication.md.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from objstore.core.hashing import HashSecrets
from objstore.core.timestamp import Timestamp
from objstore.runtime.fs import Fs
from objstore.storage import metadata
from objstore.storage.engine import CONTENT_LENGTH, CONTENT_TYPE, CONTENT_TYPE_TIMESTAMP
from objstore.storage.hashes import is_suffix
from objstore.storage.metadata import BadMetadata, OverflowMissing
from objstore.storage.reader import MAX_LISTINGS, DamagedObject, FileBody, read_metadata
from objstore.storage.resolve import NOTHING, File, LiveSet, overflow_owner, resolve

_HASH = re.compile(r"[0-9a-f]{32}\Z")


@dataclass(frozen=True, slots=True)
class Times:
    """When each part of an object was written. data: of the .data, or of the tombstone. meta, content_type: of a POST
    that changed them since; None when data's own count."""

    data: Timestamp
    meta: Timestamp | None = None
    content_type: Timestamp | None = None


@dataclass(frozen=True, slots=True)
class Replica:
    """One object in one copy of its partition. names: all that its directory held, sorted."""

    hash_hex: str
    times: Times
    names: tuple[str, ...]

    @property
    def is_understood(self) -> bool:
        """Whether there is no name of which nobody knows what it is: such a directory is never removed."""
        return not resolve(self.names).unexpected


@dataclass(slots=True)
class OpenReplica:
    """The files of one object, open for sending. name: /account/container/object. data, meta: their own headers (lower
    case, times among them), not merged; None where there is no such file. body: of the data. Whoever gets one closes
    it.
    """

    name: str
    times: Times
    data: dict[str, str] | None = None
    meta: dict[str, str] | None = None
    body: FileBody | None = None
    size: int = 0

    def close(self) -> None:
        if self.body is not None:
            self.body.close()


def is_hash(text: str) -> bool:
    return _HASH.match(text) is not None


def times_of(live: LiveSet) -> Times | None:
    """None when nothing is in effect, or only a POST whose data has not arrived: it cannot be told without it."""
    if live.data is None:
        return None if live.tombstone is None else Times(live.tombstone.timestamp)
    return Times(live.data.timestamp, live.meta.timestamp if live.meta else None, live.content_type)


def inventory(partition_path: str, suffix: str) -> list[Replica]:
    """Every object of one suffix directory, in order of the hashes; opens no file. Raises OSError."""
    found = []
    for hash_hex in sorted(_listed(f"{partition_path}/{suffix}")):
        if is_hash(hash_hex) and hash_hex.endswith(suffix):
            names = _listed(f"{partition_path}/{suffix}/{hash_hex}")
            times = times_of(resolve(names))
            if times is not None:
                found.append(Replica(hash_hex, times, tuple(sorted(names))))
    return found


def body_bytes(partition_path: str, replicas: Iterable[Replica]) -> int:
    """Bytes of the bodies of some objects; one that has gone has none. Raises OSError."""
    total = 0
    for replica in replicas:
        live = resolve(replica.names)
        if live.data is not None:
            try:
                path = f"{partition_path}/{replica.hash_hex[-3:]}/{replica.hash_hex}/{live.data.name}"
                total += os.stat(path).st_size
            except FileNotFoundError:
                continue
    return total


def suffixes(partition_path: str) -> list[str]:
    """The suffix directories of a partition, sorted."""
    return sorted(name for name in _listed(partition_path) if is_suffix(name))


def live_sets(partition_path: str, hashes: Iterable[str]) -> list[LiveSet]:
    """What each of these hash directories holds, NOTHING where there is none. Raises OSError."""
    return [_live(f"{partition_path}/{hash_hex[-3:]}/{hash_hex}") for hash_hex in hashes]


def open_replica(fs: Fs, partition_path: str, hash_hex: str, secrets: HashSecrets) -> OpenReplica | None:
    """The files in effect of one object; None when it has gone. Raises DamagedObject, OSError."""
    directory = f"{partition_path}/{hash_hex[-3:]}/{hash_hex}"
    for attempt in range(MAX_LISTINGS):
        live = _live(directory)
        times = times_of(live)
        if times is None:
            return None
        try:
            return _open(fs, directory, live, times, hash_hex, secrets)
        except (FileNotFoundError, OverflowMissing) as error:
            if attempt == MAX_LISTINGS - 1:  # Not replaced under us again and again: a part is truly missing.
                raise DamagedObject(str(error)) from None
        except BadMetadata as error:
            raise DamagedObject(error.reason) from None
    raise AssertionError("the last attempt returns or raises")


def confirm(fs: Fs, partition_path: str, hash_hex: str, secrets: HashSecrets) -> bool:
    """Make sure that an object is whole, as far as can be told without reading its body, and durable: somebody is about
    to remove another copy because of this one. False: it is not there. Raises DamagedObject, OSError."""
    opened = open_replica(fs, partition_path, hash_hex, secrets)
    if opened is None:
        return False
    opened.close()
    directory = f"{partition_path}/{hash_hex[-3:]}/{hash_hex}"
    # Whoever wrote these files (rsync does not) may not have synced them.
    for name in _listed(directory):
        try:
            fd = fs.open_read(f"{directory}/{name}")
        except FileNotFoundError:
            continue
        try:
            fs.sync(fd)
        finally:
            os.close(fd)
    fs.sync_directory(directory)
    return True


def sync_parents(fs: Fs, partition_path: str, hashes: Iterable[str]) -> None:
    """Make the directories of objects durable that were confirmed, up to the device."""
    for suffix in sorted({hash_hex[-3:] for hash_hex in hashes}):
        fs.sync_directory(f"{partition_path}/{suffix}")
    fs.sync_directory(partition_path)
    fs.sync_directory(os.path.dirname(partition_path))
    fs.sync_directory(os.path.dirname(os.path.dirname(partition_path)))


def removal_order(names: Collection[str]) -> list[str]:
    """Names of a directory in the order in which they may go: what a reader looks for first goes first, so that it
    finds nothing rather than an object without its POST; side files after their owners."""
    live = resolve(names)
    data = [live.data.name] if live.data else []
    others = [name for name in live.names if name not in data]
    owned = [name for name in names if overflow_owner(name) in live.names]
    # What is obsolete goes first of all: as long as its successor is there it counts for nothing.
    return [*live.obsolete, *data, *others, *owned]


def _open(fs: Fs, directory: str, live: LiveSet, times: Times, hash_hex: str, secrets: HashSecrets) -> OpenReplica:
    if live.data is None:
        assert live.tombstone is not None, "there are times, so there is a file"
        found = read_metadata(fs, directory, live.tombstone.name)
        return OpenReplica(_checked_name(found.name, hash_hex, secrets), times)
    opened = _open_data(fs, directory, live.data, times, hash_hex, secrets)
    try:
        opened.meta = _posted(fs, directory, live)
    except BaseException:
        opened.close()
        raise
    return opened


def _open_data(fs: Fs, directory: str, file: File, times: Times, hash_hex: str, secrets: HashSecrets) -> OpenReplica:
    fd = fs.open_read(f"{directory}/{file.name}")
    try:
        size = os.fstat(fd).st_size
        found = metadata.read(fs, fd, lambda checksum: fs.content(f"{directory}/.{file.name}.{checksum}"))
        _checked_name(found.name, hash_hex, secrets)
        if found.headers.get(CONTENT_LENGTH) != str(size):
            raise DamagedObject(
                f"{file.name} holds {size} bytes, its metadata says {found.headers.get(CONTENT_LENGTH)}"
            )
    except BaseException:
        os.close(fd)
        raise
    return OpenReplica(found.name, times, found.headers, None, FileBody(fd, size), size)


def _posted(fs: Fs, directory: str, live: LiveSet) -> dict[str, str] | None:
    """Headers of the POST in effect, with the content type of another one where that is newer."""
    if live.meta is None:
        return None
    headers = dict(read_metadata(fs, directory, live.meta.name).headers)
    if live.content_type_meta is not None:
        typed = read_metadata(fs, directory, live.content_type_meta.name).headers
        for key in (CONTENT_TYPE, CONTENT_TYPE_TIMESTAMP):
            if key in typed:
                headers[key] = typed[key]
    return headers


def _checked_name(name: str, hash_hex: str, secrets: HashSecrets) -> str:
    parts = name.split("/", 3)
    if len(parts) != 4 or parts[0] or secrets.hash_path(*parts[1:]) != hash_hex:
        raise DamagedObject(f"holds {name!r}, which belongs elsewhere")
    return name


def _live(directory: str) -> LiveSet:
    names = _listed(directory)
    return resolve(names) if names else NOTHING


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
