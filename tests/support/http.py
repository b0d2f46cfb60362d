"""A real server on loopback in this process' hub, and a raw socket to speak to it byte by byte."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Iterator

from objstore.http.environ import WSGIApp
from objstore.http.server import Server, ServerLimits
from objstore.runtime import green

PATIENCE_S = 20.0
"""How long anything is waited for: a bound on a busy machine, not a measurement."""


class LogLines(logging.Handler):
    """What was logged, as text."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class RunningServer:
    """server, its (host, port) and the lines it logged."""

    def __init__(self, server: Server, listener: socket.socket, log: LogLines) -> None:
        self.server = server
        self.host, self.port = listener.getsockname()[:2]
        self.log = log

    def connect(self) -> RawClient:
        return RawClient(self.host, self.port)

    def exchange(self, data: bytes, timeout_s: float = PATIENCE_S) -> bytes:
        """Send bytes as they stand and return everything until the server closes (the client closes its side)."""
        with self.connect() as client:
            client.send(data)
            client.finish()
            return client.read_to_end(timeout_s)


class RawClient:
    """A green socket that sends exactly what it is told."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.connect_ex((host, port))
        green.wait_writable(self.socket.fileno(), 5)

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes, timeout_s: float = PATIENCE_S) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self.socket.send(view) :]
            except BlockingIOError:
                green.wait_writable(self.socket.fileno(), timeout_s)

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def read(self, timeout_s: float = PATIENCE_S) -> bytes:
        """What comes next; b"" when the server has closed, reset included."""
        while True:
            try:
                return self.socket.recv(65536)
            except BlockingIOError:
                green.wait_readable(self.socket.fileno(), timeout_s)
            except ConnectionResetError:
                return b""

    def read_until(self, end: bytes, timeout_s: float = PATIENCE_S) -> bytes:
        data = b""
        while end not in data:
            piece = self.read(timeout_s)
            if not piece:
                break
            data += piece
        return data

    def read_to_end(self, timeout_s: float = PATIENCE_S) -> bytes:
        return b"".join(iter(lambda: self.read(timeout_s), b""))


@contextlib.contextmanager
def running_server(app: WSGIApp, limits: ServerLimits | None = None, **kwargs: object) -> Iterator[RunningServer]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    log = LogLines()
    logger = logging.Logger("test-server")
    logger.addHandler(log)
    server = Server(listener, app, limits=limits, logger=logger, **kwargs)
    task = green.spawn(server.serve)
    try:
        yield RunningServer(server, listener, log)
    finally:
        server.drain(0.05)
        task.join()
        listener.close()


def wait_until(condition, timeout_s: float = PATIENCE_S) -> None:
    """Let the hub run until a condition holds."""
    end = green.monotonic() + timeout_s
    while not condition():
        assert green.monotonic() < end, "the condition did not come true in time"
        green.sleep(0.005)
