"""What a process remembers of containers it syncs, between passes: which rows above the durable point are there. Pure.

Point 2 of a container stops before the first row that could not be brought, however many behind it were. Remembering
those saves asking the other cluster about them again in every pass. It is memory alone: a process that starts anew asks
again, and nothing depends on it.
"""

from __future__ import annotations

from collections.abc import Iterable

REMEMBERED_MAX = 200_000
"""Rows, of all containers together; past it everything is forgotten."""


class Progress:
    """Of one container since it has its target: the same one set again may mean that all is to be brought again.
    resume: the ROWID after which the next pass tries rows again."""

    __slots__ = ("since", "confirmed", "resume")

    def __init__(self, since: str) -> None:
        self.since = since
        self.confirmed: set[int] = set()
        self.resume = -1

    def reached(self, done: int, row_ids: Iterable[int]) -> int:
        """How far everything is confirmed. row_ids: those above `done`, in order."""
        for row_id in row_ids:
            if row_id not in self.confirmed:
                break
            done = row_id
        return done

    def forget_through(self, done: int) -> None:
        self.confirmed = {row_id for row_id in self.confirmed if row_id > done}


class Memory:
    """Progress of containers by database id."""

    def __init__(self, most: int = REMEMBERED_MAX) -> None:
        self._most = most
        self._known: dict[str, Progress] = {}

    def of(self, database_id: str, since: str) -> Progress:
        known = self._known.get(database_id)
        if known is None or known.since != since:
            known = self._known[database_id] = Progress(since)
        return known

    def tidy(self) -> None:
        """Called between passes."""
        if sum(len(known.confirmed) + 1 for known in self._known.values()) > self._most:
            self._known.clear()
