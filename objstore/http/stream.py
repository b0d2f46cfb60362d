"""A connected socket as the server and the client use it: try first, wait (green) only for what would block.

Sockets are of the C class `_socket.socket`: the standard library's class may have been made green for others
(green.patch_sockets) and would wait by its own, dearer means. Errors are OSError (the peer is gone) and TimedOut.
timeout_s bounds every single wait for progress; it is looked at only when something has to be waited for.
"""

from __future__ import annotations

import _socket
import os
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from objstore.runtime.green import TimedOut, monotonic
from objstore.runtime.watch import Watch

__all__ = ["BodyStream", "PeerStream", "PlainStream", "Stream", "prepare"]

_NO_LINGER = struct.pack("ii", 1, 0)
MORE = _socket.MSG_MORE
"""The next send follows at once: the kernel may put both in one packet."""

_SENDFILE_BYTES = 1 << 20
"""At most so much per call: a green thread that sends a large cached file lets others run in between."""

_BULK_BYTES = 1 << 18
"""From this much that is wanted on, a reader is not woken for every packet, but when _BULK_BYTES are there ..."""
_BULK_WAIT_S = 0.2
"""... or this time has passed."""


class Stream(Protocol):
    """What TLS and plain connections have in common."""

    fd: int
    watch: Watch

    def try_recv(self, size: int) -> bytes | None:
        """What is there, b"" when the peer has closed, None when nothing is there."""

    def try_recv_into(self, view: memoryview) -> int | None: ...

    def try_send(self, data: bytes | bytearray | memoryview, flags: int = 0) -> int:
        """How many bytes were taken; 0 when the kernel's buffer is full."""

    def wait_readable(self, deadline: float) -> None: ...

    def wait_writable(self, deadline: float) -> None: ...

    def recv(self, size: int, timeout_s: float) -> bytes: ...

    def recv_into(self, view: memoryview, timeout_s: float) -> int: ...

    def send(self, data: bytes | bytearray | memoryview, timeout_s: float, flags: int = 0) -> None:
        """All of it."""

    def sendfile(self, fd: int, offset: int, count: int, timeout_s: float) -> None:
        """count bytes of a file. Raises EOFError when it is shorter."""

    def send_pipe(self, pipe_fd: int, count: int, timeout_s: float) -> None:
        """count bytes that stand in a pipe."""

    def shut_down_writing(self) -> None: ...

    def shut_down(self) -> None:
        """Make every wait and every call on it fail from now on."""

    def close(self) -> None: ...


class PeerStream(Stream, Protocol):
    """What the pooled client needs of its side of a connection, beyond what the server does."""

    def abort(self) -> None:
        """close(), and what the kernel has not delivered yet is dropped, not delivered later."""

    def try_send_pieces(self, pieces: Sequence[bytes | memoryview]) -> int: ...

    def is_silent(self) -> bool:
        """Whether the peer has neither closed nor said anything. One that has is of no more use: what it said may be
        lost by asking."""


class BodyStream(Protocol):
    """What reading a request body needs of a Stream, or of one with a pace (http/pace.py)."""

    def recv(self, size: int, timeout_s: float) -> bytes: ...

    def recv_into(self, view: memoryview, timeout_s: float) -> int: ...

    def send(self, data: bytes | bytearray | memoryview, timeout_s: float) -> None: ...


