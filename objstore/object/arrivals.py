"""Rows that are about to be handed in for delivery, so that who sends next can take them along.

Whoever has received a request that will make a row announces it to the row's target before the slow part, the syncs of
the object's file. Who is to send to that target waits a moment for those that are announced; when none is, not at all:
a lone row goes at once, and a busy server sends many rows in one request. What is announced and does not come (the disk
is full, or slow) delays others by no more than the patience.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from objstore.object.waiting import Ticket, WaitingRoom
from objstore.runtime.green import call_after

Target = TypeVar("Target")


class Arrivals(Generic[Target]):
    """patience_s: how long to wait for what is announced. Used in the hub's thread alone."""

    def __init__(self, patience_s: float) -> None:
        self._room = WaitingRoom(patience_s, grain_s=patience_s)
        self._announced: dict[Target, int] = {}
        self._waiting: dict[Target, Ticket] = {}
        self._quiet: list[Target] = []

    def announced(self, targets: Iterable[Target]) -> Announced[Target]:
        """with arrivals.announced(targets): a row for each of them is handed in as soon as the block is left, in the
        same turn of the hub, or will not come."""
        return Announced(self, targets)

    def wait(self, target: Target) -> None:
        """Until nothing is announced for the target, or the patience is over. One green thread per target."""
        if target not in self._announced:
            return
        ticket = self._waiting[target] = Ticket()
        try:
            self._room.wait(ticket)
        finally:
            self._waiting.pop(target, None)

    def _announce(self, target: Target) -> None:
        self._announced[target] = self._announced.get(target, 0) + 1

    def _came(self, target: Target) -> None:
        left = self._announced[target] - 1
        if left:
            self._announced[target] = left
            return
        del self._announced[target]
        if target in self._waiting:
            # In the next turn of the hub: this row itself is still to be handed in, and that turn may announce more.
            if not self._quiet:
                call_after(0, self._wake_quiet)
            self._quiet.append(target)

    def _wake_quiet(self) -> None:
        quiet, self._quiet = self._quiet, []
        for target in quiet:
            ticket = self._waiting.get(target)
            if ticket is not None and target not in self._announced:
                self._room.tell_now(ticket, True)


class Announced(Generic[Target]):
    __slots__ = ("_arrivals", "_targets")

    def __init__(self, arrivals: Arrivals[Target], targets: Iterable[Target]) -> None:
        self._arrivals = arrivals
        self._targets = targets

    def __enter__(self) -> None:
        for target in self._targets:
            self._arrivals._announce(target)

    def __exit__(self, *_: object) -> None:
        for target in self._targets:
            self._arrivals._came(target)
