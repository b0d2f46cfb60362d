"""Ordinary verbs straight to storage servers, as daemons send them that act for no client: listings and deletions.

Every call goes to a node's replication address and is one exchange; what a peer does is a value. Source: formats 6.10.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from objstore.core.names import quoted
from objstore.http.status import HTTPStatus
from objstore.peers.failure import NodeFailure
from objstore.peers.node_client import AS_DIRECT_CLIENT, NodeClient, Reply, Timeouts
from objstore.peers.recently_silent import RecentlySilent
from objstore.ring.model import Node

PAGE_BYTES_MAX = 64 * 1024 * 1024
"""A listing of 10,000 names of 1,024 bytes, each of them escaped, stays below."""
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
        self._client = NodeClient(
            "direct-client",
            Timeouts(conn_timeout_s, node_timeout_s),
            headers=[("Accept-Encoding", "identity"), *AS_DIRECT_CLIENT],
            silence=RecentlySilent(monotonic),
        )

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()

    def page(
        self, node: Node, partition: int, account: str, container: str, marker: str, policy_index: int | None = None
    ) -> Page | int:
        """Names after a marker; else the status, NO_ANSWER for an answer that makes no sense, too. policy_index: whose
        rows; None: the container's own."""
        query = "?format=json" + (f"&marker={quote(marker, safe='')}" if marker else "")
        headers = [] if policy_index is None else [("X-Backend-Storage-Policy-Index", str(policy_index))]
        path = quoted(f"/{partition}/{account}/{container}") + query
        answer = self._client.ask(node, "GET", path, headers, answer_bytes_max=PAGE_BYTES_MAX)
        if isinstance(answer, NodeFailure):
            return NO_ANSWER
        if answer.status != HTTPStatus.OK:
            return answer.status
        try:
            return _page(answer)
        except (ValueError, TypeError, KeyError, RecursionError):
            return NO_ANSWER

    def delete(self, node: Node, partition: int, path: str, headers: Headers) -> int:
        """The status, NO_ANSWER for none. path: /account/container[/object] as text."""
        answer = self._client.ask(node, "DELETE", quoted(f"/{partition}{path}"), headers)
        return answer.status if isinstance(answer, Reply) else NO_ANSWER


def _page(reply: Reply) -> Page:
    """Raises ValueError, TypeError or KeyError."""
    items: Any = json.loads(reply.body)
    if not isinstance(items, list):
        raise ValueError("not a listing")
    names = tuple(item["name"] for item in items)
    if not all(isinstance(name, str) and name for name in names):
        raise ValueError("not names")
    headers = reply.headers
    index = headers.get("x-backend-record-storage-policy-index", headers.get("x-backend-storage-policy-index", "0"))
    return Page(names, int(index), headers.get("x-backend-sharding-state", "unsharded") in ("sharding", "sharded"))
