"""The metadata of one file: the blob in its extended attributes, byte for byte as every Swift release reads it.

    user.swift.metadata, …metadata1, …metadata2    the blob, in chunks of at most 64 KiB
    user.swift.metadata_checksum                   hex MD5 of the whole blob
    user.objstore.metadata_overflow                only when the chunks hold a part: length of the whole blob

The blob is a pickle, protocol 2, of a dict of bytes to bytes. Values are header values as WSGI strings encoded once
more in UTF-8; `name` alone is real text. Keys are in title case but for ETag and name. Source: formats 4.1, 4.2.

ext4 has room for about 4,000 bytes of attributes, which Swift's own limits on user metadata overrun. What does not fit
lies in a side file of the hash directory, written and synced before its owner gets a name; see
doc/decisions/0004-large-metadata.md. A blob is used only when its checksum is right, so a part is never read as whole.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from objstore.core import pickles
from objstore.core.headers import lowered, title
from objstore.runtime.fs import Fs

CHUNK_BYTES = 65_536
OVERFLOW_HEAD_BYTES = 512
"""How much of an overflowing blob stays in the attributes: enough for a person to see what it is, and little enough for
ext4 with blocks of 1 KiB (small partitions), where all attributes of a file share one."""
MAX_BLOB_BYTES = 1 << 20
"""More than any limit of Swift allows; a longer one is not read."""

REMEMBERED_BYTES = 2048
"""Longer blobs are decoded every time: a bound on the memory of the remembered ones, 2 MiB and their values."""

_BLOB = "swift.metadata"
_CHECKSUM = "swift.metadata_checksum"
_OVERFLOW = "objstore.metadata_overflow"
_NO_ROOM = frozenset({errno.ENOSPC, errno.E2BIG, errno.ERANGE})
_PY3_MARK, _PY3_WITHIN = b"_codecs\nencode", 32


class BadMetadata(Exception):
    """The metadata of a file cannot be used. `reason` ends up in the quarantine's log line."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class OverflowMissing(BadMetadata):
    """The side file is not there: the owner was replaced under the reader, or lost a part."""


class Metadata(NamedTuple):
    """name: /account/container/object as text. headers: lower-case names to WSGI strings, without the name."""

    name: str
    headers: dict[str, str]


def encode(metadata: Metadata) -> bytes:
    """The blob. The order of headers is kept; the name is last."""
    pairs = {_key(name): value.encode("utf-8", "surrogateescape") for name, value in metadata.headers.items()}
    pairs[b"name"] = metadata.name.encode("utf-8", "surrogateescape")
    return pickles.dumps_bytes(pairs)


def decode(blob: bytes) -> Metadata:
    """Of a blob by any release, Python 2 ones included. Raises BadMetadata. The result may be shared: do not change it.

    Reading a pickle is the dearest part of opening an object, so blobs of ordinary size are remembered."""
    return _remembered(blob) if len(blob) <= REMEMBERED_BYTES else _decode(blob)


@lru_cache(maxsize=1024)
def _remembered(blob: bytes) -> Metadata:
    return _decode(blob)


def _decode(blob: bytes) -> Metadata:
    pairs: object = pickles.loads_bytes(blob)
    if pairs is None:
        try:
            pairs = pickles.loads(blob)
        except pickles.UnsafePickle as error:
            raise BadMetadata(f"metadata is unreadable: {error}") from None
    if not isinstance(pairs, dict):
        raise BadMetadata("metadata is not a mapping")
    encoding = "utf-8" if _PY3_MARK in blob[:_PY3_WITHIN] else "latin-1"
    headers: dict[str, str] = {}
    name: str | None = None
    for raw_key, raw_value in pairs.items():
        key = _lower(raw_key) if isinstance(raw_key, (bytes, str)) else ""
        if key == "name":
            name = _text(raw_value, "utf-8")
        elif key:
            headers[key] = _text(raw_value, encoding)
    if name is None:
        raise BadMetadata("metadata has no name")
    return Metadata(name, headers)


def write(fs: Fs, fd: int, blob: bytes) -> bool:
    """Put a blob into the attributes of an open file. False: it does not fit; its head stands there, and the whole
    must go to the side file. Raises OSError when not even that is possible (ENOSPC, EOPNOTSUPP)."""
    checksum = checksum_of(blob).encode()
    try:
        fs.set_attributes(fd, {**_chunks(blob), _CHECKSUM: checksum})
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        _write_head(fs, fd, blob, checksum)
        return False
    return True


