"""How well the replicas of partitions are kept apart, and how well the load follows the weights: numbers for operators.

Pure. The graph is what builders store (formats 2.4): by tier, a list whose entry n counts the partitions that have n
replicas there. A tier's name is (region,), (region, zone), (region, zone, ip) or (region, zone, ip, device id).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

from objstore.ring.model import Row
from objstore.ring.plan import DEVICE_LEVEL, Plan

Tier = tuple[Hashable, ...]
Graph = dict[Tier, list[int]]

WORST_BALANCE = 999.99  # Of a device that holds partitions and should have none.


@dataclass(frozen=True, slots=True)
class TierDispersion:
    """One tier. most: replicas of a partition that an even spread puts here. histogram[n]: partitions with n here."""

    tier: Tier
    part_count: int
    at_risk_percent: float
    most: int
    histogram: tuple[int, ...]


def dispersion_graph(rows: Sequence[Row[int]], plan: Plan) -> Graph:
    """Replicas without a device are left out."""
    partition_count = len(rows[0])
    histograms = [[0] * (len(rows) + 1) for _ in plan.parents]
    for partition in range(partition_count):
        counts: dict[int, int] = {}
        for row in rows:
            if partition < len(row):
                for number in plan.paths.get(row[partition], ()):
                    counts[number] = counts.get(number, 0) + 1
        for number, count in counts.items():
            histograms[number][count] += 1
    for histogram in histograms:
        histogram[0] = partition_count - sum(histogram)
    return {
        plan.names[number]: histogram
        for number, histogram in enumerate(histograms)
        if plan.names[number] and histogram[0] < partition_count
    }


def tier_dispersions(graph: Graph, plan: Plan) -> Iterator[TierDispersion]:
    """The dispersion of every tier that holds partitions, each followed by the tiers inside it."""
    for number in sorted(range(len(plan.names)), key=plan.names.__getitem__):
        tier = plan.names[number]
        if tier in graph:
            most, histogram = plan.spread[number], graph[tier]
            part_count = sum(count * partitions for count, partitions in enumerate(histogram))
            risk = 100 * _excess(histogram, most) / part_count if part_count else 0.0
            yield TierDispersion(tier, part_count, risk, most, tuple(histogram))


def dispersion_percent(graph: Graph, plan: Plan) -> float:
    """Replicas that share a tier with another one of their partition though there is room elsewhere, of all replicas.

    Counted at the worst of the four levels (regions, zones, hosts, devices). 0 is best.
    """
    excess, slots = [0] * (DEVICE_LEVEL + 1), [0] * (DEVICE_LEVEL + 1)
    for number, tier in enumerate(plan.names):
        histogram = graph.get(tier)
        if histogram is not None:
            excess[len(tier)] += _excess(histogram, plan.spread[number])
            slots[len(tier)] += sum(count * partitions for count, partitions in enumerate(histogram))
    return 100 * max((bad / all_ for bad, all_ in zip(excess, slots, strict=True) if all_), default=0.0)


def device_balance(part_count: int, weight: float, parts_per_weight: float) -> float:
    """Percent that a device holds above (or below: negative) what its weight alone would give it."""
    wanted = weight * parts_per_weight
    if wanted <= 0:
        return WORST_BALANCE if part_count else 0.0
    return 100 * part_count / wanted - 100


def _excess(histogram: Sequence[int], most: int) -> int:
    return sum((count - most) * partitions for count, partitions in enumerate(histogram) if count > most)
