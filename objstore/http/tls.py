"""TLS over a PlainStream, by ssl's memory BIOs: the sockets below stay the ones the rest of the HTTP layer knows.

The handshake happens within the first reads, so it stands under the deadline of the first head. sendfile and splice
fall back to reading and sending: the bytes have to be encrypted.
"""

from __future__ import annotations

import contextlib
import os
import ssl

from objstore.http.stream import PlainStream
from objstore.runtime.green import monotonic

__all__ = ["TlsStream", "server_context"]

_CIPHERTEXT_BYTES = 65536
_PLAINTEXT_BYTES = 65536


def server_context(cert_file: str, key_file: str | None) -> ssl.SSLContext:
    """What a server shows its clients: TLS 1.2 and later, HTTP/1.1. Raises OSError when the files are no pair."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert_file, key_file)
    context.set_alpn_protocols(["http/1.1"])
    return context


class TlsStream:
    """A Stream (http/stream.py). SSLError is an OSError: callers see a broken connection."""

    __slots__ = ("fd", "watch", "_plain", "_received", "_produced", "_session", "_unsent")

    def __init__(self, plain: PlainStream, context: ssl.SSLContext) -> None:
        self.fd = plain.fd
        self.watch = plain.watch
        self._plain = plain
        self._received = ssl.MemoryBIO()
        self._produced = ssl.MemoryBIO()
        self._session = context.wrap_bio(self._received, self._produced, server_side=True)
        self._unsent: bytes | memoryview = b""

    def try_recv(self, size: int) -> bytes | None:
        buffer = bytearray(size)
        count = self.try_recv_into(memoryview(buffer))
        return None if count is None else bytes(buffer[:count])

    def try_recv_into(self, view: memoryview) -> int | None:
        if not view:
            return 0
        while True:
            try:
                return int(self._session.read(len(view), view))
            except ssl.SSLWantReadError:
                pass
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                # Without a close_notify a body may be cut short: its own framing finds that.
                return 0
            finally:
                self._flush()
            data = self._plain.try_recv(_CIPHERTEXT_BYTES)
            if data is None:
                return None
            if data:
                self._received.write(data)
            else:
                self._received.write_eof()

    def try_send(self, data: bytes | bytearray | memoryview, flags: int = 0) -> int:
        if not self._flush():
            return 0
        try:
            taken = self._session.write(memoryview(data)[:_PLAINTEXT_BYTES]) if len(data) else 0
        except ssl.SSLWantReadError:
            return 0
        self._flush()
        return taken

    def _flush(self) -> bool:
        """Send what the session has produced; whether all of it is out."""
        if self._produced.pending:
            self._unsent = bytes(self._unsent) + self._produced.read()
        if self._unsent:
            view = memoryview(self._unsent)
            self._unsent = view[self._plain.try_send(view) :]
        return not self._unsent

    def wait_readable(self, deadline: float) -> None:
        self.watch.wait_readable(deadline)

    def wait_writable(self, deadline: float) -> None:
        self.watch.wait_writable(deadline)

    def recv(self, size: int, timeout_s: float) -> bytes:
        while True:
            data = self.try_recv(min(size, _PLAINTEXT_BYTES))
            if data is not None:
                return data
            self.watch.wait_readable(monotonic() + timeout_s)

    def recv_into(self, view: memoryview, timeout_s: float) -> int:
        while True:
            count = self.try_recv_into(view)
            if count is not None:
                return count
            self.watch.wait_readable(monotonic() + timeout_s)

    def send(self, data: bytes | bytearray | memoryview, timeout_s: float, flags: int = 0) -> None:
        view = memoryview(data)
        while view or self._unsent:
            taken = self.try_send(view)
            view = view[taken:]
            if self._unsent:
                self.watch.wait_writable(monotonic() + timeout_s)
            elif view and not taken:
                raise ConnectionError("the TLS session takes no data")

    def sendfile(self, fd: int, offset: int, count: int, timeout_s: float) -> None:
        while count:
            data = os.pread(fd, min(count, _PLAINTEXT_BYTES), offset)
            if not data:
                raise EOFError(f"the file ends {count} bytes early")
            self.send(data, timeout_s)
            offset += len(data)
            count -= len(data)

    def send_pipe(self, pipe_fd: int, count: int, timeout_s: float) -> None:
        while count:
            data = os.read(pipe_fd, min(count, _PLAINTEXT_BYTES))
            if not data:
                raise EOFError(f"the pipe ends {count} bytes early")
            self.send(data, timeout_s)
            count -= len(data)

    def shut_down_writing(self) -> None:
        with contextlib.suppress(ssl.SSLError):
            self._session.unwrap()
        self._flush()
        self._plain.shut_down_writing()

    def shut_down(self) -> None:
        self._plain.shut_down()

    def close(self) -> None:
        self._plain.close()
