"""A client's connection: heads come in, exchanges are run, and between them nothing is held but this object.

A connection that waits for its next head (idle, or with half of one), for the end of a body that nobody wants, or for
its client to close, has no green thread: its Watch wakes it, and the server lends it a worker for as long as there is
something to do. Every head has a deadline from its first byte on.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from objstore.core.errors import BadRequest, ClientDisconnected, ClientTooSlow
from objstore.http.environ import FINISH, RAW_TARGET, Environ
from objstore.http.exchange import Exchange, http_date
from objstore.http.head import HeadError, HeadScanner, RequestHead, head_bytes, parse_request
from objstore.http.input import RequestInput
from objstore.http.pace import PacedBody
from objstore.http.proxy_line import LINE_BYTES, client_address
from objstore.http.sink import ClientSink
from objstore.http.status import HTTPStatus, status_line
from objstore.http.stream import BodyStream, PlainStream, Stream
from objstore.runtime import green
from objstore.runtime.green import TimedOut, monotonic

if TYPE_CHECKING:
    from objstore.http.server import Server

__all__ = ["ServerConnection"]

_RECEIVE_BYTES = 16384
_TURNS = 8
"""Exchanges in a row before other connections get their turn."""
_BARE = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_URI_TOO_LONG)
"""Statuses that Swift's HTTP layer answers without Date and text."""


