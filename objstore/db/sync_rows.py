"""What of a container is still to be brought to another cluster: its rows in order, and how far they have been.

    x_container_sync_point1    up to here this replica has tried the rows that are its own to bring
    x_container_sync_point2    up to here everything is known to be at the other cluster; never above point 1

Both are ROWIDs. A row that changes gets a new, higher one (formats 5.1), so nothing below a point can become news.
Changing X-Container-Sync-To sets both to -1 (formats 5.7), also between two looks: points are only raised for the same
target in the same database file. Source: formats 5.4, 5.10, 6.10; Swift admin guide, "Container to container
synchronization".
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import NamedTuple

from objstore.db import metadata as meta
from objstore.db.container import ContainerInfo, read_info

SYNC_TO = "x-container-sync-to"
SYNC_KEY = "x-container-sync-key"


class SyncRow(NamedTuple):
    """created_at: in the encoding of formats 3.2. is_manifest: its content type tells the size of a large object."""

    row_id: int
    name: str
    created_at: str
    is_deleted: bool
    is_manifest: bool


@dataclass(frozen=True, slots=True)
class SyncState:
    """A container that is synced. target, key: the headers' values. since: when the target was set. tried, done: points
    1 and 2."""

    info: ContainerInfo
    target: str
    since: str
    key: str
    tried: int
    done: int


def sync_state(info: ContainerInfo) -> SyncState | None:
    """The container's sync state; None when it is not synced (any more)."""
    said = {name.lower(): entry for name, entry in meta.parse(info.metadata).items()}
    target, since = said.get(SYNC_TO, ("", ""))
    key, _ = said.get(SYNC_KEY, ("", ""))
    if not (target and key) or info.is_deleted:
        return None
    tried = info.x_container_sync_point1
    return SyncState(info, target, since, key, tried, min(info.x_container_sync_point2, tried))


def rows_after(connection: sqlite3.Connection, after: int, through: int | None, limit: int) -> list[SyncRow]:
    """Rows of the container's own policy with after < ROWID <= through (None: no end), at most `limit`.

    Rows of other policies are left to the reconciler: what it takes home has a new row."""
    found = connection.execute(
        "SELECT ROWID, name, created_at, deleted, instr(content_type, 'swift_bytes=') FROM object "
        "WHERE ROWID > ? AND ROWID <= ? AND storage_policy_index = (SELECT storage_policy_index FROM container_info) "
        "ORDER BY ROWID LIMIT ?",
        (after, _LAST if through is None else through, limit),
    )
    return [SyncRow(row, name, created_at, bool(deleted), bool(size)) for row, name, created_at, deleted, size in found]


def raise_points(connection: sqlite3.Connection, state: SyncState, tried: int, done: int) -> bool:
    """Note what was done for the target that `state` names; False when the container has another target now, or is
    another copy of the database, and nothing was noted."""
    info = read_info(connection)
    now = sync_state(info)
    if now is None or info.id != state.info.id or (now.target, now.since) != (state.target, state.since):
        return False
    assert done <= tried
    connection.execute(
        "UPDATE container_info SET x_container_sync_point1 = max(x_container_sync_point1, ?), "
        "x_container_sync_point2 = max(x_container_sync_point2, ?)",
        (tried, done),
    )
    return True


_LAST = (1 << 63) - 1
