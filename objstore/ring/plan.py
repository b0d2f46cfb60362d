"""How many replicas of a partition each region, zone, host and device ought to hold, on average. Pure.

Three answers to that question:
  weighted    by weight alone; no device holds more than one replica of a partition while there are devices enough
  dispersed   as weighted, but no tier holds more replicas of one partition than an even spread would need
  overload    between the two: devices take up to `overload` more than their weighted share for the sake of dispersion

A Plan is a tree of numbered tiers: 0 is the whole cluster, its children are regions, then zones, hosts and devices.
Sources: formats 2.4; doc/decisions/0003-ring-rebalance.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from objstore.ring.model import Device

ROOT = 0
DEVICE_LEVEL = 4
_EPSILON = 1e-9


class Plan:
    """Shares of all tiers for one set of devices. Read-only once made.

    share: replicas per partition by tier number; parallel to parents, children, devices (id, or -1 for wider tiers),
    levels (0 root … 4 device) and spread (most replicas of one partition that an even spread puts there).
    """

    def __init__(self, devices: Iterable[Device], replicas: float, overload: float = 0.0) -> None:
        """devices: those of weight 0 get tiers without a share. Raises ValueError when none has a weight."""
        self.replicas = replicas
        self.parents: list[int] = []
        self.children: list[list[int]] = []
        self.levels: list[int] = []
        self.devices: list[int] = []
        self.names: list[tuple[Any, ...]] = []  # Any: region and zone are int, hosts str, ids int
        self.paths: dict[int, tuple[int, int, int, int]] = {}
        self._add(-1, -1, ())
        weights = self._add_devices(devices)
        self._capacity = self._device_capacity(weights)
        self.weighted = self._summed(_filled(replicas, weights, self._device_caps(weights)))
        self.spread = self._spread()
        self._dispersed = self._top_down(self.spread)
        self.required_overload = self._required_overload()
        self.share = self._overloaded(overload)

    # The tree

    def _add(self, parent: int, device: int, name: tuple[Any, ...]) -> int:
        number = len(self.parents)
        self.parents.append(parent)
        self.children.append([])
        self.levels.append(len(name))
        self.devices.append(device)
        self.names.append(name)
        if parent >= 0:
            self.children[parent].append(number)
        return number

    def _add_devices(self, devices: Iterable[Device]) -> dict[int, float]:
        """Weights by tier number of the devices that have one."""
        weights: dict[int, float] = {}
        known: dict[tuple[Any, ...], int] = {}
        for device in sorted(devices, key=lambda device: device.id):
            name = (device.region, device.zone, device.ip, device.id)
            path, parent = [], ROOT
            for level in range(1, DEVICE_LEVEL + 1):
                number = known.get(name[:level])
                if number is None:
                    number = self._add(parent, device.id if level == DEVICE_LEVEL else -1, name[:level])
                    known[name[:level]] = number
                path.append(number)
                parent = number
            self.paths[device.id] = path[0], path[1], path[2], path[3]
            if device.weight > 0:
                weights[parent] = device.weight
        if not weights:
            raise ValueError("no device has a weight above 0")
        return weights

    # Shares

    def _device_capacity(self, weights: dict[int, float]) -> list[int]:
        """Replicas of one partition that fit under each tier: one a device, or as many as needed when they are few."""
        each = max(1, math.ceil(self.replicas / len(weights) - _EPSILON))
        return [int(count) for count in self._summed({number: float(each) for number in weights})]

    def _device_caps(self, weights: dict[int, float]) -> dict[int, float]:
        # With fewer devices than replicas weight means nothing: every device holds every partition.
        return {number: max(1.0, self.replicas / len(weights)) for number in weights}

    def _summed(self, device_values: dict[int, float]) -> list[float]:
        """Values of devices added up through the tiers."""
        totals = [0.0] * len(self.parents)
        for number, value in device_values.items():
            while number >= 0:
                totals[number] += value
                number = self.parents[number]
        return totals

    def _spread(self) -> list[int]:
        spread = [0] * len(self.parents)
        spread[ROOT] = math.ceil(self.replicas - _EPSILON)
        for number, children in enumerate(self.children):
            if children:
                even = _even_spread(spread[number], [self._capacity[child] for child in children])
                for child in children:
                    spread[child] = min(even, self._capacity[child])
        return spread

    def _top_down(self, caps: Sequence[float]) -> list[float]:
        """The weighted shares with every tier held at its cap, the rest going to its siblings by weight."""
        share = [0.0] * len(self.parents)
        share[ROOT] = self.replicas
        for number, children in enumerate(self.children):
            wanted = {child: self.weighted[child] for child in children if self.weighted[child] > 0}
            if wanted and share[number] > 0:
                for child, value in _filled(share[number], wanted, {child: caps[child] for child in wanted}).items():
                    share[child] = value
        return share

    def _required_overload(self) -> float:
        """The least overload that gives the dispersed shares; 0.1 means 10 % more than its weight for some device."""
        ratios = (
            self._dispersed[number] / self.weighted[number]
            for number in self._device_numbers()
            if self.weighted[number] > 0
        )
        return max(0.0, max(ratios) - 1)

    def _overloaded(self, overload: float) -> list[float]:
        if overload <= 0 or self.required_overload <= _EPSILON:
            return self.weighted
        part = min(1.0, overload / self.required_overload)
        return [
            weighted + (dispersed - weighted) * part
            for weighted, dispersed in zip(self.weighted, self._dispersed, strict=True)
        ]

    def _device_numbers(self) -> Iterable[int]:
        return (number for number, device in enumerate(self.devices) if device >= 0)


def whole_targets(plan: Plan, partition_count: int, slots: int, holds: Callable[[int], int]) -> list[int]:
    """The shares as whole numbers of partition replicas by tier, each rounded up or down, adding up at every tier.

    slots: replicas of all partitions. holds(tier): how many it holds now; who holds the odd one already, keeps it.
    """
    targets = [0] * len(plan.parents)
    targets[ROOT] = slots
    for number, children in enumerate(plan.children):
        if not children or not targets[number]:
            continue
        exact = {child: plan.share[child] * partition_count for child in children}
        for child in children:
            targets[child] = math.floor(exact[child] + 1e-6)
        odd = targets[number] - sum(targets[child] for child in children)
        candidates = [child for child in children if plan.share[child] > 0]
        candidates.sort(
            key=lambda child: (
                exact[child] - targets[child] < 1e-6,
                holds(child) <= targets[child],
                targets[child] - exact[child],
                child,
            )
        )
        for position in range(odd):
            targets[candidates[position % len(candidates)]] += 1
        for position in range(-odd):  # Rounding errors only.
            targets[candidates[-1 - position % len(candidates)]] -= 1
    return targets


def _filled(total: float, weights: dict[int, float], caps: dict[int, float]) -> dict[int, float]:
    """total divided by weight, none above its cap, what is cut off going to the others by weight."""
    filled: dict[int, float] = {}
    # The fullest for their weight first: whoever is not capped then, never will be.
    order = sorted(weights, key=lambda number: caps[number] / weights[number])
    weight_left, left = math.fsum(weights.values()), total
    for number in order:
        value = min(caps[number], left * weights[number] / weight_left) if weight_left > 0 else 0.0
        filled[number] = max(0.0, value)
        left -= filled[number]
        weight_left -= weights[number]
    return filled


def _even_spread(replicas: int, capacities: Sequence[int]) -> int:
    """The least number that, as the most for every child, still makes room for all replicas."""
    most = 0
    while sum(min(most, capacity) for capacity in capacities) < min(replicas, sum(capacities)):
        most += 1
    return most
