"""A raw-socket HTTP/1.x client that sends what it is told, right or wrong, and keeps what it sees.

One connection per request. Independent of objstore.http on purpose: recorded targets and headers may be malformed, a
body may wait for 100 Continue or go as one chunk, and the answer's framing is itself under test.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

TIMEOUT_S = 15.0
CONTINUE_WAIT_S = 10.0
_BLOCK = 1 << 16


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request in bytes. `waits`: the body goes out only after a 100 Continue."""

    head: bytes
    body: bytes = b""
    waits: bool = False
    is_head: bool = False


@dataclass(slots=True)
class Answer:
    """What came back. `status` None: the connection ended before a final head."""

    status: int | None = None
    reason: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    interim: list[int] = field(default_factory=list)
    is_truncated: bool = False
    problem: str = ""

    def values(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each.lower() == name.lower()]

    def header(self, name: str, default: str = "") -> str:
        return next(iter(self.values(name)), default)


def head_bytes(method: bytes, target: bytes, version: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    lines = [b"%s %s %s" % (method, target, version)]
    lines += [b"%s: %s" % header for header in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def chunked(body: bytes) -> bytes:
    """The body as one chunk and the last chunk."""
    return (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"


def exchange(address: tuple[str, int], request: Outgoing, *, timeout_s: float = TIMEOUT_S) -> Answer:
    """Send one request on a connection of its own and read the whole answer.

    A server may answer and close before it has read the body: what it said counts. OSError when nothing can be sent or
    read at all, TimeoutError when it says nothing for `timeout_s`.
    """
    with socket.create_connection(address, timeout=timeout_s) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = _Reader(sock)
        answer = Answer()
        if request.waits:
            sock.sendall(request.head)
            sock.settimeout(CONTINUE_WAIT_S)
            try:
                if _read_head(reader, answer, stops_at_continue=True):
                    _read_body(reader, answer, request.is_head)
                    return answer
            except TimeoutError:
                answer.problem = f"no 100 Continue and no answer within {CONTINUE_WAIT_S:.0f} s"
            sock.settimeout(timeout_s)
            _send(sock, request.body)
        else:
            _send(sock, request.head + request.body)
        if _read_head(reader, answer, stops_at_continue=False):
            _read_body(reader, answer, request.is_head)
        return answer


def _send(sock: socket.socket, data: bytes) -> None:
    try:
        sock.sendall(data)
    except (BrokenPipeError, ConnectionResetError):
        pass  # answered early and closed; the answer is still in our receive queue


class _Reader:
    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray()
        self._at_end = False

    def fill(self) -> bool:
        """Read once more; False at the end of the stream (a reset counts as one)."""
        if self._at_end:
            return False
        try:
            data = self._sock.recv(_BLOCK)
        except ConnectionResetError:
            data = b""
        self._at_end = not data
        self._buffer += data
        return bool(data)

    def until(self, mark: bytes) -> bytes | None:
        start = 0
        while (found := self._buffer.find(mark, start)) < 0:
            start = max(0, len(self._buffer) - len(mark) + 1)
            if not self.fill():
                return None
        return self.take(found + len(mark))[: -len(mark)]

    def exactly(self, count: int) -> bytes:
        """`count` bytes, fewer only at the end of the stream."""
        while len(self._buffer) < count and self.fill():
            pass
        return self.take(count)

    def rest(self) -> bytes:
        while self.fill():
            pass
        return self.take(len(self._buffer))

    def take(self, count: int) -> bytes:
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data


def _read_head(reader: _Reader, answer: Answer, *, stops_at_continue: bool) -> bool:
    """Read heads up to the final one (True), or to a 100 Continue when that is waited for (False)."""
    while True:
        raw = reader.until(b"\r\n\r\n")
        if raw is None:
            return False
        lines = raw.split(b"\r\n")
        version, _, rest = lines[0].partition(b" ")
        status, _, reason = rest.partition(b" ")
        if not version.startswith(b"HTTP/1.") or not status.isdigit() or len(status) != 3:
            answer.problem = f"not a status line: {lines[0]!r}"
            return False
        if int(status) >= 200:
            answer.status, answer.reason = int(status), _text(reason)
            answer.headers = [_header(line) for line in lines[1:]]
            return True
        answer.interim.append(int(status))
        if stops_at_continue:
            return False


def _header(line: bytes) -> tuple[str, str]:
    name, _, value = line.partition(b":")
    return _text(name), _text(value.strip(b" \t"))


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _read_body(reader: _Reader, answer: Answer, is_head: bool) -> None:
    if is_head or answer.status in (204, 304):
        return
    if answer.header("transfer-encoding").lower() == "chunked":
        _read_chunks(reader, answer)
    elif length := answer.header("content-length"):
        answer.body = reader.exactly(int(length))
        answer.is_truncated = len(answer.body) < int(length)
    else:
        answer.body = reader.rest()


def _read_chunks(reader: _Reader, answer: Answer) -> None:
    pieces = []
    while True:
        line = reader.until(b"\r\n")
        if line is None:
            answer.is_truncated = True
            break
        size = int(line.partition(b";")[0], 16)
        if size == 0:
            while reader.until(b"\r\n"):
                pass
            break
        data = reader.exactly(size + 2)
        pieces.append(data[:size])
        if len(data) < size + 2:
            answer.is_truncated = True
            break
    answer.body = b"".join(pieces)


def wait_for_port(address: tuple[str, int], deadline_s: float) -> None:
    """Return once something listens at `address`; TimeoutError after `deadline_s`."""
    end = time.monotonic() + deadline_s
    while True:
        try:
            socket.create_connection(address, timeout=1.0).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise TimeoutError(f"nothing listens at {address}") from None
            time.sleep(0.05)
