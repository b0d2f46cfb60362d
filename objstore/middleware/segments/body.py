"""The body of a large object: its parts one after another, each opened while those before it are on their way.

Small segments that follow each other are fetched together where the pipeline can do that (collection.py), others one by
one, several ahead: at most AHEAD_COUNT, and no more once AHEAD_BYTES are under way. What is opened and above 64 KiB,
and a collection of more than it may hold, stay in their connections until their turn comes. So memory is bounded
whatever the segments are: by what COLLECTIONS_AHEAD collections and the one that is being sent hold, and AHEAD_COUNT
times 64 KiB. Whatever is open or under way ends with close(): a client that leaves early leaves nothing behind
(CVE-2016-0737, CVE-2016-0738).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Protocol

from objstore.core.errors import DomainError
from objstore.http.body import Sink
from objstore.http.subrequest import SubResponse
from objstore.middleware.segments.collection import Collected, Collection, Content
from objstore.middleware.segments.piece import Open, Part, Piece, opened
from objstore.runtime import green

AHEAD_COUNT = 8
AHEAD_BYTES = 4 << 20
COLLECTIONS_AHEAD = 2
_CERTAIN_BYTES = 1 << 16
"""Failures of segments that begin within so many bytes are known before the answer begins, and get a status."""


class Pace:
    """From the (after+1)th segment smaller than under_bytes on, at most per_s of them a second; per_s 0: no limit."""

    def __init__(self, under_bytes: int, after: int, per_s: float) -> None:
        self._under_bytes = under_bytes
        self._after = after
        self._interval_s = 1 / per_s if per_s else 0.0
        self._count = 0
        self._next_s = 0.0

    def wait(self, piece: Piece) -> None:
        if not self._interval_s or piece.size >= self._under_bytes:
            return
        self._count += 1
        if self._count <= self._after:
            return
        now_s = green.monotonic()
        if now_s < self._next_s:
            green.sleep(self._next_s - now_s)
        self._next_s = max(now_s, self._next_s) + self._interval_s


class Source(Protocol):
    """Who opens pieces (source.py)."""

    @property
    def collection(self) -> Collection | None: ...

    def open(self, piece: Piece) -> SubResponse: ...


class _Fetch:
    """A piece that is being opened in a green thread of its own."""

    __slots__ = ("piece", "_task")

    def __init__(self, piece: Piece, open_: Open) -> None:
        self.piece = piece
        self._task = green.spawn(opened, open_, piece)

    @property
    def size(self) -> int:
        return self.piece.span.size

    @property
    def pieces(self) -> tuple[Piece]:
        return (self.piece,)

    def wait(self) -> list[Content | DomainError | None]:
        return [self._task.join()]

    def close(self) -> None:
        if not self._task.is_done:
            self._task.kill()
            return
        found = self._task.join()
        if isinstance(found, SubResponse):
            found.close()


class SegmentBody:
    """A TransferBody. begin() first, then transfer() or iteration, once; close() always."""

    def __init__(self, parts: Iterator[Part], source: Source, pace: Pace | None = None) -> None:
        self._parts = parts
        self._drawn: Part | None = None
        self._open = source.open
        self._collection = source.collection
        self._pace = pace
        self._ahead: deque[bytes | _Fetch | Collected] = deque()
        self._ahead_bytes = 0
        self._collections_ahead = 0
        self._current: _Fetch | Collected | None = None

    def begin(self) -> None:
        """Open the first parts. Raises SegmentFailed when one of the first cannot be had; everything is closed then."""
        try:
            self._fill()
            start = 0
            for part in list(self._ahead):
                if start >= _CERTAIN_BYTES:
                    break
                if isinstance(part, bytes):
                    start += len(part)
                    continue
                for piece, content in zip(part.pieces, part.wait(), strict=True):
                    if start < _CERTAIN_BYTES:
                        _required(content)
                    start += piece.span.size
        except BaseException:
            self.close()
            raise

    def transfer(self, sink: Sink) -> None:
        for content in self._each():
            if isinstance(content, SubResponse):
                content.transfer(sink)
            else:
                sink.send(content)

    def __iter__(self) -> Iterator[bytes]:
        for content in self._each():
            if isinstance(content, SubResponse):
                yield from content.body
            else:
                yield bytes(content)

    def close(self) -> None:
        current, self._current = self._current, None
        if current is not None:
            current.close()
        while self._ahead:
            part = self._ahead.popleft()
            if not isinstance(part, bytes):
                part.close()

    def _each(self) -> Iterator[Content]:
        while self._ahead or self._fill():
            part = self._ahead.popleft()
            if isinstance(part, bytes):
                self._ahead_bytes -= len(part)
                self._fill()
                yield part
                continue
            self._current = part
            self._ahead_bytes -= part.size
            self._collections_ahead -= isinstance(part, Collected)
            yield from self._contents(part)
            current, self._current = self._current, None
            if current is not None:
                current.close()

    def _contents(self, part: _Fetch | Collected) -> Iterator[Content]:
        """Of its pieces, one after the other; what comes next is under way meanwhile."""
        for index, piece in enumerate(part.pieces):
            if self._pace is not None:
                self._pace.wait(piece)
            if not index:
                contents = part.wait()
                self._fill()
            yield _required(contents[index])

    def _fill(self) -> bool:
        """Begin to open what comes next; whether anything is ahead now."""
        while len(self._ahead) < AHEAD_COUNT and self._ahead_bytes < AHEAD_BYTES:
            if self._collections_ahead >= COLLECTIONS_AHEAD:
                break
            part = self._draw()
            if part is None:
                break
            under_way = part if isinstance(part, bytes) else self._begun(part)
            self._ahead.append(under_way)
            self._ahead_bytes += len(under_way) if isinstance(under_way, bytes) else under_way.size
        return bool(self._ahead)

    def _begun(self, piece: Piece) -> _Fetch | Collected:
        """A piece, with those that follow it where they can be fetched together."""
        collection = self._collection
        if collection is None or not collection.takes((), piece):
            return _Fetch(piece, self._open)
        pieces = [piece]
        while (part := self._draw()) is not None:
            if isinstance(part, bytes) or not collection.takes(pieces, part):
                self._drawn = part
                break
            pieces.append(part)
        if len(pieces) == 1:
            return _Fetch(piece, self._open)
        self._collections_ahead += 1
        return Collected(pieces, collection, self._open)

    def _draw(self) -> Part | None:
        drawn, self._drawn = self._drawn, None
        return next(self._parts, None) if drawn is None else drawn


def _required(content: Content | DomainError | None) -> Content:
    """Raises what opening raised."""
    if isinstance(content, DomainError):
        raise content
    assert content is not None, "a piece that is neither here nor failed"
    return content
