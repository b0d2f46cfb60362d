"""A floor under the rate of a request body: a client that dribbles may not hold a connection, and what the servers
behind it keep ready for the upload, for as long as it likes.

Only the time in which the client is waited for counts, not the time in which nobody reads. The deadlines are those of
the stream's waits, so nothing has to watch over it.
"""

from __future__ import annotations

from objstore.http.stream import BodyStream
from objstore.runtime.green import TimedOut, monotonic

__all__ = ["PacedBody"]


class PacedBody:
    """The BodyStream of one request. Every byte buys 1 / bytes_per_s of waiting; reads raise TimedOut when the purse,
    which never holds more than grace_s, is empty. So a fast beginning does not pay for a slow end.
    """

    __slots__ = ("_stream", "_bytes_per_s", "_grace_s", "_left_s")

    def __init__(self, stream: BodyStream, bytes_per_s: float, grace_s: float) -> None:
        """bytes_per_s: above zero. grace_s: waiting that is allowed without any bytes."""
        self._stream = stream
        self._bytes_per_s = bytes_per_s
        self._grace_s = grace_s
        self._left_s = grace_s

    def recv(self, size: int, timeout_s: float) -> bytes:
        started_s = monotonic()
        data = self._stream.recv(size, self._bounded(timeout_s))
        self._took(len(data), started_s)
        return data

    def recv_into(self, view: memoryview, timeout_s: float) -> int:
        started_s = monotonic()
        count = self._stream.recv_into(view, self._bounded(timeout_s))
        self._took(count, started_s)
        return count

    def send(self, data: bytes | bytearray | memoryview, timeout_s: float) -> None:
        """The 100 Continue."""
        self._stream.send(data, timeout_s)

    def _bounded(self, timeout_s: float) -> float:
        if self._left_s <= 0:
            raise TimedOut
        return min(timeout_s, self._left_s)

    def _took(self, count: int, started_s: float) -> None:
        self._left_s = min(self._grace_s, self._left_s + count / self._bytes_per_s - (monotonic() - started_s))
