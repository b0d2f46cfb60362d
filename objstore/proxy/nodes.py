"""NodeOrder: which nodes a request asks, and in what order. Primaries first, then handoffs in the ring's order.

Reads ask at most request_node_count nodes. Writes get a slot per replica and a stream of handoffs that stand in for
whoever refuses. Nodes under error limiting are left out, and asked last: for the request that the others cannot serve,
because a node may be back long before its limit ends. Source: features B4.11, B4.12; formats 2.5, 6.4.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple, Protocol

from objstore.proxy.error_limit import ErrorLimiter
from objstore.ring.model import Node, Ring
from objstore.runtime.clock import Clock

TIMING_EXPIRY_S = 300.0
_AFFINITY = re.compile(r"r(\d+)(?:z(\d+))?(?:=(\d+))?\Z")
_LAST = 1 << 30

Place = tuple[int, int | None]
Key = Callable[[Node], float]


@dataclass(frozen=True, slots=True)
class Affinity:
    """Places with their priorities, the lowest nearest. Without places there is no affinity."""

    places: tuple[tuple[Place, int], ...] = ()

    @classmethod
    def parse(cls, text: str, *, with_priority: bool) -> Affinity:
        """`r1z1=100, r2=200`, or without priorities `r1, r2z1`. Raises ValueError."""
        places: dict[Place, int] = {}
        for item in filter(None, (part.strip() for part in text.split(","))):
            matched = _AFFINITY.match(item)
            if matched is None or (matched[3] is not None) != with_priority:
                raise ValueError(f"{item!r} is not {'r1z2=100' if with_priority else 'r1z2'}")
            places[int(matched[1]), int(matched[2]) if matched[2] else None] = int(matched[3] or 0)
        return cls(tuple(places.items()))

    def priority(self) -> Key:
        """Of a node: its zone's, else its region's, else last."""
        places = dict(self.places)
        return lambda node: places.get((node.region, node.zone), places.get((node.region, None), _LAST))

    def locality(self) -> Callable[[Node], bool] | None:
        """Whether a node is in one of the places; None without any."""
        places = dict(self.places)
        if not places:
            return None
        return lambda node: (node.region, node.zone) in places or (node.region, None) in places


class Shuffler(Protocol):
    """random.Random, or the random module itself."""

    def shuffle(self, x: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class Counting:
    """`2 * replicas` or a number: how many nodes."""

    number: int
    per_replica: bool

    @classmethod
    def parse(cls, text: str) -> Counting:
        matched = re.fullmatch(r"\s*(\d+)\s*(\*\s*replicas\s*)?", text)
        if matched is None:
            raise ValueError(f"{text!r} is neither a number nor a number * replicas")
        return cls(int(matched[1]), bool(matched[2]))

    def of(self, replica_count: int) -> int:
        return self.number * replica_count if self.per_replica else self.number


@dataclass(slots=True)
class Timings:
    """How long each address took lately, for sorting_method = timing. A reading is forgotten after its expiry."""

    clock: Clock
    expiry_s: float = TIMING_EXPIRY_S
    _readings: dict[tuple[str, int], tuple[float, float]] = field(default_factory=dict)

    def record(self, node: Node, elapsed_s: float) -> None:
        self._readings[node.address] = (round(elapsed_s, 3), self.clock.monotonic() + self.expiry_s)

    def of(self, node: Node) -> float:
        """Seconds; -1 when nothing is known, so that everybody gets measured."""
        elapsed, expires = self._readings.get(node.address, (-1.0, 0.0))
        return elapsed if expires > self.clock.monotonic() else -1.0


@dataclass(frozen=True, slots=True)
class Ordering:
    """The choices of one policy. key: None shuffles alone. is_local: None when writes have no affinity."""

    request_node_count: Counting
    key: Key | None = None
    is_local: Callable[[Node], bool] | None = None
    write_affinity_node_count: Counting = Counting(2, True)
    handoff_delete_count: int | None = 0


class Reading(NamedTuple):
    """Who answers a read. nodes: nearest first; lazy, because most reads need one. doubtful: who was left out on the
    way, to be asked when all others could not answer."""

    nodes: Iterator[Node]
    doubtful: Iterable[Node]


class Writing(NamedTuple):
    """Who serves a write. slots: of each replica, None for one whose node is left out. handoffs: to lend, in order.
    doubtful: who was left out on the way, primaries first, to be asked when all others could not help."""

    slots: list[Node | None]
    handoffs: Iterator[Node]
    doubtful: Iterable[Node]


class NodeOrder:
    """Each node comes once, as usable or as doubtful, whatever becomes of it while the request runs: two slots of a
    write must never be served by one node."""

    def __init__(self, ordering: Ordering, errors: ErrorLimiter, chooser: Shuffler) -> None:
        self._ordering = ordering
        self._errors = errors
        self._random = chooser

    def reading(self, ring: Ring, partition: int) -> Reading:
        left_out: list[Node] = []
        return Reading(self._reading(ring, partition, left_out), left_out)

    def _reading(self, ring: Ring, partition: int, left_out: list[Node]) -> Iterator[Node]:
        everybody = ring.primaries(partition)
        limit = self._ordering.request_node_count.of(len(everybody))
        primaries = list(self._usable(everybody, left_out))
        self._random.shuffle(primaries)
        if self._ordering.key is not None:
            primaries.sort(key=self._ordering.key)
        yield from primaries[:limit]
        handoffs = self._usable(self._sorted_handoffs(ring, partition, limit), left_out)
        yield from islice(handoffs, max(0, limit - len(primaries)))

    def nearest(self, ring: Ring, partition: int) -> list[Node]:
        """The primaries of which any may be asked first, in no order: what reading() would begin with."""
        primaries = list(self._usable(ring.primaries(partition), []))
        key = self._ordering.key
        if key is not None and primaries:
            best = min(map(key, primaries))
            primaries = [node for node in primaries if key(node) == best]
        self._random.shuffle(primaries)
        return primaries

    def _sorted_handoffs(self, ring: Ring, partition: int, limit: int) -> Iterator[Node]:
        handoffs = ring.handoffs(partition)
        if self._ordering.key is None:
            yield from handoffs
        else:
            yield from sorted(islice(handoffs, limit), key=self._ordering.key)

    def writing(self, ring: Ring, partition: int) -> Writing:
        """With write affinity, local nodes come before remote primaries; replication moves the copies on later."""
        primaries = list(ring.primaries(partition))
        handoffs = _later(lambda: ring.handoffs(partition))
        if self._ordering.is_local is not None:
            primaries, handoffs = self._local_first(primaries, handoffs)
        left_out: list[Node] = []
        return Writing(self._slots(primaries, left_out), self._usable(handoffs, left_out), left_out)

    def _slots(self, nodes: Iterable[Node], left_out: list[Node]) -> list[Node | None]:
        slots: list[Node | None] = []
        for node in nodes:
            is_limited = self._errors.is_limited(node)
            if is_limited:
                left_out.append(node)
            slots.append(None if is_limited else node)
        return slots

    def _usable(self, nodes: Iterable[Node], left_out: list[Node]) -> Iterator[Node]:
        for node in nodes:
            if self._errors.is_limited(node):
                left_out.append(node)
            else:
                yield node

    def _local_first(self, primaries: list[Node], handoffs: Iterator[Node]) -> tuple[list[Node], Iterator[Node]]:
        is_local = self._ordering.is_local
        assert is_local is not None
        wanted = len(primaries)
        most = self._ordering.write_affinity_node_count.of(wanted)
        others = list(handoffs)
        local = [node for node in (*primaries, *others) if is_local(node)][:most]
        chosen = {node.id for node in local}
        rest = [node for node in (*primaries, *others) if node.id not in chosen]
        order = local + rest
        return order[:wanted], iter(order[wanted:])

    def deleting(self, ring: Ring, partition: int) -> Writing:
        """As writing() without affinity, and extra slots for the handoffs where affinity may have put copies."""
        primaries = list(ring.primaries(partition))
        handoffs = _later(lambda: ring.handoffs(partition))
        left_out: list[Node] = []
        slots = self._slots(primaries, left_out)
        is_local = self._ordering.is_local
        if is_local is not None:
            count = self._ordering.handoff_delete_count
            if count is None:
                count = len(primaries) - sum(map(is_local, primaries))
            slots += list(islice((node for node in handoffs if is_local(node)), count))
        return Writing(slots, self._usable(handoffs, left_out), left_out)


def _later(nodes: Callable[[], Iterator[Node]]) -> Iterator[Node]:
    """Asked for only when the first is: few writes need a handoff."""
    yield from nodes()
