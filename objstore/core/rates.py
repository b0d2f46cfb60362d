"""Rates that depend on how much a container holds: points of a table, and straight lines between them. Pure.

Below the first point there is no limit; behind the last one its rate holds. Source: feature A5.11; Swift admin guide,
"Rate limiting".
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateTable:
    """points: (objects, requests a second), by objects."""

    points: tuple[tuple[int, float], ...]

    @classmethod
    def of(cls, points: Iterable[tuple[int, float]]) -> RateTable:
        return cls(tuple(sorted(points)))

    def rate(self, objects: int) -> float | None:
        """Requests a second for a container of this size; None for no limit."""
        index = bisect_right(self.points, (objects, float("inf")))
        if index == 0:
            return None
        size, rate = self.points[index - 1]
        if index == len(self.points):
            return rate
        next_size, next_rate = self.points[index]
        return rate + (next_rate - rate) * (objects - size) / (next_size - size)


def wait_ms(running_ms: int, now_ms: int, cost_ms: int, slack_ms: int) -> int | None:
    """How long a request waits for its turn. running_ms: the counter after this request's cost was added, the time at
    which its turn ends. None: the counter lies more than the slack behind the clock and begins anew now.

    A client that was quiet may so spend up to the slack at once, and never more."""
    if now_ms - running_ms > slack_ms:
        return None
    return max(0, running_ms - now_ms - cost_ms)
