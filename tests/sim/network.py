"""The network between simulated processes: real bytes through real sockets of this process, late, lost or cut by seed.

A connection is two socket pairs with a Wire between them: the client's code and the server's read and write their ends
as always, and the wire carries bytes from one to the other when their time has come. What can happen:

    delay        every burst arrives a little later; now and then much later
    blocked      a direction between two nodes carries nothing; what was sent arrives once it is free again (as in TCP),
                 unless somebody gave up before. New connections time out. One way or both
    frozen       a process that takes connections and answers nothing until it thaws
    lost request the connection is cut as a request is on its way: it was never seen
    lost answer  the connection is cut as the answer is on its way: it was done, and nobody knows
    duplicate    a request is delivered once more, a little later, by nobody: its answer goes nowhere
"""

from __future__ import annotations

import _socket
import logging
import random
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import eventlet

from objstore.http import pool
from objstore.http.client import ConnectFailed, ConnectTimedOut
from objstore.http.server import Server
from objstore.http.stream import PlainStream, prepare
from tests.sim.host import HOST, Process, current_process

Address = tuple[str, int]
_AGAIN_S = 0.001
_CONNECT_S = 0.0002
_DUPLICATE_LIVES_S = 5.0


class SimServer(Server):
    """The real server over a listening socket that nobody can reach: connections are handed to it."""

    def __init__(self, app: Any, process: Process) -> None:
        self._unused = socket.socket()
        super().__init__(self._unused, app, logger=logging.getLogger("objstore.sim"))
        self.process = process

    def take(self, connected: _socket.socket, address: Address) -> None:
        connection = self._connection(connected, address)
        self._connections.add(connection)
        connection.park()

    def _resume(self) -> None:
        """There is nothing to accept."""

    def work_on(self, connection: Any) -> None:
        if not self.process.is_alive:
            return
        hub = HOST.hub
        before, hub.process = hub.process, self.process
        try:
            super().work_on(connection)
        finally:
            hub.process = before


@dataclass(frozen=True)
class Weather:
    """Chances of what may happen to one burst of bytes."""

    late: float = 0.0
    lost_request: float = 0.0
    lost_answer: float = 0.0
    duplicate: float = 0.0


CALM = Weather()


@dataclass
class Network:
    """servers: who listens where. blocked: (from, to) names of nodes."""

    servers: dict[Address, SimServer] = field(default_factory=dict)
    blocked: set[tuple[str, str]] = field(default_factory=set)
    weather: Weather = CALM
    wires: dict[Wire, None] = field(default_factory=dict)
    frozen: set[str] = field(default_factory=set)

    def install(self) -> None:
        pool.connected = self.dial

    def dial(self, host: str, port: int, timeout_s: float) -> PlainStream:
        """In place of connecting a TCP socket."""
        process = current_process()
        assert process is not None, "nobody dials"
        eventlet.sleep(_CONNECT_S)
        server = self.servers.get((host, port))
        there = server.process.node.name if server is not None else host
        here = where(process)
        if server is None or not self.passes(here, there) or not self.passes(there, here):
            eventlet.sleep(timeout_s)
            raise ConnectTimedOut(f"{host}:{port}: no connection within {timeout_s:g} s")
        if not server.process.is_alive:
            raise ConnectFailed(f"{host}:{port}: Connection refused")
        own, wire = self._wire(process, here, server)
        if HOST.random.random() < self.weather.duplicate:
            wire.ghost_of = server
        return PlainStream(own)

    def passes(self, source: str, target: str) -> bool:
        return (source, target) not in self.blocked

    def _wire(self, process: Process | None, here: str, server: SimServer) -> tuple[_socket.socket, Wire]:
        own, near = _pair()
        far, theirs = _pair()
        wire = Wire(self, near, far, process, here, server)
        self.wires[wire] = None
        server.take(theirs, ("0.0.0.0", 0))
        return own, wire

    def replay(self, server: SimServer, request: bytes) -> None:
        """Deliver a request that somebody has sent before."""
        if server.process.is_alive:
            own, wire = self._wire(None, "", server)
            own.send(request)
            HOST.hub.schedule_plainly(_DUPLICATE_LIVES_S, _close_both, own, wire)

    def block(self, source: str, target: str) -> None:
        self.blocked.add((source, target))

    def heal(self) -> None:
        """Everything passes again, and no more harm comes to it."""
        self.blocked.clear()
        self.frozen.clear()
        self.weather = CALM

    def cut(self, process: Process) -> None:
        """The connections of a process that has ended."""
        for wire in [each for each in self.wires if each.belongs_to(process)]:
            wire.cut()


def where(process: Process) -> str:
    return process.node.name if process.node is not None else process.name


