"""Ring files: bytes on disk to a checked Ring and back. A gzip member whose plaintext begins with R1NG and a version.

Nothing is ever unpickled here: the pickled rings of the first Swift releases (version 0) are refused. Whatever is wrong
with a file is one RingFileError. Versions: format_v1, format_v2.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from objstore.core.errors import DomainError
from objstore.ring import format_v1, format_v2
from objstore.ring.gzip_member import GzipReader, GzipWriter
from objstore.ring.model import InvalidRing, Ring
from objstore.runtime.fs import Fs

MAGIC = b"R1NG"
_FILE_MODE = 0o644
_PREAMBLE = struct.Struct("!4sH")


class RingFileError(DomainError):
    """A ring file that cannot be used. One line: the path, and what is wrong."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = reason


def load(path: str | Path) -> Ring:
    """The ring of a file, every byte of it checked. Raises RingFileError, also when the file cannot be opened."""
    try:
        with open(path, "rb") as file:
            return read(file)
    except InvalidRing as error:
        raise RingFileError(path, f"bad ring file: {error}") from None
    except OSError as error:
        raise RingFileError(path, f"cannot be read: {error.strerror}") from error


def read(file: BinaryIO) -> Ring:
    """As load(), from an open file. Raises InvalidRing, OSError."""
    reader = GzipReader(file)
    magic, version = _PREAMBLE.unpack(reader.read(_PREAMBLE.size, "preamble"))
    if magic != MAGIC:
        raise InvalidRing(f"is not a ring: its content begins with {magic!r}, expected {MAGIC!r}")
    if version == format_v1.VERSION:
        return format_v1.read(reader)
    if version == format_v2.VERSION:
        return format_v2.read(reader)
    raise InvalidRing(f"is of format version {version}: this release reads versions 1 and 2")


def save(
    ring: Ring,
    path: str | Path,
    format_version: int = format_v1.VERSION,
    *,
    id_bytes: int = format_v2.DEFAULT_ID_BYTES,
    fs: Fs | None = None,
) -> None:
    """Write a ring, mode 0644, so that readers see the old file or the new one. Raises OSError, RingFileError.

    id_bytes: width of device ids, 2, 4 or 8; version 1 has only 2.
    """
    try:
        data = written(ring, Path(path).name, format_version, id_bytes=id_bytes)
    except InvalidRing as error:
        raise RingFileError(path, f"cannot be written: {error}") from None
    (fs or Fs()).replace_file(str(path), data, _FILE_MODE)


def written(
    ring: Ring, file_name: str, format_version: int = format_v1.VERSION, *, id_bytes: int = format_v2.DEFAULT_ID_BYTES
) -> bytes:
    """The bytes of a ring file; equal rings of one name give equal bytes. Raises InvalidRing when ids do not fit."""
    writer = GzipWriter(file_name.removesuffix(".gz"))
    # Stored, not deflated, so that file(1) and people see the magic near the start of the file.
    writer.write_stored(_PREAMBLE.pack(MAGIC, format_version))
    if format_version == format_v1.VERSION:
        return format_v1.write(writer, ring)
    if format_version == format_v2.VERSION:
        return format_v2.write(writer, ring, id_bytes)
    raise InvalidRing(f"format version is {format_version}: expected 1 or 2")
