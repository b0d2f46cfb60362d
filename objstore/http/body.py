"""Response bodies that never become Python bytes: the contract between whoever makes one and the server that sends it.

A WSGI response body is an iterable of bytes. One that also has transfer() is a TransferBody: the server calls that
with a Sink, its side of the client's socket, so that a file goes out by sendfile and a peer's answer by splice.
Filters hand such a body on untouched; one that must see the bytes iterates it, which always works too.
A body that cannot be completed raises from transfer() or from the iterator: the server then closes the connection
short of Content-Length. It never completes a wrong body.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from objstore.core.errors import DomainError


class Sink(Protocol):
    """Where a body goes. Every method waits (green) until all of it is in the kernel, or raises ClientDisconnected
    or ClientTooSlow."""

    def send(self, data: bytes | bytearray | memoryview) -> None: ...

    def sendfile(self, fd: int, offset: int, count: int) -> None:
        """count bytes of a file from offset."""

    def splice(self, pipe_fd: int, count: int) -> None:
        """count bytes that already stand in a pipe."""


class CountingSink:
    """A sink that knows how many bytes it has passed on."""

    __slots__ = ("_sink", "count")

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.count = 0

    def send(self, data: bytes | bytearray | memoryview) -> None:
        self._sink.send(data)
        self.count += len(data)

    def sendfile(self, fd: int, offset: int, count: int) -> None:
        self._sink.sendfile(fd, offset, count)
        self.count += count

    def splice(self, pipe_fd: int, count: int) -> None:
        self._sink.splice(pipe_fd, count)
        self.count += count


@runtime_checkable
class TransferBody(Protocol):
    """A body that can send itself. transfer() or iteration, once; close() always, at the end."""

    def transfer(self, sink: Sink) -> None: ...

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None: ...


class BodyInterrupted(DomainError):
    """A body breaks off after sent_bytes of it, which are right. Who knows where else it is may go on from there."""

    def __init__(self, sent_bytes: int) -> None:
        super().__init__(f"the body breaks off after {sent_bytes} bytes")
        self.sent_bytes = sent_bytes


class RequestBody(Protocol):
    """environ["wsgi.input"] as our server gives it. All reads raise ClientDisconnected, ClientTooSlow or BadRequest
    (broken chunked framing); a body is never shortened silently."""

    def read(self, size: int = -1) -> bytes:
        """Exactly size bytes but at the end; everything with -1."""

    def read_some(self, size: int) -> bytes:
        """What is there, at least one byte and at most size; b"" at the end."""

    def readline(self, limit: int = -1) -> bytes:
        """Up to and with LF; at most limit bytes, and never more than 64 KiB."""

    def readinto(self, buffer: memoryview) -> int:
        """What is there, at least one byte; 0 at the end. Waits only when nothing is there."""

    def begin_next_sequence(self, headers: list[tuple[str, str]]) -> None:
        """Send another 100 Continue with headers and read a second chunked body on the same request (formats 6.6)."""

    def continue_with(self, headers: list[tuple[str, str]]) -> None:
        """Headers for the 100 Continue that the first read will send (formats 6.6). Before any read."""
