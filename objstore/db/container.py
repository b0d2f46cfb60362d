"""Container databases: what a container is, its objects, its life. The broker of the container server and daemons.

Source: formats 5.4, 5.5, 5.7, 5.8.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from objstore.core.errors import NotFound
from objstore.core.listing import Selection
from objstore.core.timestamp import Timestamp
from objstore.db import metadata as meta
from objstore.db import pending, schema_container, shards, sync_links
from objstore.db.database import Database, MissingStat
from objstore.db.kind import Kind
from objstore.db.location import CONTAINERS, epoch_of
from objstore.db.merge import ObjectRow
from objstore.db.rows import merge_object_rows
from objstore.db.shards import ShardRange
from objstore.db.walk import Row, walk

KIND = Kind(
    datadir=CONTAINERS,
    server="container",
    stat_table="container_info",
    parse_row=pending.object_row,
    merge_rows=merge_object_rows,
    needs_migration=schema_container.needs_migration,
    migrate=schema_container.migrate,
)

UNSHARDED = "unsharded"
SHARDING = "sharding"
SHARDED = "sharded"
COLLAPSED = "collapsed"

SYNC_TO = "X-Container-Sync-To"
_INFO = f"SELECT {', '.join(schema_container.INFO_COLUMNS)}, object_count, bytes_used FROM container_stat"
_LIST = "SELECT name, created_at, size, content_type, etag FROM object"
_OF_POLICY = " AND storage_policy_index = ?"
_TYPE = "CASE WHEN instr(content_type, ';') THEN listed_type(content_type) ELSE content_type END"
_JSON = f"json_object('bytes', size, 'hash', etag, 'name', name, 'content_type', {_TYPE}, 'last_modified', created_at)"
_LIST_JSON = f"SELECT {_JSON} FROM object"
_LIST_NAMED_JSON = f"SELECT name, {_JSON} FROM object"


class ContainerInfo(NamedTuple):
    """The row of container_stat: columns of container_info and the counts of the container's own policy."""

    account: str
    container: str
    created_at: str
    put_timestamp: str
    delete_timestamp: str
    reported_put_timestamp: str
    reported_delete_timestamp: str
    reported_object_count: int
    reported_bytes_used: int
    hash: str
    id: str
    status: str
    status_changed_at: str
    metadata: str
    x_container_sync_point1: int
    x_container_sync_point2: int
    storage_policy_index: int
    reconciler_sync_point: int
    object_count: int
    bytes_used: int

    @property
    def is_deleted(self) -> bool:
        return not self.object_count and self.delete_timestamp > self.put_timestamp

    @property
    def path(self) -> str:
        """account/container: the name of the container's own shard range."""
        return f"{self.account}/{self.container}"


@dataclass(frozen=True, slots=True)
class PolicyUsage:
    object_count: int
    bytes_used: int


@dataclass(frozen=True, slots=True)
class ContainerState:
    """One view for a HEAD. sharding: UNSHARDED, SHARDING, SHARDED or COLLAPSED (formats 5.8)."""

    info: ContainerInfo
    sharding: str


@dataclass(frozen=True, slots=True)
class PutResult:
    """info: afterwards. is_created: there was none, or a deleted one. is_stale: deleted later.

    is_mismatch: an explicit policy that is not the container's (409)."""

    info: ContainerInfo
    is_created: bool
    is_mismatch: bool = False
    is_stale: bool = False


@dataclass(frozen=True, slots=True)
class DeleteResult:
    """existed: there was a live container. is_deleted: there is none now."""

    info: ContainerInfo
    existed: bool
    is_empty: bool

    @property
    def is_deleted(self) -> bool:
        return self.info.is_deleted