def _pair() -> tuple[_socket.socket, _socket.socket]:
    pair = _socket.socketpair()
    for each in pair:
        prepare(each)
    return pair


def _close_both(own: _socket.socket, wire: Wire) -> None:
    own.close()
    wire.cut()


class Wire:
    """ghost_of: the server that gets the first request once more."""

    def __init__(
        self,
        network: Network,
        near: _socket.socket,
        far: _socket.socket,
        process: Process | None,
        here: str,
        server: SimServer,
    ) -> None:
        self._network = network
        self._process = process
        self._server = server
        self.ghost_of: SimServer | None = None
        self._request = bytearray()
        self.is_cut = False
        there = server.process.node.name
        self._ends = (PlainStream(near), PlainStream(far))
        self._ways = (
            _Way(self, self._ends[0], self._ends[1], here, there, is_request=True),
            _Way(self, self._ends[1], self._ends[0], there, here, is_request=False),
        )

    def belongs_to(self, process: Process) -> bool:
        return process in (self._process, self._server.process)

    def cut(self) -> None:
        """Both sides find their connection closed."""
        if not self.is_cut:
            self.is_cut = True
            self._network.wires.pop(self, None)
            for end in self._ends:
                end.watch.forget_reader()
                end.close()

    def passed(self, way: _Way, data: bytes) -> None:
        """Bytes are on their way: note them for a ghost, until the answer shows that the request was whole."""
        if self.ghost_of is None:
            return
        if way.is_request:
            self._request += data
        else:
            server, self.ghost_of = self.ghost_of, None
            HOST.hub.schedule_plainly(
                HOST.random.choice((0.01, 0.3, 2.0)), self._network.replay, server, bytes(self._request)
            )

    def is_open(self, way: _Way) -> bool:
        network = self._network
        return network.passes(way.source, way.target) and self._server.process.name not in network.frozen


class _Way:
    """One direction. The reactor calls switch() when there is something to carry."""

    def __init__(
        self,
        wire: Wire,
        source_end: PlainStream,
        target_end: PlainStream,
        source: str,
        target: str,
        *,
        is_request: bool,
    ) -> None:
        self._wire = wire
        self._from = source_end
        self._to = target_end
        self.source = source
        self.target = target
        self.is_request = is_request
        self._queue: deque[bytes] = deque()
        self._is_due = False
        self._ends = False
        self._listen()

    def _listen(self) -> None:
        self._from.watch.when_readable(self)
        # What came before we listened makes no edge.
        HOST.hub.schedule_plainly(0, self.switch)

    def throw(self, error: BaseException) -> None:
        raise AssertionError("a wire has no deadline")

    def switch(self) -> None:
        """There may be bytes to take up."""
        if self._wire.is_cut or self._ends:
            return
        self._from.watch.when_readable(self)
        taken = self._taken()
        if not taken and not self._ends:
            return
        if taken:
            weather = self._wire._network.weather
            lost = weather.lost_request if self.is_request else weather.lost_answer
            if lost and HOST.random.random() < lost:
                HOST.trace(f"cut {self.source}>{self.target} {'request' if self.is_request else 'answer'}")
                self._wire.cut()
                return
            self._wire.passed(self, taken)
            self._queue.append(taken)
        if not self._is_due:
            self._is_due = True
            HOST.hub.schedule_plainly(self._delay_s(), self._deliver)

    def _taken(self) -> bytes:
        pieces = []
        try:
            while (piece := self._from.try_recv(1 << 18)) is not None:
                if not piece:
                    self._ends = True
                    break
                pieces.append(piece)
        except OSError:
            self._ends = True
        return b"".join(pieces)

    def _delay_s(self) -> float:
        weather = self._wire._network.weather
        chance: random.Random = HOST.random
        if weather.late and chance.random() < weather.late:
            return chance.uniform(0.05, 3.0)
        return chance.uniform(0.0001, 0.002)

    def _deliver(self) -> None:
        if self._wire.is_cut:
            return
        if not self._wire.is_open(self):
            HOST.hub.schedule_plainly(0.25, self._deliver)
            return
        try:
            while self._queue:
                data = self._queue.popleft()
                sent = self._to.try_send(data)
                if sent < len(data):
                    self._queue.appendleft(data[sent:])
                    HOST.hub.schedule_plainly(_AGAIN_S, self._deliver)
                    return
        except OSError:
            self._wire.cut()
            return
        self._is_due = False
        if self._ends:
            self._finish()

    def _finish(self) -> None:
        """One side has said all it had to say: so be it, and the connection ends with the other's last word."""
        try:
            self._to.shut_down_writing()
        except OSError:
            pass
        if all(way._ends and not way._queue for way in self._wire._ways):
            self._wire.cut()


Dial = Callable[[str, int, float], PlainStream]
