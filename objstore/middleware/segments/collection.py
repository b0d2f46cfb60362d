"""Collections: whole small pieces that follow each other, fetched together in a green thread of their own.

What a collection cannot have is opened as any other piece is, several at once, and may fail as that does: when its turn
comes. A collection holds what it has fetched: COLLECTED_BYTES at most.
"""

from __future__ import annotations

from collections.abc import Sequence

from objstore.core.errors import DomainError
from objstore.http.environ import Environ, SmallObjectService
from objstore.http.subrequest import SubResponse
from objstore.middleware.segments.piece import Open, Piece, opened
from objstore.runtime import green
from objstore.runtime.several import several

COLLECTED_BYTES = 1 << 20
_OPENED_AT_ONCE = 8

Content = bytes | memoryview | SubResponse


class Collection:
    """How pieces of one body are collected. It ends with the first collection that finds nothing: the segments are of a
    kind, or on servers, for which it does nothing but cost time."""

    def __init__(self, service: SmallObjectService, environ: Environ, source: str) -> None:
        self._service = service
        self._environ = environ
        self._source = source
        self._is_useful = True

    def takes(self, pieces: Sequence[Piece], piece: Piece) -> bool:
        """Whether a piece can be fetched with those that it follows."""
        return (
            self._is_useful
            and 0 < piece.size <= self._service.most_bytes
            and piece.span.size == piece.size
            and len(pieces) < self._service.most
            and sum(each.size for each in pieces) + piece.size <= COLLECTED_BYTES
        )

    def collect(self, pieces: Sequence[Piece]) -> Sequence[bytes | memoryview | None]:
        found = self._service.collect(self._environ, pieces, source=self._source)
        self._is_useful = any(content is not None for content in found)
        return found


class Collected:
    """Pieces under way. wait() gives the content of each, in order, or what opening it raised."""

    def __init__(self, pieces: Sequence[Piece], collection: Collection, open_: Open) -> None:
        self.pieces = pieces
        self.size = sum(piece.size for piece in pieces)
        self._collection = collection
        self._open = open_
        self._contents: list[Content | DomainError | None] = [None] * len(pieces)
        self._task = green.spawn(self._fetch)

    def wait(self) -> list[Content | DomainError | None]:
        self._task.join()
        return self._contents

    def close(self) -> None:
        if not self._task.is_done:
            self._task.kill()
        for content in self._contents:
            if isinstance(content, SubResponse):
                content.close()

    def _fetch(self) -> None:
        self._contents[:] = self._collection.collect(self.pieces)
        missing = [index for index, content in enumerate(self._contents) if content is None]
        if missing:
            several(_OPENED_AT_ONCE, self._open_one, missing)

    def _open_one(self, index: int) -> None:
        self._contents[index] = opened(self._open, self.pieces[index])
