"""REPLICATE to object servers: the suffix hashes of a partition elsewhere, or the order to compute some again.

Source: formats 6.7. An answer is a pickle; it is read by the restricted reader, bounded, and checked to the letter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from objstore.core import pickles
from objstore.http.status import HTTPStatus
from objstore.peers.failure import NodeFailure
from objstore.peers.node_client import NodeClient
from objstore.ring.model import Node

ANSWER_BYTES = 1 << 20
"""All 4096 suffixes with their hashes are a quarter of that."""
SUFFIXES_PER_REQUEST = 1000
"""They stand in the request line, of which servers take 8 KiB."""

_SUFFIX = re.compile(r"[0-9a-f]{3}\Z")
_DIGEST = re.compile(r"[0-9a-f]{32}\Z")


@dataclass(frozen=True, slots=True)
class ReplicateCalls:
    """client: patient, for a partition that must be hashed first takes long."""

    client: NodeClient

    def suffix_hashes(self, node: Node, policy_index: int, partition: str) -> dict[str, str] | NodeFailure:
        """Suffix → hash of a partition as the node has it; {} when it has none of it."""
        answer = self._ask(node, policy_index, f"/{partition}")
        if isinstance(answer, NodeFailure):
            return answer
        try:
            return parse_hashes(pickles.loads(answer, encoding="latin-1"))
        except ValueError as error:
            return NodeFailure.of_lie(node, str(error))

    def rehash(self, node: Node, policy_index: int, partition: str, suffixes: Sequence[str]) -> NodeFailure | None:
        """Have the node compute these again: files have been brought there that it does not know of."""
        for start in range(0, len(suffixes), SUFFIXES_PER_REQUEST):
            some = "-".join(suffixes[start : start + SUFFIXES_PER_REQUEST])
            answer = self._ask(node, policy_index, f"/{partition}/{some}")
            if isinstance(answer, NodeFailure):
                return answer
        return None

    def _ask(self, node: Node, policy_index: int, path: str) -> bytes | NodeFailure:
        headers = [("X-Backend-Storage-Policy-Index", str(policy_index))]
        answer = self.client.ask(node, "REPLICATE", path, headers, answer_bytes_max=ANSWER_BYTES)
        if isinstance(answer, NodeFailure):
            return answer
        if answer.status != HTTPStatus.OK:
            return NodeFailure.of_status(node, answer.status, "REPLICATE")
        return answer.body


def parse_hashes(value: object) -> dict[str, str]:
    """A peer's answer as suffix hashes. Raises ValueError for anything else, hashes of fragments among it."""
    if not isinstance(value, dict):
        raise ValueError(f"suffix hashes are a mapping, not {type(value).__name__}")
    for suffix, digest in value.items():
        if not (isinstance(suffix, str) and _SUFFIX.match(suffix)):
            raise ValueError(f"not a suffix: {suffix!r:.80}")
        if not (isinstance(digest, str) and _DIGEST.match(digest)):
            raise ValueError(f"not the hash of suffix {suffix}: {digest!r:.80}")
    return value
