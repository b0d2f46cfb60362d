"""The HTTP/1.1 client for services outside of the cluster: an identity service, a key manager, another cluster's proxy.

http:// and https:// URLs over the same connections as those among our servers (http/client.py), so that it waits in
green threads only. TLS verifies the server's name and certificate; idle connections are kept and used again. Redirects
are answers like others: nobody is sent anywhere by a service. Every wait has a deadline, every whole answer a limit.

What goes wrong is a ServiceError that says what was asked of whom, and never more of a URL than its path.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from objstore.core.errors import DomainError
from objstore.http.client import (
    BadResponse,
    ConnectFailed,
    Connection,
    ConnectionPool,
    PeerBroken,
    PeerError,
    PeerTimedOut,
)
from objstore.http.dial import Route
from objstore.http.head import ResponseHead
from objstore.http.service_url import ServiceUrl, parse_url
from objstore.http.status import HTTPStatus
from objstore.http.tls import client_context
from objstore.runtime import green
from objstore.runtime.green import TimedOut

__all__ = [
    "Answer",
    "BadAnswer",
    "OpenAnswer",
    "Outgoing",
    "ServiceBroken",
    "ServiceError",
    "ServiceSilent",
    "ServiceUnreachable",
    "Trust",
    "proxy_address",
]

Headers = Iterable[tuple[str, str]]
_INTERIM_AT_MOST = 8
_IDLE_PER_ADDRESS = 8
_IDLE_S = 10.0
"""Others close idle connections early: whoever waits longer meets their closing."""
_BLOCK_BYTES = 65536
_REPEATABLE = frozenset(("GET", "HEAD", "PUT", "DELETE", "OPTIONS"))
"""Methods that mean the same when asked twice (RFC 9110 9.2.2): an idle connection that proves dead may be replaced."""


class ServiceError(DomainError):
    """A service outside of the cluster did not answer as a service should."""


class ServiceUnreachable(ServiceError):
    """No connection: refused, no such name, not in time, or a certificate that is not trusted. Nothing was asked."""


class ServiceSilent(ServiceError):
    """It let a deadline pass. What was asked may have been done."""


class ServiceBroken(ServiceError):
    """It closed or reset the connection in the middle. What was asked may have been done."""


class BadAnswer(ServiceError):
    """Its bytes are no HTTP, or more than the limit."""


@dataclass(frozen=True, slots=True)
class Trust:
    """How servers are known. ca_file: authorities in PEM; None: the system's. is_insecure: believe anybody.

    cert_file, key_file: what we show of ourselves where a server asks for that; the key may stand in cert_file.
    """

    ca_file: str | None = None
    is_insecure: bool = False
    cert_file: str | None = None
    key_file: str | None = None

    def context(self) -> ssl.SSLContext:
        """Raises ValueError for files that cannot be used."""
        try:
            return client_context(
                self.ca_file, is_insecure=self.is_insecure, cert_file=self.cert_file, key_file=self.key_file
            )
        except OSError as error:
            files = ", ".join(name for name in (self.ca_file, self.cert_file, self.key_file) if name)
            raise ValueError(f"{files}: cannot be used for TLS: {error.strerror or error}") from None


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole one. headers: by lower-case name, repeated ones joined by a comma."""

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes = field(repr=False)


