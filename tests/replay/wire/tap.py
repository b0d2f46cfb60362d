"""A byte relay in front of a server, and the requests that went through it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from tests.replay.wire.sink import Heard

_BLOCK = 1 << 16
QUIET_S = 0.05
"""Nothing for so long, where all are answered: nothing more comes."""


class _Stream:
    """What one connection brought and nobody has taken yet."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.is_closed = False
        self.is_answered = True
        """Nothing has been said since the server last spoke."""


class Tap:
    """Listens at `listen` and relays every connection to `target`; both directions, byte by byte.

    Requests are parsed from the bytes afterwards: what the server under test made of them has no influence.
    """

    def __init__(self, listen: tuple[str, int], target: tuple[str, int]) -> None:
        self.target = target
        self._listener = socket.create_server(listen)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        self._lock = threading.Lock()
        self._streams: list[_Stream] = []
        self._is_closed = False
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._is_closed = True
        self._listener.close()

    @property
    def is_answered(self) -> bool:
        """Whether the server has said something to everything that went through."""
        with self._lock:
            return all(stream.is_answered or stream.is_closed for stream in self._streams)

    def take(self) -> list[Heard]:
        """Requests that were complete since the last take."""
        found = []
        with self._lock:
            for stream in self._streams:
                while (parsed := _parse(bytes(stream.data), is_whole=stream.is_closed)) is not None:
                    heard, used = parsed
                    found.append(heard)
                    del stream.data[:used]
            self._streams = [stream for stream in self._streams if not stream.is_closed]
        return found

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        stream = _Stream()
        with self._lock:
            self._streams.append(stream)
        try:
            self._carry(client, stream)
        finally:
            with self._lock:
                stream.is_closed = True

    def _carry(self, client: socket.socket, stream: _Stream) -> None:
        with client:
            try:
                server = socket.create_connection(self.target)
            except OSError:
                return
            with server:
                for sock in (client, server):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                back = threading.Thread(target=self._carry_back, args=(server, client, stream), daemon=True)
                back.start()
                while data := _receive(client):
                    with self._lock:
                        stream.data += data
                        stream.is_answered = False
                    try:
                        server.sendall(data)
                    except OSError:
                        break
                _shut(server)
                back.join()

    def _carry_back(self, server: socket.socket, client: socket.socket, stream: _Stream) -> None:
        while data := _receive(server):
            with self._lock:
                stream.is_answered = True
            try:
                client.sendall(data)
            except OSError:
                break
        _shut(client)


def _receive(sock: socket.socket) -> bytes:
    try:
        return sock.recv(_BLOCK)
    except OSError:
        return b""


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def _parse(data: bytes, *, is_whole: bool) -> tuple[Heard, int] | None:
    """The first request of a stream and its length; None while it is not complete.

    is_whole: nothing more will come, so that a body that is missing (refused by the peer) ends the request.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    lines = data[:end].decode("utf-8", "surrogateescape").split("\r\n")
    method, path, _ = lines[0].split(" ")
    pairs = tuple((n.strip().lower(), v.strip()) for n, _, v in (line.partition(":") for line in lines[1:]))
    headers: Mapping[str, str] = dict(pairs)
    position = end + 4
    if headers.get("transfer-encoding", "").lower() == "chunked":
        chunked = _chunks(data, position)
        if chunked is None and not is_whole:
            return None
        body, position = chunked or (b"", len(data))
    else:
        length = int(headers.get("content-length") or 0)
        body = data[position : position + length]
        if len(body) < length and not is_whole:
            return None
        position += len(body)
    return Heard(method, path, pairs, body), position


def _chunks(data: bytes, position: int) -> tuple[bytes, int] | None:
    pieces = []
    while True:
        end = data.find(b"\r\n", position)
        if end < 0:
            return None
        size = int(data[position:end].partition(b";")[0], 16)
        position = end + 2
        if len(data) < position + size + 2:
            return None
        pieces.append(data[position : position + size])
        position += size + 2
        if size == 0:
            return b"".join(pieces), position


def gather(
    taps: Mapping[str, Tap], is_enough: Callable[[Sequence[Heard]], bool], *, timeout_s: float
) -> list[tuple[str, Heard]]:
    """Requests by the name of the tap, once there are enough of them, all answered, and none came for a moment, or time
    is up."""
    found: list[tuple[str, Heard]] = []
    end = time.monotonic() + timeout_s
    quiet_since = time.monotonic()
    while time.monotonic() < end:
        new = [(name, heard) for name, tap in taps.items() for heard in tap.take()]
        if new:
            found += new
            quiet_since = time.monotonic()
        elif time.monotonic() - quiet_since > QUIET_S and is_enough([heard for _, heard in found]):
            if all(tap.is_answered for tap in taps.values()):
                break
        time.sleep(0.01)
    return found
