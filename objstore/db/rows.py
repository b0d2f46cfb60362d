"""Rows into the tables: the merge rules applied to what is stored, inside a transaction that the caller owns.

Rows are deleted and inserted, never updated; what loses is not touched, so that merging the same rows again changes
nothing in a container (an account's rows always move, formats 5.5).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from objstore.core.timestamp import InvalidTimestamp
from objstore.db.merge import ContainerRow, ObjectRow, merge_container, merge_object, merge_objects

_NAMES_PER_QUERY = 500

_SELECT_OBJECTS = (
    "SELECT name, created_at, size, content_type, etag, deleted, storage_policy_index, ROWID FROM object "
    "WHERE deleted IN (0, 1) AND name IN ({})"
)
_INSERT_OBJECT = (
    "INSERT INTO object (name, created_at, size, content_type, etag, deleted, storage_policy_index) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_SELECT_CONTAINERS = (
    "SELECT name, put_timestamp, delete_timestamp, object_count, bytes_used, deleted, storage_policy_index, ROWID "
    "FROM container WHERE deleted IN (0, 1) AND name IN ({})"
)
_INSERT_CONTAINER = (
    "INSERT INTO container (name, put_timestamp, delete_timestamp, object_count, bytes_used, deleted, "
    "storage_policy_index) VALUES (?, ?, ?, ?, ?, ?, ?)"
)


def merge_object_rows(connection: sqlite3.Connection, rows: Sequence[ObjectRow]) -> None:
    """Rows of a container, in order of arrival."""
    incoming = merge_objects(rows)
    stored: dict[tuple[str, int], ObjectRow] = {}
    row_ids: dict[tuple[str, int], list[tuple[int]]] = {}
    for *fields, row_id in _stored(connection, _SELECT_OBJECTS, [name for name, _ in incoming]):
        row = ObjectRow(*fields)
        key = (row.name, row.storage_policy_index)
        stored[key] = row
        row_ids.setdefault(key, []).append((row_id,))
    gone: list[tuple[int]] = []
    new: list[ObjectRow] = []
    for key, row in incoming.items():
        winner = _winner(stored.get(key), row)
        if winner is not None:
            gone += row_ids.get(key, ())
            new.append(winner)
    connection.executemany("DELETE FROM object WHERE ROWID = ?", gone)
    connection.executemany(_INSERT_OBJECT, new)


def merge_container_rows(connection: sqlite3.Connection, rows: Sequence[ContainerRow]) -> None:
    """Rows of an account, in order of arrival."""
    merged: dict[str, ContainerRow] = {}
    gone: list[tuple[int]] = []
    for *fields, row_id in _stored(connection, _SELECT_CONTAINERS, [row.name for row in rows]):
        row = ContainerRow(*fields)
        merged[row.name] = row
        gone.append((row_id,))
    new: dict[str, ContainerRow] = {}
    for row in rows:
        new[row.name] = merged[row.name] = merge_container(merged.get(row.name), row)
    connection.executemany("DELETE FROM container WHERE ROWID = ?", gone)
    connection.executemany(_INSERT_CONTAINER, list(new.values()))


def _winner(stored: ObjectRow | None, incoming: ObjectRow) -> ObjectRow | None:
    try:
        return merge_object(stored, incoming)
    except InvalidTimestamp:
        # What comes in was checked; a stored time that nobody can read must not block the whole database.
        return incoming


def _stored(connection: sqlite3.Connection, query: str, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    wanted = list(dict.fromkeys(names))
    for start in range(0, len(wanted), _NAMES_PER_QUERY):
        chunk = wanted[start : start + _NAMES_PER_QUERY]
        yield from connection.execute(query.format(",".join("?" * len(chunk))), chunk)
