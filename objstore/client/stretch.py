"""A run of an object's bytes on their way into a file: where it stands, and whether what came is what was meant.

Sans network: feed() takes what comes, in order, and says when a piece is not what its checksum says. After a break it
goes on at `position`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

from objstore.client.content import pieces as read_pieces
from objstore.client.errors import ClientError
from objstore.client.landing import Part
from objstore.client.large import Piece

AT_ONCE_MAX = 64 << 20
"""Bytes that are asked for in one request, of many small segments."""


class Damaged(ClientError):
    """The bytes that came do not have the checksum that was announced."""


def grouped(parts: Iterable[Piece]) -> list[list[Piece]]:
    """Neighbours together, up to AT_ONCE_MAX; a larger one alone. Empty pieces are left out."""
    groups: list[list[Piece]] = []
    size = 0
    for part in parts:
        if not part.size_bytes:
            continue
        if not groups or size + part.size_bytes > AT_ONCE_MAX:
            groups.append([])
            size = 0
        groups[-1].append(part)
        size += part.size_bytes
    return groups


class Stretch:
    """parts: neighbours, none of them empty."""

    def __init__(self, parts: Sequence[Piece]) -> None:
        self._parts = parts
        self._index = 0
        self._digest = hashlib.md5(usedforsecurity=False)
        self.position = parts[0].start
        self.end = parts[-1].start + parts[-1].size_bytes

    @property
    def left_bytes(self) -> int:
        return self.end - self.position

    def feed(self, data: bytes) -> None:
        """The bytes at `position`. Raises Damaged, also for more than there are."""
        view = memoryview(data)
        if len(view) > self.left_bytes:
            raise Damaged("more bytes came than were asked for")
        while view:
            part = self._parts[self._index]
            stop = part.start + part.size_bytes
            some = view[: stop - self.position]
            self._digest.update(some)
            self.position += len(some)
            view = view[len(some) :]
            if self.position == stop:
                self._end_piece(part)

    def _end_piece(self, part: Piece) -> None:
        if part.etag and self._digest.hexdigest() != part.etag:
            raise Damaged(f"bytes {part.start} to {part.start + part.size_bytes - 1} have another checksum than stored")
        self._index += 1
        self._digest = hashlib.md5(usedforsecurity=False)

    def take_up(self, file: Part, check: Callable[[], None]) -> None:
        """Go on after what an earlier copy has left in the file.

        Of one piece alone, as much as the file is long, because it was written from its beginning; of several, those
        that have their checksum."""
        size = file.size_bytes
        if len(self._parts) == 1 and self._parts[0].start == 0:
            for data in read_pieces(file.descriptor, 0, min(size, self.end)):
                check()
                self.feed(data)
            return
        while self._index < len(self._parts):
            part = self._parts[self._index]
            if not part.etag or part.start + part.size_bytes > size or not self._is_whole(part, file, check):
                return

    def _is_whole(self, part: Piece, file: Part, check: Callable[[], None]) -> bool:
        digest = hashlib.md5(usedforsecurity=False)
        for data in read_pieces(file.descriptor, part.start, part.size_bytes):
            check()
            digest.update(data)
        if digest.hexdigest() != part.etag:
            return False
        self.position, self._index = part.start + part.size_bytes, self._index + 1
        return True
