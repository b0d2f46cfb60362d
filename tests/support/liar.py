"""A server that says what no honest one would, in a node's place, to whoever asks whatever.

with Liar([port, …], lambda method: b"HTTP/1.1 200 OK\r\n…"):
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from tests.support.cluster import until

_PATIENCE_S = 10.0


class Liar:
    """answer: the request's method → all bytes of the answer; b"" closes without one. asked: methods, in order."""

    def __init__(self, ports: Sequence[int], answer: Callable[[str], bytes]) -> None:
        self._answer = answer
        # Connections of who was there before may linger, and hold the port for a moment.
        self._listeners = [until(lambda: _listening(port), f"port {port} is free") for port in ports]  # noqa: B023
        self._threads: list[threading.Thread] = []
        self.asked: list[str] = []

    def __enter__(self) -> Liar:
        for listener in self._listeners:
            self._spawn(self._accept, listener)
        return self

    def __exit__(self, *_: object) -> None:
        for listener in self._listeners:
            # Wakes up who waits in accept().
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for thread in self._threads:
            thread.join()

    def _spawn(self, function: Callable[[socket.socket], None], sock: socket.socket) -> None:
        thread = threading.Thread(target=function, args=(sock,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:
                return
            self._spawn(self._lie, accepted)

    def _lie(self, accepted: socket.socket) -> None:
        with accepted, suppress(OSError):
            accepted.settimeout(_PATIENCE_S)
            head = b""
            while b"\r\n\r\n" not in head:
                data = accepted.recv(1 << 16)
                if not data:
                    return
                head += data
            method = head.partition(b" ")[0].decode("latin-1")
            self.asked.append(method)
            accepted.sendall(self._answer(method))


def _listening(port: int) -> socket.socket | None:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:
        return None
