"""The tables of a container database, and how to bring older ones up to them. Source: formats 5.4.

Rows of `object` are never updated (a trigger forbids it): they are deleted and inserted anew, so that ROWID, the cursor
of replication, grows with every change. Triggers keep the counts of each storage policy and the replication hash.
"""

from __future__ import annotations

import sqlite3

from objstore.db import sync_points
from objstore.db.schema_account import NO_HASH, columns

INFO_COLUMNS = (
    "account",
    "container",
    "created_at",
    "put_timestamp",
    "delete_timestamp",
    "reported_put_timestamp",
    "reported_delete_timestamp",
    "reported_object_count",
    "reported_bytes_used",
    "hash",
    "id",
    "status",
    "status_changed_at",
    "metadata",
    "x_container_sync_point1",
    "x_container_sync_point2",
    "storage_policy_index",
    "reconciler_sync_point",
)
SHARD_COLUMNS = (
    "name",
    "timestamp",
    "lower",
    "upper",
    "object_count",
    "bytes_used",
    "meta_timestamp",
    "deleted",
    "state",
    "state_timestamp",
    "epoch",
    "reported",
    "tombstones",
)

_OBJECT = """CREATE TABLE object (
    ROWID INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, created_at TEXT, size INTEGER, content_type TEXT, etag TEXT,
    deleted INTEGER DEFAULT 0, storage_policy_index INTEGER DEFAULT 0)"""
_INDEX = "CREATE INDEX ix_object_deleted_name ON object (deleted, name)"
_NO_UPDATE = """CREATE TRIGGER {table}_update BEFORE UPDATE ON {table} BEGIN
    SELECT RAISE(FAIL, 'UPDATE not allowed; DELETE and INSERT'); END"""
_INSERT_STAT = """CREATE TRIGGER object_insert_policy_stat AFTER INSERT ON object BEGIN
    INSERT OR IGNORE INTO policy_stat (storage_policy_index, object_count, bytes_used)
        VALUES (new.storage_policy_index, 0, 0);
    UPDATE policy_stat SET object_count = object_count + (1 - new.deleted), bytes_used = bytes_used + new.size
        WHERE storage_policy_index = new.storage_policy_index;
    UPDATE container_info SET hash = chexor(hash, new.name, new.created_at); END"""
_DELETE_STAT = """CREATE TRIGGER object_delete_policy_stat AFTER DELETE ON object BEGIN
    UPDATE policy_stat SET object_count = object_count - (1 - old.deleted), bytes_used = bytes_used - old.size
        WHERE storage_policy_index = old.storage_policy_index;
    UPDATE container_info SET hash = chexor(hash, old.name, old.created_at); END"""
_POLICY_STAT = """CREATE TABLE policy_stat (
    storage_policy_index INTEGER PRIMARY KEY, object_count INTEGER DEFAULT 0, bytes_used INTEGER DEFAULT 0)"""
_INFO = f"""CREATE TABLE container_info (
    account TEXT, container TEXT, created_at TEXT, put_timestamp TEXT DEFAULT '0', delete_timestamp TEXT DEFAULT '0',
    reported_put_timestamp TEXT DEFAULT '0', reported_delete_timestamp TEXT DEFAULT '0',
    reported_object_count INTEGER DEFAULT 0, reported_bytes_used INTEGER DEFAULT 0, hash TEXT default '{NO_HASH}',
    id TEXT, status TEXT DEFAULT '', status_changed_at TEXT DEFAULT '0', metadata TEXT DEFAULT '',
    x_container_sync_point1 INTEGER DEFAULT -1, x_container_sync_point2 INTEGER DEFAULT -1,
    storage_policy_index INTEGER DEFAULT 0, reconciler_sync_point INTEGER DEFAULT -1)"""
_VIEW_COLUMNS = (*INFO_COLUMNS[:-2], "reconciler_sync_point", "storage_policy_index")
_VIEW = f"""CREATE VIEW container_stat AS SELECT {", ".join("ci." + name for name in _VIEW_COLUMNS)},
    coalesce(ps.object_count, 0) AS object_count, coalesce(ps.bytes_used, 0) AS bytes_used
    FROM container_info ci LEFT JOIN policy_stat ps ON ci.storage_policy_index = ps.storage_policy_index"""
