"""What a daemon says to an account server: how a container is. Source: formats 6.2."""

from __future__ import annotations

from collections.abc import Mapping

from objstore.peers.node_calls import NodeCalls
from objstore.ring.model import Node


class AccountRows:
    def __init__(self, calls: NodeCalls) -> None:
        self._calls = calls

    def report(self, node: Node, partition: int, account: str, container: str, headers: Mapping[str, str]) -> int:
        """The status of the answer, 0 for none in time. headers: lower-case names."""
        head = self._calls.exchange(node, "PUT", f"{partition}/{account}/{container}", headers)
        return 0 if head is None else head.status
