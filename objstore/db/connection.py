"""SQLite as account and container databases use it: one way to open, one way to wait, one judgement of errors.

Databases rest in journal_mode=DELETE, so that a foreign replicator can copy the file alone (formats 5.1). Every
connection has the function chexor() that the triggers call. synchronous=EXTRA: after the journal is removed its
directory is synced too, or a power cut could bring the journal back and undo a commit that was acknowledged.

Handles are kept open per file, a bounded number of them, and dropped when the path names another file (a replica that
was copied in, quarantined or made anew).
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote

from objstore.db.merge import listed_type

T = TypeVar("T")

BUSY_TIMEOUT_S = 25.0
IDLE_CONNECTIONS = 128
"""Idle handles a server's worker keeps open. Each is a descriptor or two, and at most CACHE_KIB of pages."""

IDLE_CONNECTIONS_OF_A_WALK = 8
"""The same for a pass over all databases: it comes back to none before the next pass, and open handles cost memory."""

CACHE_KIB = 256
"""Pages SQLite keeps per handle. The kernel keeps the file; SQLite's default of 2 MiB would add up to 256 MiB."""

_PAUSES_S = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05)
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_BROKEN_IO = frozenset(
    {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS}
)
"""Errors of reading. Those of locks, memory and vanished journals say nothing about the bytes on disk."""

_UNFIT = frozenset(
    {
        sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_READONLY_DIRECTORY, sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC, sqlite3.SQLITE_IOERR_TRUNCATE,
        sqlite3.SQLITE_IOERR_FSTAT, sqlite3.SQLITE_IOERR_DELETE,
    }
)  # fmt: skip
"""Errors of writing: they, too, say nothing about what is there already."""


class Busy(Exception):
    """Another process held the database's own lock for BUSY_TIMEOUT_S."""


def chexor(old: str, name: str, text: str) -> str:
    """The replication hash with one row put in or taken out: old XOR MD5(name-text), 32 hex digits (formats 5.1)."""
    digest = hashlib.md5(f"{name}-{text}".encode("utf-8", "surrogateescape"), usedforsecurity=False).digest()
    return f"{int(old, 16) ^ int.from_bytes(digest, 'big'):032x}"


def connect(path: str, *, create: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode that any one thread at a time may use. Raises sqlite3.Error; never makes a file
    unless told to."""
    mode = "rwc" if create else "rw"
    connection = sqlite3.connect(
        f"file:{quote(path)}?mode={mode}", uri=True, timeout=0, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA synchronous = EXTRA")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.create_function("chexor", 3, chexor, deterministic=True)
        connection.create_function("listed_type", 1, listed_type, deterministic=True)
    except BaseException:
        connection.close()
        raise
    return connection


def patiently(function: Callable[[], T], sleep: Callable[[float], None], timeout_s: float = BUSY_TIMEOUT_S) -> T:
    """Call a function until SQLite does not say locked. Raises Busy, or what the function raises."""
    waited, attempt = 0.0, 0
    while True:
        try:
            return function()
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
            if waited >= timeout_s:
                raise Busy(str(error)) from error
        pause = _PAUSES_S[min(attempt, len(_PAUSES_S) - 1)]
        sleep(pause)
        waited, attempt = waited + pause, attempt + 1


def is_busy(error: sqlite3.Error) -> bool:
    return _code(error) & 0xFF in _BUSY


def is_unfit(error: sqlite3.Error) -> bool:
    """The disk takes nothing: it is full, failing, or read-only since it failed."""
    return _code(error) in _UNFIT


def is_missing(error: sqlite3.Error) -> bool:
    """The file could not be opened, or was moved away under an open handle."""
    code = _code(error)
    return code & 0xFF == sqlite3.SQLITE_CANTOPEN or code == sqlite3.SQLITE_READONLY_DBMOVED


def is_corrupt(error: sqlite3.Error) -> bool:
    """Malformed, not a database, unreadable, or without its tables (formats 5.9)."""
    code = _code(error)
    if code & 0xFF in _BROKEN or code in _BROKEN_IO:
        return True
    return code == sqlite3.SQLITE_ERROR and "no such table" in str(error)


@dataclass(slots=True)
class Handle:
    """An open database file. identity: (device, inode) of the file when it was opened. is_checked: whether its tables
    are known to be those of this release."""

    path: str
    connection: sqlite3.Connection
    identity: tuple[int, int]
    is_checked: bool = False

    def __del__(self) -> None:
        # One that a killed caller left to its thread ends here, when the thread lets go of it.
        self.connection.close()

    def is_current(self) -> bool:
        """Whether the path still names this very file."""
        try:
            return identity_of(self.path) == self.identity
        except FileNotFoundError:
            return False


def identity_of(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


class Handles:
    """Idle handles; the least recently used go first. Only the hub's thread takes and gives back."""

    def __init__(self, limit: int = IDLE_CONNECTIONS) -> None:
        self._limit = limit
        self._idle: OrderedDict[str, list[Handle]] = OrderedDict()
        self._count = 0

    def take(self, path: str) -> Handle:
        """A handle nobody else uses. Raises FileNotFoundError, sqlite3.Error."""
        identity = identity_of(path)
        idle = self._idle.get(path)
        while idle:
            handle = idle.pop()
            self._count -= 1
            if not idle:
                del self._idle[path]
            if handle.identity == identity:
                return handle
            handle.connection.close()
        return Handle(path, connect(path), identity)

    def give(self, handle: Handle) -> None:
        """Keep a handle for the next one who needs it."""
        self._idle.setdefault(handle.path, []).append(handle)
        self._idle.move_to_end(handle.path)
        self._count += 1
        while self._count > self._limit:
            path, oldest = next(iter(self._idle.items()))
            oldest.pop(0).connection.close()
            self._count -= 1
            if not oldest:
                del self._idle[path]

    def forget(self, path: str) -> None:
        """Close what is idle for a path."""
        for handle in self._idle.pop(path, []):
            self._count -= 1
            handle.connection.close()

    def close(self) -> None:
        for path in list(self._idle):
            self.forget(path)


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", None) or sqlite3.SQLITE_OK