class ContainerBroker:
    """One container's database."""

    __slots__ = ("database",)

    def __init__(self, database: Database) -> None:
        self.database = database

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ContainerBroker) and self.database == other.database

    def __hash__(self) -> int:
        return hash(self.database)

    @property
    def exists(self) -> bool:
        return self.database.exists

    def create(
        self,
        account: str,
        container: str,
        put_timestamp: Timestamp,
        now: Timestamp,
        policy_index: int,
        items: meta.Metadata | None = None,
    ) -> bool:
        """Make the database; False when it is there already."""
        new_id = f"{uuid.uuid4()}-{self.database.location.device}"

        def fill(connection: sqlite3.Connection) -> None:
            initialize(connection, account, container, put_timestamp, now, policy_index, new_id, items or {})

        return self.database.create(fill)

    def info(self, *, fresh: bool = True) -> ContainerInfo:
        """Raises NotFound when there is no database."""
        return self.state(fresh=fresh).info

    def state(self, *, fresh: bool = True) -> ContainerState:
        """The facts for the answer to a HEAD. Raises NotFound when there is no database."""
        files = self.database.location.files()
        if not files:
            raise NotFound(self.database.location.hash)
        epoch = epoch_of(files[-1])
        current = self.database.read(lambda connection: _read_state(connection, epoch), path=files[-1], fresh=fresh)
        if len(files) == 1:
            return current
        # While sharding the rows are still in the retiring database; what changed since is in the fresh one.
        old = self.database.read(read_info, path=files[0], fresh=False)
        info = current.info._replace(object_count=old.object_count, bytes_used=old.bytes_used)
        return ContainerState(info, SHARDING)

    def page(self, selection: Selection, policy_index: int) -> list[Row | str]:
        """A page of (name, created_at, size, content type, etag) or subdirectories. policy_index: whose rows.

        While sharding, of the database that is being retired. Raises NotFound when there is no database.
        """
        files = self.database.location.files()
        return self.database.read(
            lambda connection: walk(connection, _LIST, _OF_POLICY, (policy_index,), selection),
            path=files[0] if files else None,
        )

    def json_page(self, selection: Selection, policy_index: int) -> list[Row | str]:
        """As page, but rows are (name, JSON of the row with created_at as it is stored for last_modified, at the end),
        without the name where there is no delimiter. SQLite writes the JSON in half the time that it takes here."""
        files = self.database.location.files()
        select = _LIST_NAMED_JSON if selection.delimiter or selection.path is not None else _LIST_JSON
        return self.database.read(
            lambda connection: walk(connection, select, _OF_POLICY, (policy_index,), selection),
            path=files[0] if files else None,
        )

    def shard_for_update(self, name: str) -> ShardRange | None:
        """The shard that takes a name's row; None: this container does."""
        return self.database.read(lambda connection: shards.range_for_update(connection, name), fresh=False)

    def shard_ranges(self, *, with_deleted: bool = False) -> tuple[list[ShardRange], ShardRange | None]:
        """(ranges in order without the own one, the own one if it is stored)."""

        def read(connection: sqlite3.Connection) -> tuple[list[ShardRange], ShardRange | None]:
            return shards.read_ranges(connection, with_deleted=with_deleted), shards.own_range(connection)

        return self.database.read(read, fresh=False)

    def merge_shard_ranges(self, ranges: Sequence[ShardRange]) -> None:
        """Merge reports of shard ranges, durably."""
        self.database.write(lambda connection: shards.merge_ranges(connection, ranges))

    def policies(self) -> dict[int, PolicyUsage]:
        """Counts of every policy that has rows here; more than the container's own: misplaced ones."""
        return self.database.read(read_policies)

    def put(
        self,
        timestamp: Timestamp,
        items: meta.Metadata,
        check: Callable[[meta.Metadata], None],
        policy_index: int | None,
        default_index: int,
    ) -> PutResult:
        """A container PUT on a database that exists. policy_index: an explicit one; default_index: for a container that
        was deleted and asks for none. An older PUT than the deletion changes nothing (is_stale)."""

        def change(connection: sqlite3.Connection) -> PutResult:
            before = read_info(connection)
            if before.is_deleted:
                if before.delete_timestamp >= timestamp.internal:
                    return PutResult(before, False, is_stale=True)
                index = default_index if policy_index is None else policy_index
                set_policy(connection, before, index, timestamp.internal)
                connection.execute("UPDATE container_info SET status_changed_at = ?", (timestamp.internal,))
            elif policy_index is not None and policy_index != before.storage_policy_index:
                return PutResult(before, False, is_mismatch=True)
            raise_timestamp(connection, "put_timestamp", timestamp)
            update_metadata(connection, before, items, check)
            return PutResult(read_info(connection), before.is_deleted)

        return self.database.write(change)

    def post(
        self, timestamp: Timestamp | None, items: meta.Metadata, check: Callable[[meta.Metadata], None]
    ) -> ContainerInfo:
        """Change metadata; the info from before. timestamp: raises put_timestamp too, unless None. A deleted container
        stays as it is."""

        def change(connection: sqlite3.Connection) -> ContainerInfo:
            before = read_info(connection)
            if not before.is_deleted:
                if timestamp is not None:
                    raise_timestamp(connection, "put_timestamp", timestamp)
                update_metadata(connection, before, items, check)
            return before

        return self.database.write(change)

    def delete(self, timestamp: Timestamp) -> DeleteResult:
        """Delete an empty container; of one that is not empty, or was put later, nothing is lost: see the result."""

        def change(connection: sqlite3.Connection) -> DeleteResult:
            before = read_info(connection)
            existed = not before.is_deleted
            if not is_empty(connection):
                return DeleteResult(before, existed, is_empty=False)
            mark_deleted(connection, before, timestamp)
            return DeleteResult(read_info(connection), existed, is_empty=True)

        return self.database.write(change)

    def add(self, row: ObjectRow, content_type_time: str | None = None, meta_time: str | None = None) -> None:
        """An object's row. Returns when it is durable. Raises NotFound when there is no database."""
        self.database.append([pending.object_record(row, content_type_time, meta_time)])

    def add_many(self, rows: Sequence[ObjectRow]) -> None:
        """As add(), with one sync for all rows."""
        if rows:
            self.database.append([pending.object_record(row) for row in rows])
        elif not self.exists:
            self.database.append([])

    def settle_sync_link(self) -> None:
        """Have the device's directory of synced containers tell what the metadata says now (sync_links.py)."""
        try:
            metadata = self.info(fresh=False).metadata
        except NotFound:
            metadata = ""
        sync_links.settle(self.database, metadata)

    def reported(self, put: str, delete: str, object_count: int, bytes_used: int) -> None:
        """Note what the account has been told, so that the updater leaves it alone until it changes."""

        def change(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE container_info SET reported_put_timestamp = ?, reported_delete_timestamp = ?, "
                "reported_object_count = ?, reported_bytes_used = ?",
                (put, delete, object_count, bytes_used),
            )

        self.database.write(change)


