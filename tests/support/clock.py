"""A clock that stands still until a test moves it."""

from __future__ import annotations

from objstore.core.timestamp import Timestamp


class SimClock:
    def __init__(self, seconds: float = 1_800_000_000.0) -> None:
        self.seconds = seconds

    def now(self) -> Timestamp:
        return Timestamp.from_seconds(self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds
