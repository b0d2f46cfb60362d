"""What a replica does with what another one sends: timestamps, metadata, rows, whole files. Both kinds of database.

All of it runs inside a transaction (Database.write) or on a file nobody has open yet. Source: formats 6.8.
"""

from __future__ import annotations

import os
import sqlite3
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from objstore.db import account, container, shards
from objstore.db import metadata as meta
from objstore.db.connection import connect, patiently
from objstore.db.database import Database, MissingStat
from objstore.db.location import ACCOUNTS, CONTAINERS
from objstore.db.merge import ContainerRow, ObjectRow
from objstore.db.policy_conflict import Claim, winner
from objstore.db.rows import merge_container_rows, merge_object_rows
from objstore.db.sync_points import INCOMING, max_row, raise_sync_points, sync_point, sync_points
from objstore.runtime.fs import Fs

_STAT = {ACCOUNTS: "account_stat", CONTAINERS: "container_info"}
_ROWS = {ACCOUNTS: "container", CONTAINERS: "object"}
_COPIED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class RemoteState:
    """The arguments of `sync`. The last three only from containers of clusters with several policies."""

    max_row: int
    hash: str
    id: str
    created_at: str
    put_timestamp: str
    delete_timestamp: str
    metadata: meta.Metadata
    status_changed_at: str | None = None
    object_count: int | None = None
    policy_index: int | None = None


def take_over(connection: sqlite3.Connection, datadir: str, remote: RemoteState, now: str) -> None:
    """Merge a remote replica's timestamps, metadata and policy into ours; of equal rows, note that we have its."""
    before = _info(connection, datadir)
    _merge_timestamps(connection, datadir, remote, now)
    known = meta.parse(before.metadata)
    merged = meta.merged(known, remote.metadata)
    if merged != known:
        connection.execute(f"UPDATE {_STAT[datadir]} SET metadata = ?", (meta.text_of(merged),))
        if datadir == CONTAINERS:
            container.restart_sync(connection, known, merged)
    if datadir == CONTAINERS:
        _settle_policy(connection, remote, now)
    if before.hash == remote.hash:
        raise_sync_points(connection, [(remote.id, remote.max_row)])


def has_news(connection: sqlite3.Connection, datadir: str, remote: RemoteState) -> bool:
    """Whether take_over() would change anything. Most replicas agree most of the time: then nothing is written."""
    ours = _info(connection, datadir)
    known = meta.parse(ours.metadata)
    return (
        remote.created_at < ours.created_at
        or remote.put_timestamp > ours.put_timestamp
        or remote.delete_timestamp > ours.delete_timestamp
        or meta.merged(known, remote.metadata) != known
        or (datadir == CONTAINERS and remote.policy_index not in (None, ours.storage_policy_index))
        or (ours.hash == remote.hash and sync_point(connection, remote.id) < remote.max_row)
    )


def sync_reply(connection: sqlite3.Connection, datadir: str, remote_id: str, db_state: str) -> dict[str, Any]:
    """Our own state, as the reply of `sync` to the replica of that id."""
    reply: dict[str, Any] = {
        **_info(connection, datadir)._asdict(),
        "max_row": max_row(connection, _ROWS[datadir]),
        "point": sync_point(connection, remote_id),
    }
    if datadir == ACCOUNTS:
        reply["count"] = reply.pop("container_count") or 0
        del reply["status"]
    else:
        reply["count"] = reply.pop("object_count")
        del reply["reconciler_sync_point"]
        reply["db_state"] = db_state
        reply["shard_max_row"] = max_row(connection, "shard_range")
    return reply


def renew(connection: sqlite3.Connection, datadir: str, device: str) -> None:
    """Make a copied file a replica of its own: a new id, and all the sender had counts as merged from it."""
    stat = _STAT[datadir]
    row = connection.execute(f"SELECT id FROM {stat}").fetchone()
    if row is None:
        raise MissingStat
    raise_sync_points(connection, [(row[0], max_row(connection, _ROWS[datadir]))])
    connection.execute(f"UPDATE {stat} SET id = ?", (f"{uuid.uuid4()}-{device}",))
    if datadir == CONTAINERS:
        connection.execute(
            "UPDATE container_info SET reported_put_timestamp = '0', reported_delete_timestamp = '0', "
            "reported_object_count = 0, reported_bytes_used = 0"
        )


def absorb(connection: sqlite3.Connection, other: sqlite3.Connection, datadir: str, now: str) -> None:
    """Merge everything of another replica's file (`other`, only read) into this one."""
    theirs = _info(other, datadir)
    points = sync_points(other, INCOMING)
    remote = RemoteState(
        max_row=-1,
        hash="",
        id=theirs.id,
        created_at=theirs.created_at,
        put_timestamp=theirs.put_timestamp,
        delete_timestamp=theirs.delete_timestamp,
        metadata=meta.parse(theirs.metadata),
    )
    for rows in _all_rows(other, datadir):
        if datadir == ACCOUNTS:
            merge_container_rows(connection, rows)
        else:
            merge_object_rows(connection, rows)
    _merge_timestamps(connection, datadir, remote, now)
    ours = _info(connection, datadir)
    merged = meta.merged(meta.parse(ours.metadata), remote.metadata)
    connection.execute(f"UPDATE {_STAT[datadir]} SET metadata = ?", (meta.text_of(merged),))
    raise_sync_points(connection, points)
    if datadir == CONTAINERS:
        shards.merge_ranges(connection, shards.read_ranges(other, with_deleted=True, with_own=True))
        connection.execute("UPDATE container_info SET x_container_sync_point1 = -1, x_container_sync_point2 = -1")


