"""Which databases have not changed since they were last found in order: a pass over many quiet ones opens none.

A database is known by its files as stat() shows them. A file that changed in the last moments may change once more
without showing it (clocks of file systems tick every few milliseconds): such a one is never believed.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from objstore.db.location import Location

REMEMBERED_MAX = 100_000
"""Databases remembered per process, some 300 bytes each; the others are opened in every pass."""
_TICK_NS = 1_000_000_000


class Look(NamedTuple):
    """How a database stood. newest_ns: when it last changed."""

    files: tuple[tuple[int, int, int], ...]
    newest_ns: int


def look(location: Location) -> Look | None:
    """None when there is no database, or it cannot be looked at. Blocks; for native threads."""
    try:
        paths = location.files()
        status = [os.stat(path) for path in paths]
        if not status:
            return None
        try:
            status.append(os.stat(location.pending_path))
        except FileNotFoundError:
            pass
    except OSError:
        return None
    return Look(
        tuple((each.st_ino, each.st_size, each.st_mtime_ns) for each in status),
        max(each.st_mtime_ns for each in status),
    )


class Seen:
    def __init__(self, limit: int = REMEMBERED_MAX) -> None:
        self._limit = limit
        self._looks: dict[str, Look] = {}

    def is_unchanged(self, location: Location, now: Look) -> bool:
        return self._looks.get(location.directory) == now

    def remember(self, location: Location, before: Look, now_s: float) -> None:
        """There was nothing to do. before: how it stood before that was found out; now_s: wall time of that look."""
        if now_s * 1e9 - before.newest_ns < _TICK_NS:
            return
        if location.directory in self._looks or len(self._looks) < self._limit:
            self._looks[location.directory] = before

    def forget_others(self, directories: set[str]) -> None:
        """Databases that a whole pass has not found are gone."""
        for directory in self._looks.keys() - directories:
            del self._looks[directory]
