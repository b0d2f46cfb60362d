"""Who holds which partition: the smallest change that makes a table fit its devices. Pure; the same for the same seed.

Called by builder.RingBuilder. Steps, each keeping what the ones before have reached:
  1. place      lost and new replicas. A table without any is filled by sampling.
  2. disperse   partitions with more replicas in a tier than it should have, or fewer: one replica of each moves
  3. balance    replicas go from devices with too many to devices with too few, wherever dispersion does not suffer
  4. chain      what is left over goes by way of third devices (chains)
One replica of a partition moves per rebalance, and none that moved less than min_part_hours ago, so that two of three
are always where everybody expects them. Lost replicas know no such rule; nor does a replica that shares its host or
device with another one and can go where none is: one fault would take both, and the other one stays.
doc/decisions/0003-ring-rebalance.md.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from objstore.ring.chains import move_along_chains
from objstore.ring.model import Row
from objstore.ring.plan import Plan
from objstore.ring.sampling import Sampler
from objstore.ring.workspace import Workspace

NO_FAULTS = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A new table, and what came of it.

    changed: per partition, 1 when a replica of it has another device. moved_count, placed_count: replicas that changed
    device, and that had none. misplaced_count: partitions that another rebalance could disperse better; surplus_count:
    replicas still to move to devices that lack them.
    """

    rows: list[Row[int]]
    changed: bytes
    moved_count: int
    placed_count: int
    misplaced_count: int
    surplus_count: int


def rebalance(rows: Sequence[Row[int]], plan: Plan, is_locked: Callable[[int], bool], random: Random) -> Outcome:
    """The table after one rebalance. rows: left alone; entries without a device have all bits set.

    Every device in rows must be in the plan, every row but the last be full. is_locked(partition): moved too recently.
    """
    space = Workspace([row[:] for row in rows], plan, is_locked, random)
    lost = _lost_replicas(space)
    if sum(map(len, lost.values())) == sum(map(len, rows)):
        _fill(space)
    else:
        _place(space, lost)
        _disperse(space)
        _balance(space)
        move_along_chains(space)
    return _outcome(rows, space)


def _lost_replicas(space: Workspace) -> dict[int, list[int]]:
    """Numbers of the rows without a device, by partition."""
    lost: dict[int, list[int]] = {}
    for number, row in enumerate(space.rows):
        position = -1
        for _ in range(row.count(space.unassigned)):
            position = row.index(space.unassigned, position + 1)
            lost.setdefault(position, []).append(number)
            space.release(position, number)
    return lost


def _fill(space: Workspace) -> None:
    """Everything anew."""
    count = space.partition_count
    samples = list(Sampler(space.plan, space.target, space.random).samples(count))
    # Partitions beyond the end of a short last row have one replica less; samples are as short as targets demand.
    samples.sort(key=len, reverse=True)
    split = len(space.rows[-1])
    head, tail = samples[:split], samples[split:]
    space.random.shuffle(head)
    space.random.shuffle(tail)
    for partition, devices in enumerate(head + tail):
        space.random.shuffle(devices)
        for row_number, device in enumerate(devices):
            space.put(partition, row_number, device)


def _place(space: Workspace, lost: dict[int, list[int]]) -> None:
    partitions = list(lost)
    space.random.shuffle(partitions)
    for partition in partitions:
        for row_number in lost[partition]:
            device = _best_place(space, space.counts(partition))
            assert device is not None, f"partition {partition}: every tier is full"
            space.put(partition, row_number, device)


def _best_place(space: Workspace, counts: dict[int, int]) -> int | None:
    device = space.place_for(counts, wanting=True)
    return space.place_for(counts, wanting=False) if device is None else device


def _disperse(space: Workspace) -> None:
    faulty = [p for p in range(space.partition_count) if space.faults(space.counts(p)) != NO_FAULTS]
    space.random.shuffle(faulty)
    for partition in faulty:
        best = space.faults(space.counts(partition))
        better: tuple[int, int] | None = None
        is_held_back = space.is_held_back(partition)
        replicas = space.huddled(partition) if is_held_back else space.replicas(partition)
        # The fullest device's replica first: of equal cures the one that also helps the balance is taken.
        for row_number, device in sorted(replicas, key=lambda it: -space.surplus(it[1])):
            counts = space.counts_without(partition, device)
            place = _best_place(space, counts)
            if place is None or (is_held_back and not space.is_host_free(counts, place)):
                continue
            faults = space.faults(space.counts_with(counts, place))
            if faults < best:
                best, better = faults, (row_number, place)
        if better is not None:
            space.put(partition, *better)


def _balance(space: Workspace) -> None:
    if not space.want[0]:
        return
    held = space.held()
    devices = [device for device in held if space.surplus(device) > 0]
    space.random.shuffle(devices)
    for device in devices:
        space.random.shuffle(held[device])
        for partition, row_number in held[device]:
            if space.surplus(device) <= 0:
                break
            if not space.is_movable(partition, row_number):
                continue
            place = space.place_for(space.counts_without(partition, device), wanting=True)
            if place is not None:
                space.put(partition, row_number, place)


def _outcome(before: Sequence[Row[int]], space: Workspace) -> Outcome:
    changed = bytearray(space.partition_count)
    moved = placed = 0
    for old, new in zip(before, space.rows, strict=True):
        for partition, (was, now) in enumerate(zip(old, new, strict=True)):
            if was != now:
                changed[partition] = 1
                if was == space.unassigned:
                    placed += 1
                else:
                    moved += 1
    misplaced = sum(space.faults(space.counts(p)) != NO_FAULTS for p in range(space.partition_count))
    return Outcome(
        [array(row.typecode, row) for row in space.rows], bytes(changed), moved, placed, misplaced, space.want[0]
    )
