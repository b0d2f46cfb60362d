"""What has to be sent to a replica of a database, and when a copy that does not belong here may go. Pure.

Every row has a ROWID that only grows (formats 5.1), and every replica knows, for each other one, up to which of its
ROWIDs it has merged: its point. The hash covers all rows, so replicas of equal hash hold the same ones. Source: formats
6.8.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from objstore.db.shards import ShardRange, State

PER_DIFF = 1000
"""Rows of one merge_items, unless the settings say otherwise."""
MAX_DIFFS = 100
"""merge_items to one peer in one pass; the rest waits for the next."""

_ROWS_STAY = frozenset({State.SHRINKING, State.SHRUNK, State.SHARDING, State.SHARDED})


@dataclass(frozen=True, slots=True)
class Side:
    """One replica's rows, as far as a plan needs them. max_row: the highest ROWID it ever gave, -1 for none."""

    max_row: int
    hash: str


@dataclass(frozen=True, slots=True)
class InSync:
    """The peer holds every row of ours."""


@dataclass(frozen=True, slots=True)
class SendRows:
    """Rows of ROWIDs above `after`, `count_max` at most in all."""

    after: int
    count_max: int


@dataclass(frozen=True, slots=True)
class SendFile:
    """The whole file, into which the peer merges what it has (rsync_then_merge)."""


Plan = InSync | SendRows | SendFile


def plan(
    local: Side, remote: Side, point: int, outgoing: int, *, per_diff: int = PER_DIFF, max_diffs: int = MAX_DIFFS
) -> Plan:
    """What brings the peer's rows up to ours.

    point: what the peer says it has merged of us; outgoing: what we noted to have pushed there. Both are -1 when
    nothing. One above our own last row was never ours to give (this file was restored from an older copy, or somebody
    lied): then nothing is known, and all is sent.
    """
    if local.hash == remote.hash:
        return InSync()
    after = max(point, outgoing)
    if after > local.max_row:
        after = -1
    if after >= local.max_row:
        return InSync()
    if remote.max_row < local.max_row / 2 and local.max_row - remote.max_row > per_diff:
        return SendFile()
    return SendRows(after, per_diff * max_diffs)


def may_send_rows(own: ShardRange | None, has_other_ranges: bool) -> bool:
    """Whether a container's rows are for its replicas. Those of one that is being sharded (or shrunk) go to its shards
    instead: sent to replicas they would come back to life there (formats 5.8)."""
    return own is None or not has_other_ranges or State(own.state) not in _ROWS_STAY


class Fate(Enum):
    """What one peer has of our rows at the end of an exchange."""

    CONFIRMED = auto()
    """Everything, as it said itself."""
    BEHIND = auto()
    """It took some of it, and will get more in the next pass."""
    ABSENT = auto()
    """It has no such database, and was not given one."""
    UNMOUNTED = auto()
    """Its disk is away; another node stands in."""
    FAILED = auto()
    """It did not answer, or not as a replica does."""


def may_remove_handoff(fates: Sequence[Fate], primary_count: int, handoff_delete: int = 0) -> bool:
    """Whether a database on a device that is not a primary may go. fates: of the primaries only, not of who stood in.

    handoff_delete: how many must have confirmed; 0 for all. Fewer are an operator's choice for a disk that fills up.
    """
    confirmed = sum(fate is Fate.CONFIRMED for fate in fates)
    needed = min(handoff_delete, primary_count) or primary_count
    return primary_count > 0 and confirmed >= needed


def may_reclaim(fates: Iterable[Fate], primary_count: int) -> bool:
    """Whether a database that has been deleted for longer than reclaim_age may go: when every other primary answered
    that it has the same, or has it no more. primary_count: without this node."""
    settled = [fate for fate in fates if fate in (Fate.CONFIRMED, Fate.ABSENT)]
    return len(settled) >= primary_count
