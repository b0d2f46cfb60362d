"""Idle connections to peers, kept until somebody wants one, the peer closes it, or they are idle too long."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from objstore.http.connecting import connected
from objstore.http.peer_connection import Address, Connection
from objstore.http.stream import PeerStream
from objstore.runtime.green import monotonic

Dial = Callable[[str, int, float], PeerStream]
"""(host, port, timeout_s) -> a new connection. Raises ConnectFailed."""


class ConnectionPool:
    """Idle connections to peers, newest first. One per process, used by green threads only."""

    def __init__(self, idle_per_address: int = 32, idle_s: float = 20.0, dial: Dial | None = None) -> None:
        """idle_s: less than the servers' keep-alive timeout, so that the pool lets go first. dial: instead of plain TCP
        to the address (http/dial.py)."""
        self._dial = dial
        self._idle_per_address = idle_per_address
        self._idle_s = idle_s
        self._idle: dict[Address, deque[_Parked]] = {}

    def connect(self, host: str, port: int, timeout_s: float) -> Connection:
        """An idle connection that is not stale, else a new one. host: an IP address or a name. Raises ConnectFailed."""
        parked = self._idle.get((host, port))
        while parked:
            stream = parked.pop().take()
            if stream is not None:
                return Connection(self, (host, port), stream, is_reused=True)
        return self.connect_new(host, port, timeout_s)

    def connect_new(self, host: str, port: int, timeout_s: float) -> Connection:
        """A new connection, whatever is idle. Raises ConnectFailed."""
        stream = (self._dial or connected)(host, port, timeout_s)
        return Connection(self, (host, port), stream, is_reused=False)

    def park(self, address: Address, stream: PeerStream) -> None:
        parked = self._idle.setdefault(address, deque())
        if len(parked) >= self._idle_per_address:
            parked.popleft().close()
        parked.append(_Parked(self, address, stream, monotonic() + self._idle_s))

    def forget(self, address: Address, parked: _Parked) -> None:
        idle = self._idle.get(address)
        if idle is not None and parked in idle:
            idle.remove(parked)
            if not idle:
                del self._idle[address]

    @property
    def idle_count(self) -> int:
        return sum(map(len, self._idle.values()))

    def close(self) -> None:
        """Close what is idle."""
        for parked in [parked for idle in self._idle.values() for parked in idle]:
            parked.close()
        self._idle.clear()


class _Parked:
    """An idle connection. The hub wakes it when its peer closes (or says anything), or when it is idle too long."""

    __slots__ = ("_pool", "_address", "_stream", "_deadline")

    def __init__(self, pool: ConnectionPool, address: Address, stream: PeerStream, deadline: float) -> None:
        self._pool = pool
        self._address = address
        self._stream: PeerStream | None = stream
        self._deadline = deadline
        stream.watch.when_readable(self, deadline)

    def take(self) -> PeerStream | None:
        """The stream, or None when it is stale."""
        stream = self._stream
        if stream is None:
            return None
        self._stream = None
        stream.watch.forget_reader()
        if stream.is_silent():
            return stream
        stream.close()
        return None

    def switch(self) -> None:
        stream = self._stream
        if stream is None:
            return
        # A wake-up may be false: the edge of an answer that was read before the hub told of it arrives after parking.
        if stream.is_silent():
            stream.watch.when_readable(self, self._deadline)
        else:
            self._drop()

    def throw(self, _: BaseException) -> None:
        self._drop()

    def _drop(self) -> None:
        self._pool.forget(self._address, self)
        self.close()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.watch.forget_reader()
            self._stream.close()
            self._stream = None
