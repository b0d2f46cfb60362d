"""Looking a database over: is the file sound, and do its counts say what its rows say? Blocks; for native threads.

Counts are kept by triggers, so that a difference is damage or a bug; the rows are the truth, and recount() makes the
counts follow them. Source: formats 5.3, 5.4, 5.9.
"""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass

from objstore.db.connection import connect, is_corrupt, patiently
from objstore.db.location import ACCOUNTS

Usage = dict[int, tuple[int, ...]]

_COUNTED = {
    True: (
        "SELECT storage_policy_index, sum(1 - deleted), sum(object_count), sum(bytes_used) FROM container GROUP BY 1",
        "SELECT storage_policy_index, container_count, object_count, bytes_used FROM policy_stat",
        "INSERT INTO policy_stat (storage_policy_index, container_count, object_count, bytes_used) VALUES (?, ?, ?, ?)",
    ),
    False: (
        "SELECT storage_policy_index, sum(1 - deleted), sum(size) FROM object GROUP BY 1",
        "SELECT storage_policy_index, object_count, bytes_used FROM policy_stat",
        "INSERT INTO policy_stat (storage_policy_index, object_count, bytes_used) VALUES (?, ?, ?)",
    ),
}
_TOTALS = "SELECT container_count, object_count, bytes_used FROM account_stat"


@dataclass(frozen=True, slots=True)
class Finding:
    """damage: why the file must go out of service; miscount: which counts are wrong; "" for nothing."""

    damage: str = ""
    miscount: str = ""


def audit(path: str, datadir: str) -> Finding:
    """Read all of a database file. Raises sqlite3.Error or Busy for what says nothing about the file (locked, or it
    cannot be opened now)."""
    try:
        connection = patiently(lambda: connect(path), time.sleep)
        try:
            # One transaction, or a row that comes in between would look like a miscount.
            patiently(lambda: connection.execute("BEGIN"), time.sleep)
            (sound,) = patiently(lambda: connection.execute("PRAGMA quick_check(1)").fetchone(), time.sleep)
            if sound != "ok":
                return Finding(damage=str(sound))
            return Finding(miscount=miscount(connection, datadir))
        finally:
            connection.close()
    except sqlite3.Error as error:
        if is_corrupt(error):
            return Finding(damage=str(error))
        raise


def miscount(connection: sqlite3.Connection, datadir: str) -> str:
    """Which counts differ from the rows, "" for none."""
    is_account = datadir == ACCOUNTS
    rows, stats, _ = _COUNTED[is_account]
    counted, stored = _usage(connection, rows), _usage(connection, stats)
    for index in sorted(counted.keys() | stored.keys()):
        nothing = (0,) * (3 if is_account else 2)
        if counted.get(index, nothing) != stored.get(index, nothing):
            return f"policy {index}: {stored.get(index)} kept, {counted.get(index)} counted"
    if is_account:
        kept = tuple(value or 0 for value in connection.execute(_TOTALS).fetchone() or ())
        if kept != _total(counted):
            return f"account: {kept} kept, {_total(counted)} counted"
    return ""


def recount(connection: sqlite3.Connection, datadir: str) -> None:
    """Inside a transaction: make the counts what the rows say. A policy without rows keeps its line, with zeros."""
    is_account = datadir == ACCOUNTS
    rows, stats, insert = _COUNTED[is_account]
    counted = _usage(connection, rows)
    nothing = (0,) * (3 if is_account else 2)
    kept = {index: nothing for index in _usage(connection, stats)} | counted
    connection.execute("DELETE FROM policy_stat")
    connection.executemany(insert, [(index, *usage) for index, usage in kept.items()])
    if is_account:
        connection.execute(
            "UPDATE account_stat SET container_count = ?, object_count = ?, bytes_used = ?", _total(counted)
        )


def _usage(connection: sqlite3.Connection, query: str) -> Usage:
    return {index: tuple(value or 0 for value in usage) for index, *usage in connection.execute(query)}


def _total(usage: Usage) -> tuple[int, ...]:
    return tuple(sum(part) for part in zip(*usage.values(), strict=True)) or (0, 0, 0)
