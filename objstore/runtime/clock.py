"""The clock seam: wall time for timestamps, monotonic time for deadlines. Tests pass a SimClock."""

from __future__ import annotations

import time
from typing import Protocol

from objstore.core.timestamp import Timestamp


class Clock(Protocol):
    def now(self) -> Timestamp:
        """Wall time."""

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean something."""


class SystemClock:
    def now(self) -> Timestamp:
        return Timestamp(time.time_ns() // 10_000)

    def monotonic(self) -> float:
        return time.monotonic()