def read(fs: Fs, fd: int, side_file: Callable[[str], bytes | None]) -> Metadata:
    """The metadata of an open file. side_file(checksum) gives the content of its overflow, None when there is none.

    Raises BadMetadata when there is no metadata, or its checksum is wrong; OverflowMissing.
    """
    blob = fs.get_attribute(fd, _BLOB)
    if blob is None:
        raise BadMetadata("no metadata attribute")
    checksum = fs.get_attribute(fd, _CHECKSUM)
    if checksum is None:
        return decode(blob + _more_chunks(fs, fd))
    if checksum_of(blob).encode() != checksum:
        blob = _whole_blob(fs, fd, checksum, side_file)
    return decode(blob)


def overflow_checksum(fs: Fs, fd: int) -> str | None:
    """The checksum in the name of the side file an open file refers to; None when its attributes hold everything."""
    if fs.get_attribute(fd, _OVERFLOW) is None:
        return None
    checksum = fs.get_attribute(fd, _CHECKSUM)
    return None if checksum is None else checksum.decode("ascii", "replace")


def add_checksum(fs: Fs, fd: int) -> bool:
    """Give a file of an old release its missing checksum; True when there was none. Raises BadMetadata."""
    if fs.get_attribute(fd, _CHECKSUM) is not None:
        return False
    blob = fs.get_attribute(fd, _BLOB)
    if blob is None:
        raise BadMetadata("no metadata attribute")
    blob += _more_chunks(fs, fd)
    decode(blob)
    fs.set_attributes(fd, {_CHECKSUM: checksum_of(blob).encode()})
    return True


def checksum_of(blob: bytes) -> str:
    return hashlib.md5(blob, usedforsecurity=False).hexdigest()


def _chunks(blob: bytes) -> dict[str, bytes]:
    return {
        f"{_BLOB}{index or ''}": blob[start : start + CHUNK_BYTES]
        for index, start in enumerate(range(0, len(blob), CHUNK_BYTES))
    }


def _write_head(fs: Fs, fd: int, blob: bytes, checksum: bytes) -> None:
    """Attributes of a file whose blob overflows. The checksum is that of the whole: a reader that does not know side
    files finds it wrong, and takes the file for damaged rather than a part for the whole."""
    for name in fs.attribute_names(fd):
        fs.remove_attribute(fd, name)
    fs.set_attributes(fd, {_BLOB: blob[:OVERFLOW_HEAD_BYTES], _CHECKSUM: checksum, _OVERFLOW: str(len(blob)).encode()})


def _more_chunks(fs: Fs, fd: int) -> bytes:
    parts, index, total = [], 1, 0
    while (part := fs.get_attribute(fd, f"{_BLOB}{index}")) is not None:
        total += len(part)
        if total > MAX_BLOB_BYTES:
            raise BadMetadata(f"metadata is longer than {MAX_BLOB_BYTES} bytes")
        parts.append(part)
        index += 1
    return b"".join(parts)


def _whole_blob(fs: Fs, fd: int, checksum: bytes, side_file: Callable[[str], bytes | None]) -> bytes:
    """The blob when the first chunk is not all of it: smaller chunks of another writer, or the side file."""
    text = checksum.decode("ascii", "replace")
    if fs.get_attribute(fd, _OVERFLOW) is not None:
        blob = side_file(text)
        if blob is None:
            raise OverflowMissing(f"the rest of the metadata is missing: no side file {text}")
    else:
        blob = (fs.get_attribute(fd, _BLOB) or b"") + _more_chunks(fs, fd)
    if checksum_of(blob) != text:
        raise BadMetadata("metadata checksum mismatch")
    return blob


def _text(value: object, encoding: str) -> str:
    if isinstance(value, bytes):
        return value.decode(encoding, "surrogateescape")
    return value if isinstance(value, str) else str(value)


@lru_cache(maxsize=4096)
def _key(name: str) -> bytes:
    return b"ETag" if name == "etag" else title(name).encode("utf-8", "surrogateescape")


@lru_cache(maxsize=4096)
def _lower(key: bytes | str) -> str:
    text = key.decode("utf-8", "surrogateescape") if isinstance(key, bytes) else key
    return lowered(text)
