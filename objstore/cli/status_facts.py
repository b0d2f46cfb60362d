"""What `objstore status` knows of a cluster directory: gathered from its nodes' recon caches, disks and rings.

Each node is looked at in a thread of its own: a disk that stalls costs its node's facts, not the answer. Whatever could
not be found out within the deadline is itself a fact.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from objstore.cli.at_once import within
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.disk_facts import disk_fact
from objstore.cluster.servers import ServerFile, glance, recon_directories
from objstore.cluster.verdict import (
    CopiesFact,
    DaemonFact,
    DiskFact,
    Facts,
    OtherNodes,
    ProcessFact,
    ReplicationFact,
    copies_missing,
)
from objstore.config.errors import ConfigError
from objstore.daemon import recon
from objstore.ring.fileformat import RingFileError, load
from objstore.ring.model import Ring
from objstore.runtime.listen import Address

DEADLINE_S = 1.5
"""For all nodes together: status answers in two seconds."""
_KINDS = ("account", "container", "object")

Rings = Mapping[Path, Mapping[str, Ring]]
"""swift_dir → name without .ring.gz → ring."""


@dataclass
class _OfNode:
    """Filled by a node's thread, and read when that has ended."""

    disks: list[DiskFact] = field(default_factory=list)
    replication: list[ReplicationFact] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)


def gather(
    directory: ClusterDirectory,
    processes: Iterable[Mapping[str, Any]],
    daemons: Iterable[Mapping[str, Any]],
    *,
    deadline_s: float = DEADLINE_S,
) -> Facts:
    """What is known of a cluster now; blocks for deadline_s at most.

    processes: rows of the supervisor's answer. daemons: entries of daemons.recon with their "daemon" and "node". A disk
    or a file that cannot be read is a fact too: nothing is raised for it.
    """
    rows = list(processes)
    alive = {row.get("pid") for row in rows}
    process_facts = tuple(
        ProcessFact(str(row.get("role")), str(row.get("node")), str(row.get("state"))) for row in rows
    )
    daemon_facts = tuple(daemon_fact(row, alive) for row in daemons)
    try:
        servers = [server for server in glance(directory) if server.node != "-"]
    except ConfigError as error:
        return Facts(process_facts, daemon_facts, unknown=(("", f"{directory.etc}: {error.problems[0]}"),))
    rings = load_rings(servers)
    asked = _questions(directory, servers, rings)
    found = within(asked, deadline_s)
    elsewhere = _of_other_nodes(directory, set(asked))
    disks = tuple(disk for each in found.values() for disk in each.disks)
    # The copies of a node that is silent are not counted as lost: a busy machine is no proof.
    silent = [node for node in asked if node not in found]
    return Facts(
        process_facts,
        daemon_facts,
        disks,
        tuple(fact for each in found.values() for fact in each.replication),
        tuple(_copies(next(iter(rings.values()), {}), _lost(process_facts, servers, disks))),
        _digests_by_ring({**{node: each.digests for node, each in found.items()}, **elsewhere.digests}),
        (
            *((node, text) for node, each in found.items() for text in each.unknown),
            *elsewhere.unknown,
            *((node, f"{node}: its disks did not answer within {deadline_s:g} s") for node in silent),
        ),
    )


def _questions(
    directory: ClusterDirectory, servers: Iterable[ServerFile], rings: Rings
) -> dict[str, Callable[[], _OfNode]]:
    """By node of this machine: what finds out about its disks."""
    by_node: dict[str, list[ServerFile]] = {}
    for server in servers:
        by_node.setdefault(server.node, []).append(server)
    caches = recon_directories(directory)
    return {
        node: partial(_of_node, files, caches.get(node, directory.cache(node)), rings)
        for node, files in by_node.items()
    }


def _of_other_nodes(directory: ClusterDirectory, local: Collection[str]) -> OtherNodes:
    """What is known of the nodes on other machines; nothing where the cluster has only this one."""
    if not directory.members_file.exists():
        return OtherNodes()
    # Here, because it brings the whole conversation of agents along: half of the time of status on one machine.
    from objstore.cli.status_nodes import of_other_nodes

    return of_other_nodes(directory, local)


