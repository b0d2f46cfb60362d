"""Connections to a cluster, kept between requests and lent to one thread at a time."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from objstore.client.errors import ClientError, Stopped

TIMEOUT_S = 60.0
"""Of one wait for the peer, not of a request."""
_BLOCK_BYTES = 256 << 10

# 90 items of metadata and what stands beside them is more than the 100 that http.client reads unless it is told.
setattr(http.client, "_MAXHEADERS", 1000)  # noqa: B010 - it has no name that a type checker knows.


@dataclass(frozen=True, slots=True)
class Trust:
    """ca_file: certificates that are believed instead of the system's. is_insecure: all are."""

    ca_file: str = ""
    is_insecure: bool = False

    def context(self) -> ssl.SSLContext:
        """Raises ClientError."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
        except (OSError, ssl.SSLError) as error:
            raise ClientError(f"{self.ca_file}: no certificates in PEM can be read from it ({error})") from None
        if self.is_insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


class Connections:
    """Fine for many threads. After abort() nothing is sent any more, and whoever waits is woken by an error."""

    def __init__(self, trust: Trust, timeout_s: float = TIMEOUT_S) -> None:
        self._trust = trust
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._idle: dict[tuple[str, str], list[http.client.HTTPConnection]] = {}
        self._lent: dict[http.client.HTTPConnection, tuple[str, str]] = {}
        self._context: ssl.SSLContext | None = None
        self._is_aborted = False

    def take(self, url: str) -> http.client.HTTPConnection:
        """A connection to a URL's host, for one exchange; it connects by itself. Hand it back by keep() or drop().

        Raises ClientError for a URL that is none."""
        key = _address(url)
        with self._lock:
            if self._is_aborted:
                raise Stopped
            idle = self._idle.get(key)
            connection = idle.pop() if idle else self._made(*key)
            self._lent[connection] = key
            return connection

    def keep(self, connection: http.client.HTTPConnection) -> None:
        """The exchange is over, whole: another may have the connection."""
        with self._lock:
            self._idle.setdefault(self._lent.pop(connection), []).append(connection)

    def drop(self, connection: http.client.HTTPConnection) -> None:
        """Whatever is still under way on it is cut off."""
        connection.close()
        with self._lock:
            self._lent.pop(connection, None)

    def _made(self, scheme: str, address: str) -> http.client.HTTPConnection:
        if scheme == "http":
            return http.client.HTTPConnection(address, timeout=self._timeout_s, blocksize=_BLOCK_BYTES)
        if self._context is None:
            self._context = self._trust.context()
        return _TlsConnection(address, self._timeout_s, self._context)

    def abort(self) -> None:
        """Cut all connections off. May be called from any thread."""
        with self._lock:
            self._is_aborted = True
            for connection in self._lent:
                sock: socket.socket | None = connection.sock
                if sock is not None:
                    with suppress(OSError):
                        sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Called once no thread uses them any more."""
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()


class _TlsConnection(http.client.HTTPConnection):
    """Whatever comes of the handshake, close() closes the socket."""

    default_port = http.client.HTTPS_PORT

    def __init__(self, address: str, timeout_s: float, context: ssl.SSLContext) -> None:
        super().__init__(address, timeout=timeout_s, blocksize=_BLOCK_BYTES)
        self._tls = context

    def connect(self) -> None:
        super().connect()
        wrapped = self._tls.wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
        self.sock = wrapped
        wrapped.do_handshake()


def _address(url: str) -> tuple[str, str]:
    """(scheme, host:port)."""
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1):
            return parts.scheme, parts.netloc.rpartition("@")[2]
    except ValueError:
        pass
    raise ClientError(f"{url}: expected a URL that begins with http:// or https://")
