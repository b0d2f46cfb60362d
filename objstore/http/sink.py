"""The server's side of a client's socket as response bodies see it (http.body.Sink): counted and bounded.

The response head is held back until the first bytes of body, so that both leave in one send. No body may send more than
its Content-Length, and what is sent short of it is known at the end.
"""

from __future__ import annotations

from objstore.core.errors import ClientDisconnected, ClientTooSlow
from objstore.http.stream import MORE, Stream
from objstore.runtime.green import TimedOut, monotonic

__all__ = ["BodyTooLong", "ClientSink"]

Data = bytes | bytearray | memoryview


class BodyTooLong(Exception):
    """An application gave more bytes than the Content-Length it had announced."""


class ClientSink:
    """head_sent_at: monotonic seconds, None until the head is out. sent: bytes of body. left: bytes still allowed."""

    __slots__ = ("head_sent_at", "sent", "left", "is_broken", "has_begun", "_head", "_stream", "_timeout_s")

    def __init__(self, stream: Stream, timeout_s: float) -> None:
        self.head_sent_at: float | None = None
        self.sent = 0
        self.left: int | None = None
        self.is_broken = False
        self.has_begun = False
        self._head = b""
        self._stream = stream
        self._timeout_s = timeout_s

    def begin(self, head: bytes, content_length: int | None) -> None:
        """The head goes out with the first bytes, or at flush()."""
        self.has_begun = True
        self._head = head
        self.left = content_length

    def send(self, data: Data) -> None:
        size = len(data)
        self._take(size)
        self._raw_send(data)
        self.sent += size

    def send_framed(self, data: bytes, size: int) -> None:
        """A chunk with its framing; size bytes of it are body."""
        self._raw_send(data)
        self.sent += size

    def sendfile(self, fd: int, offset: int, count: int) -> None:
        self._take(count)
        try:
            self._send_head(MORE if count else 0)
            self._stream.sendfile(fd, offset, count, self._timeout_s)
        except (OSError, TimedOut) as error:
            raise self._failed(error) from None
        self.sent += count

    def splice(self, pipe_fd: int, count: int) -> None:
        self._take(count)
        try:
            self._send_head(MORE if count else 0)
            self._stream.send_pipe(pipe_fd, count, self._timeout_s)
        except (OSError, TimedOut) as error:
            raise self._failed(error) from None
        self.sent += count

    def flush(self) -> None:
        """Send the head if no body has taken it along."""
        if self._head:
            self._raw_send(b"")

    def _take(self, count: int) -> None:
        if self.left is not None:
            if count > self.left:
                self.is_broken = True
                raise BodyTooLong(f"{count} bytes more, where {self.left} were left of Content-Length")
            self.left -= count

    def _raw_send(self, data: Data) -> None:
        try:
            if self._head:
                head, self._head = self._head, b""
                self.head_sent_at = monotonic()
                if len(data) <= 65536:
                    self._stream.send(b"".join((head, data)) if data else head, self._timeout_s)
                    return
                self._stream.send(head, self._timeout_s, MORE)
            self._stream.send(data, self._timeout_s)
        except (OSError, TimedOut) as error:
            raise self._failed(error) from None

    def _send_head(self, flags: int) -> None:
        if self._head:
            head, self._head = self._head, b""
            self.head_sent_at = monotonic()
            self._stream.send(head, self._timeout_s, flags)

    def _failed(self, error: OSError | TimedOut) -> Exception:
        self.is_broken = True
        if isinstance(error, TimedOut):
            return ClientTooSlow(f"the client took nothing for {self._timeout_s:g} s")
        return ClientDisconnected(f"the client went away: {error.strerror or error}")
