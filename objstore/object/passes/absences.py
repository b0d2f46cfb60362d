"""Nodes that did not answer a moment ago, so that a pass does not wait for a frozen one at every partition.

Source: none in formats; a pass over a thousand partitions would else wait a thousand times for the same deadline.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from objstore.peers.failure import NodeFailure, name_of
from objstore.ring.model import Node
from objstore.runtime.clock import Clock

PAUSE_S = 30.0
"""A node that was silent is asked again after so long."""


@dataclass
class Absences:
    clock: Clock
    _until: dict[tuple[str, int], float] = field(default_factory=dict)

    def note(self, node: Node, failure: NodeFailure | None) -> None:
        """Take in the outcome of asking a node."""
        if failure is not None and failure.is_silence:
            self._until[node.replication_address] = self.clock.monotonic() + PAUSE_S
        else:
            self._until.pop(node.replication_address, None)

    def of(self, node: Node) -> NodeFailure | None:
        """Why not to ask it now; None: ask."""
        if self.clock.monotonic() < self._until.get(node.replication_address, 0.0):
            return NodeFailure(f"{name_of(node)}: was silent less than {PAUSE_S:g} s ago; not asked")
        return None
