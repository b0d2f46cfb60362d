"""Dialogue: one request whose answer comes while its body is still being sent, line by line both ways (SSYNC).

Small pieces are gathered into chunks; read_line() sends what is gathered first, so that nobody waits for the other.
All calls raise PeerError for what the peer does; every wait has the deadline that open() was given.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from objstore.http.client import LAST_CHUNK, BadResponse, Connection, PeerBroken, chunk_head
from objstore.http.status import HTTPStatus
from objstore.peers.exchange import Caller
from objstore.peers.failure import NodeFailure
from objstore.ring.model import Node

_GATHER_BYTES = 65536
_LINE_BYTES = 65536


class Dialogue:
    """sent: bytes of body so far."""

    def __init__(self, connection: Connection, timeout_s: float) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._is_over = False
        self.sent = 0

    def send(self, data: bytes | memoryview) -> None:
        """What is large leaves at once and uncopied, and may be overwritten afterwards."""
        if len(data) >= _GATHER_BYTES:
            self.flush()
            self._connection.send(chunk_head(len(data)), self._timeout_s)
            self._connection.send(data, self._timeout_s)
            self._connection.send(b"\r\n", self._timeout_s)
            self.sent += len(data)
            return
        self._gathered.append(bytes(data))
        self._gathered_bytes += len(data)
        if self._gathered_bytes >= _GATHER_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._gathered_bytes:
            data = b"".join(self._gathered)
            self._gathered, self._gathered_bytes = [], 0
            self._connection.send(b"".join((chunk_head(len(data)), data, b"\r\n")), self._timeout_s)
            self.sent += len(data)

    def read_line(self) -> str:
        """The next line without its end, as code points 0 to 255. Raises PeerBroken at the end of the answer."""
        self.flush()
        line = self._connection.readline(_LINE_BYTES, self._timeout_s)
        if not line.endswith(b"\n"):
            if len(line) >= _LINE_BYTES:
                raise BadResponse("a line without an end")
            raise PeerBroken("the answer ends in the middle of the conversation")
        return line.decode("latin-1").rstrip("\r\n")

    def end(self) -> None:
        """The conversation is over on both sides: keep the connection if it can be used again."""
        self.flush()
        self._connection.send(LAST_CHUNK, self._timeout_s)
        self._connection.mark_request_whole()
        if self._connection.read(1, self._timeout_s):
            raise BadResponse("the answer goes on after its end")
        self._is_over = True
        self._connection.release()

    def close(self) -> None:
        """Give up, unless it has ended."""
        if not self._is_over:
            self._connection.close()


def open_dialogue(
    caller: Caller, node: Node, method: str, path: str, headers: Sequence[tuple[str, str]], timeout_s: float
) -> Dialogue | NodeFailure:
    """Send a head and wait for a 200. path: below the device. timeout_s: for the head, and for every later wait.

    A connection of its own: one that was idle may be dead, and a conversation cannot be sent twice."""
    address = node.replication_address
    connection = caller.pool.connect_new(*address, caller.connect_timeout_s)
    try:
        connection.send_request(
            method,
            node_target(node, path),
            [("Host", f"{address[0]}:{address[1]}"), ("Transfer-Encoding", "chunked"), *headers],
            timeout_s=caller.send_timeout_s,
        )
        head = connection.read_head(timeout_s)
    except BaseException:
        connection.close()
        raise
    if head.status != HTTPStatus.OK:
        connection.close()
        return NodeFailure.of_status(node, head.status, method)
    return Dialogue(connection, timeout_s)


def node_target(node: Node, path: str) -> str:
    return f"/{quote(node.name)}{path}"
