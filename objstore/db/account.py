"""Account databases: what an account is, its containers, its life. The broker of the account server and daemons.

Source: formats 5.3, 5.5, 5.7.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from objstore.core.listing import Selection
from objstore.core.timestamp import Timestamp
from objstore.db import metadata as meta
from objstore.db import pending, schema_account
from objstore.db.database import Database, MissingStat
from objstore.db.kind import Kind
from objstore.db.location import ACCOUNTS
from objstore.db.merge import ContainerRow
from objstore.db.rows import merge_container_rows
from objstore.db.walk import Row, walk

DELETED = "DELETED"

KIND = Kind(
    datadir=ACCOUNTS,
    server="account",
    stat_table="account_stat",
    parse_row=pending.container_row,
    merge_rows=merge_container_rows,
    needs_migration=schema_account.needs_migration,
    migrate=schema_account.migrate,
)

_INFO = (
    "SELECT account, created_at, put_timestamp, delete_timestamp, status, status_changed_at, container_count, "
    "object_count, bytes_used, hash, id, metadata FROM account_stat"
)
_LIST = "SELECT name, object_count, bytes_used, put_timestamp, storage_policy_index FROM container"


class AccountInfo(NamedTuple):
    """The row of account_stat. Timestamps as stored."""

    account: str
    created_at: str
    put_timestamp: str
    delete_timestamp: str
    status: str
    status_changed_at: str
    container_count: int
    object_count: int
    bytes_used: int
    hash: str
    id: str
    metadata: str

    @property
    def is_marked_deleted(self) -> bool:
        """An explicit DELETE; the reaper's work."""
        return self.status == DELETED

    @property
    def is_deleted(self) -> bool:
        return self.status == DELETED or (
            self.container_count in (None, 0) and self.delete_timestamp > self.put_timestamp
        )


@dataclass(frozen=True, slots=True)
class PolicyUsage:
    container_count: int
    object_count: int
    bytes_used: int


@dataclass(frozen=True, slots=True)
class AccountState:
    """One consistent view for a HEAD."""

    info: AccountInfo
    policies: Mapping[int, PolicyUsage]


class AccountBroker:
    """One account's database."""

    __slots__ = ("database",)

    def __init__(self, database: Database) -> None:
        self.database = database

    @property
    def exists(self) -> bool:
        return self.database.exists

    def create(
        self, account: str, put_timestamp: Timestamp, now: Timestamp, items: meta.Metadata | None = None
    ) -> bool:
        """Make the database; False when it is there already."""
        new_id = f"{uuid.uuid4()}-{self.database.location.device}"
        return self.database.create(
            lambda connection: initialize(connection, account, put_timestamp, now, new_id, items or {})
        )

    def info(self, *, fresh: bool = True) -> AccountInfo:
        """Raises NotFound when there is no database."""
        return self.database.read(read_info, fresh=fresh)

    def state(self) -> AccountState:
        return self.database.read(lambda connection: AccountState(read_info(connection), read_policies(connection)))

    def page(self, selection: Selection) -> tuple[AccountState, list[Row | str]]:
        """A HEAD and a page of (name, object count, bytes, put timestamp, policy) or subdirectories."""

        def read(connection: sqlite3.Connection) -> tuple[AccountState, list[Row | str]]:
            state = AccountState(read_info(connection), read_policies(connection))
            return state, walk(connection, _LIST, "", (), selection)

        return self.database.read(read)

    def put(self, timestamp: Timestamp, items: meta.Metadata, check: Callable[[meta.Metadata], None]) -> AccountInfo:
        """An account PUT on a database that exists: newer put timestamp, metadata. The info from before, so that the
        caller sees whether it was deleted. One that is marked deleted, or was deleted later, stays as it is."""

        def change(connection: sqlite3.Connection) -> AccountInfo:
            before = read_info(connection)
            if before.is_marked_deleted or (before.is_deleted and before.delete_timestamp >= timestamp.internal):
                return before
            raise_timestamp(connection, "put_timestamp", timestamp)
            if before.is_deleted:
                connection.execute("UPDATE account_stat SET status_changed_at = ?", (timestamp.internal,))
            update_metadata(connection, before, items, check)
            return before

        return self.database.write(change)

    def post(self, items: meta.Metadata, check: Callable[[meta.Metadata], None]) -> AccountInfo:
        """Change metadata; the info from before. A deleted account stays as it is."""

        def change(connection: sqlite3.Connection) -> AccountInfo:
            before = read_info(connection)
            if not before.is_deleted:
                update_metadata(connection, before, items, check)
            return before

        return self.database.write(change)

    def delete(self, timestamp: Timestamp) -> AccountInfo:
        """Mark deleted, whatever it holds (the reaper empties it); the info from before."""

        def change(connection: sqlite3.Connection) -> AccountInfo:
            before = read_info(connection)
            if not before.is_deleted and before.put_timestamp < timestamp.internal:
                connection.execute(
                    "UPDATE account_stat SET status = ?, status_changed_at = ?, delete_timestamp = ?, metadata = ?",
                    (
                        DELETED,
                        timestamp.internal,
                        timestamp.internal,
                        meta.text_of(meta.blanked(meta.parse(before.metadata), timestamp)),
                    ),
                )
            return before

        return self.database.write(change)

    def report(self, row: ContainerRow) -> None:
        """What a container says of itself. Returns when it is durable. Raises NotFound."""
        self.database.append([pending.container_record(row)])


def initialize(
    connection: sqlite3.Connection,
    account: str,
    put_timestamp: Timestamp,
    now: Timestamp,
    new_id: str,
    items: meta.Metadata,
) -> None:
    """Tables and the stat row of a new account."""
    schema_account.create_tables(connection)
    text = meta.text_of(items) if items else ""
    connection.execute(
        "INSERT INTO account_stat (account, created_at, id, put_timestamp, status_changed_at, metadata, "
        "container_count) VALUES (?, ?, ?, ?, ?, ?, 0)",
        (account, now.internal, new_id, put_timestamp.internal, put_timestamp.internal, text),
    )


def read_info(connection: sqlite3.Connection) -> AccountInfo:
    """Raises MissingStat."""
    row = connection.execute(_INFO).fetchone()
    if row is None:
        raise MissingStat
    return AccountInfo._make(row)


def read_policies(connection: sqlite3.Connection) -> dict[int, PolicyUsage]:
    return {
        index: PolicyUsage(*usage)
        for index, *usage in connection.execute(
            "SELECT storage_policy_index, container_count, object_count, bytes_used FROM policy_stat ORDER BY 1"
        )
    }


def raise_timestamp(connection: sqlite3.Connection, column: str, timestamp: Timestamp) -> None:
    """Set a timestamp column to the newer of what it holds and this."""
    assert column in ("put_timestamp", "delete_timestamp")
    connection.execute(
        f"UPDATE account_stat SET {column} = ? WHERE {column} < ?", (timestamp.internal, timestamp.internal)
    )


def update_metadata(
    connection: sqlite3.Connection,
    info: AccountInfo,
    items: meta.Metadata,
    check: Callable[[meta.Metadata], None] = lambda metadata: None,
) -> None:
    """Merge items in; check sees what would be stored and may refuse it."""
    if not items:
        return
    result = meta.merged(meta.parse(info.metadata), items)
    check(result)
    connection.execute("UPDATE account_stat SET metadata = ?", (meta.text_of(result),))
