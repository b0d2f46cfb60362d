"""Bodies of several objects that arrive one after the other in one answer, and are passed on without being held.

Each is used in its turn, when the client has had what comes before it; what is not used yet waits in the connection.
Where the answer breaks off, the body that was under way says how much of it was right, and those after it have nothing:
whoever uses them goes on by a GET (http.body.BodyInterrupted).
"""

from __future__ import annotations

from collections.abc import Iterator

from objstore.http.body import BodyInterrupted, CountingSink, Sink
from objstore.http.client import PeerBroken, PeerError
from objstore.peers.exchange import Exchange
from objstore.proxy.fault import FaultLog
from objstore.runtime import green

_CHUNK_BYTES = 65536


class Arrivals:
    """An answer whose head is read. sizes: of the bodies in it, in bytes. stall_s: how long a node may send nothing."""

    def __init__(self, exchange: Exchange, sizes: list[int], stall_s: float, faults: FaultLog) -> None:
        self._exchange = exchange
        self._left_bytes = sum(sizes)
        self._stall_s = stall_s
        self._faults = faults
        self._heard_s = green.monotonic()
        self.bodies = [ArrivingBody(self, size) for size in sizes]
        self._release_at_end()

    def transfer(self, sink: CountingSink, size: int) -> None:
        """The next size bytes. Raises PeerError, and what the sink raises."""
        self._exchange.connection.transfer(sink, size, self._stall_s)
        self._took(size)

    def read_some(self, most: int) -> bytes:
        """Raises PeerError."""
        data = self._exchange.connection.read_some(min(most, _CHUNK_BYTES), self._stall_s)
        self._took(len(data))
        return data

    @property
    def is_over(self) -> bool:
        """Whether nothing more can be had of it."""
        return self._exchange.failure is not None or not self._left_bytes

    def broke(self, error: PeerError) -> None:
        """The node answers for it, unless it was kept waiting so long that it may have given us up."""
        waited_s = green.monotonic() - self._heard_s
        self._exchange.fail(error)
        if waited_s <= 2 * self._stall_s:
            self._faults.failed(self._exchange.node, error)

    def give_up(self) -> None:
        if not self.is_over:
            self._left_bytes = 0
            self._exchange.connection.close()

    def _took(self, size: int) -> None:
        self._left_bytes -= size
        self._heard_s = green.monotonic()
        self._release_at_end()

    def _release_at_end(self) -> None:
        if not self._left_bytes:
            self._exchange.connection.release()


class ArrivingBody:
    """A TransferBody of `size` bytes. Closing one that was not used gives up those after it, too."""

    __slots__ = ("_arrivals", "_missing")

    def __init__(self, arrivals: Arrivals, size: int) -> None:
        self._arrivals = arrivals
        self._missing = size

    def transfer(self, sink: Sink) -> None:
        counted = CountingSink(sink)
        self._require()
        try:
            self._arrivals.transfer(counted, self._missing)
        except PeerError as error:
            self._arrivals.broke(error)
            raise BodyInterrupted(counted.count) from None
        self._missing = 0

    def __iter__(self) -> Iterator[bytes]:
        size = self._missing
        self._require()
        while self._missing:
            try:
                piece = self._arrivals.read_some(self._missing)
                if not piece:
                    raise PeerBroken("the answer ends early")
            except PeerError as error:
                self._arrivals.broke(error)
                raise BodyInterrupted(size - self._missing) from None
            self._missing -= len(piece)
            yield piece

    def close(self) -> None:
        if self._missing:
            self._arrivals.give_up()

    def _require(self) -> None:
        if self._missing and self._arrivals.is_over:
            raise BodyInterrupted(0)
