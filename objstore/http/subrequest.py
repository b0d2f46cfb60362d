"""Requests that a filter makes of the pipeline below it, in this process: no socket, no second parse.

A child environ carries the services of its parent (cache, info, authorization, transaction id) and none of the
client's headers but those that say who asks; a filter adds what it needs. Whoever makes one names itself in `source`,
so that the access log tells it from a client's request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, cast

from objstore.core.errors import BodyTooLarge, ClientDisconnected
from objstore.core.headers import environ_key, lowered
from objstore.core.names import quoted, text_of
from objstore.http import environ as keys
from objstore.http.body import Sink
from objstore.http.environ import Environ, WSGIApp

_NOT_INHERITED = frozenset(
    {
        "CONTENT_TYPE",
        "CONTENT_LENGTH",
        "QUERY_STRING",
        "wsgi.input",
        keys.ACL,
        keys.AUTHORIZE_OVERRIDE,
        keys.CONTENT_TYPE_PARAMETERS,
        keys.OWNER,
        keys.PATH,
        keys.RAW_TARGET,
        keys.UPLOAD_FOOTERS,
    }
)
_INHERITED_HEADERS = frozenset(
    {
        "HTTP_HOST",
        "HTTP_REFERER",
        "HTTP_USER_AGENT",
        "HTTP_X_AUTH_TOKEN",
        "HTTP_X_BACKEND_ALLOW_RESERVED_NAMES",
        "HTTP_X_NEWEST",
        "HTTP_X_SERVICE_TOKEN",
        "HTTP_X_STORAGE_TOKEN",
        "HTTP_X_TRANS_ID",
    }
)


class BytesInput:
    """wsgi.input over bytes that are already here."""

    __slots__ = ("_data", "_position")

    def __init__(self, data: bytes = b"") -> None:
        self._data = data
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        end = len(self._data) if size < 0 else self._position + size
        piece = self._data[self._position : end]
        self._position += len(piece)
        return piece

    def readinto(self, buffer: memoryview) -> int:
        piece = self.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def begin_next_sequence(self, headers: list[tuple[str, str]]) -> None:
        raise AssertionError("a body in memory has one sequence")

    def continue_with(self, headers: list[tuple[str, str]]) -> None:
        """Nobody waits for a 100 Continue."""


class IteratorInput:
    """wsgi.input over pieces that somebody else produces; nothing is held but the rest of one piece.

    It is never shortened silently: whatever the iterator raises comes out of read(), and an end before length_bytes
    (where that is known) raises ClientDisconnected.
    """

    __slots__ = ("_pieces", "_rest", "_missing")

    def __init__(self, pieces: Iterable[bytes], length_bytes: int = 0) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")
        self._missing = length_bytes

    def read(self, size: int = -1) -> bytes:
        """Exactly size bytes but at the end."""
        found: list[bytes] = []
        missing = size
        while missing and self._fill():
            piece = bytes(self._take_rest(missing if size >= 0 else len(self._rest)))
            missing -= len(piece)
            found.append(piece)
        return found[0] if len(found) == 1 else b"".join(found)

    def readinto(self, buffer: memoryview) -> int:
        if not len(buffer) or not self._fill():
            return 0
        piece = self._take_rest(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def begin_next_sequence(self, headers: list[tuple[str, str]]) -> None:
        raise AssertionError("an internal body has one sequence")

    def continue_with(self, headers: list[tuple[str, str]]) -> None:
        """Nobody waits for a 100 Continue."""

    def _fill(self) -> bool:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                if self._missing > 0:
                    raise ClientDisconnected
                return False
            self._missing -= len(piece)
            self._rest = memoryview(piece)
        return True

    def _take_rest(self, size: int) -> memoryview:
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece


def child_environ(
    parent: Environ,
    method: str,
    path: str,
    *,
    source: str,
    query: str = "",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    authorized: bool = False,
) -> Environ:
    """The environ of a request made on behalf of `parent`.

    path: a WSGI string, decoded. headers: names in any case. authorized: skip authorization; the caller has seen to it.
    """
    parent.setdefault(keys.FINISH, [])  # So that both have one list, and the server sees it.
    environ = {
        key: value
        for key, value in parent.items()
        if key not in _NOT_INHERITED and (not key.startswith("HTTP_") or key in _INHERITED_HEADERS)
    }
    environ["REQUEST_METHOD"] = method
    environ["PATH_INFO"] = path
    environ["QUERY_STRING"] = query
    environ[keys.RAW_TARGET] = quoted(text_of(path)) + (f"?{query}" if query else "")
    environ[keys.SOURCE] = source
    environ["wsgi.input"] = BytesInput(body or b"")
    if body is not None:
        environ["CONTENT_LENGTH"] = str(len(body))
    for name, value in (headers or {}).items():
        environ[environ_key(name)] = value
    if authorized:
        environ[keys.AUTHORIZE_OVERRIDE] = True
    return environ


class SubResponse:
    """The answer to a subrequest. headers: lower-case names. Read it, iterate it, or hand `body` on; close() always."""

    __slots__ = ("status", "status_line", "header_list", "body")

    def __init__(self, status_line: str, header_list: list[tuple[str, str]], body: Iterable[bytes]) -> None:
        self.status = int(status_line[:3])
        self.status_line = status_line
        self.header_list = header_list
        self.body = body

    @property
    def headers(self) -> dict[str, str]:
        return {lowered(name): value for name, value in self.header_list}

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def read(self, limit_bytes: int) -> bytes:
        """The whole body. Raises BodyTooLarge past limit_bytes."""
        pieces: list[bytes] = []
        size = 0
        try:
            for piece in self.body:
                size += len(piece)
                if size > limit_bytes:
                    raise BodyTooLarge(limit_bytes)
                pieces.append(piece)
        finally:
            self.close()
        return b"".join(pieces)

    def transfer(self, sink: Sink) -> None:
        """Send the body on: by itself where it can do that."""
        transfer = getattr(self.body, "transfer", None)
        if transfer is not None:
            transfer(sink)
            return
        for piece in self.body:
            sink.send(piece)

    def discard(self, limit_bytes: int = 65536) -> None:
        """Read a short body to its end, so that connections below can be reused; drop a long one."""
        with suppress(BodyTooLarge):
            self.read(limit_bytes)

    def close(self) -> None:
        close = getattr(self.body, "close", None)
        if close is not None:
            close()


class _Resumed:
    """A body whose first piece had to be pulled before its head was known."""

    __slots__ = ("_first", "_rest", "_body")

    def __init__(self, first: bytes | None, rest: Iterator[bytes], body: Any) -> None:
        self._first = first
        self._rest = rest
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        if self._first is not None:
            yield self._first
        yield from self._rest

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        if close is not None:
            close()


def call(app: WSGIApp, environ: Environ) -> SubResponse:
    """Run a request through `app`. Raises what it raises."""
    head: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        head[:] = (status, headers)

    body = app(environ, start_response)
    if not head:
        pieces = iter(body)
        body = _Resumed(next(pieces, None), pieces, body)
    return SubResponse(head[0], head[1], cast(Iterable[bytes], body))
