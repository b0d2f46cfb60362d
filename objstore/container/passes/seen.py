"""Which databases have not changed since they were last found in order: a pass over many quiet ones opens none.

Now and then it is worth a look all the same: an interval after its last change, after twice that, four times, and so
on (passes/update.py says what for).

A database is known by its files as stat() shows them. A file that changed in the last moments may change once more
without showing it (clocks of file systems tick every few milliseconds): such a one is never believed.
"""

from __future__ import annotations

import math
import os
from typing import NamedTuple

from objstore.db.location import Location

REMEMBERED_MAX = 100_000
"""Databases remembered per process, some 300 bytes each; the others are opened in every pass."""
_TICK_NS = 1_000_000_000


class Look(NamedTuple):
    """The state of a database's files at one look. newest_ns: when it last changed."""

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
    """again_s: how long after a change a database that was in order is due for the first time; 0: never."""

    def __init__(self, limit: int = REMEMBERED_MAX, again_s: float = 0.0) -> None:
        self._limit = limit
        self._again_s = again_s
        self._looks: dict[str, Look] = {}
        self._due_s: dict[str, tuple[float, float]] = {}

    def is_unchanged(self, location: Location, now: Look) -> bool:
        return self._looks.get(location.directory) == now

    def is_due(self, location: Location, now_s: float) -> bool:
        """Whether one that is unchanged is to be looked after again. now_s: wall time.

        Where the clock went back since, what it said then is worth nothing: a date ahead might be years away."""
        noted_s, due_s = self._due_s.get(location.directory, (-math.inf, math.inf))
        return now_s >= due_s or now_s < noted_s

    def remember(self, location: Location, before: Look, now_s: float) -> None:
        """There was nothing to do. before: how it stood before that was found out; now_s: wall time of that look.

        A file dated ahead of us (its clock was wrong) is believed, too: its next change shows, having another date."""
        age_s = now_s - before.newest_ns / 1e9
        if abs(age_s) * 1e9 < _TICK_NS:
            return
        if location.directory in self._looks or len(self._looks) < self._limit:
            self._looks[location.directory] = before
            if self._again_s:
                # At twice its age: that needs no memory of the times before, and a restart begins no new round.
                self._due_s[location.directory] = now_s, now_s + max(self._again_s, age_s)

    def forget_others(self, directories: set[str]) -> None:
        """Databases that a whole pass has not found are gone."""
        for directory in self._looks.keys() - directories:
            del self._looks[directory]
            self._due_s.pop(directory, None)
