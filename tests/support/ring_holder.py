"""The directory of a ring holder as `objstore init` leaves it, small: nodes n1, n2 … on 10.0.0.1, 10.0.0.2 …"""

from __future__ import annotations

from pathlib import Path

from objstore.cluster.changes import NodeAddress
from objstore.cluster.device_changes import kind_of
from objstore.ring.builder import RingBuilder
from objstore.ring.builder_file import save_builder
from objstore.ring.fileformat import save
from objstore.ring.new_device import NewDevice

PORTS = {"object": 6200, "container": 6201, "account": 6202}
RINGS = ("account", "container", "object", "object-1")
NOW_S = 1_800_000_000


def node(number: int) -> NodeAddress:
    return NodeAddress(f"n{number}", f"10.0.0.{number}", PORTS["object"], PORTS["container"], PORTS["account"])


def make_builder(
    ring: str = "object", *, nodes: int = 4, drives: int = 1, replicas: float = 3, part_power: int = 5, hours: int = 1
) -> RingBuilder:
    """Every node in a zone of its own, drives d1, d2 … of weight 100 on each; partitions may move at once."""
    builder = RingBuilder.create(part_power, replicas, hours)
    for number in range(1, nodes + 1):
        for drive in range(1, drives + 1):
            port = PORTS[kind_of(ring)]
            builder.add_device(NewDevice(number, node(number).ip, port, f"d{drive}", 100.0, region=1))
    builder.rebalance(now_s=NOW_S, seed=ring)
    builder.pretend_min_part_hours_passed()
    return builder


def make_etc(etc: Path, rings: tuple[str, ...] = RINGS, **options: float) -> Path:
    """Builders and rings; options as for make_builder."""
    etc.mkdir(parents=True, exist_ok=True)
    for ring in rings:
        builder = make_builder(ring, **options)
        save_builder(builder, etc / f"{ring}.builder")
        save(builder.to_ring(), etc / f"{ring}.ring.gz")
    return etc
