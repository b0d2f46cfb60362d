"""Accounts that a client deleted and that still have containers: what the reaper looks for. Only reads; blocks, for a
native thread, where the handles of Database may not be used.

Rows that are still pending are not seen: the next pass does. Source: formats 5.3.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from objstore.core.timestamp import InvalidTimestamp, Timestamp
from objstore.db.account import DELETED, read_info
from objstore.db.connection import Busy, connect, patiently
from objstore.db.database import MissingStat
from objstore.db.location import Location

NAMES_AT_ONCE = 1000
_NAMES = "SELECT name, object_count FROM container WHERE deleted = 0 AND name > ? ORDER BY name LIMIT ?"


@dataclass(frozen=True, slots=True)
class DeletedAccount:
    account: str
    since: Timestamp


class Unreadable(Exception):
    """A database that cannot be read now, or never again: the auditor's business."""


def deleted_account(location: Location) -> DeletedAccount | None:
    """None for one that is not there, or alive. Raises Unreadable."""
    path = location.current()
    if path is None:
        return None
    try:
        with closing(patiently(lambda: connect(path), time.sleep)) as connection:
            info = patiently(lambda: read_info(connection), time.sleep)
        if info.status != DELETED:
            return None
        return DeletedAccount(info.account, Timestamp.parse(info.delete_timestamp))
    except (sqlite3.Error, Busy, MissingStat, InvalidTimestamp) as error:
        raise Unreadable(f"{path}: {error!r}") from error


def containers_of(location: Location) -> Iterator[tuple[str, int]]:
    """(name, object count as last reported) of the live containers of an account, page by page. Raises Unreadable."""
    marker = ""
    while True:
        path = location.current()
        if path is None:
            return
        try:
            with closing(patiently(lambda: connect(path), time.sleep)) as connection:  # noqa: B023 - called at once
                found = patiently(lambda: _names(connection, marker), time.sleep)  # noqa: B023
        except (sqlite3.Error, Busy) as error:
            raise Unreadable(f"{path}: {error}") from error
        yield from found
        if len(found) < NAMES_AT_ONCE:
            return
        marker = found[-1][0]


def _names(connection: sqlite3.Connection, marker: str) -> list[tuple[str, int]]:
    return [(name, count or 0) for name, count in connection.execute(_NAMES, (marker, NAMES_AT_ONCE))]
