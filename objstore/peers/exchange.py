"""Exchange: one request to one node, driven without waiting, so that one green thread serves many nodes at once.

Caller.start() connects and sends (idle connections make that free; a new one may take up to the connect timeout);
Caller.connect() and send() do so one after the other, for who wants to know first which nodes can be reached. poll()
looks whether the node has answered; wait_for_some() waits until any of many has. An exchange settles once: with `head`
(the final one, or the 100 when an interim answer was asked for) or with `failure`. Outcomes are values: nothing here
raises for what a peer does. Used by the proxy's reads and writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol
from urllib.parse import quote

from objstore.http.client import BadResponse, Connection, PeerBroken, PeerError, ResponseHead
from objstore.http.status import HTTPStatus
from objstore.ring.model import Node
from objstore.runtime import green

_FINAL = HTTPStatus.OK
"""The lowest status that ends an exchange."""
INTERIM_AT_MOST = 8
"""Interim answers that are passed over in one look: whoever sends them without end would keep us looking for ever."""
SMALL_BODY_BYTES = 65536
"""Answers that are read whole: error texts and the like."""


class Pool(Protocol):
    """What an exchange needs of http.client.ConnectionPool; tests script it (tests.support.peers)."""

    def connect(self, host: str, port: int, timeout_s: float) -> Connection: ...

    def connect_new(self, host: str, port: int, timeout_s: float) -> Connection: ...


class BackendRequest(NamedTuple):
    """A request but for the device. path: /partition/account… percent-encoded, with the query."""

    method: str
    path: str
    headers: Sequence[tuple[str, str]]
    body: bytes = b""

    def target(self, node: Node) -> str:
        return _device_prefix(node.name) + self.path


@lru_cache(maxsize=4096)
def _device_prefix(device: str) -> str:
    return f"/{quote(device)}"


@dataclass(frozen=True, slots=True)
class Caller:
    """How to reach nodes. use_replication: over the replication network (formats 6.1)."""

    pool: Pool
    connect_timeout_s: float
    send_timeout_s: float

    def start(
        self,
        node: Node,
        request: BackendRequest,
        *,
        slot: int = 0,
        interim: bool = False,
        use_replication: bool = False,
    ) -> Exchange:
        exchange = self.connect(node, slot=slot, interim=interim, use_replication=use_replication)
        exchange.send(request)
        return exchange

    def connect(self, node: Node, *, slot: int = 0, interim: bool = False, use_replication: bool = False) -> Exchange:
        """An exchange that has a connection, or a failure, and has sent nothing yet."""
        exchange = Exchange(node, slot=slot, interim=interim)
        exchange.connect(self, node.replication_address if use_replication else node.address)
        return exchange


class Exchange:
    """slot: the caller's number for it. After settling with a head, read the body and release() the connection."""

    __slots__ = (
        "node",
        "slot",
        "head",
        "failure",
        "started_s",
        "_request",
        "_connection",
        "_caller",
        "_address",
        "_wants_interim",
    )

    def __init__(self, node: Node, *, slot: int, interim: bool) -> None:
        self.node = node
        self.slot = slot
        self.head: ResponseHead | None = None
        self.failure: PeerError | None = None
        self.started_s = green.monotonic()
        self._request: BackendRequest | None = None
        self._connection: Connection | None = None
        self._caller: Caller | None = None
        self._address = ("", 0)
        self._wants_interim = interim

    def connect(self, caller: Caller, address: tuple[str, int]) -> None:
        self._caller = caller
        self._address = address
        try:
            self._connection = caller.pool.connect(*address, caller.connect_timeout_s)
        except PeerError as error:
            self._failed(error)

    def send(self, request: BackendRequest) -> None:
        """Once, after connect(); nothing is sent where that failed."""
        self._request = request
        if self.failure is not None:
            return
        try:
            self._send(self.connection)
        except PeerError as error:
            self._failed(error)

    @property
    def request(self) -> BackendRequest:
        assert self._request is not None, "nothing was sent yet"
        return self._request

    @property
    def connection(self) -> Connection:
        assert self._connection is not None, "the exchange has failed"
        return self._connection

    @property
    def is_settled(self) -> bool:
        return self.head is not None or self.failure is not None

    def poll(self) -> bool:
        """Look for the answer, if the hub has told of anything; True once settled."""
        if self.head is not None or self.failure is not None:
            return True
        connection = self._connection
        assert connection is not None, "an exchange without a failure has a connection"
        if connection.is_quiet:
            return False
        try:
            head = connection.try_read_head()
            passed_over = 0
            while head is not None and head.status < _FINAL and not self._wants_interim:
                passed_over += 1
                if passed_over > INTERIM_AT_MOST:
                    raise BadResponse(f"more than {INTERIM_AT_MOST} interim answers at once")
                head = connection.try_read_head()
            self.head = head
        except PeerError as error:
            self._failed(error)
        return self.head is not None or self.failure is not None

    def expect_final(self) -> None:
        """After a 100: settle again, with the final answer."""
        self.head = None
        self._wants_interim = False

    def read_body(self, timeout_s: float, limit_bytes: int = SMALL_BODY_BYTES) -> bytes | None:
        """The whole body, and the connection goes back to the pool; None when it broke."""
        try:
            body = self.connection.read_all(limit_bytes, timeout_s)
        except PeerError as error:
            self._failed(error)
            return None
        self.connection.release()
        return body

    def discard(self) -> None:
        """Let go of an answer nobody wants: reuse the connection when nothing is left on it, else close it."""
        if self._connection is None:
            return
        head = self.head
        if head is not None and head.length == 0 and head.status >= HTTPStatus.OK:
            self.read_body(0)
        else:
            self._connection.close()

    def fail(self, error: PeerError) -> None:
        """Give the node up. What was sent may still arrive: a write with a timestamp does no harm then, it may help."""
        self._failed(error)

    def abort(self, error: PeerError) -> None:
        """Give the node up, and let nothing of the request arrive later (Connection.abort)."""
        if self._connection is not None:
            self._connection.abort()
        self.head, self.failure = None, error

    def _send(self, connection: Connection) -> None:
        assert self._caller is not None
        self._connection = connection
        request = self.request
        connection.send_request(
            request.method,
            request.target(self.node),
            request.headers,
            request.body,
            timeout_s=self._caller.send_timeout_s,
        )

    def _failed(self, error: PeerError) -> None:
        connection = self._connection
        if connection is not None:
            connection.close()
            # An idle connection can die unnoticed: the request has not been seen, so it goes out once more.
            if isinstance(error, PeerBroken) and connection.is_reused and not connection.has_answer_begun:
                assert self._caller is not None
                self._connection = None
                try:
                    self._send(self._caller.pool.connect_new(*self._address, self._caller.connect_timeout_s))
                    return
                except PeerError as again:
                    error = again
                    if self._connection is not None:
                        self._connection.close()
        self.head = None
        self.failure = error


def wait_for_some(exchanges: Sequence[Exchange], deadline_s: float) -> list[Exchange]:
    """Those that have settled, at least one; [] when the deadline (of green.monotonic) passed first."""
    is_over = not exchanges
    while True:
        settled = [exchange for exchange in exchanges if exchange.poll()]
        # What came at the last moment counts.
        if settled or is_over:
            return settled
        first, *others = [exchange.connection for exchange in exchanges]
        is_over = green.monotonic() >= deadline_s or not first.wait_for_head(deadline_s, others)
