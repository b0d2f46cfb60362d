"""The container of every ring file: one gzip member, read within bounds and written the same every time.

Reading takes exactly what the format asks for, so that a few kilobytes that inflate to gigabytes are refused before
they are inflated. Bytes after the first member are never looked at. Writing is deterministic (fixed time, the file's
name, level 9): equal rings give equal bytes, which tools compare by MD5.
"""

from __future__ import annotations

import struct
import zlib
from typing import BinaryIO

from objstore.ring.model import InvalidRing

GZIP_MAGIC = b"\x1f\x8b"
_MTIME = 1300507380
_INPUT_BYTES = 1 << 16


class GzipReader:
    """Sequential reads of the plaintext of a file's first gzip member. Raises InvalidRing for damage, or OSError."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._inflate = zlib.decompressobj(wbits=31)
        self._compressed = b""
        self._is_begun = False

    def read(self, size: int, what: str) -> bytes:
        """Exactly size bytes of plaintext. what: named in the error when the file ends before."""
        data = self.read_up_to(size)
        if len(data) < size:
            raise InvalidRing(f"ends after {len(data)} of the {size} bytes of the {what}")
        return data

    def read_up_to(self, size: int) -> bytes:
        """size bytes of plaintext, fewer only where the member ends."""
        pieces, missing = [], size
        while missing and not self._inflate.eof:
            piece = self._step(missing)
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def finish(self) -> None:
        """The plaintext ends here: reads the checksum of the member, and refuses further bytes."""
        while not self._inflate.eof:
            if self._step(1):
                raise InvalidRing("has more bytes than its header announces")

    def _step(self, limit: int) -> bytes:
        if not self._compressed:
            self._compressed = self._file.read(_INPUT_BYTES)
            self._check_input()
        try:
            piece = self._inflate.decompress(self._compressed, limit)
        except zlib.error as error:
            raise InvalidRing(f"is damaged: {str(error).removeprefix('Error ')}") from None
        self._compressed = self._inflate.unconsumed_tail
        return piece

    def _check_input(self) -> None:
        if not self._compressed:
            raise InvalidRing("is cut: the gzip data end too early" if self._is_begun else "is empty")
        if not self._is_begun and not GZIP_MAGIC.startswith(self._compressed[:2]):
            raise InvalidRing(f"is not a gzip file: it begins with {self._compressed[:8]!r}")
        self._is_begun = True


class GzipWriter:
    """Builds one member in memory. Sections that readers seek to are framed by flush()."""

    def __init__(self, name: str) -> None:
        """name: what the member says the file is called, usually the ring's file name without .gz."""
        self._compress = zlib.compressobj(9, zlib.DEFLATED, -15)
        file_name = name.encode("latin-1", "replace")
        self._out = bytearray(struct.pack("<4sLBB", b"\x1f\x8b\x08\x08", _MTIME, 2, 255) + file_name + b"\0")
        self._crc = 0
        self.plain_position = 0

    @property
    def compressed_position(self) -> int:
        """Where the next byte goes in the file; right only after flush() or write_stored()."""
        return len(self._out)

    def write(self, data: bytes) -> None:
        self._count(data)
        self._out += self._compress.compress(data)

    def flush(self) -> None:
        """After this a raw inflater may start at compressed_position."""
        self._out += self._compress.flush(zlib.Z_FULL_FLUSH)

    def write_stored(self, data: bytes) -> None:
        """An uncompressed block and an empty one: data lie at a known distance. Only after flush(), or first."""
        assert len(data) < 1 << 16
        self._count(data)
        self._out += struct.pack("<BHH", 0, len(data), len(data) ^ 0xFFFF) + data + b"\x00\x00\x00\xff\xff"

    def finish(self) -> bytes:
        return bytes(self._out + self._compress.flush() + self._trailer())

    def finish_stored(self) -> bytes:
        """As finish(), the end a final empty stored block: 5 bytes and the 8 of the trailer. Only after flush()."""
        return bytes(self._out + b"\x01\x00\x00\xff\xff" + self._trailer())

    def _count(self, data: bytes) -> None:
        self._crc = zlib.crc32(data, self._crc)
        self.plain_position += len(data)

    def _trailer(self) -> bytes:
        return struct.pack("<LL", self._crc, self.plain_position & 0xFFFFFFFF)
