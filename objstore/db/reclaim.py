"""Forgetting what was deleted long ago: rows, metadata, shard ranges, and how far replicas followed that are gone.

A deletion is kept for reclaim_age so that every replica hears of it; one that was away for longer may bring the deleted
thing back, so that age is the same on all nodes. What only serves the replicas among themselves is kept for twice as
long. Source: formats 5.5.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from objstore.core.timestamp import TICKS_PER_SECOND, Timestamp
from objstore.db import metadata as meta
from objstore.db.database import Database
from objstore.db.location import ACCOUNTS
from objstore.db.sync_points import INCOMING, OUTGOING

ROWS_AT_ONCE = 5000
"""Rows of one transaction: writers wait for no more than that."""

_ROWS = {True: ("container", "delete_timestamp", "account_stat"), False: ("object", "created_at", "container_info")}
_NOT_OWN = "name != (SELECT account || '/' || container FROM container_info)"


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """deleted: of rows and metadata. idle: of sync points and shard ranges."""

    deleted: Timestamp
    idle: Timestamp

    @classmethod
    def of(cls, now: Timestamp, reclaim_age_s: float) -> Cutoffs:
        ticks = round(reclaim_age_s * TICKS_PER_SECOND)
        return cls(Timestamp(max(now.ticks - ticks, 0)), Timestamp(max(now.ticks - 2 * ticks, 0)))


def reclaim(database: Database, now: Timestamp, reclaim_age_s: float) -> int:
    """Forget what is older than that; how many rows. Nothing is written where there is nothing to forget.

    Raises NotFound, Corrupt, LockTimeout, InsufficientStorage.
    """
    cutoffs = Cutoffs.of(now, reclaim_age_s)
    is_account = database.location.datadir == ACCOUNTS
    removed = 0
    while database.read(lambda connection: _has_old(connection, is_account, cutoffs), fresh=False):
        count = database.write(lambda connection: _forget(connection, is_account, cutoffs))
        removed += count
        if count < ROWS_AT_ONCE:
            break
    return removed


def _has_old(connection: sqlite3.Connection, is_account: bool, cutoffs: Cutoffs) -> bool:
    table, column, stat = _ROWS[is_account]
    idle_s = int(cutoffs.idle.seconds)
    queries: list[tuple[str, str | int]] = [
        (f"SELECT 1 FROM {table} WHERE deleted = 1 AND {column} < ? LIMIT 1", cutoffs.deleted.internal),
        (f"SELECT 1 FROM {INCOMING} WHERE CAST(updated_at AS INTEGER) < ? LIMIT 1", idle_s),
        (f"SELECT 1 FROM {OUTGOING} WHERE CAST(updated_at AS INTEGER) < ? LIMIT 1", idle_s),
    ]
    if not is_account:
        query = f"SELECT 1 FROM shard_range WHERE deleted = 1 AND timestamp < ? AND {_NOT_OWN} LIMIT 1"
        queries.append((query, cutoffs.idle.normal))
    if any(connection.execute(query, (cutoff,)).fetchone() for query, cutoff in queries):
        return True
    found = _metadata(connection, stat)
    return meta.reclaimed(found, cutoffs.deleted) != found


def _forget(connection: sqlite3.Connection, is_account: bool, cutoffs: Cutoffs) -> int:
    table, column, stat = _ROWS[is_account]
    count = connection.execute(
        f"DELETE FROM {table} WHERE ROWID IN (SELECT ROWID FROM {table} WHERE deleted = 1 AND {column} < ? LIMIT ?)",
        (cutoffs.deleted.internal, ROWS_AT_ONCE),
    ).rowcount
    for points in (INCOMING, OUTGOING):
        connection.execute(f"DELETE FROM {points} WHERE CAST(updated_at AS INTEGER) < ?", (int(cutoffs.idle.seconds),))
    if not is_account:
        connection.execute(
            f"DELETE FROM shard_range WHERE deleted = 1 AND timestamp < ? AND {_NOT_OWN}", (cutoffs.idle.normal,)
        )
    found = _metadata(connection, stat)
    kept = meta.reclaimed(found, cutoffs.deleted)
    if kept != found:
        connection.execute(f"UPDATE {stat} SET metadata = ?", (meta.text_of(kept),))
    return count


def _metadata(connection: sqlite3.Connection, stat: str) -> meta.Metadata:
    row = connection.execute(f"SELECT metadata FROM {stat}").fetchone()
    return meta.parse(row[0]) if row is not None else {}
