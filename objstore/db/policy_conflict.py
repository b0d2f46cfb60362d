"""Which storage policy wins when two replicas of a container were made with different ones. Source: formats 5.10.

The answer depends on both replicas' facts alone, so that both sides come to the same one.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    """One replica's facts about its policy. Timestamps as stored."""

    policy_index: int
    put_timestamp: str
    delete_timestamp: str
    status_changed_at: str
    object_count: int

    @property
    def is_deleted(self) -> bool:
        return not self.object_count and self.delete_timestamp > self.put_timestamp

    @property
    def is_recreated(self) -> bool:
        """Deleted once, and put again since."""
        return self.put_timestamp > self.delete_timestamp > "0000000000.00000"


def winner(ours: Claim, theirs: Claim) -> Claim:
    """The claim whose policy both adopt."""
    if ours.is_deleted != theirs.is_deleted:
        return theirs if ours.is_deleted else ours
    if ours.is_deleted:
        return max(ours, theirs, key=lambda claim: claim.status_changed_at)
    if ours.is_recreated != theirs.is_recreated:
        recreated, other = (ours, theirs) if ours.is_recreated else (theirs, ours)
        # A recreation that the other side's deletion came after was undone: it decides nothing.
        if recreated.put_timestamp > other.delete_timestamp:
            return recreated
    return min(ours, theirs, key=lambda claim: claim.status_changed_at)
