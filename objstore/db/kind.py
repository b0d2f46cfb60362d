"""What differs between account and container databases, as one value the shared machinery is given."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Kind:
    """datadir: location.ACCOUNTS or CONTAINERS. server: the word in logs.

    parse_row: a pending record's tuple → a row (raises ValueError or TypeError). merge_rows: rows into an open
    transaction. needs_migration: whether tables or columns of newer releases are missing. migrate: add them, inside a
    transaction. stat_table: the table of one row without which a database is broken.
    """

    datadir: str
    server: str
    stat_table: str
    parse_row: Callable[[tuple[Any, ...]], Any]
    merge_rows: Callable[[sqlite3.Connection, Sequence[Any]], None]
    needs_migration: Callable[[sqlite3.Connection], bool]
    migrate: Callable[[sqlite3.Connection], None]
