"""Lean load over raw sockets: many small requests on few kept-alive connections, or few large transfers.

Clients run in processes of their own, so that their CPU can be told from the servers'. Bodies are thrown away in the
kernel (MSG_TRUNC) and sent from memory files: what is measured is the servers, not the client.
"""

from __future__ import annotations

import array
import math
import multiprocessing
import os
import re
import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

MIB = 1 << 20
_BLOCK = MIB
_PATTERN_SIZE = 64 * MIB
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_IDLE_S = 60.0


class LoadError(Exception):
    """A server answered otherwise than the load needs, or not at all."""


@dataclass(frozen=True, slots=True)
class Small:
    """A run of small requests: paths in order, one outstanding request on each connection."""

    address: tuple[str, int]
    method: str
    paths: Sequence[str]
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    connections: int = 16
    time_limit_s: float = 60.0
    ok: frozenset[int] = frozenset({200, 201, 202, 204})


@dataclass(frozen=True, slots=True)
class Large:
    """A run of large transfers, shared out over connections; each is `size` bytes up (PUT) or down (GET)."""

    address: tuple[str, int]
    method: str
    paths: Sequence[str]
    headers: tuple[tuple[str, str], ...]
    size: int
    connections: int = 1
    time_limit_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """count: requests completed; elapsed_s: from the first sent to the last answered; latencies_s: sorted."""

    count: int
    elapsed_s: float
    latencies_s: Sequence[float]

    @property
    def rate(self) -> float:
        return self.count / self.elapsed_s if self.elapsed_s else 0.0

    def percentile(self, percent: float) -> float:
        if not self.latencies_s:
            return math.nan
        return self.latencies_s[min(len(self.latencies_s) - 1, int(len(self.latencies_s) * percent / 100))]


def run(load: Small | Large) -> Outcome:
    """Run one load in client processes and wait for it. LoadError when a request fails."""
    if isinstance(load, Small):
        return _merge([_in_process(_run_small, load)()])
    shares = [list(load.paths[start :: load.connections]) for start in range(load.connections)]
    waits = [_in_process(_run_large, load, share) for share in shares if share]
    return _merge([wait() for wait in waits])


_Piece = tuple[float, float, bytes]


