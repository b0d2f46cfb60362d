"""Changes of rings that are changes of members too: a node whose drives leave the rings leaves the members with them.

Rings first: a crash in between leaves a member without drives, and the same removal, asked again, finishes it.
"""

from __future__ import annotations

from pathlib import Path

from objstore.cluster.change_plan import ChangePlan, Usage
from objstore.cluster.changes import Change, NodeAddress, RemoveNode
from objstore.cluster.holder import Holder
from objstore.cluster.members import Members
from objstore.cluster.membership import Membership
from objstore.cluster.node_addresses import devices_of
from objstore.cluster.ring_manifest import RING_SUFFIX, RingSet
from objstore.ring.fileformat import load


class MemberChanges:
    """Of the holder's agent. Raises what Holder does, and NotHolder, MembersError."""

    def __init__(self, etc: Path, membership: Membership, holder: Holder) -> None:
        self._etc = etc
        self._membership = membership
        self._holder = holder

    def plan(self, change: Change, usage: Usage) -> ChangePlan:
        if _leaving(change, self._membership.require_holder()) is not None and self._is_without_drives(change):
            note = "it has no drives in the rings, and is taken out of the members"
            return ChangePlan(self._holder.version(), (), notes=(note,))
        return self._holder.plan(change, usage)

    def apply(self, change: Change, expected_version: int, usage: Usage) -> RingSet:
        gone = _leaving(change, self._membership.require_holder())
        if gone is not None and self._is_without_drives(change):
            rings = self._holder.rings()
        else:
            rings = self._holder.apply(change, expected_version, usage)
        if gone is not None:
            self._membership.change(lambda now: now.left_by(gone))
        return rings

    def _is_without_drives(self, change: Change) -> bool:
        node: NodeAddress | None = getattr(change, "node", None)
        rings = {path.name.removesuffix(RING_SUFFIX): load(path) for path in self._etc.glob(f"*{RING_SUFFIX}")}
        return node is not None and not any(
            devices_of(ring, name.partition("-")[0], node) for name, ring in rings.items()
        )


def _leaving(change: Change, members: Members) -> str | None:
    """The id of the node that a change takes out of the cluster. Raises MembersError when that cannot be."""
    if not isinstance(change, RemoveNode):
        return None
    node = members.named(change.node.name)
    members.left_by(node.id)
    return node.id
