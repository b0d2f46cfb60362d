"""TLS over a PlainStream, by ssl's memory BIOs: the sockets below stay the ones the rest of the HTTP layer knows.

A server's handshake happens within the first reads, so it stands under the deadline of the first head; a client shakes
hands before it says anything. sendfile and splice fall back to reading and sending: the bytes have to be encrypted.
"""

from __future__ import annotations

import contextlib
import os
import ssl
from collections.abc import Sequence

from objstore.http.stream import PlainStream
from objstore.runtime.green import monotonic

__all__ = ["TlsStream", "client_context", "server_context"]

_CIPHERTEXT_BYTES = 65536
_PLAINTEXT_BYTES = 65536


def server_context(cert_file: str, key_file: str | None) -> ssl.SSLContext:
    """What a server shows its clients: TLS 1.2 and later, HTTP/1.1. Raises OSError when the files are no pair."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert_file, key_file)
    context.set_alpn_protocols(["http/1.1"])
    return context


def client_context(
    ca_file: str | None = None, *, is_insecure: bool = False, cert_file: str | None = None, key_file: str | None = None
) -> ssl.SSLContext:
    """How a client knows a server: by the authorities of ca_file (PEM), else the system's, and by its name.

    is_insecure: by nothing, for tests and closed networks. cert_file, key_file: what the client shows of itself.
    Raises OSError for files that cannot be used.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if is_insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert_file:
        context.load_cert_chain(cert_file, key_file)
    return context


class TlsStream:
    """A PeerStream (http/stream.py). SSLError is an OSError: callers see a broken connection."""

    __slots__ = ("fd", "watch", "_plain", "_received", "_produced", "_session", "_unsent", "_is_client")

    def __init__(self, plain: PlainStream, context: ssl.SSLContext, server_name: str | None = None) -> None:
        """server_name: of the server that we are a client of, its DNS name or IP address; None: we are the server."""
        self.fd = plain.fd
        self.watch = plain.watch
        self._plain = plain
        self._received = ssl.MemoryBIO()
        self._produced = ssl.MemoryBIO()
        self._is_client = server_name is not None
        self._session = context.wrap_bio(
            self._received, self._produced, server_side=not self._is_client, server_hostname=server_name
        )
        self._unsent: bytes | memoryview = b""

    def shake_hands(self, deadline: float) -> None:
        """The client's first step: nothing is sent to a server before it was found to be the one that is meant.

        deadline: monotonic seconds. Raises OSError (ssl.SSLError among them), TimedOut.
        """
        is_done = False
        while not is_done:
            try:
                self._session.do_handshake()
                is_done = True
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                # The server is told why.
                self._flush()
                raise
            while not self._flush():
                self.watch.wait_writable(deadline)
            if not is_done:
                self._receive_of_handshake(deadline)

    def _receive_of_handshake(self, deadline: float) -> None:
        while (data := self._plain.try_recv(_CIPHERTEXT_BYTES)) is None:
            self.watch.wait_readable(deadline)
        if not data:
            raise ConnectionResetError("closed during the TLS handshake")
        self._received.write(data)

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
            except ssl.SSLZeroReturnError:
                return 0
            except ssl.SSLEOFError:
                # Without a close_notify a body may have been cut short. A request's framing finds that; an answer may
                # have none but the end of its connection.
                if self._is_client:
                    raise
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

    def try_send_pieces(self, pieces: Sequence[bytes | memoryview]) -> int:
        return self.try_send(pieces[0]) if pieces else 0

    def is_silent(self) -> bool:
        # Session tickets come between answers: below TLS they look like something said.
        try:
            return self.try_recv(1) is None
        except OSError:
            return False

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

    def abort(self) -> None:
        self._plain.abort()
