"""One question to all nodes of a partition at once, over the replication network, each answer read whole.

What daemons use that have to hear every replica and not the first good one: who decides from the absence of a row, or
removes the last trace of a task, must know who answered and who did not. Nothing here raises for what a peer does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from objstore.http.client import ConnectionPool
from objstore.http.status import is_success
from objstore.peers.exchange import BackendRequest, Caller, Exchange, wait_for_some
from objstore.ring.model import Node
from objstore.runtime import green

ANSWER_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Reply:
    """What a node said. status: 0 when it said nothing that could be read in time; problem: then why."""

    node: Node
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    problem: str = ""

    @property
    def is_success(self) -> bool:
        return is_success(self.status)


class DirectCalls:
    """agent: who asks, for the logs of the asked. One per process."""

    def __init__(self, agent: str = "direct-client", connect_timeout_s: float = 1.0, answer_timeout_s: float = 10.0):
        self._agent = agent
        self._answer_timeout_s = answer_timeout_s
        self._caller = Caller(ConnectionPool(), connect_timeout_s, answer_timeout_s)

    def ask(
        self,
        nodes: Iterable[Node],
        method: str,
        path: str,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> list[Reply]:
        """One reply per node, in their order. path: /partition/account…, percent-encoded, with the query."""
        exchanges = [self._started(slot, node, method, path, headers, body) for slot, node in enumerate(nodes)]
        replies: dict[int, Reply] = {}
        waiting = list(exchanges)
        deadline_s = green.monotonic() + self._answer_timeout_s
        while waiting:
            settled = wait_for_some(waiting, deadline_s)
            if not settled:
                break
            for exchange in settled:
                waiting.remove(exchange)
                replies[exchange.slot] = self._reply(exchange)
        for exchange in waiting:
            replies[exchange.slot] = Reply(exchange.node, 0, problem=f"no answer in {self._answer_timeout_s:g} s")
            exchange.discard()
        return [replies[exchange.slot] for exchange in exchanges]

    def _started(
        self, slot: int, node: Node, method: str, path: str, headers: Sequence[tuple[str, str]], body: bytes
    ) -> Exchange:
        host, port = node.replication_address
        lines = [
            ("Host", f"[{host}]:{port}" if ":" in host else f"{host}:{port}"),
            *headers,
            ("X-Backend-Use-Replication-Network", "true"),
            ("X-Backend-Allow-Reserved-Names", "true"),
            ("User-Agent", f"{self._agent} {os.getpid()}"),
            ("Content-Length", str(len(body))),
        ]
        return self._caller.start(node, BackendRequest(method, path, lines, body), slot=slot, use_replication=True)

    def _reply(self, exchange: Exchange) -> Reply:
        head = exchange.head
        content = None if head is None else exchange.read_body(self._answer_timeout_s, ANSWER_BYTES_MAX)
        if head is None or content is None:
            return Reply(exchange.node, 0, problem=str(exchange.failure))
        return Reply(exchange.node, head.status, head.headers, content)
