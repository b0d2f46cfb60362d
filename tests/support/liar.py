"""A server that says what no honest one would, in a node's place, to whoever asks whatever.

with Liar([port, …], lambda method: b"HTTP/1.1 200 OK\r\n…"):

It lies in native threads, by the C class of sockets: the standard library's may have been made green by an earlier test
of the same process, and a green socket in a native thread waits for ever or fails.
"""

from __future__ import annotations

import _socket
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress

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
                listener.shutdown(_socket.SHUT_RDWR)
            listener.close()
        for thread in self._threads:
            thread.join()

    def _spawn(self, function: Callable[[_socket.socket], None], sock: _socket.socket) -> None:
        thread = threading.Thread(target=function, args=(sock,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: _socket.socket) -> None:
        while True:
            try:
                descriptor, _ = listener._accept()
            except OSError:
                return
            self._spawn(self._lie, _socket.socket(fileno=descriptor))

    def _lie(self, accepted: _socket.socket) -> None:
        with closing(accepted), suppress(OSError):
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


def _listening(port: int) -> _socket.socket | None:
    listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    try:
        listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
    except OSError:
        listener.close()
        return None
    return listener