def _in_process(function: Callable[..., _Piece], *arguments: Any) -> Callable[[], _Piece]:
    """Start `function` in a forked process; returns a call that waits for its result."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def child() -> None:
        try:
            sender.send(function(*arguments))
        except (LoadError, OSError) as error:
            sender.send(f"{type(error).__name__}: {error}")

    process = context.Process(target=child)
    process.start()
    sender.close()

    def wait() -> _Piece:
        try:
            result = receiver.recv()
        except EOFError:
            result = "a client process died"
        process.join()
        if isinstance(result, str):
            raise LoadError(result)
        return result

    return wait


def _merge(pieces: Sequence[_Piece]) -> Outcome:
    latencies = array.array("d")
    for _, _, raw in pieces:
        latencies.frombytes(raw)
    elapsed = max(end for _, end, _ in pieces) - min(start for start, _, _ in pieces)
    return Outcome(len(latencies), elapsed, sorted(latencies))


# Small requests: one process, one epoll, one outstanding request on each connection.


class _Connection:
    __slots__ = ("buffer", "needs", "sent_at", "sock")

    def __init__(self, address: tuple[str, int]) -> None:
        self.sock = connect(address)
        self.buffer = b""
        self.needs = -1
        self.sent_at = 0.0


def connect(address: tuple[str, int]) -> socket.socket:
    sock = socket.create_connection(address, timeout=_IDLE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _run_small(load: Small) -> _Piece:
    head = "".join(f"{name}: {value}\r\n" for name, value in load.headers)
    if load.body or load.method in ("PUT", "POST"):
        head += f"Content-Length: {len(load.body)}\r\n"
    prefix = f"{load.method} ".encode()
    suffix = f" HTTP/1.1\r\n{head}\r\n".encode() + load.body
    requests = iter([prefix + path.encode() + suffix for path in load.paths])
    poll = select.epoll()
    connections = {}
    for _ in range(min(load.connections, len(load.paths))):
        connection = _Connection(load.address)
        connections[connection.sock.fileno()] = connection
        poll.register(connection.sock.fileno(), select.EPOLLIN)
    latencies = array.array("d")
    has_body = load.method != "HEAD"
    started = time.perf_counter()
    end_at = started + load.time_limit_s
    busy = 0
    for connection in connections.values():
        connection.sock.sendall(next(requests))
        connection.sent_at = time.perf_counter()
        busy += 1
    while busy:
        events = poll.poll(_IDLE_S)
        if not events:
            raise LoadError(f"no answer to {load.method} for {_IDLE_S:.0f} s")
        for fd, _ in events:
            connection = connections[fd]
            data = connection.sock.recv(_BLOCK)
            if not data:
                raise LoadError(f"the server closed a connection during {load.method}")
            if not _has_answer(connection, data, load, has_body):
                continue
            now = time.perf_counter()
            latencies.append(now - connection.sent_at)
            request = next(requests, None) if now < end_at else None
            if request is None:
                busy -= 1
                continue
            connection.sock.sendall(request)
            connection.sent_at = now
    ended = time.perf_counter()
    for connection in connections.values():
        connection.sock.close()
    return started, ended, latencies.tobytes()


def _has_answer(connection: _Connection, data: bytes, load: Small, has_body: bool) -> bool:
    """Take `data` of an answer; True once it is complete (only its length is kept in mind, not its body)."""
    if connection.needs < 0:
        connection.buffer += data
        end = connection.buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = connection.buffer[: end + 2]
        status = int(head[9:12])
        if status not in load.ok:
            raise LoadError(f"{load.method}: {connection.buffer[:300]!r}")
        found = _LENGTH.search(head) if has_body and status != 204 else None
        if found is None and has_body and status != 204:
            raise LoadError(f"{load.method}: an answer without Content-Length: {head!r}")
        connection.needs = (int(found[1]) if found else 0) - (len(connection.buffer) - end - 4)
        connection.buffer = b""
    else:
        connection.needs -= len(data)
    if connection.needs:
        return False
    connection.needs = -1
    return True


# Large transfers: one process each.


def _run_large(load: Large, paths: Sequence[str]) -> _Piece:
    pattern = memory_file(min(load.size, _PATTERN_SIZE)) if load.method == "PUT" else -1
    sock = connect(load.address)
    latencies = array.array("d")
    started = time.perf_counter()
    for path in paths:
        before = time.perf_counter()
        if before - started > load.time_limit_s:
            break
        if load.method == "PUT":
            _send_large(sock, load, path, pattern)
        else:
            _receive_large(sock, load, path)
        latencies.append(time.perf_counter() - before)
    ended = time.perf_counter()
    sock.close()
    if pattern >= 0:
        os.close(pattern)
    return started, ended, latencies.tobytes()


def memory_file(size: int) -> int:
    """A descriptor of a file in memory with `size` bytes that do not repeat within a block."""
    fd = os.memfd_create("load")
    block = os.urandom(min(size, 4 * MIB))
    written = 0
    while written < size:
        written += os.write(fd, block[: size - written])
    return fd


def _head(load: Large, path: str, length: str) -> bytes:
    lines = [f"{load.method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in load.headers)]
    return ("\r\n".join(lines) + f"\r\n{length}\r\n").encode()


def _send_large(sock: socket.socket, load: Large, path: str, pattern: int) -> None:
    sock.sendall(_head(load, path, f"Content-Length: {load.size}\r\n"))
    pattern_size = os.fstat(pattern).st_size
    sock.setblocking(True)
    sent = 0
    while sent < load.size:
        offset = sent % pattern_size
        sent += os.sendfile(sock.fileno(), pattern, offset, min(pattern_size - offset, load.size - sent))
    sock.settimeout(_IDLE_S)
    head, rest = _read_head(sock)
    if head[9:12] != b"201":
        raise LoadError(f"PUT: {head!r}")
    found = _LENGTH.search(head)
    _discard(sock, (int(found[1]) if found else 0) - len(rest))


def _receive_large(sock: socket.socket, load: Large, path: str) -> None:
    sock.sendall(_head(load, path, ""))
    head, rest = _read_head(sock)
    found = _LENGTH.search(head)
    if head[9:12] != b"200" or found is None or int(found[1]) != load.size:
        raise LoadError(f"GET: {head!r}")
    _discard(sock, load.size - len(rest))


def _read_head(sock: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(4096)
        if not piece:
            raise LoadError(f"the server closed the connection: {data[:300]!r}")
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    return head + b"\r\n", rest


def _discard(sock: socket.socket, count: int) -> None:
    buffer = bytearray(_BLOCK)
    while count:
        # On TCP sockets MSG_TRUNC lets the kernel drop the bytes without copying them.
        got = sock.recv_into(buffer, min(count, _BLOCK), socket.MSG_TRUNC)
        if not got:
            raise LoadError(f"cut short with {count} bytes to come")
        count -= got
