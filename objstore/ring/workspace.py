"""A table of partitions while it is being rebalanced: who holds what, who wants more, what may still move. Mutable.

Knows the rules of placement, takes no decisions (rebalance does): where a replica may go given the other replicas of
its partition, and that only one replica of a partition moves, lost ones apart. Pure: no clock, no files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random

from objstore.ring.model import Row
from objstore.ring.plan import ROOT, Plan, whole_targets

Counts = dict[int, int]  # Replicas of one partition by tier number.
_HOST = 2  # In a device's path: region, zone, host, device.
_NOTHING: frozenset[int] = frozenset()


class Workspace:
    """The rows being changed, with totals by tier number of the plan.

    have, target: partition replicas held and due; least, most: replicas of one partition that a tier may hold, from its
    target; want: replicas that devices of the tier still lack. Rows are changed in place.
    """

    def __init__(self, rows: Sequence[Row[int]], plan: Plan, is_locked: Callable[[int], bool], random: Random) -> None:
        """is_locked(partition): moved too recently to move again."""
        self.rows = rows
        self.plan = plan
        self.random = random
        self.partition_count = len(rows[0])
        self.unassigned = (1 << 8 * rows[0].itemsize) - 1
        self._is_locked = is_locked
        self._movable: dict[int, tuple[int, ...]] = {}
        slots = sum(len(row) for row in rows)
        self.have = self._holdings()
        self.target = whole_targets(plan, self.partition_count, slots, self.have.__getitem__)
        self.least = [target // self.partition_count for target in self.target]
        self.most = [-(-target // self.partition_count) for target in self.target]
        self._musts = [[child for child in children if self.least[child]] for children in plan.children]
        self._all_musts = [child for children in self._musts for child in children]
        self.want = self._wants()

    def _holdings(self) -> list[int]:
        have = [0] * len(self.plan.parents)
        for row in self.rows:
            for device in row:
                if device != self.unassigned:
                    have[self.plan.paths[device][-1]] += 1
        return self._added_up(have)

    def _wants(self) -> list[int]:
        return self._added_up(
            [
                max(0, target - have) if device >= 0 else 0
                for target, have, device in zip(self.target, self.have, self.plan.devices, strict=True)
            ]
        )

    def _added_up(self, values: list[int]) -> list[int]:
        # Children have higher numbers than their parents.
        for number in range(len(values) - 1, ROOT, -1):
            values[self.plan.parents[number]] += values[number]
        return values

    # Partitions

    def counts(self, partition: int) -> Counts:
        counts: Counts = {ROOT: 0}
        for row in self.rows:
            if partition < len(row) and row[partition] != self.unassigned:
                self.counts_with(counts, row[partition])
        return counts

    def counts_without(self, partition: int, device: int) -> Counts:
        """The counts of a partition as if one replica on this device were not there."""
        counts = self.counts(partition)
        _count(counts, (ROOT, *self.plan.paths[device]), -1)
        return counts

    def counts_with(self, counts: Counts, device: int) -> Counts:
        """counts, changed in place, with a replica more on this device."""
        _count(counts, (ROOT, *self.plan.paths[device]), 1)
        return counts

    def replicas(self, partition: int) -> Iterator[tuple[int, int]]:
        """(row number, device) of the replicas that may move now."""
        movable: Sequence[int] | None = self._movable.get(partition)
        if movable is None:
            movable = () if self._is_locked(partition) else range(len(self.rows))
        return self._assigned(partition, movable)

    def is_held_back(self, partition: int) -> bool:
        """Whether only the time since its last move keeps its replicas where they are."""
        return partition not in self._movable and self._is_locked(partition)

    def huddled(self, partition: int) -> Iterator[tuple[int, int]]:
        """(row number, device) of the replicas that share their host or device with another one of the partition."""
        counts = self.counts(partition)
        for number, device in self._assigned(partition, range(len(self.rows))):
            if counts[self.plan.paths[device][_HOST]] > 1:
                yield number, device

    def is_host_free(self, counts: Counts, device: int) -> bool:
        """Whether a partition that has `counts` has no replica on the host of a device."""
        return not counts.get(self.plan.paths[device][_HOST])

    def _assigned(self, partition: int, numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
        for number in numbers:
            row = self.rows[number]
            if partition < len(row) and row[partition] != self.unassigned:
                yield number, row[partition]

    def held(self) -> dict[int, list[tuple[int, int]]]:
        """(partition, row number) of all replicas by device, at this moment."""
        held: dict[int, list[tuple[int, int]]] = {device: [] for device in self.plan.paths}
        for number, row in enumerate(self.rows):
            for partition, device in enumerate(row):
                if device != self.unassigned:
                    held[device].append((partition, number))
        return held

    def is_movable(self, partition: int, row_number: int) -> bool:
        movable = self._movable.get(partition)
        return not self._is_locked(partition) if movable is None else row_number in movable

    def release(self, partition: int, row_number: int) -> None:
        """This replica has no device any more: it is free to go anywhere, and those that have one stay."""
        self._movable[partition] = (*self._movable.get(partition, ()), row_number)

    def put(self, partition: int, row_number: int, device: int) -> None:
        """Assign a replica, from the device it is on, if any."""
        row = self.rows[row_number]
        if row[partition] != self.unassigned:
            self._account(row[partition], -1)
            # From the first move on, the other replicas of the partition stay.
            self._movable.setdefault(partition, (row_number,))
        row[partition] = device
        self._account(device, 1)

    def _account(self, device: int, change: int) -> None:
        path = self.plan.paths[device]
        leaf = path[-1]
        lacked = max(0, self.target[leaf] - self.have[leaf])
        self.have[leaf] += change
        lack = max(0, self.target[leaf] - self.have[leaf]) - lacked
        self.want[leaf] += lack
        for number in (ROOT, *path[:-1]):
            self.have[number] += change
            self.want[number] += lack

    # Rules

    def surplus(self, device: int) -> int:
        leaf = self.plan.paths[device][-1]
        return self.have[leaf] - self.target[leaf]

    def faults(self, counts: Counts) -> tuple[int, ...]:
        """How far a partition is from the dispersion its tiers allow, by level: regions first. All 0 when it is not."""
        faults = [0, 0, 0, 0]
        least, most, levels = self.least, self.most, self.plan.levels
        for number, count in counts.items():
            if count > most[number] and number != ROOT:
                faults[levels[number] - 1] += count - most[number]
            for must in self._musts[number]:
                if counts.get(must, 0) < least[must]:
                    faults[levels[must] - 1] += least[must] - counts.get(must, 0)
        return tuple(faults)

    def place_for(self, counts: Counts, wanting: bool) -> int | None:
        """A device for one more replica of a partition that has `counts` now, or None.

        Tiers that must have one come first, none gets more than its most. wanting: only devices that lack replicas; for
        them the choice is random by what they lack, else the most lacking one is taken.
        """
        leaf = self._descend(ROOT, counts, self._lacking(counts), wanting)
        return None if leaf is None else self.plan.devices[leaf]

    def places_for(self, counts: Counts, among: Sequence[int]) -> Iterator[int]:
        """All devices that may take one more replica of a partition that has `counts` now.

        among: how many devices of each tier are of interest, by tier number; tiers with 0 are passed over. The caller
        may lower the numbers while it iterates.
        """
        lacking = self._lacking(counts)
        pending = [ROOT]
        while pending:
            number = pending.pop()
            if not among[number]:
                continue
            if not self.plan.children[number]:
                yield self.plan.devices[number]
            pending += self._options(number, counts, lacking)

    def _lacking(self, counts: Counts) -> frozenset[int]:
        """The tiers with fewer replicas than their least, and all around them."""
        lacking = _NOTHING
        for must in self._all_musts:
            if counts.get(must, 0) < self.least[must]:
                lacking = lacking | {must, *self._ancestors(must)}
        return lacking

    def _ancestors(self, number: int) -> Iterator[int]:
        while number != ROOT:
            number = self.plan.parents[number]
            yield number

    def _options(self, number: int, counts: Counts, lacking: frozenset[int]) -> list[int]:
        """The children that may get one more: those below their least, else those with such a tier inside, else all."""
        most = self.most
        if number in lacking:
            musts = [child for child in self._musts[number] if counts.get(child, 0) < self.least[child]]
            if not musts:
                musts = [c for c in self._musts[number] if c in lacking and counts.get(c, 0) < most[c]]
            if musts:
                return musts
        return [child for child in self.plan.children[number] if counts.get(child, 0) < most[child]]

    def _descend(self, number: int, counts: Counts, lacking: frozenset[int], wanting: bool) -> int | None:
        if not self.plan.children[number]:
            return number
        options = self._options(number, counts, lacking)
        if not wanting:
            if not options:
                return None
            choice = max(options, key=lambda child: (self.target[child] - self.have[child], self.random.random()))
            return self._descend(choice, counts, lacking, wanting)
        want = self.want
        options = [child for child in options if want[child] > 0]
        while options:
            choice = self._weighted_choice(options)
            found = self._descend(choice, counts, lacking, wanting)
            if found is not None:
                return found
            options.remove(choice)
        return None

    def _weighted_choice(self, options: list[int]) -> int:
        if len(options) == 1:
            return options[0]
        point = self.random.random() * sum(self.want[option] for option in options)
        for option in options:
            point -= self.want[option]
            if point < 0:
                return option
        return options[-1]


def _count(counts: Counts, path: Sequence[int], change: int) -> None:
    for number in path:
        counts[number] = counts.get(number, 0) + change
