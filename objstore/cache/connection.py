"""One connection to a memcached server: lines and blocks of its text protocol on a green socket, TLS where configured.

Every wait has a deadline; whatever goes wrong is a CacheError, and the connection is of no more use.
"""

from __future__ import annotations

import socket
import ssl
import time
from typing import Any

from objstore.runtime import green

DEFAULT_PORT = 11211
_RECEIVE_BYTES = 65536
_LINE_BYTES = 2048


class CacheError(Exception):
    """The server did not do what was asked: unreachable, too slow, closed, or an answer that cannot be understood."""


class Connection:
    def __init__(self, server: str, connect_timeout_s: float, timeout_s: float, tls: ssl.SSLContext | None) -> None:
        """Connects. Raises CacheError."""
        self._timeout_s = timeout_s
        self._buffer = bytearray()
        host, port = address_of(server)
        deadline = time.monotonic() + connect_timeout_s
        try:
            self._socket = _connected(host, port, deadline)
            try:
                if tls is not None:
                    self._socket = tls.wrap_socket(self._socket, server_hostname=host, do_handshake_on_connect=False)
                    self._shake_hands(deadline)
            except BaseException:
                self._socket.close()
                raise
        except (OSError, green.TimedOut) as error:
            raise CacheError(f"{server}: cannot connect: {str(error) or 'timed out'}") from None

    def exchange(self, request: bytes) -> bytes:
        """Send a command; the first line of its answer, without the line end."""
        self._deadline = time.monotonic() + self._timeout_s
        self._send(request)
        return self.line()

    def line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > _LINE_BYTES:
                raise CacheError("an answer without an end of line")
            self._receive()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def block(self, size: int) -> bytes:
        """A value and the line end behind it."""
        while len(self._buffer) < size + 2:
            self._receive()
        data = bytes(self._buffer[:size])
        if self._buffer[size : size + 2] != b"\r\n":
            raise CacheError("a value longer than was announced")
        del self._buffer[: size + 2]
        return data

    def close(self) -> None:
        self._socket.close()

    @property
    def is_idle(self) -> bool:
        """False when the server closed it, or sent what nobody asked for."""
        if self._buffer:
            return False
        try:
            self._socket.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        return False

    def _send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self._socket.send(view) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._wait(writing=True)
            except ssl.SSLWantReadError:
                self._wait(writing=False)
            except OSError as error:
                raise CacheError(f"cannot send: {error}") from None

    def _receive(self) -> None:
        while True:
            try:
                data = self._socket.recv(_RECEIVE_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._wait(writing=False)
                continue
            except OSError as error:
                raise CacheError(f"cannot receive: {error}") from None
            if not data:
                raise CacheError("closed by the server")
            self._buffer += data
            return

    def _shake_hands(self, deadline: float) -> None:
        assert isinstance(self._socket, ssl.SSLSocket)
        self._deadline = deadline
        while True:
            try:
                self._socket.do_handshake()
                return
            except ssl.SSLWantReadError:
                self._wait(writing=False)
            except ssl.SSLWantWriteError:
                self._wait(writing=True)

    def _wait(self, writing: bool) -> None:
        left = self._deadline - time.monotonic()
        try:
            if left <= 0:
                raise green.TimedOut
            (green.wait_writable if writing else green.wait_readable)(self._socket.fileno(), left)
        except green.TimedOut:
            raise CacheError("timed out") from None


def address_of(server: str) -> tuple[str, int]:
    """'10.0.0.1:11211', '[::1]:11211', 'name' -> (host, port). Raises ValueError."""
    if server.startswith("["):
        host, _, rest = server[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        host, _, port = server.partition(":")
    if not host or not (port or str(DEFAULT_PORT)).isdigit():
        raise ValueError(f"{server!r}: expected host:port")
    return host, int(port or DEFAULT_PORT)


def _connected(host: str, port: int, deadline: float) -> socket.socket:
    """Raises OSError, green.TimedOut."""
    family, kind, protocol, _, address = _resolved(host, port)
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = sock.connect_ex(address)
        if code:
            green.wait_writable(sock.fileno(), max(0.0, deadline - time.monotonic()))
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, "connect failed")
    except BaseException:
        sock.close()
        raise
    return sock


_resolver = green.ThreadPool(1)
"""Names are looked up in a native thread: the library's resolver would stop the whole process."""


def _resolved(host: str, port: int) -> Any:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        found = _resolver.run(_look_up, host, port)
    return found[0]


def _look_up(host: str, port: int) -> Any:  # typeshed: a union of address shapes
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
