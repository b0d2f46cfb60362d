"""How far replicas have followed one another: the tables incoming_sync and outgoing_sync of both kinds of database.

incoming_sync[remote id] is the highest ROWID of that remote database which has been merged here; outgoing_sync[remote
id] the highest ROWID of ours which has been pushed there. Both only grow. Source: formats 5.2.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from objstore.core.timestamp import Timestamp

INCOMING = "incoming_sync"
OUTGOING = "outgoing_sync"
_TABLES = (INCOMING, OUTGOING)
_IS_IDLE = "CAST(updated_at AS INTEGER) < ?"


def create_tables(connection: sqlite3.Connection) -> None:
    for table in _TABLES:
        connection.execute(
            f"CREATE TABLE {table} (remote_id TEXT UNIQUE, sync_point INTEGER, updated_at TEXT DEFAULT 0)"
        )
        for event in ("INSERT", "UPDATE"):
            connection.execute(
                f"CREATE TRIGGER {table}_{event.lower()} AFTER {event} ON {table} BEGIN "
                f"UPDATE {table} SET updated_at = STRFTIME('%s', 'NOW') WHERE ROWID = new.ROWID; END"
            )


def sync_point(connection: sqlite3.Connection, remote_id: str, table: str = INCOMING) -> int:
    """The point known for a remote database, -1 when it never synced."""
    assert table in _TABLES
    row = connection.execute(f"SELECT sync_point FROM {table} WHERE remote_id = ?", (remote_id,)).fetchone()
    return -1 if row is None or row[0] is None else int(row[0])


def sync_points(connection: sqlite3.Connection, table: str = INCOMING) -> list[tuple[str, int]]:
    """All (remote id, sync point)."""
    assert table in _TABLES
    return list(connection.execute(f"SELECT remote_id, sync_point FROM {table} ORDER BY ROWID"))


def raise_sync_points(connection: sqlite3.Connection, points: Iterable[tuple[str, int]], table: str = INCOMING) -> None:
    """Note points that are higher than those known; lower ones change nothing."""
    assert table in _TABLES
    connection.executemany(
        f"INSERT INTO {table} (remote_id, sync_point) VALUES (?, ?) ON CONFLICT (remote_id) DO UPDATE "
        "SET sync_point = max(sync_point, excluded.sync_point)",
        list(points),
    )


def has_idle_sync_points(connection: sqlite3.Connection, cutoff: Timestamp) -> bool:
    """Whether forget_sync_points() would find any."""
    return any(
        connection.execute(f"SELECT 1 FROM {table} WHERE {_IS_IDLE} LIMIT 1", (_seconds(cutoff),)).fetchone()
        for table in _TABLES
    )


def forget_sync_points(connection: sqlite3.Connection, cutoff: Timestamp) -> None:
    """Drop points that nobody has confirmed since cutoff. A replica that comes back starts from its first row."""
    for table in _TABLES:
        connection.execute(f"DELETE FROM {table} WHERE {_IS_IDLE}", (_seconds(cutoff),))


def max_row(connection: sqlite3.Connection, table: str) -> int:
    """The highest ROWID a table ever gave, -1 when none (formats 5.1)."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    return -1 if row is None else int(row[0])


def _seconds(cutoff: Timestamp) -> int:
    return int(cutoff.seconds)
