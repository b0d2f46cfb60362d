"""The HTTP/1.1 client of the servers among themselves: pooled keep-alive connections, green or without waiting.

This module is what others import: a whole exchange in one call, and the parts of which it is made (http/pool.py,
http/peer_connection.py, http/connecting.py, http/peer_errors.py) for who feeds a body or many peers at once.
"""

from __future__ import annotations

from collections.abc import Iterable

from objstore.http.connecting import connected
from objstore.http.framing import LAST_CHUNK, chunk_head
from objstore.http.head import ResponseHead
from objstore.http.peer_connection import PIECES_AT_MOST, Connection
from objstore.http.peer_errors import BadResponse, ConnectFailed, ConnectTimedOut, PeerBroken, PeerError, PeerTimedOut
from objstore.http.pool import ConnectionPool
from objstore.http.status import HTTPStatus

__all__ = [
    "LAST_CHUNK",
    "PIECES_AT_MOST",
    "BadResponse",
    "ConnectFailed",
    "ConnectTimedOut",
    "Connection",
    "ConnectionPool",
    "PeerBroken",
    "PeerError",
    "PeerTimedOut",
    "ResponseHead",
    "chunk_head",
    "connected",
    "request",
]

_INTERIM_AT_MOST = 8


def request(
    pool: ConnectionPool,
    host: str,
    port: int,
    method: str,
    target: str,
    headers: Iterable[tuple[str, str]],
    body: bytes = b"",
    *,
    connect_timeout_s: float,
    timeout_s: float,
    max_body_bytes: int,
) -> tuple[ResponseHead, bytes]:
    """One whole exchange. Once more on a new connection when a reused one turns out dead before any byte of answer. A
    request that is given up does not arrive later (Connection.abort)."""
    headers = list(headers)
    connection = pool.connect(host, port, connect_timeout_s)
    try:
        return _exchange(connection, method, target, headers, body, timeout_s, max_body_bytes)
    except PeerBroken:
        if not connection.is_reused or connection.has_answer_begun:
            raise
    connection = pool.connect_new(host, port, connect_timeout_s)
    return _exchange(connection, method, target, headers, body, timeout_s, max_body_bytes)


def _exchange(
    connection: Connection,
    method: str,
    target: str,
    headers: list[tuple[str, str]],
    body: bytes,
    timeout_s: float,
    max_body_bytes: int,
) -> tuple[ResponseHead, bytes]:
    try:
        connection.send_request(method, target, headers, body, timeout_s=timeout_s)
        for _ in range(_INTERIM_AT_MOST):
            head = connection.read_head(timeout_s)
            if head.status >= HTTPStatus.OK:
                break
        else:
            raise BadResponse(f"more than {_INTERIM_AT_MOST} interim responses")
        answer = connection.read_all(max_body_bytes, timeout_s)
    except BaseException:
        connection.abort()
        raise
    connection.release()
    return head, answer
