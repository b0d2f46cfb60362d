"""The first placement of all partitions: exact balance and exact dispersion in one pass. Pure.

Systematic sampling. Lay all devices on a line, each as long as the replicas it has yet to get, tiers in one piece. A
partition takes points at a distance of Q, the number of partitions still to be placed, from a random start. So a tier
as long as 2.3 Q gets 2 or 3 of them, never more or less, and after the last partition everybody has exactly what was
planned. The order within every tier is shuffled all the time, so that each device shares partitions with many others:
a lost one is then rebuilt from all sides.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from objstore.ring.plan import ROOT, Plan

_FULL_SHUFFLE = 16  # Children; more are stirred by as many random swaps as half of this.


class Sampler:
    """Gives each partition its devices. targets: replicas to place by tier number (plan.whole_targets)."""

    def __init__(self, plan: Plan, targets: list[int], random: Random) -> None:
        self._plan = plan
        self._left = list(targets)
        self._random = random
        self._order = [[child for child in children if targets[child] > 0] for children in plan.children]
        for order in self._order:
            random.shuffle(order)

    def samples(self, partition_count: int) -> Iterator[list[int]]:
        """partition_count lists of device ids; together they use up the targets."""
        for unplaced in range(partition_count, 0, -1):
            yield self._sample(unplaced)

    def _sample(self, unplaced: int) -> list[int]:
        left, stirred = self._left, set[int]()
        leaves = []
        for point in range(int(self._random.random() * unplaced), left[ROOT], unplaced):
            number = ROOT
            while self._order[number]:
                if number not in stirred:
                    stirred.add(number)
                    self._stir(number, left[number] > unplaced)
                for child in self._order[number]:
                    if point < left[child]:
                        break
                    point -= left[child]
                number = child
            leaves.append(number)
        # Only now: the points of one partition must be measured on one line.
        for number in leaves:
            while number >= 0:
                left[number] -= 1
                number = self._plan.parents[number]
        return [self._plan.devices[number] for number in leaves]

    def _stir(self, number: int, has_several: bool) -> None:
        """Another order of a tier's children. has_several: two points may fall here, so who follows whom matters."""
        order, random = self._order[number], self._random.random
        count = len(order)
        if count <= _FULL_SHUFFLE and has_several:
            self._random.shuffle(order)
            return
        for _ in range(_FULL_SHUFFLE // 2 if has_several else 1):
            one, other = int(random() * count), int(random() * count)
            order[one], order[other] = order[other], order[one]
