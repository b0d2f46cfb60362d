"""The first rings of a cluster: builder and ring file."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from objstore.cluster.directory import STORAGE_KINDS
from objstore.ring.builder import RingBuilder
from objstore.ring.builder_file import save_builder
from objstore.ring.fileformat import save
from objstore.ring.new_device import NewDevice

WEIGHT = 100.0
"""Of every drive, where nobody has weighed them."""
_MIN_PART_HOURS = 1


@dataclass(frozen=True, slots=True)
class NewNode:
    """A node that is being made: its servers listen on consecutive ports from first_port, in the order of
    STORAGE_KINDS. weights: of devices whose weight is not WEIGHT."""

    name: str
    zone: int
    ip: str
    first_port: int
    devices: tuple[str, ...]
    weights: Mapping[str, float] = field(default_factory=dict)

    def port(self, kind: str) -> int:
        return self.first_port + STORAGE_KINDS.index(kind)


@dataclass(frozen=True, slots=True)
class RingPlan:
    replicas: float
    part_power: int


def write(directory: Path, name: str, kind: str, plan: RingPlan, nodes: Sequence[NewNode]) -> None:
    """Write <name>.builder and <name>.ring.gz. kind: whose ports the devices have. Raises BuilderError for a ring that
    cannot be made."""
    builder = RingBuilder.create(plan.part_power, plan.replicas, _MIN_PART_HOURS)
    for node in nodes:
        for device in node.devices:
            weight = node.weights.get(device, WEIGHT)
            builder.add_device(NewDevice(node.zone, node.ip, node.port(kind), device, weight, region=1))
    builder.rebalance(now_s=int(time.time()), seed=name)
    # Nothing has been anywhere else before: the first change need not wait.
    builder.pretend_min_part_hours_passed()
    save_builder(builder, directory / f"{name}.builder")
    save(builder.to_ring(), directory / f"{name}.ring.gz")