_VIEW_UPDATE = f"""CREATE TRIGGER container_stat_update INSTEAD OF UPDATE ON container_stat BEGIN
    UPDATE container_info SET {", ".join(f"{name} = NEW.{name}" for name in INFO_COLUMNS)}; END"""
_SHARD_RANGE = """CREATE TABLE shard_range (
    ROWID INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, timestamp TEXT, lower TEXT, upper TEXT,
    object_count INTEGER DEFAULT 0, bytes_used INTEGER DEFAULT 0, meta_timestamp TEXT, deleted INTEGER DEFAULT 0,
    state INTEGER, state_timestamp TEXT, epoch TEXT, reported INTEGER DEFAULT 0, tombstones INTEGER DEFAULT -1)"""

_ADDED_TO_STAT = (
    ("metadata", "TEXT DEFAULT ''"),
    ("x_container_sync_point1", "INTEGER DEFAULT -1"),
    ("x_container_sync_point2", "INTEGER DEFAULT -1"),
)
_ADDED_TO_SHARD_RANGE = (("reported", "INTEGER DEFAULT 0"), ("tombstones", "INTEGER DEFAULT -1"))


def create_tables(connection: sqlite3.Connection) -> None:
    sync_points.create_tables(connection)
    for statement in (
        _OBJECT,
        _INDEX,
        _NO_UPDATE.format(table="object"),
        _INSERT_STAT,
        _DELETE_STAT,
        _POLICY_STAT,
        _INFO,
        _VIEW,
        _VIEW_UPDATE,
    ):
        connection.execute(statement)
    _create_shard_range(connection)


def needs_migration(connection: sqlite3.Connection) -> bool:
    shard_columns = columns(connection, "shard_range")
    return not (
        "tombstones" in shard_columns
        and "reported" in shard_columns
        and "reconciler_sync_point" in columns(connection, "container_info")
        and "storage_policy_index" in columns(connection, "object")
    )


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a database of an older release up to date, inside a transaction (formats 5.4)."""
    if "storage_policy_index" not in columns(connection, "object"):
        connection.execute("ALTER TABLE object ADD COLUMN storage_policy_index INTEGER DEFAULT 0")
    if not columns(connection, "container_info"):
        _split_stat_table(connection)
    shard_columns = columns(connection, "shard_range")
    if not shard_columns:
        _create_shard_range(connection)
        return
    for name, kind in _ADDED_TO_SHARD_RANGE:
        if name not in shard_columns:
            connection.execute(f"ALTER TABLE shard_range ADD COLUMN {name} {kind}")


def _create_shard_range(connection: sqlite3.Connection) -> None:
    connection.execute(_SHARD_RANGE)
    connection.execute(_NO_UPDATE.format(table="shard_range"))


def _split_stat_table(connection: sqlite3.Connection) -> None:
    """From before storage policies: the table container_stat becomes container_info, policy_stat and a view."""
    present = columns(connection, "container_stat")
    for name, kind in _ADDED_TO_STAT:
        if name not in present:
            connection.execute(f"ALTER TABLE container_stat ADD COLUMN {name} {kind}")
    connection.execute(_INFO)
    kept = ", ".join(INFO_COLUMNS[:-2])
    connection.execute(f"INSERT INTO container_info ({kept}) SELECT {kept} FROM container_stat")
    connection.execute(_POLICY_STAT)
    connection.execute("INSERT INTO policy_stat SELECT 0, object_count, bytes_used FROM container_stat")
    for trigger in ("object_insert", "object_delete"):
        connection.execute(f"DROP TRIGGER IF EXISTS {trigger}")
    connection.execute("DROP TABLE container_stat")
    for statement in (_VIEW, _VIEW_UPDATE, _INSERT_STAT, _DELETE_STAT):
        connection.execute(statement)
    connection.execute("DROP INDEX IF EXISTS ix_object_deleted")
    connection.execute(_INDEX.replace("INDEX ix", "INDEX IF NOT EXISTS ix"))
