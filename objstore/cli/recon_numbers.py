"""Numbers that hosts gave, summed up as swift-recon's readers know it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Summary:
    """Of one number of every host. None for low, high, average: nobody reported one."""

    low: float | None
    high: float | None
    average: float | None
    total: float
    reported: int
    no_result: int

    @property
    def failed_share(self) -> float:
        asked = self.reported + self.no_result
        return self.no_result / asked if asked else 0.0

    def line(self, name: str) -> str:
        if self.low is None or self.high is None or self.average is None:
            return f"[{name}] - No hosts returned valid data."
        return (
            f"[{name}] low: {_number(self.low)}, high: {_number(self.high)}, avg: {self.average:.1f}, "
            f"total: {_number(self.total)}, Failed: {self.failed_share:.1%}, no_result: {self.no_result}, "
            f"reported: {self.reported}"
        )

    def as_json(self) -> dict[str, object]:
        return {
            "low": self.low, "high": self.high, "average": self.average, "total": self.total,
            "reported": self.reported, "no_result": self.no_result,
        }  # fmt: skip


def summary(values: Sequence[float | None]) -> Summary:
    """values: one per host; None where it gave none."""
    given = [value for value in values if value is not None]
    if not given:
        return Summary(None, None, None, 0, 0, len(values))
    return Summary(min(given), max(given), sum(given) / len(given), sum(given), len(given), len(values) - len(given))


def number_at(value: object, *keys: str) -> float | None:
    """A number inside a host's answer; None when it is missing or not a number."""
    for key in keys:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or abs(value) > 1e18:
        return None
    return value


def added_up(value: object, key: str) -> float | None:
    """A number of an auditor's stats; they may be one object, or one for each of its disks or processes."""
    here = number_at(value, key)
    if here is not None or not isinstance(value, Mapping):
        return here
    parts = [part for each in value.values() if (part := number_at(each, key)) is not None]
    return sum(parts) if parts else None


def bytes_shown(count: float, is_human: bool) -> str:
    if not is_human:
        return _number(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} PiB"


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:.3f}"
