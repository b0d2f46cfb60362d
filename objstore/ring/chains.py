"""The last replicas of a rebalance: from a device with too many by way of others to one with too few. Pure.

Some surplus finds no direct way: the device that lacks a replica is in a tier where its partitions already are. Then a
replica of A goes to B, and one of B's to C. First those partitions are sought that could go to a device that lacks
one, the doors: there may be a handful among many thousand. From a device with surplus a breadth-first search then
leads to the nearest door. The moves of a chain are of different partitions, so none spoils the dispersion of another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from objstore.ring.plan import ROOT
from objstore.ring.workspace import Workspace

# Bounds the time when there is no way at all: partitions looked at per rebalance, some microseconds each.
_MAX_LOOKS = 300_000
_MAX_ROUNDS = 8

Replica = tuple[int, int]  # partition, row number
Move = tuple[int, int, int]  # partition, row number, device to go to


def move_along_chains(space: Workspace) -> None:
    """Use chains as long as there are any and somebody lacks replicas."""
    looks_left = _MAX_LOOKS
    for _ in range(_MAX_ROUNDS):
        if not space.want[ROOT]:
            return
        held = space.held()
        for replicas in held.values():
            space.random.shuffle(replicas)
        doors = _Doors(space, held)
        moved = False
        for device in [device for device in held if space.surplus(device) > 0]:
            while space.surplus(device) > 0 and looks_left > 0:
                search = _Search(space, held, doors, device, looks_left)
                chain = search.chain()
                looks_left = search.looks_left
                for move in reversed(chain):
                    space.put(*move)
                if not chain:
                    break
                moved = True
        if not moved:
            return


class _Doors:
    """Replicas that may go to a device that lacks one, by the device they are on."""

    def __init__(self, space: Workspace, held: dict[int, list[Replica]]) -> None:
        self._space = space
        self._doors: dict[int, list[Replica]] = {}
        # Devices with doors, by tier number: what a search for them passes over.
        self.among = [0] * len(space.plan.parents)
        for device, replicas in held.items():
            doors = [replica for replica in replicas if self._place(device, replica) is not None]
            if doors:
                self._doors[device] = doors
                self._count(device, 1)

    def move_from(self, device: int, others: set[int]) -> Move | None:
        """The move through a door of this device, of none of the other partitions; None when it has no more."""
        for replica in reversed(self._doors.get(device, [])):
            place = self._place(device, replica)
            if place is None:
                self._doors[device].remove(replica)
            elif replica[0] not in others:
                return *replica, place
        if not self._doors.get(device, True):
            del self._doors[device]
            self._count(device, -1)
        return None

    def _place(self, device: int, replica: Replica) -> int | None:
        partition, row_number = replica
        if self._space.rows[row_number][partition] != device or not self._space.is_movable(partition, row_number):
            return None
        return self._space.place_for(self._space.counts_without(partition, device), wanting=True)

    def _count(self, device: int, change: int) -> None:
        for number in (ROOT, *self._space.plan.paths[device]):
            self.among[number] += change


class _Search:
    """One breadth-first search over devices; two are neighbours when a replica of the one may go to the other."""

    def __init__(
        self, space: Workspace, held: dict[int, list[Replica]], doors: _Doors, origin: int, looks_left: int
    ) -> None:
        self.looks_left = looks_left
        self._space = space
        self._held = held
        self._doors = doors
        self._came_from: dict[int, tuple[int, Move] | None] = {}
        self._queue: deque[int] = deque()
        # Devices not reached so far, by tier number: whole tiers are passed over once they are known.
        self._unreached = [0] * len(space.plan.parents)
        for path in space.plan.paths.values():
            for number in (ROOT, *path):
                self._unreached[number] += 1
        self._reach(origin, None)

    def chain(self) -> list[Move]:
        """The moves from the origin to a device that lacks a replica; none when there is no way."""
        if not self._doors.among[ROOT]:
            return []
        while self._queue:
            device = self._queue.popleft()
            way = self._way_to(device)
            used = {move[0] for move in way}
            last = self._doors.move_from(device, used)
            if last is not None:
                return [*way, last]
            for partition, row_number in self._replicas(device):
                if partition in used:
                    continue
                counts = self._space.counts_without(partition, device)
                for place in self._space.places_for(counts, self._doors.among):
                    step = partition, row_number, place
                    last = self._doors.move_from(place, {partition, *used})
                    if last is not None:
                        return [*way, step, last]
                for place in self._space.places_for(counts, self._unreached):
                    self._reach(place, (device, (partition, row_number, place)))
        return []

    def _replicas(self, device: int) -> Iterator[Replica]:
        """The replicas that may still move; `held` is older than the last moves."""
        for partition, row_number in self._held[device]:
            if self.looks_left <= 0:
                return
            if self._space.rows[row_number][partition] == device and self._space.is_movable(partition, row_number):
                self.looks_left -= 1
                yield partition, row_number

    def _reach(self, device: int, step: tuple[int, Move] | None) -> None:
        self._came_from[device] = step
        self._queue.append(device)
        for number in (ROOT, *self._space.plan.paths[device]):
            self._unreached[number] -= 1

    def _way_to(self, device: int) -> list[Move]:
        moves = []
        step = self._came_from[device]
        while step is not None:
            moves.append(step[1])
            step = self._came_from[step[0]]
        return moves[::-1]
