"""What a change does to one ring: its devices, the steps partitions move in, and why it may be refused. Pure.

Called by cluster/holder.py for every ring of a change. The rules, in this order:
  - no replica that might be the last one is given up: a drive leaves when it is empty, or is known to be dead;
  - replicas of a partition lie in different failure domains where there are enough: for that, drives take more than
    their weight (overload) while they have the room; a plan that still brings two together is refused;
  - one replica of a partition moves per step, and the next step waits for min_part_hours (ring/rebalance.py).
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from objstore.cluster import device_changes
from objstore.cluster.change_plan import DriveMoves, Place, RingMoves, Step, Usage
from objstore.cluster.changes import AddDrives, Change
from objstore.cluster.device_changes import ChangeRefused
from objstore.ring.builder import BuilderError, RingBuilder
from objstore.runtime.listen import shown

STEPS_SHOWN = 6
"""A drain takes one for each replica that a partition has on the drives that go: three at the most, mostly."""
_OVERLOAD_GRAIN = 1000
"""Overloads are rounded up to a tenth of a percent: people read them."""


@dataclass(frozen=True, slots=True)
class Placed:
    """builder: as after the first step. notes: sentences an operator should read before saying yes."""

    builder: RingBuilder
    moves: RingMoves
    notes: tuple[str, ...]


def place(ring: str, builder: RingBuilder, change: Change, now_s: int, usage: Usage) -> Placed:
    """Plan a change of one ring; the builder is left alone. The same arguments give the same table. Raises
    ChangeRefused."""
    changed = copy.deepcopy(builder)
    try:
        notes = device_changes.make(changed, ring, change, now_s)
        return _Trial(ring, builder, changed, notes, now_s, usage).best(is_growing=isinstance(change, AddDrives))
    except BuilderError as error:
        raise ChangeRefused(f"{ring} ring: {error}") from None


@dataclass(frozen=True, slots=True)
class _Trial:
    """A change of one ring, to be placed by weight alone or with replicas kept apart at the cost of weight. before, and
    changed, which has the new devices and the old table, are left alone."""

    ring: str
    before: RingBuilder
    changed: RingBuilder
    notes: list[str]
    now_s: int
    usage: Usage

    def best(self, *, is_growing: bool) -> Placed:
        """By weight, unless that brings replicas together. New drives are the occasion to part those that are together
        already; other changes move no more than they must."""
        if self._needed_overload() <= self.changed.overload:
            return self._by_weight()
        if is_growing:
            apart, full = self._apart()
            return apart if full is None else self._together(full)
        try:
            return self._by_weight()
        except ChangeRefused as error:
            apart, full = self._apart()
            if full is not None:
                raise ChangeRefused(*error.reasons, f"{self.ring} ring: {full}, so it cannot take them") from None
            return apart

    def _needed_overload(self) -> float:
        """What drives must be let take above their weight, so that no domain needs two replicas while others have
        none."""
        return math.ceil(self.changed.plan().required_overload * _OVERLOAD_GRAIN - 1e-6) / _OVERLOAD_GRAIN

    def _by_weight(self, *more: str) -> Placed:
        return _placed(
            self.ring, self.before, copy.deepcopy(self.changed), self.now_s, self.usage, [*self.notes, *more]
        )

    def _apart(self) -> tuple[Placed, str | None]:
        """(with the overload that keeps replicas apart, a drive that has no room for it)."""
        builder, overload = copy.deepcopy(self.changed), self._needed_overload()
        builder.set_overload(overload)
        said = f"{self.ring} ring: overload becomes {overload:.1%}: replicas of a partition stay in different domains"
        placed = _placed(self.ring, self.before, builder, self.now_s, self.usage, [*self.notes, said])
        return placed, next(_overfilled(placed.moves, self.usage), None)

    def _together(self, full: str) -> Placed:
        """By weight, for want of room."""
        return self._by_weight(
            f"{self.ring} ring: {full}: replicas of some partitions stay together in one domain until there is more"
        )


def _placed(ring: str, before: RingBuilder, changed: RingBuilder, now_s: int, usage: Usage, notes: list[str]) -> Placed:
    seed = f"{ring} {changed.version}"
    changed.rebalance(now_s=now_s, seed=seed)
    first = Step(sum(drive.gains for drive in _drive_moves(before, changed)), 0)
    last = copy.deepcopy(changed)
    found, is_more = _following(last, first, now_s, seed)
    moves = RingMoves(ring, found, is_more, usage.partition_bytes.get(ring), _drive_moves(before, last))
    together = 0 if is_more else _brought_together(before, last)
    if together:
        raise ChangeRefused(
            f"{ring} ring: {together} replicas would come together with another of their partition in one failure "
            "domain while others have room: add drives to the other domains first, or lower the replicas"
        )
    full = [f"{ring} ring: {text}: uploads there will be refused" for text in _overfilled(moves, usage)]
    return Placed(changed, moves, (*notes, *full))


# Steps


def _following(builder: RingBuilder, first: Step, now_s: int, seed: str) -> tuple[tuple[Step, ...], bool]:
    """The first step and those after it, and whether there are more than are shown. builder goes on as if time
    passed."""
    found = [first]
    while len(found) <= STEPS_SHOWN:
        wait_s, moved = _next_step(builder, now_s, seed)
        if not moved:
            return tuple(found), False
        now_s += wait_s
        found.append(Step(moved, wait_s))
    return tuple(found[:STEPS_SHOWN]), True


def _next_step(builder: RingBuilder, now_s: int, seed: str) -> tuple[int, int]:
    """(seconds to wait, replicas moved then). What shares a host with another replica need not wait: try at once."""
    for wait_s in sorted({0, builder.seconds_until_moves(now_s)}):
        report = builder.rebalance(now_s=now_s + wait_s, seed=seed)
        if report.changed_partitions:
            return wait_s, report.moved_count + report.placed_count
    return 0, 0


# Numbers


def _drive_moves(before: RingBuilder, after: RingBuilder) -> tuple[DriveMoves, ...]:
    gains, gives = Counter[Place](), Counter[Place]()
    old_places, new_places = _places(before), _places(after)
    for row_number, row in enumerate(after.rows or ()):
        old_row = before.rows[row_number] if before.rows and row_number < len(before.rows) else ()
        for partition, device in enumerate(row):
            new = new_places[device]
            old = old_places.get(old_row[partition]) if partition < len(old_row) else None
            if old != new:
                gains[new] += 1
                if old is not None:
                    gives[old] += 1
    return tuple(DriveMoves(*place, gains[place], gives[place]) for place in sorted({*gains, *gives}))


def _overfilled(moves: RingMoves, usage: Usage) -> Iterator[str]:
    """Drives that would get more than there is room for, as far as that is known."""
    for drive in moves.drives:
        room = usage.room.get((drive.ip, drive.port, drive.device))
        coming = (drive.gains - drive.gives) * (moves.partition_bytes or 0)
        if room is not None and coming > room:
            where = f"{shown((drive.ip, drive.port))}/{drive.device}"
            yield f"{where} would get {coming} bytes more and has room for {room}"


def _places(builder: RingBuilder) -> dict[int, Place]:
    return {device.id: (device.ip, device.port, device.device) for device in builder.live_devices()}


def _brought_together(before: RingBuilder, after: RingBuilder) -> int:
    """Replicas that share a domain with another of their partition more than before, though other domains of that kind
    (regions, zones, hosts, drives) have room for them; at the worst of the kinds."""
    together, still = _together(before), _together(after)
    plan, excess = after.plan(), Counter[int]()
    for number, tier in enumerate(plan.names):
        if plan.share[number] > 0:
            excess[len(tier)] += _beyond(after.graph.get(tier, ()), plan.spread[number])
    return max((min(still[level] - together[level], excess[level]) for level in excess), default=0)


def _together(builder: RingBuilder) -> Counter[int]:
    """Level (1 region … 4 drive) → replicas that are not the only one of their partition in their domain."""
    found = Counter[int]()
    if builder.rows is not None and any(device.weight > 0 for device in builder.live_devices()):
        builder.recalculate_dispersion()
        for tier, histogram in builder.graph.items():
            found[len(tier)] += _beyond(histogram, 1)
    return found


def _beyond(histogram: Sequence[int], most: int) -> int:
    """histogram[n]: partitions with n replicas."""
    return sum((n - most) * count for n, count in enumerate(histogram) if n > most)
