"""The tables of an account database, and how to bring older ones up to them. Source: formats 5.3.

Rows of `container` are never updated (a trigger forbids it): they are deleted and inserted anew, so that ROWID, the
cursor of replication, grows with every change. Triggers keep the counts and the replication hash.
"""

from __future__ import annotations

import sqlite3

from objstore.db import sync_points

NO_HASH = "0" * 32

_CONTAINER = """CREATE TABLE container (
    ROWID INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, put_timestamp TEXT, delete_timestamp TEXT,
    object_count INTEGER, bytes_used INTEGER, deleted INTEGER DEFAULT 0, storage_policy_index INTEGER DEFAULT 0)"""
_STAT = f"""CREATE TABLE account_stat (
    account TEXT, created_at TEXT, put_timestamp TEXT DEFAULT '0', delete_timestamp TEXT DEFAULT '0',
    container_count INTEGER, object_count INTEGER DEFAULT 0, bytes_used INTEGER DEFAULT 0,
    hash TEXT default '{NO_HASH}', id TEXT, status TEXT DEFAULT '', status_changed_at TEXT DEFAULT '0',
    metadata TEXT DEFAULT '')"""
_POLICY_STAT = """CREATE TABLE policy_stat (
    storage_policy_index INTEGER PRIMARY KEY, container_count INTEGER DEFAULT 0, object_count INTEGER DEFAULT 0,
    bytes_used INTEGER DEFAULT 0)"""
_INDEX = "CREATE INDEX ix_container_deleted_name ON container (deleted, name)"


def _stat_trigger(event: str, row: str, sign: str) -> str:
    text = (
        f"{row}.put_timestamp || '-' || {row}.delete_timestamp || '-' || {row}.object_count || '-' || {row}.bytes_used"
    )
    return f"""CREATE TRIGGER container_{event.lower()} AFTER {event} ON container BEGIN
        UPDATE account_stat SET container_count = container_count {sign} (1 - {row}.deleted),
            object_count = object_count {sign} {row}.object_count, bytes_used = bytes_used {sign} {row}.bytes_used,
            hash = chexor(hash, {row}.name, {text}); END"""


_INSERT_POLICY = """CREATE TRIGGER container_insert_ps AFTER INSERT ON container BEGIN
    INSERT OR IGNORE INTO policy_stat (storage_policy_index, container_count, object_count, bytes_used)
        VALUES (new.storage_policy_index, 0, 0, 0);
    UPDATE policy_stat SET container_count = container_count + (1 - new.deleted),
        object_count = object_count + new.object_count, bytes_used = bytes_used + new.bytes_used
        WHERE storage_policy_index = new.storage_policy_index; END"""
_DELETE_POLICY = """CREATE TRIGGER container_delete_ps AFTER DELETE ON container BEGIN
    UPDATE policy_stat SET container_count = container_count - (1 - old.deleted),
        object_count = object_count - old.object_count, bytes_used = bytes_used - old.bytes_used
        WHERE storage_policy_index = old.storage_policy_index; END"""
_NO_UPDATE = """CREATE TRIGGER container_update BEFORE UPDATE ON container BEGIN
    SELECT RAISE(FAIL, 'UPDATE not allowed; DELETE and INSERT'); END"""


def create_tables(connection: sqlite3.Connection) -> None:
    sync_points.create_tables(connection)
    for statement in (
        _CONTAINER,
        _INDEX,
        _stat_trigger("INSERT", "new", "+"),
        _NO_UPDATE,
        _stat_trigger("DELETE", "old", "-"),
        _INSERT_POLICY,
        _DELETE_POLICY,
        _STAT,
        _POLICY_STAT,
    ):
        connection.execute(statement)


def needs_migration(connection: sqlite3.Connection) -> bool:
    return not (
        "storage_policy_index" in columns(connection, "container")
        and "container_count" in columns(connection, "policy_stat")
        and "metadata" in columns(connection, "account_stat")
        and _has_index(connection)
    )


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a database of an older release up to date, inside a transaction (formats 5.4)."""
    if "metadata" not in columns(connection, "account_stat"):
        connection.execute("ALTER TABLE account_stat ADD COLUMN metadata TEXT DEFAULT ''")
    if "storage_policy_index" not in columns(connection, "container"):
        connection.execute("ALTER TABLE container ADD COLUMN storage_policy_index INTEGER DEFAULT 0")
    if "container_count" not in columns(connection, "policy_stat"):
        _rebuild_policy_stat(connection)
    if not _has_index(connection):
        connection.execute("DROP INDEX IF EXISTS ix_container_deleted")
        connection.execute(_INDEX)


def columns(connection: sqlite3.Connection, table: str) -> frozenset[str]:
    """Names of a table's columns; empty when there is no such table."""
    return frozenset(row[1] for row in connection.execute(f"PRAGMA table_info({table})"))


def _has_index(connection: sqlite3.Connection) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE name = 'ix_container_deleted_name'"
    return connection.execute(query).fetchone() is not None


def _rebuild_policy_stat(connection: sqlite3.Connection) -> None:
    """Counts by policy, from the rows themselves: exact, whatever was there before."""
    for name in ("container_insert_ps", "container_delete_ps"):
        connection.execute(f"DROP TRIGGER IF EXISTS {name}")
    connection.execute("DROP TABLE IF EXISTS policy_stat")
    connection.execute(_POLICY_STAT)
    connection.execute(
        "INSERT INTO policy_stat SELECT storage_policy_index, sum(1 - deleted), sum(object_count), sum(bytes_used) "
        "FROM container GROUP BY storage_policy_index"
    )
    connection.execute(_INSERT_POLICY)
    connection.execute(_DELETE_POLICY)
