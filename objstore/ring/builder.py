"""A ring being made: its devices, its settings, and the table that the last rebalance left.

Used by objstore-ring-builder and objstore init: create, add_device …, rebalance, to_ring. Every change counts up the
version. builder_file keeps a builder on disk. No clock and no files here: whoever rebalances says what time it is.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from objstore.core.errors import DomainError
from objstore.ring.dispersion import device_balance, dispersion_graph, dispersion_percent
from objstore.ring.model import HASH_BITS, Device, Ring, RingHeader, Row
from objstore.ring.new_device import NewDevice, check_device
from objstore.ring.plan import Plan
from objstore.ring.rebalance import rebalance
from objstore.ring.table import MAX_TABLE_BYTES

HOURS_MAX = 255  # Hours since a partition moved are kept in a byte.
_HOUR_S = 3600
_ID_TYPECODES = {2: "H", 4: "I"}
_TWO_BYTE_IDS = 0xFFFF  # This one means "no device".


class BuilderError(DomainError):
    """A change that makes no sense for this ring. The text says what was wrong and what is possible."""


@dataclass(frozen=True, slots=True)
class RebalanceReport:
    """What a rebalance did. Replicas are counted, partitions where it says so; balance and dispersion are percents.

    misplaced_count: partitions, surplus_count: replicas that another rebalance (later, when moved ones are free again)
    would put in a better place.
    """

    changed_partitions: int
    moved_count: int
    placed_count: int
    removed_devices: tuple[int, ...]
    misplaced_count: int
    surplus_count: int
    balance_before: float
    balance: float
    dispersion_before: float
    dispersion: float


@dataclass(slots=True)
class RingBuilder:
    """State of a ring. Fields are as in builder files (formats 2.4); change them through the methods.

    rows: None before the first rebalance. removed: devices that go at the next one. last_moves: per partition the hours
    between its last move and last_moves_epoch_s, at most 255.
    """

    part_power: int
    replicas: float
    min_part_hours: int
    devices: list[Device | None] = field(default_factory=list)
    removed: set[int] = field(default_factory=set)
    overload: float = 0.0
    version: int = 0
    rows: list[Row[int]] | None = None
    last_moves: array[int] | None = None
    last_moves_epoch_s: int = 0
    next_part_power: int | None = None
    is_changed: bool = False
    dispersion: float = 0.0
    graph: dict[Any, list[int]] = field(default_factory=dict)  # Any: tiers are tuples of int and str
    id: str | None = None
    gather_start: int = 0  # Foreign tools' own; kept.

    @classmethod
    def create(cls, part_power: int, replicas: float, min_part_hours: int) -> RingBuilder:
        """An empty builder. Raises BuilderError for values that no ring can have."""
        if not 0 <= part_power <= HASH_BITS:
            raise BuilderError(f"partition power is {part_power}: expected 0 to {HASH_BITS}")
        builder = cls(part_power, 1.0, 0)
        builder.set_replicas(replicas)
        builder.set_min_part_hours(min_part_hours)
        builder.version, builder.is_changed = 0, False
        return builder

    @classmethod
    def from_ring(cls, ring: Ring, min_part_hours: int) -> RingBuilder:
        """What can be known again from a ring: not when partitions moved, nor overload, nor what was to be removed."""
        builder = cls(
            ring.part_power,
            ring.replica_count,
            min_part_hours,
            list(ring.devices),
            version=ring.version or 0,
            rows=[row[:] for row in ring.rows],
            next_part_power=ring.next_part_power,
        )
        builder.set_min_part_hours(min_part_hours)
        builder.version, builder.is_changed = ring.version or 0, False
        if any(device.weight > 0 for device in builder.live_devices()):
            builder.recalculate_dispersion()
        return builder

    # Questions

    @property
    def partition_count(self) -> int:
        return 1 << self.part_power

    @property
    def id_bytes(self) -> int:
        """Bytes that device ids need; with more than two the ring must be written in version 2."""
        return 2 if len(self.devices) <= _TWO_BYTE_IDS else 4

    def live_devices(self) -> Iterator[Device]:
        """Those in the list, also the ones that go at the next rebalance."""
        return (device for device in self.devices if device is not None)

    def device(self, device_id: int) -> Device:
        """Raises BuilderError."""
        if 0 <= device_id < len(self.devices):
            device = self.devices[device_id]
            if device is not None:
                return device
        raise BuilderError(f"there is no device with id {device_id}")

    def part_counts(self) -> list[int]:
        """Partition replicas by device id, as of the last rebalance."""
        counts: Counter[int] = Counter()
        for row in self.rows or ():
            counts.update(row)
        return [counts[device] for device in range(len(self.devices))]

    def parts_per_weight(self) -> float:
        """Partition replicas that weight 1 should hold; 0 without weights."""
        weight = math.fsum(device.weight for device in self.live_devices())
        return sum(self.row_lengths()) / weight if weight else 0.0

    def balance(self) -> float:
        """The largest deviation of a device from what its weight gives it, in percent."""
        per_weight, counts = self.parts_per_weight(), self.part_counts()
        values = (device_balance(counts[device.id], device.weight, per_weight) for device in self.live_devices())
        return max((abs(value) for value in values), default=0.0)

    def plan(self) -> Plan:
        """What every tier should hold. Raises BuilderError when no device has a weight."""
        try:
            return Plan(self.live_devices(), sum(self.row_lengths()) / self.partition_count, self.overload)
        except ValueError as error:
            raise BuilderError(f"{error}: add one, or give one a weight") from None

    def seconds_until_moves(self, now_s: int) -> int:
        """How long until partitions moved by the last rebalance may move again."""
        if self.last_moves is None:
            return 0
        return max(0, self.min_part_hours * _HOUR_S - max(0, now_s - self.last_moves_epoch_s))

    def waiting_count(self, now_s: int, device_ids: Collection[int] | None = None) -> int:
        """Partitions that min_part_hours keeps where they are; with device_ids only those that have a replica there."""
        if self.last_moves is None or self.rows is None:
            return 0
        hours, moves = self._hours_since_moves(now_s)
        if device_ids is None:
            return sum(count for was, count in Counter(moves).items() if was + hours < self.min_part_hours)
        held = {p for row in self.rows for p, device in enumerate(row) if device in device_ids}
        return sum(moves[partition] + hours < self.min_part_hours for partition in held)

    # Changes

    def add_device(self, new: NewDevice) -> Device:
        """Add a device under a free id (or the id it brings). Raises BuilderError."""
        device_id = new.id
        if device_id is None:
            device_id = next((i for i, device in enumerate(self.devices) if device is None), len(self.devices))
        elif device_id < len(self.devices) and self.devices[device_id] is not None:
            raise BuilderError(f"there is a device with id {device_id} already")
        device = new.with_id(device_id)
        self._check(device)
        self.devices.extend([None] * (device_id + 1 - len(self.devices)))
        self.devices[device_id] = device
        self._change()
        return device

    def change_device(self, device_id: int, **changes: Any) -> Device:
        """Replace fields of a device. Any: values of Device's fields. Raises BuilderError."""
        device = self.device(device_id)
        if device_id in self.removed:
            raise BuilderError(f"device {device_id} is marked for removal: it can no longer be changed")
        changed = replace(device, **changes)
        self._check(changed)
        self.devices[device_id] = changed
        # Only these decide who gets what; the ring can be written with new names and ports as it is.
        self._change(for_rebalance=(changed.tiers, changed.weight) != (device.tiers, device.weight))
        return changed

    def remove_device(self, device_id: int) -> None:
        """Mark a device: the next rebalance gives its partitions to others, and drops it."""
        device = self.device(device_id)
        self.devices[device_id] = replace(device, weight=0.0)
        self.removed.add(device_id)
        self._change()

    def replace_device(self, device_id: int, name: str, *, now_s: int) -> Device:
        """Another disk of the same node takes over all partitions of one, under its own name. They count as moved now:
        until its copies are there, no other replica of theirs may move. Raises BuilderError."""
        device = self.change_device(device_id, device=name)
        if self.rows is not None:
            changed = bytearray(self.partition_count)
            for row in self.rows:
                for partition, holder in enumerate(row):
                    changed[partition] |= holder == device_id
            self._note_moves(changed, now_s)
        return device

    def set_replicas(self, replicas: float) -> None:
        if not math.isfinite(replicas) or not 1 <= replicas <= 1024:
            raise BuilderError(f"replica count is {replicas:g}: expected 1 to 1024")
        self.replicas = float(replicas)
        self._change()

    def set_overload(self, overload: float) -> None:
        """overload: 0.1 lets devices take 10 % more than their weight when replicas are kept apart by that."""
        if not math.isfinite(overload) or overload < 0:
            raise BuilderError(f"overload is {overload:g}: expected 0 or more")
        self.overload = float(overload)
        self._change()

    def set_min_part_hours(self, hours: int) -> None:
        if not 0 <= hours <= HOURS_MAX:
            raise BuilderError(f"min_part_hours is {hours}: expected 0 to {HOURS_MAX}")
        self.min_part_hours = hours
        self._change(for_rebalance=False)

    def pretend_min_part_hours_passed(self) -> None:
        """Let every partition move at the next rebalance. Replicas that are still on their way may be lost by it."""
        if self.last_moves is not None:
            self.last_moves = array("B", bytes([HOURS_MAX]) * self.partition_count)
        self.last_moves_epoch_s = 0
        self._change(for_rebalance=False)

    def note_all_moved(self, now_s: int) -> None:
        """Count every partition as just moved: for who does not know better."""
        self._note_moves(b"\x01" * self.partition_count, now_s)

    # Rebalance

    def rebalance(self, *, now_s: int, seed: int | str | None = None) -> RebalanceReport:
        """Give every replica a place, and move what should move. Raises BuilderError when there is no device to use.

        now_s: wall clock, for min_part_hours. seed: the same builder and seed give the same table.
        """
        balance_before, dispersion_before = self.balance(), self.dispersion
        # 1. Plan before anything changes: it refuses a ring without weights.
        plan = self.plan()
        if sum(self.row_lengths()) * self.id_bytes > MAX_TABLE_BYTES:
            raise BuilderError(f"the table would take more than {MAX_TABLE_BYTES} bytes: no server reads such a ring")
        # 2. Make room: rows of the right number and length, no removed device in them.
        rows = self._prepared_rows()
        hours, moves = self._hours_since_moves(now_s)
        outcome = rebalance(rows, plan, lambda p: moves[p] + hours < self.min_part_hours, Random(seed))
        # 3. Take over the result; hours count from now on for all partitions.
        removed, changed_count = tuple(sorted(self.removed)), sum(outcome.changed)
        if changed_count:
            self._note_moves(outcome.changed, now_s)
        if changed_count or removed or self.rows is None or list(map(len, self.rows)) != list(map(len, outcome.rows)):
            self.version += 1
        self.rows = outcome.rows
        for device_id in removed:
            self.devices[device_id] = None
        self.removed.clear()
        self.is_changed = False
        self.recalculate_dispersion()
        return RebalanceReport(
            changed_count,
            outcome.moved_count,
            outcome.placed_count,
            removed,
            outcome.misplaced_count,
            outcome.surplus_count,
            balance_before,
            self.balance(),
            dispersion_before,
            self.dispersion,
        )

    def recalculate_dispersion(self) -> None:
        """Bring dispersion and its graph up to date with the table."""
        if self.rows is not None:
            plan = self.plan()
            self.graph = dispersion_graph(self.rows, plan)
            self.dispersion = dispersion_percent(self.graph, plan)

    def to_ring(self) -> Ring:
        """The ring that servers use. Raises BuilderError before the first rebalance."""
        if self.rows is None:
            raise BuilderError("the ring has no assignments yet: rebalance it first")
        header = RingHeader(HASH_BITS - self.part_power, self.version, self.next_part_power)
        return Ring(header, [row[:] for row in self.rows], self.devices)

    def row_lengths(self) -> list[int]:
        """Entries of each row that `replicas` asks for: full ones, and one shorter row for a fraction."""
        whole = int(self.replicas)
        part = int((self.replicas - whole) * self.partition_count + 1e-6)
        return [self.partition_count] * whole + ([part] if part else [])

    def _hours_since_moves(self, now_s: int) -> tuple[int, array[int]]:
        """(hours, per partition more hours) since it moved last, together."""
        moves = self.last_moves or array("B", bytes([HOURS_MAX]) * self.partition_count)
        return max(0, now_s - self.last_moves_epoch_s) // _HOUR_S, moves

    def _note_moves(self, changed: bytes | bytearray, now_s: int) -> None:
        """changed: 1 for every partition that has just moved."""
        hours, moves = self._hours_since_moves(now_s)
        self.last_moves = array(
            "B",
            (0 if moved else min(HOURS_MAX, was + hours) for was, moved in zip(moves, changed, strict=True)),
        )
        self.last_moves_epoch_s = now_s

    def _prepared_rows(self) -> list[Row[int]]:
        nobody = (1 << 8 * self.id_bytes) - 1
        rows = []
        old = self.rows or []
        for number, length in enumerate(self.row_lengths()):
            held = old[number][:length] if number < len(old) else []
            ids = (nobody if device in self.removed or device >= len(self.devices) else device for device in held)
            row: Row[int] = array(_ID_TYPECODES[self.id_bytes], ids)
            row.extend([nobody] * (length - len(row)))
            rows.append(row)
        return rows

    def _check(self, device: Device) -> None:
        try:
            check_device(device)
        except ValueError as error:
            raise BuilderError(str(error)) from None
        for other in self.live_devices():
            same = (other.ip, other.port, other.device) == (device.ip, device.port, device.device)
            if same and other.id != device.id and other.id not in self.removed:
                raise BuilderError(f"device {other.id} is at {other.ip}:{other.port}/{other.device} already")

    def _change(self, *, for_rebalance: bool = True) -> None:
        self.version += 1
        self.is_changed = self.is_changed or for_rebalance
