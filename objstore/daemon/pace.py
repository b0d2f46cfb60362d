"""Going no faster than so many a second: when the next may go, worked out from a clock that is handed in. Pure.

The runner paces jobs with it; a pass paces what is smaller than a job (rows of one container, bytes of one file) with
Paces of its own.
"""

from __future__ import annotations

BURST_S = 0.5
"""What was not used is kept for so long: a pause is made good for at most this many seconds' worth."""


class Pace:
    """per_second: how many may go; 0 is no limit. One owner; not for several threads."""

    __slots__ = ("_per_second", "_free_at")

    def __init__(self, per_second: float) -> None:
        assert per_second >= 0
        self._per_second = per_second
        self._free_at = float("-inf")

    @property
    def is_unlimited(self) -> bool:
        return self._per_second == 0

    def charge(self, now: float, amount: float = 1) -> None:
        """`amount` went at `now` (monotonic seconds)."""
        if self._per_second and amount > 0:
            self._free_at = max(self._free_at, now - BURST_S) + amount / self._per_second

    def wait_s(self, now: float) -> float:
        """Seconds until the next may go; 0.0 for at once."""
        return max(0.0, self._free_at - now)

    def allowance(self, now: float) -> int | None:
        """How many may go at once, so that the pace is kept over BURST_S; None for any number, 0 for none yet."""
        if not self._per_second:
            return None
        if self.wait_s(now) > 0:
            return 0
        idle_s = min(BURST_S, now - self._free_at)
        return max(1, int(idle_s * self._per_second))
