"""environ["wsgi.input"]: the request body as the server gives it to handlers (http.body.RequestBody)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar, cast

from objstore.core.errors import BadRequest, ClientDisconnected, ClientTooSlow, DomainError
from objstore.http.framing import ChunkedDecoder, ClosedEarly, FramingError, FramingLimits, LengthDecoder
from objstore.http.head import head_bytes
from objstore.http.reading import BodyReader
from objstore.http.stream import BodyStream
from objstore.runtime.green import TimedOut

__all__ = ["RequestInput"]

_PIECE_BYTES = 65536
_LINE_BYTES = 65536
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_NO_BODY = BodyReader(cast(BodyStream, None), LengthDecoder(0), b"")
"""Shared by all requests that have none: it never touches a stream."""
T = TypeVar("T")


class RequestInput:
    """Reads raise ClientDisconnected, ClientTooSlow or BadRequest. The first read answers Expect: 100-continue.

    failure: what a read has failed with; every later one fails alike, and the connection cannot be used again.
    owes_continue: the client still waits for its 100.
    """

    __slots__ = (
        "failure",
        "owes_continue",
        "_stream",
        "_reader",
        "_limits",
        "_timeout_s",
        "_continue_headers",
        "_received_before",
    )

    def __init__(
        self,
        stream: BodyStream,
        content_length: int | None,
        first: bytes,
        limits: FramingLimits,
        timeout_s: float,
        *,
        expects_continue: bool,
    ) -> None:
        """content_length: None for a chunked body. first: bytes received with the head."""
        self.failure: DomainError | None = None
        self.owes_continue = expects_continue and content_length != 0
        self._stream = stream
        self._limits = limits
        self._timeout_s = timeout_s
        self._continue_headers: list[tuple[str, str]] = []
        self._received_before = 0
        if content_length == 0 and not first:
            self._reader = _NO_BODY
        else:
            decoder = ChunkedDecoder(limits) if content_length is None else LengthDecoder(content_length)
            self._reader = BodyReader(stream, decoder, first)

    # What the server asks

    @property
    def received(self) -> int:
        """Bytes of body given out."""
        return self._received_before + self._reader.received

    @property
    def is_done(self) -> bool:
        return self._reader.is_done

    @property
    def remaining(self) -> int | None:
        return self._reader.remaining

    @property
    def on_its_way(self) -> int:
        """Bytes that have not been received, if they can be passed over without reading them as a body; else 0."""
        return 0 if self.owes_continue or self.failure is not None else self._reader.on_its_way

    @property
    def rest(self) -> bytes:
        """Once the body is done: the bytes after it, which begin the next request."""
        return self._reader.rest

    # RequestBody

    def read(self, size: int = -1) -> bytes:
        """Exactly size bytes but at the end; everything with -1 (bound it by Content-Length, or give a size)."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_PIECE_BYTES), b""))
        return self._reading(lambda: self._reader.read(size, self._timeout_s))

    def read_some(self, size: int) -> bytes:
        """What is there, at least a byte; b"" at the end."""
        return self._reading(lambda: self._reader.read_some(size, self._timeout_s))

    def readinto(self, buffer: memoryview) -> int:
        return self._reading(lambda: self._reader.readinto(buffer, self._timeout_s))

    def readline(self, limit: int = -1) -> bytes:
        """Up to and with LF; at most limit bytes, never more than 64 KiB."""
        most = _LINE_BYTES if limit < 0 else min(limit, _LINE_BYTES)
        return self._reading(lambda: self._reader.readline(most, self._timeout_s))

    def readlines(self, hint: int = -1) -> list[bytes]:
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def continue_with(self, headers: list[tuple[str, str]]) -> None:
        self._continue_headers = headers

    def begin_next_sequence(self, headers: list[tuple[str, str]]) -> None:
        """The chunked body so far has been read to its end: send another 100 Continue, then read a second one."""
        reader = self._reader
        assert reader.is_done, "the first sequence is not read to its end"
        self._continue_headers = headers
        self.owes_continue = True
        self._reading(lambda: None)
        self._received_before += reader.received
        self._reader = BodyReader(self._stream, ChunkedDecoder(self._limits), reader.rest)

    def _reading(self, read: Callable[[], T]) -> T:
        if self.failure is not None:
            raise self.failure
        try:
            if self.owes_continue:
                self.owes_continue = False
                self._send_continue()
            return read()
        except ClosedEarly as error:
            self.failure = ClientDisconnected(f"the client {error}")
        except FramingError as error:
            self.failure = BadRequest(str(error))
        except OSError as error:
            self.failure = ClientDisconnected(f"the client went away: {error.strerror or error}")
        except TimedOut:
            self.failure = ClientTooSlow(
                f"the client sent nothing for {self._timeout_s:g} s, or less than the least rate"
            )
        raise self.failure

    def _send_continue(self) -> None:
        headers = self._continue_headers
        data = head_bytes("HTTP/1.1 100 Continue", headers) if headers else _CONTINUE
        self._stream.send(data, self._timeout_s)