class PlainStream:
    __slots__ = ("fd", "watch", "_socket")

    def __init__(self, connected: _socket.socket) -> None:
        """connected: non-blocking; this stream owns it from here on."""
        self._socket = connected
        self.fd = connected.fileno()
        self.watch = Watch(self.fd)

    def error_code(self) -> int:
        """The errno of what has happened to the socket meanwhile; 0 for nothing."""
        return int(self._socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR))

    def try_recv(self, size: int) -> bytes | None:
        try:
            return self._socket.recv(size)
        except (BlockingIOError, InterruptedError):
            return None

    def try_recv_into(self, view: memoryview) -> int | None:
        try:
            return self._socket.recv_into(view)
        except (BlockingIOError, InterruptedError):
            return None

    def peek(self, size: int = 1) -> bytes | None:
        """As try_recv, but the bytes stay."""
        try:
            return self._socket.recv(size, _socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return None

    def is_silent(self) -> bool:
        try:
            return self.peek() is None
        except OSError:
            return False

    def try_send(self, data: bytes | bytearray | memoryview, flags: int = 0) -> int:
        try:
            return self._socket.send(data, flags)
        except (BlockingIOError, InterruptedError):
            return 0

    def try_send_pieces(self, pieces: Sequence[bytes | memoryview]) -> int:
        """As try_send, of several pieces in one call: a chunk's head and end do not leave in packets of their own."""
        try:
            return self._socket.sendmsg(pieces)
        except (BlockingIOError, InterruptedError):
            return 0

    def wait_readable(self, deadline: float) -> None:
        self.watch.wait_readable(deadline)

    def wait_writable(self, deadline: float) -> None:
        self.watch.wait_writable(deadline)

    def recv(self, size: int, timeout_s: float) -> bytes:
        while True:
            data = self.try_recv(size)
            if data is not None:
                return data
            self.watch.wait_readable(monotonic() + timeout_s)

    def recv_into(self, view: memoryview, timeout_s: float) -> int:
        count = self.try_recv_into(view)
        if count is None and len(view) >= _BULK_BYTES:
            count = self._recv_bulk_into(view)
        while count is None:
            self.watch.wait_readable(monotonic() + timeout_s)
            count = self.try_recv_into(view)
        return count

    def _recv_bulk_into(self, view: memoryview) -> int | None:
        """What is there once it is much, or after a moment; None when nothing has come.

        Every waking of a reader costs the sender an interrupt and us a turn of the hub: a fast sender's bytes are
        taken in large pieces. The low-water mark never outlives this call.
        """
        low_water_mark = self._socket.setsockopt
        low_water_mark(_socket.SOL_SOCKET, _socket.SO_RCVLOWAT, _BULK_BYTES)
        try:
            with suppress(TimedOut):
                self.watch.wait_readable(monotonic() + _BULK_WAIT_S)
            return self.try_recv_into(view)
        finally:
            low_water_mark(_socket.SOL_SOCKET, _socket.SO_RCVLOWAT, 1)

    def send(self, data: bytes | bytearray | memoryview, timeout_s: float, flags: int = 0) -> None:
        sent = self.try_send(data, flags)
        if sent == len(data):
            return
        view = memoryview(data)[sent:]
        while view:
            self.watch.wait_writable(monotonic() + timeout_s)
            view = view[self.try_send(view, flags) :]

    def sendfile(self, fd: int, offset: int, count: int, timeout_s: float) -> None:
        while count:
            try:
                sent = os.sendfile(self.fd, fd, offset, min(count, _SENDFILE_BYTES))
            except (BlockingIOError, InterruptedError):
                self.watch.wait_writable(monotonic() + timeout_s)
                continue
            if not sent:
                raise EOFError(f"the file ends {count} bytes early")
            offset += sent
            count -= sent

    def send_pipe(self, pipe_fd: int, count: int, timeout_s: float) -> None:
        while count:
            try:
                sent = os.splice(pipe_fd, self.fd, count, flags=os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE)
            except (BlockingIOError, InterruptedError):
                self.watch.wait_writable(monotonic() + timeout_s)
                continue
            if not sent:
                raise EOFError(f"the pipe ends {count} bytes early")
            count -= sent

    def shut_down_writing(self) -> None:
        self._socket.shutdown(_socket.SHUT_WR)

    def shut_down(self) -> None:
        self._socket.shutdown(_socket.SHUT_RDWR)

    def close(self) -> None:
        self.watch.close()
        self._socket.close()

    def abort(self) -> None:
        try:
            self._socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, _NO_LINGER)
        except OSError:
            pass  # It is closed, or was never connected.
        self.close()


def prepare(connected: _socket.socket) -> None:
    """Make a TCP (or Unix) socket as streams want it: non-blocking, answers leaving at once."""
    connected.setblocking(False)
    if connected.family in (_socket.AF_INET, _socket.AF_INET6):
        connected.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
