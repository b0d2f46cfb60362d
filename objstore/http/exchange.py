"""One request and its response: calls the WSGI application and frames what it gives (RFC 9112 section 6, PEP 3333).

Framing is this module's alone: an application's Transfer-Encoding is dropped, its Content-Length is held to, and
without one a body goes out chunked (HTTP/1.1) or until close (HTTP/1.0). HEAD, 204 and 304 never carry a body. Whatever
happens, the application's iterable is closed, and a body that is not whole ends with a closed connection.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from typing import Any, Protocol

from objstore.core.errors import BadRequest, ClientDisconnected, ClientTooSlow
from objstore.http.environ import FINISH, Environ, Outcome, WSGIApp
from objstore.http.framing import LAST_CHUNK, chunk_head
from objstore.http.head import RequestHead, encode_lines
from objstore.http.input import RequestInput
from objstore.http.sink import ClientSink
from objstore.http.status import HTTPStatus, status_line
from objstore.runtime.green import monotonic

__all__ = ["Exchange", "http_date"]

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z\x80-\xff]+")
_PLAIN, _LENGTH, _DATE, _CONNECTION, _CODING = range(5)
_ROLES = {
    "content-length": _LENGTH,
    "date": _DATE,
    "connection": _CONNECTION,
    "transfer-encoding": _CODING,
    "keep-alive": _CODING,
}
_roles_by_name: dict[str, int] = {}
_NAMES_REMEMBERED = 4096
_CLIENT_FAULTS = {ClientTooSlow: HTTPStatus.REQUEST_TIMEOUT, ClientDisconnected: HTTPStatus.BAD_REQUEST}
"""What a read of the request body may raise through an application that does not handle it (else 400)."""
_WITHOUT_BODY = ("204", "304")
Headers = list[tuple[str, str]]


class Host(Protocol):
    """What an exchange asks of the server around it.

    discard_bytes: how much of an unread request body is read and thrown away to keep the connection.
    """

    logger: logging.Logger
    is_draining: bool
    discard_bytes: int


class Exchange:
    """is_reusable, once run() is over: whether the connection can carry another request."""

    __slots__ = (
        "is_reusable",
        "_head",
        "_input",
        "_sink",
        "_host",
        "_may_keep",
        "_logger",
        "_status",
        "_headers",
        "_is_chunked",
        "_has_body",
        "_is_complete",
        "_started_at",
    )

    def __init__(
        self,
        head: RequestHead,
        body: RequestInput,
        sink: ClientSink,
        host: Host,
    ) -> None:
        self.is_reusable = False
        self._head = head
        self._input = body
        self._sink = sink
        self._host = host
        self._logger = host.logger
        self._may_keep = head.keeps_alive
        self._status = ""
        self._headers: Headers = []
        self._is_chunked = False
        self._has_body = True
        self._is_complete = False
        self._started_at = monotonic()

    def run(self, app: WSGIApp, environ: Environ) -> None:
        """Never raises but for what kills a green thread."""
        try:
            self._answer(app, environ)
            self._is_complete = True
        except (BadRequest, ClientDisconnected, ClientTooSlow) as error:
            self._logger.debug("method=%s path=%r: %s", self._head.method, self._head.path, error)
            self._answer_failure(_CLIENT_FAULTS.get(type(error), HTTPStatus.BAD_REQUEST))
        except Exception:  # The request boundary of the server: no application can end a worker.
            self._logger.exception("method=%s path=%r: the application failed", self._head.method, self._head.path)
            self._answer_failure(HTTPStatus.INTERNAL_SERVER_ERROR)
        finally:
            self.is_reusable = self._is_complete and self._may_keep
            self._finish(environ)

    # The application's side

    def _start_response(
        self, status: str, headers: Headers, exc_info: tuple[Any, BaseException, Any] | None = None
    ) -> Callable[[bytes], None]:
        if exc_info is not None:
            if self._sink.head_sent_at is not None:
                raise exc_info[1]
        elif self._status:
            raise RuntimeError("start_response was called twice")
        self._status = status
        self._headers = headers
        return self._write

    def _write(self, data: bytes) -> None:
        """PEP 3333's write(): for old applications."""
        if not self._sink.has_begun:
            self._begin(None)
        self._send_piece(data)

    def _answer(self, app: WSGIApp, environ: Environ) -> None:
        result = app(environ, self._start_response)
        try:
            if self._status and type(result) in (tuple, list) and not self._sink.has_begun:
                self._send_whole(result)
                return
            transfer = getattr(result, "transfer", None)
            if transfer is not None and self._status and not self._sink.has_begun:
                self._begin(None)
                if self._has_body and not self._is_chunked:
                    transfer(self._sink)
                    self._end()
                    return
            self._send_pieces(iter(result))
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()

    # Sending

    def _send_whole(self, pieces: list[bytes] | tuple[bytes, ...]) -> None:
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._begin(len(body))
        if self._has_body and body:
            self._send_piece(body)
        self._end()

    def _send_pieces(self, pieces: Iterator[bytes]) -> None:
        first = b""
        if not self._status:
            # A generator calls start_response when its first piece is asked for.
            first = next(pieces, b"")
        if not self._sink.has_begun:
            self._begin(None)
        if self._has_body:
            if first:
                self._send_piece(first)
            for piece in pieces:
                if piece:
                    self._send_piece(piece)
        self._end()

    def _send_piece(self, data: bytes) -> None:
        if not self._has_body:
            return
        if self._is_chunked:
            size = len(data)
            if size:
                self._sink.send_framed(b"".join((chunk_head(size), data, b"\r\n")), size)
        else:
            self._sink.send(data)

    def _end(self) -> None:
        sink = self._sink
        if self._has_body:
            if self._is_chunked:
                sink.send_framed(LAST_CHUNK, 0)
            elif sink.left:
                sink.flush()
                raise BodyTooShort(f"the body ended {sink.left} bytes before its Content-Length")
        sink.flush()

    def _begin(self, body_size: int | None) -> None:
        """Decide framing and persistence, and hand the head to the sink. body_size: when it is known."""
        status = self._status
        if not status:
            raise RuntimeError("the application never called start_response")
        lines = [f"HTTP/1.1 {status}"]
        length: int | None = None
        has_date = closes = False
        for name, value in self._headers:
            role = _roles_by_name.get(name)
            if role is None:
                role = _role(name)
            if role:
                if role == _LENGTH:
                    length = int(value)
                elif role == _DATE:
                    has_date = True
                else:
                    closes = closes or (role == _CONNECTION and "close" in value.lower())
                    continue
            lines.append(f"{name}: {value}")
        self._has_body = self._head.method != "HEAD" and status[:3] not in _WITHOUT_BODY
        if length is None and self._has_body:
            if body_size is not None:
                length = body_size
                lines.append(f"Content-Length: {length}")
            elif self._head.is_http11:
                self._is_chunked = True
                lines.append("Transfer-Encoding: chunked")
            else:
                closes = True
        if not has_date:
            lines.append(f"Date: {http_date()}")
        self._may_keep = self._may_keep and not closes and not self._host.is_draining and self._request_can_end()
        if not self._may_keep:
            lines.append("Connection: close")
        elif not self._head.is_http11:
            lines.append("Connection: keep-alive")
        self._sink.begin(encode_lines(lines), length if self._has_body else None)

    def _request_can_end(self) -> bool:
        """Whether what is unread of the request can be passed over. A client that waits for its 100 may or may not
        send the body after a final answer, so nobody could say where the next request begins."""
        body = self._input
        if body.is_done:
            return True
        if body.owes_continue or body.failure is not None:
            return False
        remaining = body.remaining
        return remaining is None or remaining <= self._host.discard_bytes

    # When it fails

    def _answer_failure(self, status: int) -> None:
        """A short answer where none has begun; the connection closes in any case."""
        self._may_keep = False
        sink = self._sink
        if sink.head_sent_at is not None or sink.is_broken:
            return
        self._status = status_line(status)
        self._headers = [("Content-Length", "0")]
        self._is_chunked = False
        try:
            self._begin(0)
            sink.left = 0
            sink.flush()
        except (ClientDisconnected, ClientTooSlow):
            pass

    def _finish(self, environ: Environ) -> None:
        callbacks = environ.get(FINISH)
        if not callbacks:
            return
        now, first = monotonic(), self._sink.head_sent_at
        outcome = Outcome(
            status=int(self._status[:3]) if self._status[:3].isdigit() else 0,
            bytes_received=self._input.received,
            bytes_sent=self._sink.sent,
            elapsed_s=now - self._started_at,
            first_byte_s=(first if first is not None else now) - self._started_at,
            is_complete=self._is_complete,
        )
        for callback in callbacks:
            try:
                callback(outcome)
            except Exception:  # The exchange is over; one callback must not keep the others from being called.
                self._logger.exception("path=%r: a finish callback failed", self._head.path)


class BodyTooShort(Exception):
    """An application gave fewer bytes than the Content-Length it had announced."""


def _role(name: str) -> int:
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"not a header name: {name[:80]!r}")
    role = _ROLES.get(name.lower(), _PLAIN)
    if len(_roles_by_name) < _NAMES_REMEMBERED:
        _roles_by_name[name] = role
    return role


_date = (0, "")


def http_date() -> str:
    """The Date header's value, made once a second."""
    global _date
    now = int(time.time())
    if _date[0] != now:
        _date = (now, formatdate(now, usegmt=True))
    return _date[1]
