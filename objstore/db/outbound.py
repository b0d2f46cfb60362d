"""What a replica says of itself to the others: its state, its rows in order of ROWID, how far it has followed others.

The counterpart of replica.py, which takes in what others say. Everything here reads inside Database.read, but for
snapshot(), which copies the whole file for sending. Source: formats 5.2, 6.8.
"""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from typing import Any

from objstore.db import account, container
from objstore.db.connection import connect, patiently
from objstore.db.location import ACCOUNTS
from objstore.db.merge import ContainerRow, ObjectRow
from objstore.db.sync_points import OUTGOING, max_row, sync_point, sync_points

_TABLES = {True: ("container", ContainerRow._fields), False: ("object", ObjectRow._fields)}


@dataclass(frozen=True, slots=True)
class LocalState:
    """One consistent view of a database. container: None of an account. policy_index: 0 of an account. Timestamps and
    metadata as stored. is_deleted: nothing live is in it and it was deleted last. status: of an account.

    followed: the argument of merge_syncs: whoever has all these rows has those of the replicas we merged, too.
    shard_max_row: -1 of an account, and where there never was a range."""

    account: str
    container: str | None
    id: str
    hash: str
    max_row: int
    created_at: str
    put_timestamp: str
    delete_timestamp: str
    status_changed_at: str
    metadata: str
    count: int
    policy_index: int
    is_deleted: bool
    status: str
    followed: tuple[tuple[str, int], ...]
    shard_max_row: int

    @property
    def names(self) -> tuple[str, str | None]:
        return self.account, self.container

    @property
    def fingerprint(self) -> tuple[object, ...]:
        """Changes with everything that another replica would have to be told."""
        stat = (self.put_timestamp, self.delete_timestamp, self.metadata, self.policy_index, self.status)
        return self.id, self.hash, self.max_row, self.shard_max_row, stat

    def sync_arguments(self, with_policy: bool) -> list[Any]:
        """Of the operation `sync`. with_policy: of containers in clusters with several policies."""
        arguments: list[Any] = [
            self.max_row,
            self.hash,
            self.id,
            self.created_at,
            self.put_timestamp,
            self.delete_timestamp,
            self.metadata,
        ]
        return [*arguments, self.status_changed_at, self.count, self.policy_index] if with_policy else arguments


def local_state(connection: sqlite3.Connection, datadir: str) -> LocalState:
    """Raises database.MissingStat."""
    connection.execute("BEGIN")
    try:
        return _state(connection, datadir == ACCOUNTS)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _state(connection: sqlite3.Connection, is_account: bool) -> LocalState:
    info: Any = account.read_info(connection) if is_account else container.read_info(connection)
    return LocalState(
        account=info.account,
        container=None if is_account else info.container,
        id=info.id,
        hash=info.hash,
        max_row=max_row(connection, _TABLES[is_account][0]),
        created_at=info.created_at,
        put_timestamp=info.put_timestamp,
        delete_timestamp=info.delete_timestamp,
        status_changed_at=info.status_changed_at,
        metadata=info.metadata or "",
        count=(info.container_count if is_account else info.object_count) or 0,
        policy_index=0 if is_account else info.storage_policy_index,
        is_deleted=info.is_deleted,
        status=info.status or "",
        followed=tuple((str(remote_id), int(point)) for remote_id, point in sync_points(connection)),
        shard_max_row=-1 if is_account else max_row(connection, "shard_range"),
    )


def rows_after(connection: sqlite3.Connection, datadir: str, row_id: int, count: int) -> list[dict[str, Any]]:
    """At most `count` rows with a higher ROWID, lowest first, as merge_items carries them."""
    table, columns = _TABLES[datadir == ACCOUNTS]
    names = ("ROWID", *columns)
    found = connection.execute(
        f"SELECT {', '.join(names)} FROM {table} WHERE ROWID > ? ORDER BY ROWID LIMIT ?", (row_id, count)
    )
    return [dict(zip(names, row, strict=True)) for row in found]


def has_rows(connection: sqlite3.Connection, datadir: str) -> bool:
    """Whether any row is left, that of something deleted too."""
    table, _ = _TABLES[datadir == ACCOUNTS]
    return connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is not None


def pushed(connection: sqlite3.Connection, remote_id: str) -> int:
    """The highest ROWID known to have been pushed to a replica, -1 for none."""
    return sync_point(connection, remote_id, OUTGOING)


def snapshot(source: str, target: str) -> None:
    """Copy a database file, page by page and as of one moment, to a path where nothing is. Blocks; for a native thread.

    SQLite does the copying: reading the file by other means would drop this process's locks on it when it is closed.
    Raises sqlite3.Error, Busy, OSError.
    """
    reader = patiently(lambda: connect(source), time.sleep)
    try:
        writer = connect(target, create=True)
        try:
            writer.execute("PRAGMA synchronous = OFF")  # Nobody looks for this file after a crash.
            patiently(lambda: reader.backup(writer), time.sleep)
        finally:
            writer.close()
    finally:
        reader.close()
