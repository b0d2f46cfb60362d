"""A ring as servers use it: read-only, shared by every request of a process.

A Ring is a table of device ids (a row per replica, an entry per partition) and the devices they stand for. It is made
by fileformat.load or by a builder's to_ring, both of which have checked it; nothing here checks again.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from objstore.core.hashing import partition_of
from objstore.ring.lookup import TierIndex, handoff_ids, primary_ids

HASH_BITS = 32
_PARTITIONS_REMEMBERED = 8192

Row = array  # of unsigned ints: "H", "I" or "Q"


class InvalidRing(ValueError):
    """Bytes or values that make no ring; the text is the reason, without a path."""


@dataclass(frozen=True, slots=True)
class Device:
    """One disk of the cluster. Its id is its position in the ring's list of devices.

    ip and port serve clients' requests, replication_ip and replication_port the daemons'; ip may be a host name.
    device: the name of its directory. weight: its share of the partitions, relative to the others.
    """

    id: int
    region: int
    zone: int
    ip: str
    port: int
    replication_ip: str
    replication_port: int
    device: str
    weight: float
    meta: str = ""

    @property
    def tiers(self) -> tuple[int, tuple[int, int], tuple[int, int, str], int]:
        """Its failure domains, the widest first. Addresses are those of clients' traffic (formats 2.5)."""
        return self.region, (self.region, self.zone), self.machine, self.id

    @property
    def machine(self) -> tuple[int, int, str]:
        """What its servers share their fate with. The zone tells apart the nodes of a test cluster, which share their
        address."""
        return self.region, self.zone, self.ip


@dataclass(frozen=True, slots=True)
class Node:
    """A device as the answer to one question. Primaries have an index, handoffs a handoff_index; both count from 0."""

    device: Device
    index: int | None = None
    handoff_index: int | None = None

    @property
    def id(self) -> int:
        return self.device.id

    @property
    def name(self) -> str:
        """The device's directory name: the first segment of a backend path."""
        return self.device.device

    @property
    def region(self) -> int:
        return self.device.region

    @property
    def zone(self) -> int:
        return self.device.zone

    @property
    def address(self) -> tuple[str, int]:
        return self.device.ip, self.device.port

    @property
    def replication_address(self) -> tuple[str, int]:
        return self.device.replication_ip, self.device.replication_port


class RingHeader(NamedTuple):
    """What a ring says about itself beside its table. version: None in files that do not tell."""

    part_shift: int
    version: int | None = None
    next_part_power: int | None = None


class Ring:
    """Partition to devices. Immutable.

    rows: one per replica, each of 2^(32 - part_shift) device ids, but the last may be shorter.
    devices: by id; None where a device was removed; device_count: of the others.
    next_part_power: set while the partition power is being raised.
    """

    __slots__ = (
        "part_shift",
        "partition_count",
        "replica_count",
        "devices",
        "rows",
        "version",
        "next_part_power",
        "device_count",
        "_nodes",
        "_primaries",
        "_tiers",
    )

    def __init__(self, header: RingHeader, rows: Sequence[Row[int]], devices: Sequence[Device | None]) -> None:
        self.part_shift, self.version, self.next_part_power = header
        self.rows = tuple(rows)
        self.devices = tuple(devices)
        self.partition_count = 1 << (HASH_BITS - self.part_shift)
        self.replica_count: float = len(self.rows) - 1 + len(self.rows[-1]) / len(self.rows[0])
        self.device_count = sum(device is not None for device in self.devices)
        # Nodes are values, so every partition shares them: one per device and position.
        self._nodes: dict[tuple[int, int], Node] = {}
        self._primaries: dict[int, tuple[Node, ...]] = {}
        self._tiers: TierIndex | None = None

    @property
    def part_power(self) -> int:
        return HASH_BITS - self.part_shift

    @property
    def header(self) -> RingHeader:
        return RingHeader(self.part_shift, self.version, self.next_part_power)

    def partition(self, digest: bytes) -> int:
        """The partition of a name's digest (core.hashing.HashSecrets.digest)."""
        return partition_of(digest, self.part_shift)

    def primaries(self, partition: int) -> tuple[Node, ...]:
        """Where the partition belongs; fewer than replica_count when a device holds it twice. Raises IndexError."""
        found = self._primaries.get(partition)
        if found is None:
            found = self._find_primaries(partition)
            # Asked several times per request. The few partitions of a busy moment are worth remembering, not all.
            if len(self._primaries) >= _PARTITIONS_REMEMBERED:
                self._primaries.clear()
            self._primaries[partition] = found
        return found

    def _find_primaries(self, partition: int) -> tuple[Node, ...]:
        self._check(partition)
        known, index = self._nodes, 0
        nodes: list[Node] = []
        for device in primary_ids(self.rows, partition):
            node = known.get((device, index))
            if node is None:
                node = known[device, index] = Node(self._device(device), index=index)
            nodes.append(node)
            index += 1
        return tuple(nodes)

    def handoffs(self, partition: int) -> Iterator[Node]:
        """Every other device in use, best stand-in first. Lazy. Raises IndexError for a partition it does not have."""
        self._check(partition)
        ids = handoff_ids(self.rows, self.part_shift, partition, self._tier_index())
        return (Node(self._device(device), handoff_index=position) for position, device in enumerate(ids))

    def _check(self, partition: int) -> None:
        if not 0 <= partition < self.partition_count:
            raise IndexError(f"partition {partition}: the ring has 0 to {self.partition_count - 1}")

    def _device(self, device_id: int) -> Device:
        device = self.devices[device_id]
        assert device is not None, f"device {device_id} is assigned but removed: the ring was not checked"
        return device

    def _tier_index(self) -> TierIndex:
        # Made at the first question for a handoff: most processes never ask, and it walks the whole table.
        if self._tiers is None:
            used: set[int] = set().union(*self.rows)
            self._tiers = TierIndex.of({device: self._device(device).tiers for device in used})
        return self._tiers
