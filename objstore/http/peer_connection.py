"""One exchange with a peer: HTTP/1.1 as a client speaks it, green or without waiting.

A Connection belongs to one green thread at a time and carries one exchange: send_request (and send, for a body),
read_head, then the body, then release(). The try_ calls never wait: one green thread can feed many peers with
green.wait_any over their descriptors, and wait for the first of many answers with wait_for_head. Nothing is added to a
request but what the caller gives.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Protocol

from objstore.http.body import Sink
from objstore.http.framing import (
    BodyDecoder,
    ChunkedDecoder,
    ClosedEarly,
    FramingError,
    FramingLimits,
    LengthDecoder,
    UntilCloseDecoder,
)
from objstore.http.head import RESPONSE_LIMITS, HeadError, HeadScanner, ResponseHead, head_bytes, parse_response
from objstore.http.peer_errors import BadResponse, PeerBroken, PeerError, PeerTimedOut
from objstore.http.pipes import PIPE_BYTES, pipe
from objstore.http.reading import BodyReader
from objstore.http.status import HTTPStatus
from objstore.http.stream import PeerStream
from objstore.runtime.green import TimedOut, monotonic
from objstore.runtime.watch import wait_any_readable

_RECEIVE_BYTES = 65536
_FINAL = HTTPStatus.OK
PIECES_AT_MOST = 64
"""Far below what the kernel takes in one call (IOV_MAX, 1024)."""
_FRAMING = FramingLimits()
_SPLICE = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE

Address = tuple[str, int]


class Home(Protocol):
    """Where a connection goes when its exchange is whole on both sides."""

    def park(self, address: Address, stream: PeerStream) -> None: ...


class Connection:
    """One exchange with one peer. After an error: close()."""

    __slots__ = (
        "fd",
        "is_reused",
        "has_answer_begun",
        "_home",
        "_address",
        "_stream",
        "_scanner",
        "_held",
        "_reader",
        "_method",
        "_keeps_alive",
        "_unsent",
        "_is_drained",
        "_is_closed",
    )

    def __init__(self, home: Home, address: Address, stream: PeerStream, *, is_reused: bool) -> None:
        self.fd = stream.fd
        self.is_reused = is_reused
        self.has_answer_begun = False
        self._home = home
        self._address = address
        self._stream = stream
        self._scanner = HeadScanner(RESPONSE_LIMITS)
        self._held = b""
        self._reader: BodyReader | None = None
        self._method = ""
        self._keeps_alive = False
        self._unsent: int | None = 0
        # Nothing has come on a connection that was silent a moment ago; whatever comes from now on makes an edge.
        self._is_drained = True
        self._is_closed = False

    # Sending

    def send_request(
        self, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes = b"", *, timeout_s: float
    ) -> None:
        """Head and body in one send. target: percent-encoded. Raises ValueError for what would split the head."""
        headers = list(headers)
        self._method = method
        self._unsent = 0
        for name, value in headers:
            # By their length first: these are two of twenty.
            if len(name) == 14 and name.lower() == "content-length":
                self._unsent = int(value)
            elif len(name) == 17 and name.lower() == "transfer-encoding":
                self._unsent = None
        head = head_bytes(f"{method} {target} HTTP/1.1", headers)
        self._count(len(body))
        self._send(head + body if body else head, timeout_s)

    def send(self, data: bytes | bytearray | memoryview, timeout_s: float) -> None:
        """More of the body, as it stands on the wire (chunk heads are the caller's)."""
        self._count(len(data))
        self._send(data, timeout_s)

    def try_send(self, data: bytes | bytearray | memoryview) -> int:
        """How many bytes of data the kernel took, without waiting; 0 when its buffer is full."""
        try:
            sent = self._stream.try_send(data)
        except OSError as error:
            raise self._broken(error) from None
        self._count(sent)
        return sent

    def try_send_pieces(self, pieces: Sequence[bytes | memoryview]) -> int:
        """As try_send, of several pieces one after the other (at most PIECES_AT_MOST)."""
        try:
            sent = self._stream.try_send_pieces(pieces)
        except OSError as error:
            raise self._broken(error) from None
        self._count(sent)
        return sent

    def mark_request_whole(self) -> None:
        """The last chunk of a chunked request has been sent: the connection may be used again."""
        if self._unsent is None:
            self._unsent = 0

    def _count(self, sent: int) -> None:
        if self._unsent is not None:
            self._unsent -= sent

    def _send(self, data: bytes | bytearray | memoryview, timeout_s: float) -> None:
        try:
            self._stream.send(data, timeout_s)
        except OSError as error:
            raise self._broken(error) from None
        except TimedOut:
            raise self._late("takes no more bytes", timeout_s) from None

    # Reading

    @property
    def is_quiet(self) -> bool:
        """Nothing has come since the last look, as far as the hub has told: not worth another one while waiting."""
        if not self._is_drained or self._held:
            return False
        watch = self._stream.watch
        return not watch.is_readable and not watch.has_hung_up

    def try_read_head(self) -> ResponseHead | None:
        """The next head, final or interim, if it is there."""
        while True:
            data: bytes | None = self._held
            if data:
                self._held = b""
            else:
                self._stream.watch.is_readable = False
                try:
                    data = self._stream.try_recv(_RECEIVE_BYTES)
                except OSError as error:
                    raise self._broken(error) from None
                # A short read took all there was.
                self._is_drained = data is None or len(data) < _RECEIVE_BYTES
                if data is None:
                    return None
                if not data:
                    raise PeerBroken(f"{self._peer}: closed before its response was whole")
            self.has_answer_begun = True
            try:
                found = self._scanner.feed(data)
                if found is not None:
                    return self._begin(*found)
            except HeadError as error:
                raise BadResponse(f"{self._peer}: {error.reason}") from None

    def read_head(self, timeout_s: float) -> ResponseHead:
        """Wait for the next head, final or interim. timeout_s: until the whole head is there."""
        head = self.try_read_head()
        if head is not None:
            return head
        deadline = monotonic() + timeout_s
        while head is None:
            if not self.wait_for_head(deadline):
                raise self._late("no response head", timeout_s)
            head = self.try_read_head()
        return head

    def wait_for_head(self, deadline_s: float, others: Sequence[Connection] = ()) -> bool:
        """Wait for more, here or on one of others, after try_read_head() has found nothing on any of them; False at the
        deadline (of green.monotonic)."""
        if others:
            return wait_any_readable([self._stream.watch, *[other._stream.watch for other in others]], deadline_s)
        try:
            self._stream.wait_readable(deadline_s)
        except TimedOut:
            return False
        self._is_drained = False
        return True

    def _begin(self, data: bytes, rest: bytes) -> ResponseHead:
        head = parse_response(data, self._method)
        if head.status < _FINAL:
            if head.status == HTTPStatus.SWITCHING_PROTOCOLS:
                raise BadResponse(f"{self._peer}: switches protocols, unasked")
            self._held = rest
            return head
        self._reader = BodyReader(self._stream, _decoder(head), rest)
        self._keeps_alive = head.keeps_alive and (head.is_chunked or head.length is not None)
        return head

    def read(self, size: int, timeout_s: float) -> bytes:
        """Exactly size bytes of body but at its end. timeout_s: for every wait for progress."""
        assert self._reader is not None, "read_head() first"
        try:
            return self._reader.read(size, timeout_s)
        except (OSError, TimedOut, FramingError) as error:
            raise self._failed_body(error, timeout_s) from None

    def read_some(self, size: int, timeout_s: float) -> bytes:
        """What is there, at least a byte; b"" at the end of the body."""
        assert self._reader is not None, "read_head() first"
        try:
            return self._reader.read_some(size, timeout_s)
        except (OSError, TimedOut, FramingError) as error:
            raise self._failed_body(error, timeout_s) from None

    def readinto(self, view: memoryview, timeout_s: float) -> int:
        """What is there, at least a byte; 0 at the end of the body."""
        assert self._reader is not None, "read_head() first"
        try:
            return self._reader.readinto(view, timeout_s)
        except (OSError, TimedOut, FramingError) as error:
            raise self._failed_body(error, timeout_s) from None

    def readline(self, limit: int, timeout_s: float) -> bytes:
        """Body up to and with LF; less when limit or the end of the body comes first."""
        assert self._reader is not None, "read_head() first"
        try:
            return self._reader.readline(limit, timeout_s)
        except (OSError, TimedOut, FramingError) as error:
            raise self._failed_body(error, timeout_s) from None

    def read_all(self, limit_bytes: int, timeout_s: float) -> bytes:
        """The rest of the body. Raises BadResponse when it is longer than limit_bytes."""
        if self._reader is not None and self._reader.is_done:
            return b""
        data = self.read(limit_bytes + 1, timeout_s)
        if len(data) > limit_bytes:
            raise BadResponse(f"{self._peer}: the body is over {limit_bytes} bytes")
        return data

    def read_whole(self, length: int, timeout_s: float) -> memoryview:
        """A body whose length the head has said, received into memory of its own. timeout_s: as for read()."""
        view = memoryview(bytearray(length))
        got = 0
        while got < length:
            count = self.readinto(view[got:], timeout_s)
            if not count:
                raise PeerBroken(f"{self._peer}: the body ends {length - got} bytes early")
            got += count
        return view

    def transfer(self, sink: Sink, count: int, timeout_s: float) -> None:
        """Send the next count bytes of body on, through a pipe and never through Python where the framing allows.

        Raises what sink raises, PeerBroken when the body ends before count, PeerTimedOut.
        """
        reader = self._reader
        assert reader is not None, "read_head() first"
        while count:
            if not reader.raw:
                data = self.read_some(min(count, _RECEIVE_BYTES), timeout_s)
                if not data:
                    raise PeerBroken(f"{self._peer}: the body ends {count} bytes early")
                sink.send(data)
                count -= len(data)
                continue
            with pipe() as (read_end, write_end):
                while count and reader.raw:
                    taken = self._splice(write_end, min(count, reader.raw, PIPE_BYTES), timeout_s)
                    reader.skip(taken)
                    sink.splice(read_end, taken)
                    count -= taken

    def _splice(self, write_end: int, count: int, timeout_s: float) -> int:
        try:
            while True:
                try:
                    taken = os.splice(self.fd, write_end, count, flags=_SPLICE)
                    break
                except (BlockingIOError, InterruptedError):
                    self._stream.wait_readable(monotonic() + timeout_s)
        except OSError as error:
            raise self._broken(error) from None
        except TimedOut:
            raise self._late("sends no more of the body", timeout_s) from None
        if not taken:
            raise PeerBroken(f"{self._peer}: closed in the middle of the body")
        return taken

    # Ending

    def release(self) -> None:
        """Keep the connection for the next exchange when this one is whole on both sides; else close it."""
        reader = self._reader
        if (
            not self._is_closed
            and self._keeps_alive
            and self._unsent == 0
            and reader is not None
            and reader.is_done
            and not reader.rest
            and not self._stream.watch.has_hung_up
        ):
            self._is_closed = True
            self._home.park(self._address, self._stream)
        else:
            self.close()

    def close(self) -> None:
        """What was sent still arrives, even after a cut network is whole again: the kernel goes on trying."""
        if not self._is_closed:
            self._is_closed = True
            self._stream.close()

    def abort(self) -> None:
        """close(), and what has not arrived yet never does. For requests whose meaning depends on when they are heard:
        counts without a timestamp would be taken for newer than what was said since."""
        if not self._is_closed:
            self._is_closed = True
            self._stream.abort()

    @property
    def _peer(self) -> str:
        return f"{self._address[0]}:{self._address[1]}"

    def _broken(self, error: OSError) -> PeerBroken:
        return PeerBroken(f"{self._peer}: {error.strerror or error}")

    def _late(self, what: str, timeout_s: float) -> PeerTimedOut:
        return PeerTimedOut(f"{self._peer}: {what} within {timeout_s:g} s")

    def _failed_body(self, error: Exception, timeout_s: float) -> PeerError:
        if isinstance(error, OSError):
            return self._broken(error)
        if isinstance(error, TimedOut):
            return self._late("sends no more of the body", timeout_s)
        if isinstance(error, ClosedEarly):
            return PeerBroken(f"{self._peer}: {error}")
        return BadResponse(f"{self._peer}: {error}")


def _decoder(head: ResponseHead) -> BodyDecoder:
    if head.is_chunked:
        return ChunkedDecoder(_FRAMING)
    return UntilCloseDecoder() if head.length is None else LengthDecoder(head.length)
