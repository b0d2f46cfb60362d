"""What `objstore ring status` says of each ring: version, digest, quality, what waits, and who has another one."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from objstore.cli.ring_session import Rings
from objstore.cluster.holder import Holder
from objstore.cluster.node_state import differing
from objstore.cluster.ring_manifest import BUILDER_SUFFIX, RING_SUFFIX, digest_of, read_manifest
from objstore.ring.builder import RingBuilder
from objstore.ring.builder_file import load_builder
from objstore.ring.model import Ring
from objstore.runtime.fs import Fs


@dataclass(frozen=True, slots=True)
class RingFact:
    """sha256: of the file. balance, dispersion: percent. waiting: partitions that may not move for wait_s seconds at
    the most, None where there is no builder to tell. draining: partition replicas that drives without weight have yet
    to give away. differs: nodes whose file is another one."""

    ring: str
    version: int | None
    sha256: str
    drives: int
    replicas: float
    balance: float
    dispersion: float
    waiting: int | None
    wait_s: int
    draining: int
    differs: tuple[str, ...]


def ring_facts(rings: Rings) -> tuple[int | None, list[str], list[RingFact]]:
    """(version of all together, None without rings.json; sentences about rings nobody here has made; a fact for each
    ring). Raises DomainError, OSError."""
    etc = rings.directory.etc
    notes: list[str] = []
    if rings.has_builders and any(etc.glob(f"*{BUILDER_SUFFIX}")):
        notes = Holder(etc).foreign()
    manifest = read_manifest(etc, Fs())
    remote: list[tuple[str, str]] = []
    known, problem = rings.cluster
    notes += [problem] if problem else []
    if known is not None:
        remote = list(differing(known))
        notes += [node.problem for node in known.nodes if node.problem]
        # The holder itself has just looked.
        notes += [] if rings.has_builders else [f"{known.holder}: {text}" for text in known.foreign]
    facts = [_fact(rings, etc / f"{name}{RING_SUFFIX}", name, ring, remote) for name, ring in rings.rings.items()]
    return None if manifest is None else manifest.version, notes, facts


def _fact(rings: Rings, path: Path, name: str, ring: Ring, remote: Iterable[tuple[str, str]]) -> RingFact:
    """remote: (node, ring file) of other machines whose file is another one."""
    digest = digest_of(path.read_bytes())
    builder_path = path.with_name(f"{name}{BUILDER_SUFFIX}")
    builder = load_builder(builder_path) if rings.has_builders and builder_path.exists() else None
    shown = builder or RingBuilder.from_ring(ring, 0)
    now_s = int(time.time())
    return RingFact(
        name,
        ring.version,
        digest,
        sum(device is not None and device.weight > 0 for device in ring.devices),
        ring.replica_count,
        shown.balance(),
        shown.dispersion,
        None if builder is None else builder.waiting_count(now_s),
        0 if builder is None else builder.seconds_until_moves(now_s),
        _draining(ring),
        (*_differing(rings, path.name, digest), *(node for node, file in remote if file == path.name)),
    )


def _draining(ring: Ring) -> int:
    drained = {device.id for device in ring.devices if device is not None and not device.weight}
    return sum(row.count(device) for row in ring.rows for device in drained)


def _differing(rings: Rings, file_name: str, digest: str) -> tuple[str, ...]:
    """Nodes on this machine whose servers read another file of that name."""
    found: dict[str, None] = {}
    for server in rings.servers:
        path = server.swift_dir / file_name
        if not path.exists() or digest_of(path.read_bytes()) != digest:
            found[server.node] = None
    return tuple(found)