class ServerConnection:
    __slots__ = (
        "_server",
        "_stream",
        "_scanner",
        "_held",
        "_unwanted",
        "_is_ending",
        "_ends_at",
        "_client",
        "_proxied",
        "_head_deadline",
        "_is_late",
        "_is_drained",
        "_may_drain",
        "_has_answered",
        "is_closed",
    )

    def __init__(
        self, server: Server, stream: Stream, client: tuple[str, str], proxied: PlainStream | None = None
    ) -> None:
        """client: its address and port. proxied: the plain socket whose first bytes are a
        PROXY line, where the server asks for one."""
        self._server = server
        self._stream = stream
        self._scanner = HeadScanner(server.limits.head)
        self._held = b""
        self._unwanted = 0
        self._is_ending = False
        self._ends_at = 0.0
        self._client = client
        self._proxied = proxied
        self._head_deadline = monotonic() + server.limits.head_timeout_s
        self._is_late = False
        self._is_drained = False
        self._may_drain = isinstance(stream, PlainStream)
        self._has_answered = False
        self.is_closed = False

    # Waiting for a head. The hub calls switch() and throw().

    def park(self) -> None:
        """Wait for the next head without a green thread."""
        # The edge that ends this wait is kept nowhere: whoever is woken has to read before he may call it quiet.
        self._is_drained = False
        self._server.parked[self] = None
        self._stream.watch.when_readable(self, self._head_deadline)

    def switch(self) -> None:
        """There is something to read."""
        self._server.parked.pop(self, None)
        self._server.work_on(self)

    def throw(self, _: BaseException) -> None:
        """The head's deadline has passed."""
        self._is_late = True
        self.switch()

    @property
    def is_between_requests(self) -> bool:
        """Its client has an answer and has sent nothing since. A new connection is not: its request is on the way."""
        if not self._has_answered or not self._scanner.is_empty or self._unwanted or self._is_ending:
            return False
        try:
            return not (isinstance(self._stream, PlainStream) and self._stream.peek())
        except OSError:
            # The client is gone: there will be no request.
            return True

    def evict(self) -> None:
        """Close a parked connection."""
        self._stream.watch.forget_reader()
        self._server.parked.pop(self, None)
        self.close()

    def abort(self) -> None:
        """End whatever runs: its next read or write fails."""
        try:
            self._stream.shut_down()
        except OSError:
            pass

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self._stream.close()
            self._server.closed(self)

    # Working, in a worker's green thread

    def run(self) -> None:
        """Serve what is there; returns with the connection parked or closed."""
        try:
            self._serve()
        except HeadError as error:
            self._refuse(error)
        except OSError:
            pass
        finally:
            if self not in self._server.parked:
                self.close()

    def _serve(self) -> None:
        for turn in itertools.count(1):
            head = self._next_head()
            if head is None or not self._exchange(head):
                return
            self._has_answered = True
            if turn % _TURNS == 0:
                # A client that pipelines, or answers faster than we ask, does not keep the others waiting.
                green.sleep(0)

    def _next_head(self) -> RequestHead | None:
        """The next head, or None when the connection is parked or closed."""
        if self._proxied is not None and not self._read_proxy_line(self._proxied):
            return None
        while True:
            data: bytes | None = self._held
            if data:
                self._held = b""
            elif self._is_late:
                if not (self._scanner.is_empty or self._is_ending):
                    raise HeadError(HTTPStatus.REQUEST_TIMEOUT, "the request head did not come in time")
                self.close()
                return None
            elif self._is_drained and self._stream.watch.is_quiet:
                self._park_or_end()
                return None
            else:
                data = self._stream.try_recv(_RECEIVE_BYTES)
                if data is None:
                    self._park_or_end()
                    return None
                # A short read took all there was: whatever comes after it makes an edge of its own.
                self._is_drained = len(data) < _RECEIVE_BYTES and self._may_drain
                if not data:
                    self.close()
                    return None
            if self._is_ending:
                if not self._read_away():
                    self.close()
                    return None
                # Who sends faster than we read does not keep the others waiting.
                green.sleep(0)
                continue
            if self._unwanted:
                self._pass_over(data)
                continue
            if self._scanner.is_empty:
                self._head_deadline = monotonic() + self._server.limits.head_timeout_s
            found = self._scanner.feed(data)
            if found is not None:
                self._held = found[1]
                return parse_request(found[0], self._server.limits.head)

    def _pass_over(self, data: bytes) -> None:
        """Throw away what belongs to the body that nobody wants."""
        self._held = data[self._unwanted :]
        self._unwanted = max(0, self._unwanted - len(data))
        if not self._unwanted:
            self._head_deadline = monotonic() + self._server.limits.keepalive_timeout_s

    def _park_or_end(self) -> None:
        if self._server.is_draining and self.is_between_requests:
            self.close()
        else:
            self.park()

    def _read_proxy_line(self, plain: PlainStream) -> bool:
        """Take the PROXY line off the socket; False when it is not there yet, and the connection parked or closed."""
        seen = plain.peek(LINE_BYTES)
        end = 0 if seen is None else seen.find(b"\n") + 1
        if seen is not None and not end and (len(seen) == LINE_BYTES or not b"PROXY ".startswith(seen[:6])):
            raise HeadError(HTTPStatus.BAD_REQUEST, "no PROXY line, which this server asks of its load balancer")
        if seen == b"" or (not end and self._is_late):
            self.close()
            return False
        if not end:
            self._park_or_end()
            return False
        address = client_address(plain.try_recv(end) or b"")
        if address is not None:
            self._client = address
        self._proxied = None
        return True

    def _exchange(self, head: RequestHead) -> bool:
        """Run one exchange; whether the connection goes on."""
        limits = self._server.limits
        first, self._held = self._held, b""
        if first or head.content_length != 0:
            self._is_drained = False
        stream: BodyStream = self._stream
        if limits.body_bytes_per_s and head.content_length != 0:
            stream = PacedBody(stream, limits.body_bytes_per_s, limits.client_timeout_s)
        body = RequestInput(
            stream,
            head.content_length,
            first,
            limits.framing,
            limits.client_timeout_s,
            expects_continue=head.expects_continue,
        )
        exchange = Exchange(
            head,
            body,
            ClientSink(self._stream, limits.client_timeout_s),
            self._server,
        )
        exchange.run(self._server.app, self._environ(head, body))
        if exchange.is_reusable and body.is_done:
            self._held = body.rest
            self._head_deadline = monotonic() + limits.keepalive_timeout_s
            return True
        if not body.is_done and exchange.is_reusable and (unwanted := body.on_its_way):
            self._unwanted = unwanted
            self._head_deadline = monotonic() + limits.client_timeout_s
            return True
        if not exchange.is_reusable or not self._discard(body):
            if not body.is_done or body.rest:
                self._linger()
            return False
        self._held = body.rest
        self._head_deadline = monotonic() + limits.keepalive_timeout_s
        return True

    def _environ(self, head: RequestHead, body: RequestInput) -> Environ:
        return {
            **self._server.environ,
            **head.fields,
            "REMOTE_ADDR": self._client[0],
            "REMOTE_PORT": self._client[1],
            "REQUEST_METHOD": head.method,
            "PATH_INFO": head.path,
            "QUERY_STRING": head.query,
            "SERVER_PROTOCOL": "HTTP/1.1" if head.is_http11 else "HTTP/1.0",
            RAW_TARGET: head.target,
            "wsgi.input": body,
            FINISH: [],
        }

    def _discard(self, body: RequestInput) -> bool:
        """Read away what the application left of the request body; False when that is too much or too slow."""
        if body.is_done:
            return True
        left = self._server.limits.discard_bytes
        try:
            while left > 0:
                piece = body.read_some(left)
                if not piece:
                    return True
                left -= len(piece)
            return body.is_done
        except (ClientDisconnected, ClientTooSlow, BadRequest):
            return False

    def _refuse(self, error: HeadError) -> None:
        """The HTTP layer's own answer to a head that it does not pass on."""
        headers = [("Connection", "close")]
        text = b""
        if error.status not in _BARE:
            text = f"<html><h1>{status_line(error.status)}</h1><p>{error.reason}</p></html>".encode(
                "latin-1", "replace"
            )
            headers += [("Content-Type", "text/html;charset=utf-8"), ("Date", http_date())]
        headers.append(("Content-Length", str(len(text))))
        self._server.logger.info("status=%d client=%s: %s", error.status, self._client[0], error.reason)
        try:
            answer = head_bytes(f"HTTP/1.1 {status_line(error.status)}", headers) + text
            self._stream.send(answer, self._server.limits.linger_s)
            self._linger()
        except (OSError, TimedOut):
            pass

    def _linger(self) -> None:
        """Say no more, then read on: closing on unread bytes would reset the connection under the answer.

        Until the client closes, which it does when it has read the answer: many send all they have first. One that is
        silent for linger_s has nothing on its way; after linger_most_s whoever still sends is not going to read."""
        limits = self._server.limits
        self._stream.shut_down_writing()
        self._held, self._proxied = b"", None
        self._is_ending, self._is_late = True, False
        self._ends_at = monotonic() + limits.linger_most_s
        self._read_away()
        self._next_head()

    def _read_away(self) -> bool:
        """The client has sent something after its last answer: it may go on. False when it did so for too long."""
        now_s = monotonic()
        self._head_deadline = min(now_s + self._server.limits.linger_s, self._ends_at)
        return now_s < self._ends_at
