"""CRC32C of bodies: what keeps stored bytes honest between a PUT and every later read.

The only importer of google_crc32c, whose C code runs at memory speed (22 GB/s measured; MD5 reaches 0.7). The text
form, 8 lower-case hex digits, stands in object metadata and in footers.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from types import ModuleType

import google_crc32c
from google_crc32c import extend

BLOCK_BYTES = 1 << 18
"""How much of a file is read at a time: large enough to run at memory speed, small enough to stay in the L2 cache."""

EMPTY = 0


_COPY_BYTES = 1 << 16
"""Up to here a copy costs less than finding the address."""


def _by_address() -> Callable[[int, object, int], int] | None:
    """(previous, address, count) -> CRC32C, by the C library below the module; None where that cannot be reached.

    PyDLL: some 40 µs for a MiB are not worth giving the interpreter's lock away and winning it back.
    """
    module: ModuleType | None = getattr(google_crc32c, "_crc32c", None)
    try:
        function = ctypes.PyDLL(module.__file__).crc32c_extend if module else None
    except (OSError, AttributeError):
        return None
    if function is not None:
        function.argtypes = [ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t]
        function.restype = ctypes.c_uint32
    return function


_extend_by_address = _by_address()


def crc32c(data: bytes | bytearray | memoryview, previous: int = EMPTY) -> int:
    """The CRC32C of what `previous` covers followed by data."""
    if isinstance(data, bytes):
        return int(extend(previous, data))
    size = len(data)
    if size < _COPY_BYTES or _extend_by_address is None or (isinstance(data, memoryview) and data.readonly):
        return int(extend(previous, bytes(data)))
    # The module takes nothing but bytes: without this every block of an upload would be copied for its checksum.
    return _extend_by_address(previous, ctypes.addressof(ctypes.c_char.from_buffer(data)), size)


def crc32c_of_file(fd: int, size_bytes: int) -> int:
    """Of the first size_bytes of an open file. Raises OSError; a shorter file gives the CRC of what there is.

    Reads instead of mapping: a bad sector under a mapping kills the process with SIGBUS, a read fails with EIO.
    """
    value, offset = EMPTY, 0
    while offset < size_bytes:
        block = os.pread(fd, min(BLOCK_BYTES, size_bytes - offset), offset)
        if not block:
            break
        value = extend(value, block)
        offset += len(block)
    return int(value)


def crc_text(value: int) -> str:
    return f"{value:08x}"


def parse_crc(text: str | None) -> int | None:
    """The CRC32C in a text that crc_text() wrote; None for None and for any other text."""
    if text is None or len(text) != 8:
        return None
    try:
        return int(text, 16)
    except ValueError:
        return None
