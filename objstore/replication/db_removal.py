"""Taking a database off a device for good: after a handoff went home, or long after its deletion.

Everything happens under the directory's lock, after a last look that nothing has changed since the other replicas
confirmed what they have: a row that arrived in between keeps the database. Whoever waits for the lock finds the
database gone when it gets it, and says so (404) to its caller. Nothing here is ever done on a doubt.
"""

from __future__ import annotations

import os
import time

from objstore.db import pending
from objstore.db.connection import connect, patiently
from objstore.db.database import Database
from objstore.db.location import Location
from objstore.db.outbound import local_state
from objstore.runtime.fs import Fs

_LEFTOVERS = (".db.pending", ".db-journal")


def remove_unchanged(database: Database, fingerprint: tuple[object, ...]) -> bool:
    """Remove a database whose LocalState.fingerprint is still this one, durably; False when something has changed.

    Raises LockTimeout, OSError, sqlite3.Error.
    """
    location, fs = database.location, database.shared.fs

    def remove() -> bool:
        files = location.files()
        if len(files) != 1 or pending.size(location.pending_path):
            return False
        connection = patiently(lambda: connect(files[0]), time.sleep)
        try:
            if patiently(lambda: local_state(connection, location.datadir), time.sleep).fingerprint != fingerprint:
                return False
        finally:
            connection.close()
        fs.unlink(files[0])
        fs.sync_directory(location.directory)
        _remove_directories(fs, location)
        return True

    return database.locked(remove)


def remove_empty(database: Database) -> bool:
    """Clear away the directories of a database that is gone; False when there is something in them after all.

    Raises LockTimeout, OSError.
    """
    location = database.location

    def remove() -> bool:
        if location.files() or pending.size(location.pending_path):
            return False
        _remove_directories(database.shared.fs, location)
        return True

    try:
        return database.locked(remove)
    except FileNotFoundError:
        return True


def _remove_directories(fs: Fs, location: Location) -> None:
    """Under the directory's lock, which goes last: whoever waits for it sees that its file has gone (Fs.lock)."""
    for suffix in _LEFTOVERS:
        fs.unlink(f"{location.directory}/{location.hash}{suffix}")
    fs.unlink(location.lock_path)
    directory = location.directory
    for _ in ("hash", "suffix", "partition"):
        if not fs.remove_directory(directory):
            return
        directory = os.path.dirname(directory)


def remove_old_copies(fs: Fs, location: Location, before_s: float) -> int:
    """Remove *.tmp in the directory that nobody has touched since a wall time: what a crash left of a copy or of a
    database in the making (formats 5.1). How many. Blocks."""
    removed = 0
    try:
        names = os.listdir(location.directory)
    except (FileNotFoundError, NotADirectoryError):
        return 0
    for name in names:
        path = f"{location.directory}/{name}"
        if name.endswith((".tmp", ".tmp-journal")) and _changed_s(path) < before_s:
            removed += fs.unlink(path)
    return removed


def _changed_s(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return float("inf")
