"""Bytes of a file on their way out: read where they stand, hashed, sent, counted."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator

from objstore.client.errors import ClientError

AT_ONCE_BYTES = 1 << 20


class FileChanged(ClientError):
    """A file is not what it was when its copy began."""


def pieces(descriptor: int, start: int, size_bytes: int) -> Iterator[bytes]:
    """A run of a file's bytes. Raises FileChanged when the file has become shorter."""
    position, end = start, start + size_bytes
    while position < end:
        piece = os.pread(descriptor, min(AT_ONCE_BYTES, end - position), position)
        if not piece:
            raise FileChanged("the file became shorter while it was read")
        position += len(piece)
        yield piece


def md5_of(descriptor: int, start: int, size_bytes: int, check: Callable[[], None]) -> str:
    """Of a run of a file's bytes, in hex digits. check() is called now and then and may raise."""
    digest = hashlib.md5(usedforsecurity=False)
    for piece in pieces(descriptor, start, size_bytes):
        check()
        digest.update(piece)
    return digest.hexdigest()


class FileRegion:
    """A Body (client/exchange.py). counted(bytes): told of what went out; of what goes out again it is told less than
    nothing first."""

    def __init__(self, descriptor: int, start: int, size_bytes: int, counted: Callable[[int], None]) -> None:
        self._descriptor = descriptor
        self._start = start
        self.size = size_bytes
        self._counted = counted
        self._sent = 0

    def pieces(self) -> Iterator[bytes]:
        self._counted(-self._sent)
        self._sent = 0
        for piece in pieces(self._descriptor, self._start, self.size):
            yield piece
            self._sent += len(piece)
            self._counted(len(piece))
