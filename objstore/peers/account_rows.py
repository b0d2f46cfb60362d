"""What a daemon says to an account server: how a container is. Source: formats 6.2."""

from __future__ import annotations

from collections.abc import Mapping

from objstore.core.headers import title
from objstore.core.names import quoted
from objstore.peers.node_client import NodeClient, Reply
from objstore.ring.model import Node


class AccountRows:
    def __init__(self, calls: NodeClient) -> None:
        self._calls = calls

    def report(self, node: Node, partition: int, account: str, container: str, headers: Mapping[str, str]) -> int:
        """The status of the answer, 0 for none in time. headers: lower-case names."""
        lines = [(title(name), value) for name, value in headers.items()]
        answer = self._calls.ask(node, "PUT", quoted(f"/{partition}/{account}/{container}"), lines)
        return answer.status if isinstance(answer, Reply) else 0
