"""Ordinary verbs straight to storage servers, as daemons send them that act for no client: listings and deletions.

Every call goes to a node's replication address and is one exchange; what a peer does is a value. Source: formats 6.10.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from objstore.core.names import quoted
from objstore.http.client import ConnectionPool, PeerError, ResponseHead, request
from objstore.http.status import HTTPStatus
from objstore.peers.recently_silent import RecentlySilent
from objstore.ring.model import Node

PAGE_BYTES_MAX = 64 * 1024 * 1024
"""A listing of 10,000 names of 1,024 bytes, each of them escaped, stays below."""
ANSWER_BYTES_MAX = 65536
NO_ANSWER = 0

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Page:
    """names: of objects, in order; none at the end. policy_index: of these rows. is_sharded: they lie in shards."""

    names: tuple[str, ...]
    policy_index: int
    is_sharded: bool


class DirectClient:
    """One per process; fine for many green threads."""

    def __init__(self, *, conn_timeout_s: float, node_timeout_s: float, monotonic: Callable[[], float]) -> None:
        self._conn_timeout_s = conn_timeout_s
        self._node_timeout_s = node_timeout_s
        self._monotonic = monotonic
        self._pool = ConnectionPool()
        self._silent = RecentlySilent(monotonic)

    def close(self) -> None:
        """Close idle connections."""
        self._pool.close()

    def page(
        self, node: Node, partition: int, account: str, container: str, marker: str, policy_index: int | None = None
    ) -> Page | int:
        """Names after a marker; else the status, NO_ANSWER for an answer that makes no sense, too. policy_index: whose
        rows; None: the container's own."""
        query = "?format=json" + (f"&marker={quote(marker, safe='')}" if marker else "")
        headers = [] if policy_index is None else [("X-Backend-Storage-Policy-Index", str(policy_index))]
        path = quoted(f"/{node.name}/{partition}/{account}/{container}") + query
        answer = self._exchange(node, "GET", path, headers, PAGE_BYTES_MAX)
        if answer is None:
            return NO_ANSWER
        head, body = answer
        if head.status != HTTPStatus.OK:
            return head.status
        try:
            return _page(head, body)
        except (ValueError, TypeError, KeyError, RecursionError):
            return NO_ANSWER

    def delete(self, node: Node, partition: int, path: str, headers: Headers) -> int:
        """The status, NO_ANSWER for none. path: /account/container[/object] as text."""
        target = quoted(f"/{node.name}/{partition}{path}")
        answer = self._exchange(node, "DELETE", target, headers, ANSWER_BYTES_MAX)
        return NO_ANSWER if answer is None else answer[0].status

    def _exchange(
        self, node: Node, method: str, target: str, headers: Headers, body_bytes_max: int
    ) -> tuple[ResponseHead, bytes] | None:
        address = node.replication_address
        if address in self._silent:
            return None
        host, port = address
        framed = [
            ("Host", f"[{host}]:{port}" if ":" in host else f"{host}:{port}"),
            ("Accept-Encoding", "identity"),
            *headers,
            ("X-Backend-Use-Replication-Network", "true"),
            ("User-Agent", f"direct-client {os.getpid()}"),
            ("X-Backend-Allow-Reserved-Names", "true"),
            *([("Content-Length", "0")] if method != "GET" else []),
        ]
        started_s = self._monotonic()
        try:
            return request(
                self._pool, host, port, method, target, framed,
                connect_timeout_s=self._conn_timeout_s,
                timeout_s=self._node_timeout_s,
                max_body_bytes=body_bytes_max,
            )  # fmt: skip
        except PeerError as error:
            self._silent.failed(address, error, started_s)
            return None


def _page(head: ResponseHead, body: bytes) -> Page:
    """Raises ValueError, TypeError or KeyError."""
    items: Any = json.loads(body)
    if not isinstance(items, list):
        raise ValueError("not a listing")
    names = tuple(item["name"] for item in items)
    if not all(isinstance(name, str) and name for name in names):
        raise ValueError("not names")
    headers = head.headers
    index = headers.get("x-backend-record-storage-policy-index", headers.get("x-backend-storage-policy-index", "0"))
    return Page(names, int(index), headers.get("x-backend-sharding-state", "unsharded") in ("sharding", "sharded"))
