"""The body of a large object: its parts one after another, each opened while those before it are on their way.

Small segments cost a round trip each, so several are fetched ahead: at most AHEAD_COUNT, and no more once AHEAD_BYTES
are under way. A segment above 64 KiB stays in its connection until its turn comes, so memory is bounded by
AHEAD_COUNT times 64 KiB whatever the segments are. Whatever is open or under way ends with close(): a client that
leaves early leaves nothing behind (CVE-2016-0737, CVE-2016-0738).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from objstore.core.errors import DomainError
from objstore.http.body import Sink
from objstore.http.subrequest import SubResponse
from objstore.middleware.segments.piece import Part, Piece
from objstore.runtime import green

AHEAD_COUNT = 8
AHEAD_BYTES = 4 << 20
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


class _Fetch:
    """A piece that is being opened in a green thread of its own."""

    __slots__ = ("piece", "_task")

    def __init__(self, piece: Piece, open_: Callable[[Piece], SubResponse]) -> None:
        self.piece = piece
        self._task = green.spawn(_opened, open_, piece)

    def wait(self) -> SubResponse:
        """Raises what opening raised."""
        found: SubResponse | DomainError = self._task.join()
        if isinstance(found, DomainError):
            raise found
        return found

    def abandon(self) -> None:
        if not self._task.is_done:
            self._task.kill()
            return
        found = self._task.join()
        if isinstance(found, SubResponse):
            found.close()


def _opened(open_: Callable[[Piece], SubResponse], piece: Piece) -> SubResponse | DomainError:
    try:
        return open_(piece)
    except DomainError as error:
        return error  # Raised where the piece is waited for.


class SegmentBody:
    """A TransferBody. begin() first, then transfer() or iteration, once; close() always."""

    def __init__(self, parts: Iterator[Part], open_: Callable[[Piece], SubResponse], pace: Pace | None = None) -> None:
        self._parts = parts
        self._open = open_
        self._pace = pace
        self._ahead: deque[bytes | _Fetch] = deque()
        self._ahead_bytes = 0
        self._current: SubResponse | None = None

    def begin(self) -> None:
        """Open the first parts. Raises SegmentFailed when one of the first cannot be had; everything is closed then."""
        try:
            self._fill()
            start = 0
            for part in list(self._ahead):
                if start >= _CERTAIN_BYTES:
                    break
                if isinstance(part, _Fetch):
                    part.wait()
                start += _size(part)
        except BaseException:
            self.close()
            raise

    def transfer(self, sink: Sink) -> None:
        for part in self._each():
            if isinstance(part, bytes):
                sink.send(part)
                continue
            transfer = getattr(part.body, "transfer", None)
            if transfer is not None:
                transfer(sink)
                continue
            for piece in part.body:
                sink.send(piece)

    def __iter__(self) -> Iterator[bytes]:
        for part in self._each():
            if isinstance(part, bytes):
                yield part
            else:
                yield from part.body

    def close(self) -> None:
        current, self._current = self._current, None
        if current is not None:
            current.close()
        while self._ahead:
            part = self._ahead.popleft()
            if isinstance(part, _Fetch):
                part.abandon()

    def _each(self) -> Iterator[bytes | SubResponse]:
        while self._ahead or self._fill():
            part = self._ahead.popleft()
            self._ahead_bytes -= _size(part)
            if isinstance(part, bytes):
                self._fill()
                yield part
                continue
            if self._pace is not None:
                self._pace.wait(part.piece)
            self._current = part.wait()
            self._fill()
            yield self._current
            current, self._current = self._current, None
            current.close()

    def _fill(self) -> bool:
        """Begin to open what comes next; whether anything is ahead now."""
        while len(self._ahead) < AHEAD_COUNT and self._ahead_bytes < AHEAD_BYTES:
            part = next(self._parts, None)
            if part is None:
                break
            self._ahead.append(part if isinstance(part, bytes) else _Fetch(part, self._open))
            self._ahead_bytes += _size(self._ahead[-1])
        return bool(self._ahead)


def _size(part: bytes | _Fetch) -> int:
    return len(part) if isinstance(part, bytes) else part.piece.span.size
