"""The HTTP/1.1 server: accepts on a listening socket and lends green threads to the connections that have work.

One per listening socket and process; any number of processes may serve the same socket (prefork). It takes one
connection per turn of the hub, so that processes share them. At max_connections the one that has waited longest for a
head makes room; when all are busy, accepting pauses.
"""

from __future__ import annotations

import _socket
import logging
import os
import socket
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from objstore.http.connection import ServerConnection
from objstore.http.environ import Environ, WSGIApp
from objstore.http.framing import FramingLimits
from objstore.http.head import HeadLimits
from objstore.http.stream import PlainStream, prepare
from objstore.http.tls import TlsStream
from objstore.runtime import green
from objstore.runtime.process import release_memory
from objstore.runtime.watch import compact

__all__ = ["Server", "ServerLimits"]

_FIRST_REQUEST_S = 0.5
_ACCEPT_PAUSE_S = 0.25
_CROWD = 1000
"""Connections at once that leave behind enough freed memory to give back."""
_AFTER_CROWD_S = 1.0
_WORKERS_KEPT = 64


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Bounds of what clients may cost. Times in seconds.

    head_timeout_s: from the first byte of a head (or the connection) to its last. keepalive_timeout_s: idle between
    requests. client_timeout_s: every wait for a byte of body, either way. body_bytes_per_s:
    the least rate of a request body (http/pace.py); 0: none. discard_bytes: how much of an unread request
    body is read away to keep the connection. linger_s: reading after the last answer so that it arrives,
    until the client is silent for so long; linger_most_s: in all.
    """

    head: HeadLimits = field(default_factory=HeadLimits)
    framing: FramingLimits = field(default_factory=FramingLimits)
    head_timeout_s: float = 30.0
    keepalive_timeout_s: float = 60.0
    client_timeout_s: float = 60.0
    body_bytes_per_s: float = 0.0
    discard_bytes: int = 65536
    linger_s: float = 2.0
    linger_most_s: float = 30.0
    max_connections: int = 16384


class Server:
    """parked: connections that wait for a head, longest first. environ: what every request's starts from."""

    def __init__(
        self,
        sock: socket.socket,
        app: WSGIApp,
        *,
        limits: ServerLimits | None = None,
        logger: logging.Logger,
        tls: ssl.SSLContext | None = None,
        requires_proxy_line: bool = False,
        admits: Callable[[str], bool] | None = None,
    ) -> None:
        """sock: bound and listening; it stays the caller's to close. tls: see http.tls.server_context.
        requires_proxy_line: every connection begins with a PROXY line (http/proxy_line.py). admits(address): whether
        a peer may connect; None: all may."""
        self.app = app
        self.limits = limits or ServerLimits()
        self.logger = logger
        self.is_draining = False
        self.discard_bytes = self.limits.discard_bytes
        self.parked: dict[ServerConnection, None] = {}
        self._listener = _socket.socket(fileno=sock.fileno())
        self.environ = _shared_environ(sock.getsockname(), "http" if tls is None else "https")
        self._tls = tls
        self._requires_proxy_line = requires_proxy_line
        self._admits = admits
        self._connections: set[ServerConnection] = set()
        self._crowd = 0
        self._workers: list[Any] = []
        self._stop_accepting: Callable[[], None] | None = None
        self._done = green.Future()

    @property
    def connection_count(self) -> int:
        return len(self._connections)

    def serve(self) -> None:
        """Until drain() is over."""
        self._listener.setblocking(False)
        self._resume()
        try:
            self._done.wait()
        finally:
            self._pause()
            self._listener.detach()

    def drain(self, grace_s: float) -> None:
        """Accept no more, let running exchanges end for at most grace_s, then cut them. serve() returns after that."""
        if self.is_draining:
            return
        self.is_draining = True
        self._pause()
        for connection in list(self.parked):
            if connection.is_between_requests:
                connection.evict()
        if self._connections:
            # What was accepted a moment ago has a request on the way: refusing it would drop it.
            green.call_after(min(_FIRST_REQUEST_S, grace_s), self._evict_parked)
            green.call_after(grace_s, self._cut)
        else:
            self._end()

    def _evict_parked(self) -> None:
        for connection in list(self.parked):
            connection.evict()

    def _cut(self) -> None:
        for connection in list(self._connections):
            connection.abort()
        self._end()

    def _end(self) -> None:
        if not self._done.is_set:
            self._done.set()

    # Accepting, in the hub

    def _resume(self) -> None:
        if self._stop_accepting is None and not self.is_draining and not self._done.is_set:
            self._stop_accepting = green.on_readable(self._listener.fileno(), self._accept)

    def _pause(self) -> None:
        if self._stop_accepting is not None:
            self._stop_accepting()
            self._stop_accepting = None

    def _accept(self) -> None:
        if len(self._connections) >= self.limits.max_connections and not self._make_room():
            return
        try:
            fd, address = self._listener._accept()  # type: ignore[attr-defined]  # Not in typeshed; accept() is built on it.
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            self.logger.error("cannot accept: %s; trying again in %g s", error.strerror, _ACCEPT_PAUSE_S)
            self._make_room()
            self._pause()
            green.call_after(_ACCEPT_PAUSE_S, self._resume)
            return
        if self._admits is not None and isinstance(address, tuple) and not self._admits(address[0]):
            os.close(fd)
            return
        connected = _socket.socket(self._listener.family, self._listener.type, self._listener.proto, fd)
        try:
            prepare(connected)
            connection = self._connection(connected, address)
        except OSError:
            connected.close()
            return
        self._connections.add(connection)
        self._crowd = max(self._crowd, len(self._connections))
        connection.park()

    def _connection(self, connected: _socket.socket, address: Any) -> ServerConnection:
        client = (address[0], str(address[1])) if isinstance(address, tuple) else ("", "")
        plain = PlainStream(connected)
        stream = plain if self._tls is None else TlsStream(plain, self._tls)
        return ServerConnection(self, stream, client, plain if self._requires_proxy_line else None)

    def _make_room(self) -> bool:
        for connection in self.parked:
            connection.evict()
            return True
        self._pause()
        return False

    def closed(self, connection: ServerConnection) -> None:
        """A connection is gone."""
        self._connections.discard(connection)
        if self._crowd >= _CROWD and len(self._connections) < self._crowd // 8:
            self._crowd = 0
            green.call_after(_AFTER_CROWD_S, self._release)
        if self.is_draining:
            if not self._connections:
                self._end()
        elif self._stop_accepting is None:
            self._resume()

    # Workers

    def work_on(self, connection: ServerConnection) -> None:
        """Run a connection in a green thread. Called from the hub."""
        if self._workers:
            self._workers.pop().switch(connection)
        else:
            green.spawn(self._work, connection)

    def _work(self, connection: ServerConnection) -> None:
        current = green.current()
        while True:
            try:
                connection.run()
            except Exception:  # The boundary of a connection: its green thread serves the next one.
                self.logger.exception("a connection failed")
            if len(self._workers) >= _WORKERS_KEPT or self.is_draining:
                return
            self._workers.append(current)
            connection = green.park()
            if connection is None:
                return

    def _release(self) -> None:
        """Give back what a crowd needed: green threads, tables that never shrink, and the memory it leaves with the C
        library. In the hub. One object that was made in its midst and stays keeps a megabyte of it."""
        while self._workers:
            self._workers.pop().switch(None)
        self._connections = set(self._connections)
        self.parked = dict(self.parked)
        compact()
        release_memory()


def _shared_environ(address: Any, scheme: str) -> Environ:
    """The part of an environ that all requests of a server share. address: where it listens."""
    is_inet = isinstance(address, tuple)
    return {
        "SCRIPT_NAME": "",
        "SERVER_NAME": str(address[0]) if is_inet else "localhost",
        "SERVER_PORT": str(address[1]) if is_inet else "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