def daemon_fact(row: Mapping[str, Any], alive: Iterable[object]) -> DaemonFact:
    """An entry of daemons.recon. alive: pids that run. Another version's may lack some of it."""
    counts = row.get("counts")
    counts = counts if isinstance(counts, dict) else {}
    return DaemonFact(
        str(row.get("node")),
        str(row.get("daemon")),
        str(row.get("state")),
        _number(row.get("started")),
        _number(row.get("elapsed")),
        _number(row.get("interval")) or 0.0,
        bool(row.get("is_complete", True)),
        int(_number(row.get("failures")) or 0),
        row.get("pid") in set(alive),
        int(max(0.0, (_number(counts.get("handoffs")) or 0) - (_number(counts.get("partitions_removed")) or 0))),
    )


def _of_node(files: Sequence[ServerFile], cache: Path, rings: Rings) -> _OfNode:
    found = _OfNode()
    node = files[0].node
    for kind in _KINDS:
        try:
            last = _number(recon.read(recon.recon_file(cache, kind)).get("replication_last"))
        except OSError as error:
            found.unknown.append(f"{node}: {recon.recon_file(cache, kind)} cannot be read ({error.strerror})")
            continue
        if last is not None:
            found.replication.append(ReplicationFact(node, kind, last))
    for swift_dir in sorted({server.swift_dir for server in files}):
        found.digests |= {path.name: _digest(path) for path in swift_dir.glob("*.ring.gz")}
    for root, mount_check in sorted({(server.devices, server.settings.mount_check) for server in files}):
        for name, weight in sorted(_weights(files, rings).items()):
            found.disks.append(replace(disk_fact(node, root / name, mount_check), is_drained=not weight))
    return found


def _weights(files: Sequence[ServerFile], rings: Rings) -> dict[str, float]:
    """Devices that the rings place at these servers, and the most weight any ring gives them."""
    found: dict[str, float] = {}
    for server in files:
        for name, ring in rings[server.swift_dir].items():
            if name.partition("-")[0] == server.role.partition("-")[0]:
                for device in ring.devices:
                    if device is not None and (device.ip, device.port) == server.address:
                        found[device.device] = max(device.weight, found.get(device.device, 0.0))
    return found


def _lost(
    processes: Sequence[ProcessFact], servers: Sequence[ServerFile], disks: Iterable[DiskFact]
) -> set[tuple[Address, str]]:
    """(address, device) of copies that do not answer; device "" is all of that address."""
    ready = {(process.role, process.node) for process in processes if process.state == "ready"}
    lost = {(server.address, "") for server in servers if (server.role, server.node) not in ready}
    broken = {(disk.node, disk.device) for disk in disks if disk.problem}
    return lost | {(server.address, name) for server in servers for node, name in broken if node == server.node}


def _copies(rings: Mapping[str, Ring], lost: set[tuple[Address, str]]) -> Iterator[CopiesFact]:
    for name, ring in rings.items():
        gone = {
            device.id
            for device in ring.devices
            if device is not None and lost & {((device.ip, device.port), ""), ((device.ip, device.port), device.device)}
        }
        short = copies_missing(ring, gone)
        if short:
            yield CopiesFact(name, len(ring.rows), dict(short))


def load_rings(servers: Iterable[ServerFile]) -> Rings:
    """What can be read of the rings of each swift_dir; what cannot is missing among the digests, or differs."""
    found: dict[Path, dict[str, Ring]] = {}
    for swift_dir in sorted({server.swift_dir for server in servers}):
        found[swift_dir] = {}
        for path in sorted(swift_dir.glob("*.ring.gz")):
            try:
                found[swift_dir][path.name.removesuffix(".ring.gz")] = load(path)
            except RingFileError:
                continue
    return found


def _digests_by_ring(by_node: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    names = sorted({name for digests in by_node.values() for name in digests})
    return {name: {node: digests.get(name, "") for node, digests in by_node.items()} for name in names}


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _number(value: object) -> float | None:
    """None for what is not a finite number: JSON as Python reads it has NaN and Infinity."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 1e18:
        return None
    return float(value)