def install(database: Database, arrived: str, final_name: str | None) -> bool:
    """complete_rsync: a file that was copied to the device's tmp/ becomes the database. False: there is one already,
    or no such file. Runs in native threads; durable when it returns."""
    location, fs = database.location, database.shared.fs
    if database.exists or not os.path.isfile(arrived):
        return False
    target = f"{location.directory}/{final_name}" if final_name else location.new_path

    def prepare() -> bool:
        try:
            _change_file(fs, arrived, lambda connection: renew(connection, location.datadir, location.device))
        except sqlite3.OperationalError:
            if os.path.exists(arrived):
                raise
            return False  # The disk was taken away since we looked.
        fs.make_directories(location.directory)
        return True

    def move() -> bool:
        if location.current() is not None:
            return False
        fs.rename_durable(arrived, target)
        return True

    return database.shared.threads.run(location.device_path, prepare) and database.locked(move)


def install_merged(database: Database, arrived: str, now: str) -> bool:
    """rsync_then_merge: what the database has is merged into a file that was copied to tmp/, which then replaces it."""
    if not database.exists or not os.path.isfile(arrived):
        return False
    location, fs = database.location, database.shared.fs
    database.flush()

    def replace() -> bool:
        current = location.current()
        if current is None:
            return False
        other = patiently(lambda: connect(current), time.sleep)
        try:

            def change(connection: sqlite3.Connection) -> None:
                renew(connection, location.datadir, location.device)
                absorb(connection, other, location.datadir, now)

            _change_file(fs, arrived, change)
        finally:
            other.close()
        fs.rename_durable(arrived, current)
        return True

    return database.locked(replace)


def _change_file(fs: Fs, path: str, change: Any) -> None:
    """One transaction on a file that is nobody's yet, then fsync."""
    connection = connect(path)
    try:
        # The file of a peer may say otherwise of itself; ours rest so that the file alone is the database.
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("BEGIN IMMEDIATE")
        change(connection)
        connection.execute("COMMIT")
    finally:
        connection.close()
    fd = os.open(path, os.O_RDONLY)
    try:
        fs.sync(fd)
    finally:
        os.close(fd)


def _info(connection: sqlite3.Connection, datadir: str) -> Any:
    return account.read_info(connection) if datadir == ACCOUNTS else container.read_info(connection)


def _merge_timestamps(connection: sqlite3.Connection, datadir: str, remote: RemoteState, now: str) -> None:
    """The oldest creation, the newest put and delete; a replica that thereby comes or goes says since when."""
    stat = _STAT[datadir]
    was_deleted = _info(connection, datadir).is_deleted
    connection.execute(
        f"UPDATE {stat} SET created_at = min(created_at, ?), put_timestamp = max(put_timestamp, ?), "
        "delete_timestamp = max(delete_timestamp, ?)",
        (remote.created_at, remote.put_timestamp, remote.delete_timestamp),
    )
    if _info(connection, datadir).is_deleted != was_deleted:
        connection.execute(f"UPDATE {stat} SET status_changed_at = ?", (now,))
    if datadir == ACCOUNTS:
        # Only a DELETE sets the delete timestamp of an account: one that was away when it came hears of it here, also
        # while it still has containers, and its reaper does its share.
        connection.execute(
            "UPDATE account_stat SET status = ?, status_changed_at = delete_timestamp "
            "WHERE status != ? AND delete_timestamp > put_timestamp",
            (account.DELETED, account.DELETED),
        )


def _settle_policy(connection: sqlite3.Connection, remote: RemoteState, now: str) -> None:
    if remote.policy_index is None or remote.status_changed_at is None:
        return
    info = container.read_info(connection)
    if info.storage_policy_index == remote.policy_index:
        return
    ours = Claim(
        info.storage_policy_index,
        info.put_timestamp,
        info.delete_timestamp,
        info.status_changed_at,
        info.object_count,
    )
    theirs = Claim(
        remote.policy_index,
        remote.put_timestamp,
        remote.delete_timestamp,
        remote.status_changed_at,
        remote.object_count or 0,
    )
    if winner(ours, theirs) is theirs:
        container.set_policy(connection, info, remote.policy_index, now)


def _all_rows(connection: sqlite3.Connection, datadir: str) -> Iterator[list[Any]]:
    kind: type[ContainerRow] | type[ObjectRow] = ContainerRow if datadir == ACCOUNTS else ObjectRow
    cursor = connection.execute(f"SELECT {', '.join(kind._fields)} FROM {_ROWS[datadir]} ORDER BY ROWID")
    while rows := cursor.fetchmany(_COPIED_AT_ONCE):
        yield [kind._make(row) for row in rows]
