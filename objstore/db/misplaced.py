"""Rows of a container whose object lies in another storage policy than the container's, and their way to the
reconciler.

They come about when replicas of one container were made with different policies. The container replicator puts each one
once into a queue: a container of the account .misplaced_objects, named after the hour of the row, in which the
reconciler finds where the object is and takes it to where it belongs. Source: formats 5.10.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from objstore.core.timestamp import decode
from objstore.db.container import read_info
from objstore.db.merge import ObjectRow
from objstore.db.sync_points import max_row

QUEUE_ACCOUNT = ".misplaced_objects"
QUEUE_POLICY = 0
AT_ONCE = 1000
_HOUR_S = 3600
_COLUMNS = "name, created_at, size, content_type, etag, deleted, storage_policy_index"


@dataclass(frozen=True, slots=True)
class Found:
    """rows: at most AT_ONCE, in order of ROWID. through: the ROWID up to which nothing else is misplaced."""

    account: str
    container: str
    rows: tuple[ObjectRow, ...]
    through: int


def misplaced(connection: sqlite3.Connection) -> Found | None:
    """Rows not queued yet; None when all that there is was looked at."""
    info = read_info(connection)
    start, last = info.reconciler_sync_point, max_row(connection, "object")
    if start >= last:
        return None
    found = connection.execute(
        f"SELECT ROWID, {_COLUMNS} FROM object WHERE ROWID > ? AND storage_policy_index != ? ORDER BY ROWID LIMIT ?",
        (start, info.storage_policy_index, AT_ONCE),
    ).fetchall()
    through = found[-1][0] if len(found) == AT_ONCE else last
    return Found(info.account, info.container, tuple(ObjectRow._make(row[1:]) for row in found), through)


def has_other_policies(connection: sqlite3.Connection) -> bool:
    """Whether there may be misplaced rows: asked first, it costs nothing."""
    query = "SELECT 1 FROM policy_stat WHERE storage_policy_index != (SELECT storage_policy_index FROM container_info)"
    return connection.execute(f"{query} LIMIT 1").fetchone() is not None


def queue_entry(account: str, container: str, row: ObjectRow) -> tuple[str, ObjectRow]:
    """(container of the queue, the row to put there). Raises InvalidTimestamp."""
    at = max(decode(row.created_at))
    entry = ObjectRow(
        name=f"{row.storage_policy_index}:/{account}/{container}/{row.name}",
        created_at=at.internal,
        size=0,
        content_type="application/x-delete" if row.deleted else "application/x-put",
        etag=row.created_at,
        deleted=0,
        storage_policy_index=QUEUE_POLICY,
    )
    return str(int(at.seconds) // _HOUR_S * _HOUR_S), entry


def queued(connection: sqlite3.Connection, through: int) -> None:
    """Note that everything up to a ROWID is in the queue, durably."""
    connection.execute(
        "UPDATE container_info SET reconciler_sync_point = ? WHERE reconciler_sync_point < ?", (through, through)
    )