class Outgoing:
    """Asks any URL. One per consumer (they differ in trust and time), used by green threads only."""

    def __init__(
        self,
        *,
        trust: Trust | None = None,
        proxy: tuple[str, int] | None = None,
        connect_timeout_s: float = 5.0,
        timeout_s: float = 10.0,
    ) -> None:
        """proxy: of proxy_address(). timeout_s: for every wait: a send that moves, the head, more of a body.

        Raises ValueError for files of trust that cannot be used.
        """
        self._trust = trust or Trust()
        self._proxy = proxy
        self._connect_timeout_s = connect_timeout_s
        self._timeout_s = timeout_s
        self._plain = self._pool(None)
        # The system's authorities are many: read when the first https:// is asked. Files of our own are checked now.
        self._secure = self._pool(self._trust.context()) if trust not in (None, Trust()) else None

    def request(
        self,
        method: str,
        url: str,
        headers: Headers = (),
        body: bytes = b"",
        *,
        limit_bytes: int = 1 << 20,
        deadline_s: float | None = None,
    ) -> Answer:
        """One whole exchange, any status. limit_bytes: of the answer's body. deadline_s: for everything together, the
        connection too; default: three times timeout_s. Raises ServiceError."""
        seconds = 3 * self._timeout_s if deadline_s is None else deadline_s
        target = _parsed(url)
        try:
            with green.deadline(seconds), self._opened(method, target, headers, body, len(body)) as answer:
                return Answer(answer.status, answer.reason, answer.headers, answer.read_all(limit_bytes))
        except TimedOut:
            raise ServiceSilent(f"{method} {target.loggable}: no whole answer within {seconds:g} s") from None

    def open(
        self,
        method: str,
        url: str,
        headers: Headers = (),
        body: bytes | Iterable[bytes] = b"",
        length: int | None = None,
    ) -> OpenAnswer:
        """An answer whose body is read in blocks; the caller closes it (it is a context manager).

        body: bytes, or blocks of bytes, length of them in all. A service that answers before it has everything gets no
        more; its answer counts. What the blocks raise comes out here, and the service sees the request cut off. Raises
        ServiceError, and ValueError for blocks of another length.
        """
        if length is None:
            assert isinstance(body, bytes), "the length of blocks has to be known"
            length = len(body)
        return self._opened(method, _parsed(url), headers, body, length)

    def close(self) -> None:
        """Close what is idle."""
        self._plain.close()
        if self._secure is not None:
            self._secure.close()

    def _pool(self, context: ssl.SSLContext | None) -> ConnectionPool:
        return ConnectionPool(_IDLE_PER_ADDRESS, _IDLE_S, Route(context, self._proxy).dial)

    def _pool_for(self, url: ServiceUrl) -> ConnectionPool:
        if url.scheme == "http":
            return self._plain
        if self._secure is None:
            self._secure = self._pool(self._trust.context())
        return self._secure

    def _opened(
        self, method: str, url: ServiceUrl, headers: Headers, body: bytes | Iterable[bytes], length: int
    ) -> OpenAnswer:
        exchange = _Exchange(method, url, self._target(url), headers, body, length, self._timeout_s)
        pool = self._pool_for(url)
        try:
            if method in _REPEATABLE:
                connection = pool.connect(url.host, url.port, self._connect_timeout_s)
                try:
                    return exchange.run(connection)
                except PeerBroken:
                    if not connection.is_reused or connection.has_answer_begun or exchange.has_begun_blocks:
                        raise
            return exchange.run(pool.connect_new(url.host, url.port, self._connect_timeout_s))
        except PeerError as error:
            raise _service_error(f"{method} {url.loggable}", error) from None

    def _target(self, url: ServiceUrl) -> str:
        return str(url) if self._proxy is not None and url.scheme == "http" else url.target