def initialize(
    connection: sqlite3.Connection,
    account: str,
    container: str,
    put_timestamp: Timestamp,
    now: Timestamp,
    policy_index: int,
    new_id: str,
    items: meta.Metadata,
) -> None:
    """Tables and the stat row of a new container."""
    schema_container.create_tables(connection)
    connection.execute(
        "INSERT INTO container_info (account, container, created_at, id, put_timestamp, status_changed_at, "
        "storage_policy_index, metadata) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            account,
            container,
            now.internal,
            new_id,
            put_timestamp.internal,
            put_timestamp.internal,
            policy_index,
            meta.text_of(items) if items else "",
        ),
    )
    connection.execute("INSERT INTO policy_stat (storage_policy_index) VALUES (?)", (policy_index,))


def read_info(connection: sqlite3.Connection) -> ContainerInfo:
    """Raises MissingStat."""
    row = connection.execute(_INFO).fetchone()
    if row is None:
        raise MissingStat
    return ContainerInfo._make(row)


def _read_state(connection: sqlite3.Connection, epoch: str | None) -> ContainerState:
    """The state of a database whose file name has this epoch."""
    info = read_info(connection)
    if epoch is None:
        return ContainerState(info, UNSHARDED)
    own = shards.own_range(connection)
    if own is None or own.epoch != epoch:
        return ContainerState(info, UNSHARDED)
    if not shards.read_ranges(connection):
        return ContainerState(info, COLLAPSED)
    object_count, bytes_used = shards.usage(connection)
    return ContainerState(info._replace(object_count=object_count, bytes_used=bytes_used), SHARDED)


def read_policies(connection: sqlite3.Connection) -> dict[int, PolicyUsage]:
    return {
        index: PolicyUsage(*usage)
        for index, *usage in connection.execute(
            "SELECT storage_policy_index, object_count, bytes_used FROM policy_stat ORDER BY 1"
        )
    }


def is_empty(connection: sqlite3.Connection) -> bool:
    """No object in any policy: a misplaced one counts, it must not be lost with its container."""
    query = "SELECT 1 FROM policy_stat WHERE object_count > 0 LIMIT 1"
    return connection.execute(query).fetchone() is None


def raise_timestamp(connection: sqlite3.Connection, column: str, timestamp: Timestamp) -> None:
    """Set a timestamp column to the newer of what it holds and this."""
    assert column in ("put_timestamp", "delete_timestamp")
    connection.execute(
        f"UPDATE container_info SET {column} = ? WHERE {column} < ?", (timestamp.internal, timestamp.internal)
    )


def mark_deleted(connection: sqlite3.Connection, info: ContainerInfo, timestamp: Timestamp) -> None:
    """Record a deletion; metadata is blanked where the container was put before."""
    raise_timestamp(connection, "delete_timestamp", timestamp)
    if info.put_timestamp < timestamp.internal:
        blank = meta.blanked(meta.parse(info.metadata), timestamp, meta.KEPT_AT_DELETE)
        connection.execute(
            "UPDATE container_info SET metadata = ?, status_changed_at = max(status_changed_at, ?)",
            (meta.text_of(blank), timestamp.internal),
        )


def set_policy(connection: sqlite3.Connection, info: ContainerInfo, index: int, changed_at: str) -> None:
    """Adopt a storage policy; rows of the old one are misplaced from now on."""
    if index == info.storage_policy_index:
        return
    connection.execute(
        "UPDATE container_info SET storage_policy_index = ?, status_changed_at = ?, reconciler_sync_point = -1",
        (index, changed_at),
    )
    connection.execute("INSERT OR IGNORE INTO policy_stat (storage_policy_index) VALUES (?)", (index,))


def update_metadata(
    connection: sqlite3.Connection,
    info: ContainerInfo,
    items: meta.Metadata,
    check: Callable[[meta.Metadata], None] = lambda metadata: None,
) -> None:
    """Merge items in; check sees what would be stored and may refuse it."""
    if not items:
        return
    current = meta.parse(info.metadata)
    result = meta.merged(current, items)
    check(result)
    connection.execute("UPDATE container_info SET metadata = ?", (meta.text_of(result),))
    restart_sync(connection, current, result)


def restart_sync(connection: sqlite3.Connection, before: meta.Metadata, after: meta.Metadata) -> None:
    """A new sync target starts at the first row, however this replica hears of it."""
    if after.get(SYNC_TO, [""])[0] != before.get(SYNC_TO, [""])[0]:
        connection.execute("UPDATE container_info SET x_container_sync_point1 = -1, x_container_sync_point2 = -1")
