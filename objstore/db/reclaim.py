"""Forgetting what was deleted long ago: rows, metadata, shard ranges, and sync points of replicas that are no more.

A deletion stays as a row, or as an empty value, so that it reaches every replica and wins over what is older there.
After reclaim_age every replica has had its chance, and the replicator calls reclaim(). The age must be the same on all
nodes: where one forgets a deletion that another never saw, the deleted object comes back (pitfall 10).

Nothing is forgotten for any other reason than its own timestamp. Rows go in pages, each a transaction of its own and
only where there is something in it, so that a database is never locked for long, and costs a read when there is
nothing to do. A run that is cut off leaves the rest to the next one. Source: formats 5.5.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from functools import partial
from typing import Any

from objstore.core.timestamp import TICKS_PER_SECOND, Timestamp
from objstore.db import metadata as meta
from objstore.db import shards
from objstore.db.database import Database
from objstore.db.location import ACCOUNTS, CONTAINERS
from objstore.db.sync_points import forget_sync_points, has_idle_sync_points

PAGE_ROWS = 5000
"""Deleted rows looked at in one read, at most so many removed in one transaction."""

_STAT = {ACCOUNTS: "account_stat", CONTAINERS: "container_info"}
_ROWS = {ACCOUNTS: ("container", "delete_timestamp"), CONTAINERS: ("object", "created_at")}


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """Deletions before `deleted` are forgotten; deleted shard ranges, and sync points that have been idle, before
    `idle`."""

    deleted: Timestamp
    idle: Timestamp

    @classmethod
    def of(cls, now: Timestamp, reclaim_age_s: float) -> Cutoffs:
        """Raises ValueError for an age below 0."""
        if reclaim_age_s < 0:
            raise ValueError(f"a reclaim age of {reclaim_age_s} s")
        ticks = round(reclaim_age_s * TICKS_PER_SECOND)
        return cls(Timestamp(max(now.ticks - ticks, 0)), Timestamp(max(now.ticks - 2 * ticks, 0)))


@dataclass(frozen=True, slots=True)
class _Page:
    """Names after `after`, up to and with `last` (None: to the end)."""

    after: str
    last: str | None
    has_old: bool


def reclaim(database: Database, now: Timestamp, reclaim_age_s: float, *, page_rows: int = PAGE_ROWS) -> int:
    """Forget what is older; how many rows. It looks at every deleted row: not for every request.

    Raises NotFound, Corrupt, LockTimeout, InsufficientStorage; ValueError for metadata that nobody can read.
    """
    facts: dict[str, Any] = {"datadir": database.location.datadir, "cutoffs": Cutoffs.of(now, reclaim_age_s)}
    row_count, page = 0, _Page("", "", False)
    while page.last is not None:
        page = database.read(partial(_page, **facts, after=page.last, rows=page_rows), fresh=False)
        if page.has_old:
            row_count += database.write(partial(_purge, **facts, page=page))
    if database.read(partial(_has_more, **facts), fresh=False):
        database.write(partial(_reclaim_more, **facts))
    return row_count


def _page(connection: sqlite3.Connection, datadir: str, cutoffs: Cutoffs, after: str, rows: int) -> _Page:
    """The next rows by name. All rows of a name (it may have one in each policy) are in one page."""
    table, column = _ROWS[datadir]
    found = connection.execute(
        f"SELECT name, {column} < ? FROM {table} WHERE deleted = 1 AND name > ? ORDER BY name LIMIT ?",
        (cutoffs.deleted.internal, after, rows),
    ).fetchall()
    last = found[-1][0] if len(found) == rows else None
    return _Page(after, last, any(is_old for _, is_old in found))


def _purge(connection: sqlite3.Connection, datadir: str, cutoffs: Cutoffs, page: _Page) -> int:
    table, column = _ROWS[datadir]
    return connection.execute(
        f"DELETE FROM {table} WHERE deleted = 1 AND name > ? AND (? IS NULL OR name <= ?) AND {column} < ?",
        (page.after, page.last, page.last, cutoffs.deleted.internal),
    ).rowcount


def _has_more(connection: sqlite3.Connection, datadir: str, cutoffs: Cutoffs) -> bool:
    """Whether there is anything but rows to forget."""
    metadata = _metadata(connection, datadir)
    return (
        len(meta.reclaimed(metadata, cutoffs.deleted)) < len(metadata)
        or has_idle_sync_points(connection, cutoffs.idle)
        or (datadir == CONTAINERS and shards.has_reclaimable(connection, cutoffs.idle))
    )


def _reclaim_more(connection: sqlite3.Connection, datadir: str, cutoffs: Cutoffs) -> None:
    metadata = _metadata(connection, datadir)
    kept = meta.reclaimed(metadata, cutoffs.deleted)
    if len(kept) < len(metadata):
        connection.execute(f"UPDATE {_STAT[datadir]} SET metadata = ?", (meta.text_of(kept),))
    if datadir == CONTAINERS:
        shards.reclaim(connection, cutoffs.idle)
    forget_sync_points(connection, cutoffs.idle)


def _metadata(connection: sqlite3.Connection, datadir: str) -> meta.Metadata:
    row = connection.execute(f"SELECT metadata FROM {_STAT[datadir]}").fetchone()
    return meta.parse(row[0]) if row is not None else {}
