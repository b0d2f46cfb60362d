"""Appending to pending files, whose descriptors stay open from one append to the next.

A Tail is the lock file and the pending file of one database. Both are found again by name under the lock: a directory
that was moved away (quarantined) or made anew is noticed before anything is written, and the tail opened again. Held
descriptors keep their inodes, so that equal numbers mean the same file.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from objstore.core.errors import InsufficientStorage, NotFound
from objstore.db.location import Location
from objstore.runtime.fs import Fs

IDLE_TAILS = 64
"""Open tails a worker keeps, two descriptors each."""


class Tail:
    """Used by one thread at a time. Opened and closed by its owner; the last reference closes it too."""

    __slots__ = ("_location", "_lock_fd", "_fd", "_lock_identity", "_identity", "_database_path")

    def __init__(self, location: Location, lock_fd: int, fd: int, database_path: str) -> None:
        self._location = location
        self._lock_fd = lock_fd
        self._fd = fd
        self._lock_identity = _identity_of(os.fstat(lock_fd))
        self._identity = _identity_of(os.fstat(fd))
        self._database_path = database_path

    @classmethod
    def open(cls, fs: Fs, location: Location) -> Tail:
        """Raises NotFound when there is no database, OSError."""
        database_path = location.current()
        if database_path is None:
            raise NotFound(location.hash)
        try:
            lock_fd = os.open(location.lock_path, os.O_RDWR | os.O_CREAT, 0o755)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(location.hash) from None
        try:
            fd = os.open(location.pending_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except BaseException:
            os.close(lock_fd)
            raise
        tail = cls(location, lock_fd, fd, database_path)
        # The file's name must be durable too, or its rows vanish with it at power loss. It may be there and yet not be
        # durable, when whoever made it was killed: so this is done whenever a tail is opened.
        fs.sync_directory(location.directory)
        return tail

    @property
    def directory(self) -> str:
        return self._location.directory

    def append(self, fs: Fs, records: Sequence[bytes], timeout_s: float) -> int | None:
        """Add records in one write and make them durable; how long the file is now. None, and nothing written, when the
        names lead elsewhere: open another tail. A write that fails half way leaves the file as it was.

        Raises NotFound when there is no database any more, LockTimeout, InsufficientStorage, OSError.
        """
        fs.acquire(self._lock_fd, self._location.lock_path, timeout_s)
        try:
            size_bytes = self._size_bytes()
            if size_bytes is None:
                return None
            data = b"".join(records)
            try:
                fs.write(self._fd, data)
                fs.sync_data(self._fd)
            except OSError as error:
                fs.truncate(self._fd, size_bytes)
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    reason = f"no room for pending rows: {error.strerror}"
                    raise InsufficientStorage(self._location.pending_path, reason) from error
                raise
            return size_bytes + len(data)
        finally:
            fs.release(self._lock_fd)

    def _size_bytes(self) -> int | None:
        """Of the pending file; None when the names are not those of our descriptors. The caller holds the lock."""
        try:
            if _identity_of(os.stat(self._location.lock_path)) != self._lock_identity:
                return None
            found = os.stat(self._location.pending_path)
            if _identity_of(found) != self._identity:
                return None
            os.stat(self._database_path)
        except (FileNotFoundError, NotADirectoryError):
            # Of two database files the older one may have gone, when a container has sharded.
            if self._location.current() is None:
                raise NotFound(self._location.hash) from None
            return None
        return found.st_size

    def close(self) -> None:
        """May be called twice."""
        for fd in (self._fd, self._lock_fd):
            if fd >= 0:
                os.close(fd)
        self._fd = self._lock_fd = -1

    def __del__(self) -> None:
        self.close()


class Tails:
    """Idle tails, one for a database; the least recently used go first. Used in the hub's thread alone."""

    def __init__(self, limit: int = IDLE_TAILS) -> None:
        self._limit = limit
        self._idle: dict[str, Tail] = {}

    def take(self, location: Location) -> Tail | None:
        return self._idle.pop(location.directory, None)

    def give(self, tail: Tail) -> None:
        self._idle[tail.directory] = tail
        if len(self._idle) > self._limit:
            self._idle.pop(next(iter(self._idle))).close()


def _identity_of(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
