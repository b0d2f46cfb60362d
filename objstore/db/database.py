"""One database on disk: reading it, changing it, adding rows, making it; and what all databases of a process share.

Account and container brokers stand on this. The rules it keeps:

- A change runs in a native thread of its device, under flock on the directory's `.lock`, and first merges what is
  pending, in the same transaction. It has returned only when the commit is durable.
- Rows are appended to the pending file (tail.py) in groups (appends.py), one fdatasync a group, from the hub where the
  device is quick.
- A read runs in place, on a handle that is kept open. It merges pending rows first. Where somebody holds the lock it
  waits a tenth of a second and then reads what is committed (stale reads are legal, formats 5.6).
- A database that SQLite or the stat row shows to be broken is quarantined at once, and Corrupt is raised.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

from objstore.core.errors import Corrupt, InsufficientStorage, LockTimeout, NotFound
from objstore.db import pending
from objstore.db.appends import AppendGroups
from objstore.db.connection import (
    BUSY_TIMEOUT_S,
    IDLE_CONNECTIONS,
    Busy,
    Handle,
    Handles,
    connect,
    is_corrupt,
    is_missing,
    is_unfit,
    patiently,
)
from objstore.db.kind import Kind
from objstore.db.location import Location
from objstore.db.quarantine import quarantine
from objstore.db.tail import Tail, Tails
from objstore.runtime import green
from objstore.runtime.device_threads import DeviceThreads
from objstore.runtime.disk_errors import disk_errors
from objstore.runtime.fs import Fs
from objstore.runtime.gates import Gates
from objstore.runtime.green_fs import GreenFs

T = TypeVar("T")

LOCK_TIMEOUT_S = 10.0
STALE_READ_WAIT_S = 0.1
THREADS_PER_DEVICE = 4
REOPENED_MAX = 3
"""How often an append begins anew because the directory was replaced under it."""

REMEMBERED = 4096
"""Databases whose names a process keeps at hand."""


class MissingStat(Exception):
    """The one row that says what a database is, is not there. Raised by readers; Database turns it into Corrupt."""


class Databases:
    """What the databases of one kind share in a process: threads, idle handles, groups of rows. Made after the fork."""

    def __init__(
        self, kind: Kind, logger: logging.Logger, fs: Fs | None = None, *, idle_connections: int = IDLE_CONNECTIONS
    ) -> None:
        """fs: how files change, from the hub and from native threads (tests pass one that fails)."""
        self.kind = kind
        self.logger = logger
        self.fs = fs or GreenFs()
        self.handles = Handles(idle_connections)
        self.tails = Tails()
        self.appends: AppendGroups[Database] = AppendGroups(_append)
        self.threads = DeviceThreads(THREADS_PER_DEVICE)
        self.gates = Gates()
        self.merging: set[str] = set()
        self._known: dict[tuple[str, str, str], Database] = {}

    def at(self, device_path: str, partition: str, hash_hex: str) -> Database:
        key = (device_path, partition, hash_hex)
        database = self._known.get(key)
        if database is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            location = Location(device_path, self.kind.datadir, partition, hash_hex)
            database = self._known[key] = Database(self, location)
        return database


class Database:
    """A database that may or may not be there. Cheap to make; holds nothing open."""

    __slots__ = ("shared", "location")

    def __init__(self, shared: Databases, location: Location) -> None:
        self.shared = shared
        self.location = location

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Database) and self.location.directory == other.location.directory

    def __hash__(self) -> int:
        return hash(self.location.directory)

    @property
    def exists(self) -> bool:
        return self.location.current() is not None

    def read(self, function: Callable[[sqlite3.Connection], T], *, path: str | None = None, fresh: bool = True) -> T:
        """What function finds in the current file (or the one at `path`). It may run again where the file was locked.

        fresh: merge pending rows first. Raises NotFound, Corrupt, LockTimeout, InsufficientStorage.
        """
        with disk_errors(self.location.device):
            if fresh and pending.size(self.location.pending_path):
                self._merge_for_reader()
            handle = self._take(path)
        try:
            value = patiently(lambda: function(handle.connection), green.sleep)
        except BaseException as error:
            self._drop(handle)
            raise self._judged(error, handle.path) from error
        self.shared.handles.give(handle)
        return value

    def write(
        self, function: Callable[[sqlite3.Connection], T], *, timeout_s: float = LOCK_TIMEOUT_S, migrate: bool = True
    ) -> T:
        """Merge what is pending and run function, in one durable transaction. It runs in a native thread: it must not
        log or wait. What it raises rolls everything back. Raises NotFound, Corrupt, LockTimeout, InsufficientStorage.
        """
        shared = self.shared
        with shared.gates.held(self.location.directory, timeout_s), disk_errors(self.location.device):
            while True:
                handle = self._take(None) if migrate else self._open(None)
                try:
                    done, value, skipped = shared.threads.run(
                        self.location.device_path, self._transact, handle, function, timeout_s
                    )
                except (Exception, sqlite3.Warning) as error:
                    self._drop(handle)
                    raise self._judged(error, handle.path) from error
                # A killed caller leaves the handle to the thread that still uses it.
                if done:
                    break
                handle.connection.close()
        shared.handles.give(handle)
        if skipped:
            shared.logger.error("path=%r records=%d: unreadable pending rows skipped", handle.path, skipped)
        return cast(T, value)

    def append(self, records: Sequence[bytes]) -> None:
        """Add rows (pending.object_record, pending.container_record). Returns when they are durable.

        Raises NotFound when there is no database, LockTimeout, InsufficientStorage.
        """
        with disk_errors(self.location.device):
            self.shared.appends.append(self, records)

    def flush(self, timeout_s: float = LOCK_TIMEOUT_S) -> None:
        """Merge what is pending."""
        if pending.size(self.location.pending_path):
            self.write(lambda connection: None, timeout_s=timeout_s)

    def create(self, initialize: Callable[[sqlite3.Connection], None]) -> bool:
        """Make the database, whole or not at all; False when it exists already. Raises InsufficientStorage,
        OSError and its kin."""
        with self.shared.gates.held(self.location.directory, LOCK_TIMEOUT_S), disk_errors(self.location.device):
            try:
                return self.shared.threads.run(self.location.device_path, self._create, initialize)
            except Exception as error:  # Told apart there; none is swallowed.
                raise self._judged(error, self.location.new_path) from error

    def locked(self, function: Callable[[], T], timeout_s: float = LOCK_TIMEOUT_S) -> T:
        """Run a function in a native thread under the directory's lock: for replacing the file itself."""

        def run() -> T:
            with self.shared.fs.lock(self.location.lock_path, timeout_s):
                return function()

        with self.shared.gates.held(self.location.directory, timeout_s), disk_errors(self.location.device):
            try:
                return self.shared.threads.run(self.location.device_path, run)
            finally:
                for path in self.location.files():
                    self.shared.handles.forget(path)

    def quarantine(self, path: str, reason: str) -> Corrupt:
        """Take the database out of service. Returns the error to raise."""
        self.shared.handles.forget(path)
        moved = quarantine(self.shared.fs, self.location)
        self.shared.logger.error("path=%r quarantined=%r reason=%r: broken database", path, moved, reason)
        return Corrupt(path, reason)

    # Below: run in the hub's thread

    def _take(self, path: str | None) -> Handle:
        """A handle whose tables are those of this release; the first use of an older database migrates it."""
        handle = self._open(path)
        if handle.is_checked:
            return handle
        kind = self.shared.kind
        try:
            is_old = patiently(lambda: kind.needs_migration(handle.connection), green.sleep)
        except BaseException as error:
            self._drop(handle)
            raise self._judged(error, handle.path) from error
        if is_old:
            self.shared.handles.give(handle)
            self.write(kind.migrate, migrate=False)
            handle = self._open(path)
        handle.is_checked = True
        return handle

    def _open(self, path: str | None) -> Handle:
        path = path or self.location.current()
        if path is None:
            raise NotFound(self.location.hash)
        try:
            return patiently(lambda: self.shared.handles.take(path), green.sleep)
        except FileNotFoundError:
            raise NotFound(self.location.hash) from None
        except (sqlite3.Error, Busy) as error:
            raise self._judged(error, path) from error

    def _drop(self, handle: Handle) -> None:
        """Close a handle after an error; one that was left in a transaction must not be used again."""
        handle.connection.close()

    def _judged(self, error: BaseException, path: str) -> BaseException:
        """The domain error for what went wrong with the file at `path`; a broken file is quarantined on the way."""
        if isinstance(error, MissingStat):
            return self.quarantine(path, f"no row in {self.shared.kind.stat_table}")
        if isinstance(error, Busy):
            return LockTimeout(path, BUSY_TIMEOUT_S)
        if isinstance(error, FileNotFoundError):
            return NotFound(self.location.hash)
        if isinstance(error, sqlite3.Error):
            if is_corrupt(error):
                return self.quarantine(path, str(error))
            if is_missing(error) and not os.path.exists(path):
                return NotFound(self.location.hash)
            if is_unfit(error):
                return InsufficientStorage(self.location.device, f"{path}: {error}")
        return error

    def _merge_for_reader(self) -> None:
        try:
            self.flush(STALE_READ_WAIT_S)
        except LockTimeout:
            return  # Somebody else is changing it: what is committed will do.

    # Below: run in a native thread

    def _transact(
        self, handle: Handle, function: Callable[[sqlite3.Connection], T], timeout_s: float
    ) -> tuple[bool, T | None, int]:
        """(False, …) when the file was replaced before the lock was ours."""
        connection, location = handle.connection, self.location
        with self.shared.fs.lock(location.lock_path, timeout_s):
            if not handle.is_current() or location.current() != handle.path:
                return False, None, 0
            waiting = pending.read(location.pending_path)
            rows, skipped = pending.parse(waiting, self.shared.kind.parse_row)
            patiently(lambda: connection.execute("BEGIN IMMEDIATE"), time.sleep)
            try:
                if rows:
                    self.shared.kind.merge_rows(connection, rows)
                value = function(connection)
                patiently(lambda: connection.execute("COMMIT"), time.sleep)
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            if waiting:
                pending.clear(self.shared.fs, location.pending_path)
        return True, value, skipped

    def _create(self, initialize: Callable[[sqlite3.Connection], None]) -> bool:
        fs, location = self.shared.fs, self.location
        directory = location.directory
        fs.make_directories(directory)
        fd, temporary = fs.open_temporary(directory, suffix=".db.tmp")
        try:
            os.close(fd)
            _fill(temporary, initialize)
            # SQLite's handle is closed: reopening the file here releases no lock of it.
            fd = os.open(temporary, os.O_RDONLY)
            try:
                fs.sync(fd)
            finally:
                os.close(fd)
            with fs.lock(location.lock_path, LOCK_TIMEOUT_S):
                if location.current() is not None:
                    return False
                fs.rename_durable(temporary, location.new_path)
        finally:
            fs.unlink(temporary)
        return True