class _Exchange:
    """A request on its way out. has_begun_blocks: its body cannot be sent again."""

    def __init__(
        self,
        method: str,
        url: ServiceUrl,
        target: str,
        headers: Headers,
        body: bytes | Iterable[bytes],
        length: int,
        timeout_s: float,
    ) -> None:
        self._what = f"{method} {url.loggable}"
        self._method = method
        self._target = target
        self._body = body
        self._length = length
        self._timeout_s = timeout_s
        self._headers = [("Host", url.authority), *headers]
        if length or method in ("PUT", "POST", "PATCH"):
            self._headers.append(("Content-Length", str(length)))
        self.has_begun_blocks = False

    def run(self, connection: Connection) -> OpenAnswer:
        """Raises PeerError, ValueError, and what the blocks raise; the connection is closed then."""
        try:
            head = self._asked(connection)
        except BaseException:
            connection.close()
            raise
        return OpenAnswer(connection, head, self._what, self._timeout_s)

    def _asked(self, connection: Connection) -> ResponseHead:
        whole = self._body if isinstance(self._body, bytes) else b""
        connection.send_request(self._method, self._target, self._headers, whole, timeout_s=self._timeout_s)
        early = None if isinstance(self._body, bytes) else self._send_blocks(connection, self._body)
        if early is not None:
            return early
        for _ in range(_INTERIM_AT_MOST):
            head = connection.read_head(self._timeout_s)
            if head.status >= HTTPStatus.OK:
                return head
        raise BadResponse(f"more than {_INTERIM_AT_MOST} interim responses")

    def _send_blocks(self, connection: Connection, blocks: Iterable[bytes]) -> ResponseHead | None:
        """All of the body; or the answer that came before its end."""
        left = self._length
        for block in blocks:
            self.has_begun_blocks = True
            left -= len(block)
            if left < 0:
                raise ValueError(f"{self._what}: the blocks are more than the {self._length} bytes announced")
            try:
                connection.send(block, self._timeout_s)
            except (PeerBroken, PeerTimedOut):
                # It may have refused before it stopped to listen.
                early = _final(connection)
                if early is None:
                    raise
                return early
            early = _final(connection) if left else None
            if early is not None:
                return early
        if left:
            raise ValueError(f"{self._what}: the blocks are {left} bytes less than the {self._length} announced")
        return None


def _final(connection: Connection) -> ResponseHead | None:
    """A final answer that is there already."""
    for _ in range(_INTERIM_AT_MOST):
        head = connection.try_read_head()
        if head is None or head.status >= HTTPStatus.OK:
            return head
    raise BadResponse(f"more than {_INTERIM_AT_MOST} interim responses")


class OpenAnswer:
    """An answer whose body is still to come. Read to its end, its connection is kept; closed before, it is not.

    headers: by lower-case name, repeated ones joined by a comma. length: bytes of body; None when only its end tells.
    """

    def __init__(self, connection: Connection, head: ResponseHead, what: str, timeout_s: float) -> None:
        self.status = head.status
        self.reason = head.reason
        self.headers = head.headers
        self.length = head.length
        self._connection = connection
        self._what = what
        self._timeout_s = timeout_s

    def __enter__(self) -> OpenAnswer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read_some(self, size: int = _BLOCK_BYTES) -> bytes:
        """What is there, at least a byte; b"" at the end, never before it. Raises ServiceError."""
        try:
            return self._connection.read_some(size, self._timeout_s)
        except PeerError as error:
            raise _service_error(self._what, error) from None

    def read_all(self, limit_bytes: int) -> bytes:
        """The rest. Raises ServiceError, BadAnswer when it is more than limit_bytes."""
        try:
            return self._connection.read_all(limit_bytes, self._timeout_s)
        except PeerError as error:
            raise _service_error(self._what, error) from None

    def __iter__(self) -> Iterator[bytes]:
        while block := self.read_some():
            yield block

    def close(self) -> None:
        self._connection.release()


def proxy_address(url: str) -> tuple[str, int]:
    """The address of a forward proxy, given as http://host:port. Raises ValueError."""
    parsed = parse_url(url)
    if parsed.scheme != "http" or parsed.target != "/":
        raise ValueError("a forward proxy is given as http://host:port")
    return parsed.host, parsed.port


def _parsed(url: str) -> ServiceUrl:
    try:
        return parse_url(url)
    except ValueError as error:
        raise ServiceUnreachable(f"not a URL that can be asked: {error}") from None


def _service_error(what: str, error: PeerError) -> ServiceError:
    for kind, ours in _KINDS:
        if isinstance(error, kind):
            return ours(f"{what}: {error}")
    return ServiceError(f"{what}: {error}")


_KINDS: tuple[tuple[type[PeerError], type[ServiceError]], ...] = (
    (ConnectFailed, ServiceUnreachable),
    (PeerTimedOut, ServiceSilent),
    (PeerBroken, ServiceBroken),
    (BadResponse, BadAnswer),
)
