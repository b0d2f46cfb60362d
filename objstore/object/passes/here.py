"""Which devices of the rings are this node's, and the rings of all policies as a pass sees them. Source: formats
2.5."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from objstore.core.policy import Policies
from objstore.ring.fileformat import RingFileError
from objstore.ring.model import Device, Node, Ring
from objstore.ring.reload import ReloadingRing

_log = logging.getLogger("objstore.object-replicator")


@dataclass(frozen=True, slots=True)
class Here:
    """addresses: of this machine, as the rings may name them. port: that of the server this daemon belongs to."""

    addresses: frozenset[str]
    port: int

    def is_device(self, node: Node, device: str) -> bool:
        """Whether a node of a ring is the device of that name on this node."""
        return node.name == device and self._is_mine(node.device)

    def has_any_of(self, ring: Ring) -> bool:
        """Whether the ring names this node at all. One that does not may be another machine's, or the address is not
        known for ours: then no partition can be told to be a handoff."""
        return any(device is not None and self._is_mine(device) for device in ring.devices)

    def region(self, rings: Iterable[Ring]) -> int | None:
        """The region of this node's devices; None when no ring names the node."""
        for ring in rings:
            for device in ring.devices:
                if device is not None and self._is_mine(device):
                    return device.region
        return None

    def _is_mine(self, device: Device) -> bool:
        return device.replication_port == self.port and device.replication_ip in self.addresses

    def __str__(self) -> str:
        return f"{', '.join(sorted(self.addresses))} port {self.port}"


@dataclass
class RingBook:
    """The object rings. seen: the last state of each, for threads that may not read files or log; by policy index."""

    swift_dir: Path
    policies: Policies
    seen: dict[int, Ring] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._files: Mapping[int, ReloadingRing] = {
            policy.index: ReloadingRing(self.swift_dir / f"{policy.ring_name}.ring.gz") for policy in self.policies
        }
        for policy in self.policies:
            self.current(policy.index)

    def current(self, policy_index: int) -> Ring | None:
        """The ring as its file says now; None when there has never been a usable one, or for an unknown policy."""
        file = self._files.get(policy_index)
        if file is None:
            return None
        try:
            self.seen[policy_index] = file.current
        except RingFileError as error:
            _log.error("policy=%d: %s", policy_index, error)
            return None
        return self.seen[policy_index]
