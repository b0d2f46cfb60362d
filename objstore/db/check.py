"""Whether a database lies where its names say: the proof that the hash secrets are those of the data.

With other secrets every path is wrong and every lookup misses; a server that starts like that serves an empty cluster
and makes a second copy of everything (pitfall 17).
"""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

from objstore.core.hashing import HashSecrets
from objstore.db.connection import Busy, connect, patiently

_SIDE_FILES = ("-journal", "-wal", "-shm")
"""What SQLite would believe more than the file itself."""


def path_matches(db_path: Path | str, secrets: HashSecrets) -> bool:
    """False when the names stored in a database, hashed with these secrets, do not give the name of its file.

    One that cannot be read proves nothing, and is True: auditors quarantine it.
    """
    hash_hex = os.path.basename(db_path).removesuffix(".db").partition("_")[0]
    try:
        return secrets.hash_path(*names_in(db_path)) == hash_hex
    except ValueError:
        return True


def names_in(db_path: Path | str) -> tuple[str, ...]:
    """(account,) or (account, container) that a database says it is. Raises ValueError."""
    try:
        connection = patiently(lambda: connect(str(db_path)), time.sleep)
    except (sqlite3.Error, Busy) as error:
        raise ValueError(f"{db_path}: {error}") from error
    try:
        for query in ("SELECT account, container FROM container_stat", "SELECT account FROM account_stat"):
            try:
                row = connection.execute(query).fetchone()
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):
                    continue
                raise
            if row is not None:
                return tuple(str(name) for name in row)
    except sqlite3.Error as error:
        raise ValueError(f"{db_path}: {error}") from error
    finally:
        connection.close()
    raise ValueError(f"{db_path}: neither an account nor a container database")


def arrived_problem(path: str, secrets: HashSecrets, hash_hex: str) -> str:
    """What is wrong with a file that a peer sent as the database of a hash, "" for nothing. Blocks."""
    if os.path.islink(path) or not os.path.isfile(path):
        return "not a file"
    if any(os.path.lexists(f"{path}{suffix}") for suffix in _SIDE_FILES):
        return "a journal lies beside it"
    try:
        names = names_in(path)
        if secrets.hash_path(*names) != hash_hex:
            return f"it is the database of {'/'.join(names)}"
        return integrity_problem(path)
    except ValueError as error:
        return str(error)


def integrity_problem(path: str) -> str:
    """What SQLite finds wrong with a whole file, "" for nothing. Reads all of it; blocks."""
    try:
        connection = patiently(lambda: connect(path), time.sleep)
        try:
            (found,) = patiently(lambda: connection.execute("PRAGMA quick_check(1)").fetchone(), time.sleep)
        finally:
            connection.close()
    except (sqlite3.Error, Busy) as error:
        return str(error)
    return "" if found == "ok" else str(found)
