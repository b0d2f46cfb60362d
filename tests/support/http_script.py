"""A scripted HTTP peer: a listening socket whose every connection is played by a function on a RawPeer."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

from objstore.runtime import green
from tests.support.http import RawClient


class RawPeer(RawClient):
    """The accepted side."""

    def __init__(self, accepted: socket.socket) -> None:
        self.socket = accepted
        self.socket.setblocking(False)

    def read_head(self) -> bytes:
        return self.read_until(b"\r\n\r\n")


class ScriptedServer:
    """host, port; connection_count: how many were accepted so far."""

    def __init__(self, listener: socket.socket) -> None:
        self.host, self.port = listener.getsockname()[:2]
        self.connection_count = 0


@contextlib.contextmanager
def scripted_server(play: Callable[[RawPeer, int], None]) -> Iterator[ScriptedServer]:
    """play(peer, index) answers the index-th connection; the connection closes when it returns."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    server = ScriptedServer(listener)
    tasks: list[green.Task] = []

    def run(accepted: socket.socket, index: int) -> None:
        with RawPeer(accepted) as peer:
            play(peer, index)

    def accept() -> None:
        while True:
            try:
                accepted, _ = listener.accept()
            except BlockingIOError:
                green.wait_readable(listener.fileno())
                continue
            tasks.append(green.spawn(run, accepted, server.connection_count))
            server.connection_count += 1

    acceptor = green.spawn(accept)
    try:
        yield server
    finally:
        acceptor.kill()
        for task in tasks:
            task.kill()
        listener.close()
