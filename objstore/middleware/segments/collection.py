"""Collections: whole small pieces that follow each other, fetched together in a green thread of their own.

What a collection cannot have is opened as any other piece is, several at once, and may fail as that does: when its turn
comes. A collection of few bytes holds what it has fetched; that of more, up to COLLECTED_BYTES, waits in the
connections, as what is opened does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from objstore.core.errors import DomainError
from objstore.core.ranges import Span
from objstore.http.body import BodyInterrupted, Sink, TransferBody
from objstore.http.environ import Environ, SmallObjectService
from objstore.http.subrequest import SubResponse
from objstore.middleware.segments.piece import Open, Piece, opened
from objstore.runtime import green
from objstore.runtime.several import several

COLLECTED_BYTES = 16 << 20
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

    def collect(self, pieces: Sequence[Piece]) -> Sequence[bytes | memoryview | TransferBody | None]:
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
        collected = self._collection.collect(self.pieces)
        self._contents[:] = [
            content
            if content is None or isinstance(content, (bytes, memoryview))
            else SubResponse("200 OK", [], _Resuming(content, piece, self._open))
            for content, piece in zip(collected, self.pieces, strict=True)
        ]
        missing = [index for index, content in enumerate(self._contents) if content is None]
        if missing:
            several(_OPENED_AT_ONCE, self._open_one, missing)

    def _open_one(self, index: int) -> None:
        self._contents[index] = opened(self._open, self.pieces[index])


class _Resuming:
    """A TransferBody that is arriving with others. Where that breaks off, the rest of the piece is opened."""

    def __init__(self, body: TransferBody, piece: Piece, open_: Open) -> None:
        self._body = body
        self._piece = piece
        self._open = open_
        self._rest: SubResponse | None = None

    def transfer(self, sink: Sink) -> None:
        try:
            self._body.transfer(sink)
        except BodyInterrupted as broken:
            self._rest_after(broken).transfer(sink)

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._body
        except BodyInterrupted as broken:
            yield from self._rest_after(broken).body

    def close(self) -> None:
        self._body.close()
        if self._rest is not None:
            self._rest.close()

    def _rest_after(self, broken: BodyInterrupted) -> SubResponse:
        """Raises SegmentFailed."""
        span = self._piece.span
        self._rest = self._open(replace(self._piece, span=Span(span.start + broken.sent_bytes, span.stop)))
        return self._rest