def _fill(path: str, initialize: Callable[[sqlite3.Connection], None]) -> None:
    """Write a new file without a journal: it has no name yet that anybody would look for."""
    connection = connect(path)
    try:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = MEMORY")
        connection.execute("BEGIN IMMEDIATE")
        initialize(connection)
        connection.execute("COMMIT")
    finally:
        connection.close()


def _append(database: Database, records: Sequence[bytes]) -> None:
    """AppendGroups' write: one batch of one database."""
    shared, location = database.shared, database.location
    shared.gates.enter(location.directory, LOCK_TIMEOUT_S)
    try:
        # Whoever is killed leaves the tail to the thread that may still use it.
        tail = shared.tails.take(location)
        tail, size_bytes = shared.threads.run_short(
            location.device_path, _append_at, shared.fs, location, tail, records
        )
        shared.tails.give(tail)
    finally:
        shared.gates.leave(location.directory)
    if size_bytes > pending.PENDING_CAP_BYTES and location.directory not in shared.merging:
        shared.merging.add(location.directory)
        green.spawn(_merge, database)


def _append_at(fs: Fs, location: Location, tail: Tail | None, records: Sequence[bytes]) -> tuple[Tail, int]:
    """(the tail to keep, bytes that are pending now). Raises NotFound."""
    for _ in range(REOPENED_MAX):
        if tail is None:
            tail = Tail.open(fs, location)
        size_bytes = tail.append(fs, records, LOCK_TIMEOUT_S)
        if size_bytes is not None:
            return tail, size_bytes
        tail = None
    raise LockTimeout(location.lock_path, LOCK_TIMEOUT_S)


def _merge(database: Database) -> None:
    """A file that has grown long is merged now; the writer who made it so does not wait for that."""
    shared = database.shared
    try:
        database.flush()
    except Exception as error:  # The rows are durable; the next reader or writer tries again.
        shared.logger.error("hash=%s error=%r: pending rows not merged", database.location.hash, error)
    finally:
        shared.merging.discard(database.location.directory)
