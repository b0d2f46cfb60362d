"""A StatsD server for tests: a UDP socket that keeps what it hears."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE_S = 30.0


class StatsdServer:
    """port: where it hears. A datagram is one event, a line per metric."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(PATIENCE_S)
        self.port: int = self._socket.getsockname()[1]

    def event(self) -> dict[str, str]:
        """The next datagram: name → value|unit."""
        lines = self._socket.recv(65536).decode().split("\n")
        return dict(line.split(":", 1) for line in lines)

    def until(self, wanted: str) -> str:
        """The value of a metric, whatever comes before it."""
        while True:
            found = self.event()
            if wanted in found:
                return found[wanted]

    def close(self) -> None:
        self._socket.close()


@contextmanager
def statsd_server() -> Iterator[StatsdServer]:
    server = StatsdServer()
    try:
        yield server
    finally:
        server.close()
