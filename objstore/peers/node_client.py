"""NodeClient: what a daemon asks of storage servers, one or many at once: every answer whole, or the reason why not.

The core of all typed clients of daemons in this package: pooled connections to the replication address of a node, one
deadline for heads and one for bodies, answers of a bounded size, and nothing raised for what a peer does. A question to
every replica of a partition is one call (ask_all): who decides from the absence of a row, or removes the last trace of
a task, must know who answered and who did not. A node that let a deadline pass may be left alone for a while (Silence):
whoever has a hundred thousand things to say cannot wait for each. What is given up does not arrive later: a daemon says
it again, and counts that arrive late would be taken for new ones. Source: formats 2.5, 6.1.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from objstore.http.client import ConnectFailed, ConnectionPool, PeerBroken, PeerError, PeerTimedOut
from objstore.http.status import is_success
from objstore.peers.exchange import BackendRequest, Caller, Exchange, wait_for_some
from objstore.peers.failure import NodeFailure, name_of
from objstore.ring.model import Node
from objstore.runtime import green

ANSWER_BYTES_MAX = 1 << 20
BODY_PATIENCE = 6
"""Answer deadlines that a whole body may take: a peer that drips must not hold a daemon for ever."""
REFUSAL_S = 0.1
"""A connection that fails sooner was refused by a machine that is there."""
_BODILESS = frozenset({"GET", "HEAD"})

Address = tuple[str, int]
Headers = Sequence[tuple[str, str]]
AS_DIRECT_CLIENT: Headers = (
    ("X-Backend-Use-Replication-Network", "true"),
    ("X-Backend-Allow-Reserved-Names", "true"),
)
"""Ordinary verbs (GET, PUT, DELETE…) of a daemon that acts for no client."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """answer_s: until the head of an answer; a body may take BODY_PATIENCE times as long."""

    connect_s: float
    answer_s: float


@dataclass(frozen=True, slots=True)
class Reply:
    """A node's answer, of any status. headers: lower-case names."""

    node: Node
    status: int
    headers: dict[str, str]
    body: bytes = b""

    @property
    def is_success(self) -> bool:
        return is_success(self.status)


class Silence(Protocol):
    """Who let a deadline pass: silence.Silences asks them again by itself, recently_silent.RecentlySilent waits."""

    def is_silent(self, address: Address) -> bool: ...

    def heard_nothing(self, address: Address) -> object: ...


class NodeClient:
    """agent: who asks, for the logs of the asked. headers: of every request. silence: None asks everybody every time.

    One per process; fine for many green threads."""

    def __init__(
        self,
        agent: str,
        timeouts: Timeouts,
        *,
        headers: Headers = (),
        silence: Silence | None = None,
        pool: ConnectionPool | None = None,
    ) -> None:
        self._always = (*headers, ("User-Agent", f"{agent} {os.getpid()}"))
        self._timeouts = timeouts
        self._silence = silence
        self._pool = pool or ConnectionPool()
        self._caller = Caller(self._pool, timeouts.connect_s, timeouts.answer_s)

    def close(self) -> None:
        """Close idle connections."""
        self._pool.close()

    def ask(
        self,
        node: Node,
        method: str,
        path: str,
        headers: Headers = (),
        body: bytes = b"",
        *,
        answer_s: float | None = None,
        answer_bytes_max: int = ANSWER_BYTES_MAX,
    ) -> Reply | NodeFailure:
        """path: below the device, from the partition on, percent-encoded, with the query. answer_s: this once."""
        (answer,) = self.ask_all(
            (node,), method, path, headers, body, answer_s=answer_s, answer_bytes_max=answer_bytes_max
        )
        return answer

    def ask_all(
        self,
        nodes: Iterable[Node],
        method: str,
        path: str,
        headers: Headers = (),
        body: bytes = b"",
        *,
        answer_s: float | None = None,
        answer_bytes_max: int = ANSWER_BYTES_MAX,
    ) -> list[Reply | NodeFailure]:
        """The same question to many nodes at once: one answer per node, in their order."""
        answer_s = answer_s or self._timeouts.answer_s
        asked = list(nodes)
        answers: list[Reply | NodeFailure | None] = [self._left_alone(node) for node in asked]
        waiting = [
            self._started(slot, node, BackendRequest(method, path, self._lines(node, method, headers, body), body))
            for slot, node in enumerate(asked)
            if answers[slot] is None
        ]
        try:
            deadline_s = green.monotonic() + answer_s
            while waiting:
                settled = wait_for_some(waiting, deadline_s)
                for exchange in settled or waiting:
                    if not settled:
                        exchange.abort(PeerTimedOut(f"no answer to {method} within {answer_s:g} s"))
                    answers[exchange.slot] = self._answer(exchange, answer_s, answer_bytes_max)
                waiting = [exchange for exchange in waiting if answers[exchange.slot] is None]
        finally:
            for exchange in waiting:
                exchange.abort(PeerBroken(f"{method} was given up"))
        return [answer for answer in answers if answer is not None]

    def _left_alone(self, node: Node) -> NodeFailure | None:
        if self._silence is not None and self._silence.is_silent(node.replication_address):
            return NodeFailure(f"{name_of(node)}: it let a deadline pass a moment ago", is_silence=True)
        return None

    def _lines(self, node: Node, method: str, headers: Headers, body: bytes) -> list[tuple[str, str]]:
        host, port = node.replication_address
        lines = [("Host", f"[{host}]:{port}" if ":" in host else f"{host}:{port}"), *headers, *self._always]
        if body or method not in _BODILESS:
            lines.append(("Content-Length", str(len(body))))
        return lines

    def _started(self, slot: int, node: Node, request: BackendRequest) -> Exchange:
        return self._caller.start(node, request, slot=slot, use_replication=True)

    def _answer(self, exchange: Exchange, answer_s: float, answer_bytes_max: int) -> Reply | NodeFailure:
        head = exchange.head
        if head is not None:
            body = b""
            if head.length == 0:
                exchange.discard()
            else:
                with green.deadline(answer_s * BODY_PATIENCE):
                    body = exchange.read_body(answer_s, answer_bytes_max) or b""
            if exchange.failure is None:
                return Reply(exchange.node, head.status, head.headers, body)
        error = exchange.failure
        assert error is not None, "settled without a head"
        if self._silence is not None and is_silence(error, green.monotonic() - exchange.started_s):
            self._silence.heard_nothing(exchange.node.replication_address)
        return NodeFailure.of_error(exchange.node, error)


def is_silence(error: PeerError, elapsed_s: float) -> bool:
    """Whether it cost us time: only that makes a server one to be left alone."""
    return isinstance(error, PeerTimedOut) or (isinstance(error, ConnectFailed) and elapsed_s >= REFUSAL_S)
