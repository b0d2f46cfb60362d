"""What a change of drives will cost, as a value that people read and nodes send: moves, bytes, refusals. Pure.

Made by cluster/placement.py, shown by the commands. Only one replica of a partition moves per step, and the next step
waits for min_part_hours; a refused plan has at least one refusal and is never applied.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Place = tuple[str, int, str]
"""(ip, port, device): how a ring names a drive."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What is known about the data, gathered by whoever can see it.

    partition_bytes: ring name → bytes that one replica of a partition takes, on average; missing: not known. room: of
    drives, under each of their ports: bytes that may still come.
    """

    partition_bytes: Mapping[str, int] = field(default_factory=dict)
    room: Mapping[Place, int] = field(default_factory=dict)

    def and_of(self, other: Usage) -> Usage:
        """With what another node has seen; of sizes that both have, the larger."""
        sizes = {
            ring: max(self.partition_bytes.get(ring, 0), other.partition_bytes.get(ring, 0))
            for ring in {*self.partition_bytes, *other.partition_bytes}
        }
        return Usage(sizes, {**self.room, **other.room})


@dataclass(frozen=True, slots=True)
class DriveMoves:
    """Partition replicas that one drive of a ring gets and gives away, over all steps."""

    ip: str
    port: int
    device: str
    gains: int
    gives: int


@dataclass(frozen=True, slots=True)
class Step:
    """moves: partition replicas that change their drive. wait_s: from the step before (the first: from now)."""

    moves: int
    wait_s: int


@dataclass(frozen=True, slots=True)
class RingMoves:
    """One ring. steps: the first is what applying does, with 0 moves when min_part_hours holds everything back.
    is_more: the last step listed is not the last there will be. partition_bytes: None when nobody knows."""

    ring: str
    steps: tuple[Step, ...]
    is_more: bool
    partition_bytes: int | None
    drives: tuple[DriveMoves, ...]

    @property
    def moves(self) -> int:
        return sum(step.moves for step in self.steps)

    @property
    def bytes(self) -> int:
        return self.moves * (self.partition_bytes or 0)

    @property
    def busiest_bytes(self) -> int:
        """Of the drive that reads and writes most."""
        return (self.partition_bytes or 0) * max((drive.gains + drive.gives for drive in self.drives), default=0)


@dataclass(frozen=True, slots=True)
class ChangePlan:
    """version: of the rings it was made for; apply with this one."""

    version: int
    rings: tuple[RingMoves, ...]
    refusals: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def moves(self) -> int:
        return sum(ring.moves for ring in self.rings)

    @property
    def bytes(self) -> int:
        return sum(ring.bytes for ring in self.rings)

    @property
    def step_count(self) -> int:
        return max((len(ring.steps) for ring in self.rings), default=0)

    @property
    def is_more(self) -> bool:
        return any(ring.is_more for ring in self.rings)

    @property
    def next_s(self) -> int | None:
        """When the second step will be possible, after the first; None when there is none."""
        return max((ring.steps[1].wait_s for ring in self.rings if len(ring.steps) > 1), default=None)

    def copying_s(self, rate: float) -> float:
        """Seconds of copying, without the waits, when a drive reads and writes `rate` bytes a second. Drives work side
        by side; rings one after the other, which is the worst."""
        return sum(ring.busiest_bytes for ring in self.rings) / rate

    def to_json(self) -> dict[str, Any]:
        """Any: what JSON has."""
        return dataclasses.asdict(self)


class InvalidPlan(ValueError):
    """JSON that is no plan."""


def plan_from_json(value: object) -> ChangePlan:
    """Raises InvalidPlan for anything to_json would not have made."""
    try:
        return _plan(value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidPlan(f"no plan of a change: {type(error).__name__} {error!s:.80}") from None


def _plan(value: Any) -> ChangePlan:
    return ChangePlan(
        _count(value["version"]),
        tuple(_ring(each) for each in value["rings"]),
        tuple(_text(each) for each in value["refusals"]),
        tuple(_text(each) for each in value["notes"]),
    )


def _ring(value: Any) -> RingMoves:
    return RingMoves(
        _text(value["ring"]),
        tuple(Step(_count(each["moves"]), _count(each["wait_s"])) for each in value["steps"]),
        bool(value["is_more"]),
        None if value["partition_bytes"] is None else _count(value["partition_bytes"]),
        tuple(_drive(each) for each in value["drives"]),
    )


def _drive(value: Any) -> DriveMoves:
    place = _text(value["ip"]), _count(value["port"]), _text(value["device"])
    return DriveMoves(*place, _count(value["gains"]), _count(value["gives"]))


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r:.40} is no count")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"{value!r:.40} is no line of text")
    return value
