"""ObjectBody: an object's bytes on their way from a storage server to the client, through whatever happens to servers.

It goes out by splice where it can. When the server breaks or stalls in mid-body, the rest comes from another replica
with the same data (same ETag and data timestamp), by a Range from the byte that was reached; the client notices
nothing. One thing ends it instead: the first server is still there and says that the object is not, for then it has
found its copy corrupt, and what the client already has may be wrong. The client is then cut short, never completed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from objstore.core.errors import DomainError
from objstore.http.body import CountingSink, Sink
from objstore.http.client import PeerError
from objstore.http.status import HTTPStatus
from objstore.peers.exchange import Exchange

CHUNK_BYTES = 65536
_RESUMES_AT_MOST = 12
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)\Z")


class BodyLost(DomainError):
    """The rest of a body cannot be had; the client gets a short answer."""

    def __init__(self, name: str, sent_bytes: int, missing_bytes: int) -> None:
        super().__init__(f"{name!r}: cut after {sent_bytes} bytes, {missing_bytes} missing")
        self.name = name


@dataclass(frozen=True, slots=True)
class Extent:
    """Bytes start to stop (excluded) of an object: what the client is to get."""

    start: int
    stop: int

    @classmethod
    def of(cls, status: int, headers: dict[str, str], length: int) -> Extent | None:
        """Of a response; None when its body is not one run of the object's bytes (multipart)."""
        if status != HTTPStatus.PARTIAL_CONTENT:
            return cls(0, length)
        matched = _CONTENT_RANGE.match(headers.get("content-range", ""))
        return cls(int(matched[1]), int(matched[2]) + 1) if matched else None


Resume = Callable[[Exchange, int, int], "Exchange | None"]
"""(the broken exchange, first byte, last byte) -> one that continues there, or None when the body must be cut."""


class ObjectBody:
    """A TransferBody. length: bytes the client expects."""

    __slots__ = ("_exchange", "_length", "_extent", "_resume", "_stall_s", "_name", "_sent")

    def __init__(
        self, exchange: Exchange, length: int, extent: Extent | None, resume: Resume, stall_s: float, name: str
    ) -> None:
        self._exchange = exchange
        self._length = length
        self._extent = extent
        self._resume = resume
        self._stall_s = stall_s
        self._name = name
        self._sent = 0

    def transfer(self, sink: Sink) -> None:
        counted = CountingSink(sink)
        for _ in range(_RESUMES_AT_MOST):
            before = counted.count
            try:
                self._exchange.connection.transfer(counted, self._length - self._sent, self._stall_s)
                self._sent = self._length
                return
            except PeerError as error:
                self._sent += counted.count - before
                self._recover(error)
        raise BodyLost(self._name, self._sent, self._length - self._sent)

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(_RESUMES_AT_MOST):
            try:
                while self._sent < self._length:
                    size = min(CHUNK_BYTES, self._length - self._sent)
                    piece = self._exchange.connection.read_some(size, self._stall_s)
                    if not piece:
                        break
                    self._sent += len(piece)
                    yield piece
                return
            except PeerError as error:
                self._recover(error)
        raise BodyLost(self._name, self._sent, self._length - self._sent)

    def close(self) -> None:
        if self._exchange.failure is not None:
            return
        if self._sent == self._length:
            # The end of a chunked body has to be read before the connection can be used again.
            try:
                self._exchange.connection.read_some(1, self._stall_s)
            except PeerError:
                pass
        self._exchange.connection.release()

    def _recover(self, error: PeerError) -> None:
        broken = self._exchange
        broken.fail(error)
        found = None
        if self._extent is not None and self._sent < self._length:
            found = self._resume(broken, self._extent.start + self._sent, self._extent.stop - 1)
        if found is None:
            raise BodyLost(self._name, self._sent, self._length - self._sent)
        self._exchange = found
