"""What one database file says, read without changing a byte of it: for objstore-container-info and -account-info.

Nothing is merged, migrated or quarantined, and columns that an older release did not have are simply missing. Rows that
wait in the pending file are counted, not applied: the figures are those of the file. Source: formats 5.2 to 5.8.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from objstore.db import metadata as meta
from objstore.db import pending

READ_TIMEOUT_S = 25.0
Row = Mapping[str, object]
_STAT = {"container": "container_stat", "account": "account_stat"}
_PARSED = {"container": pending.object_row, "account": pending.container_row}


class NotADatabase(Exception):
    """The file cannot be read as an account or container database; the text says why."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """kind: container or account. stat: columns of its one row. policies: rows of policy_stat. metadata: name →
    [value, timestamp], removed ones ('') included. shard_ranges: also deleted ones. incoming, outgoing: sync points.
    pending: rows that wait to be merged."""

    kind: str
    stat: Row
    policies: tuple[Row, ...]
    metadata: Mapping[str, list[str]]
    shard_ranges: tuple[Row, ...]
    incoming: tuple[Row, ...]
    outgoing: tuple[Row, ...]
    pending: int

    @property
    def names(self) -> tuple[str, ...]:
        """account, or account and container."""
        return tuple(str(self.stat[name]) for name in ("account", "container") if name in self.stat)


def read_snapshot(path: Path) -> Snapshot:
    """Raises NotADatabase, and OSError when there is no such file."""
    with open(path, "rb"):
        pass  # SQLite says only that it cannot open the file, not why.
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=READ_TIMEOUT_S)
        try:
            connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
            connection.row_factory = lambda cursor, row: {
                column[0]: value for column, value in zip(cursor.description, row, strict=True)
            }
            return _read(connection, path)
        finally:
            connection.close()
    except (sqlite3.Error, ValueError) as error:
        raise NotADatabase(f"not readable as an account's or container's .db file: {error}") from None


def _read(connection: sqlite3.Connection, path: Path) -> Snapshot:
    """Raises NotADatabase, sqlite3.Error, and ValueError for metadata that cannot be parsed."""
    connection.execute("BEGIN")  # One moment for all tables.
    tables = {row["name"] for row in connection.execute("SELECT name FROM sqlite_master")}
    kind = next((kind for kind, table in _STAT.items() if table in tables), None)
    if kind is None:
        raise NotADatabase("it has neither a table of containers nor one of objects")

    def rows(table: str) -> tuple[Row, ...]:
        return tuple(connection.execute(f"SELECT * FROM {table}")) if table in tables else ()

    stat = rows(_STAT[kind])
    if not stat:
        raise NotADatabase(f"{_STAT[kind]} has no row")
    text = stat[0].get("metadata")
    return Snapshot(
        kind,
        stat[0],
        rows("policy_stat"),
        meta.parse(str(text) if text else None),
        rows("shard_range"),
        rows("incoming_sync"),
        rows("outgoing_sync"),
        _pending_count(path, kind),
    )


def _pending_count(path: Path, kind: str) -> int:
    """Records beside the database, whatever its epoch (formats 5.6). Without the lock: who writes now is not waited
    for."""
    found, skipped = pending.parse(
        pending.read(str(path.with_name(f"{path.stem.partition('_')[0]}.db.pending"))), _PARSED[kind]
    )
    return len(found) + skipped
