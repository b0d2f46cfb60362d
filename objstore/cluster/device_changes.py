"""What a change does to the devices of one ring, before any partition moves; and which changes make no sense. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from objstore.cluster.changes import (
    AddDrives,
    Change,
    Continue,
    DrainDrive,
    DrainNode,
    NodeAddress,
    RemoveDrive,
    RemoveNode,
    ReplaceDrive,
)
from objstore.ring.builder import RingBuilder
from objstore.ring.model import Device
from objstore.ring.new_device import NewDevice, normal_host


class ChangeRefused(Exception):
    """A change that must not be done; each reason is a sentence with what to do instead."""

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


def kind_of(ring: str) -> str:
    """account, container or object: whose servers' ports the devices of a ring have."""
    return ring.partition("-")[0]


def is_concerned(ring: str, builder: RingBuilder, change: Change) -> bool:
    """Whether a change is about this ring: a drive need not be in all of them."""
    return isinstance(change, AddDrives | Continue) or bool(concerned(ring, builder, change))


def unknown(change: Change, builders: Mapping[str, RingBuilder]) -> str:
    """The sentence for a change that concerns no ring. builders: by ring name."""
    if isinstance(change, AddDrives | Continue):
        return "there are no builders here: this node does not hold the rings"
    node = change.node
    names = {device.device for ring, builder in builders.items() for device in devices_of(ring, builder, node)}
    if not names:
        return f"{node.name} ({node.ip}) has no drive in the rings: see objstore ring status"
    assert not isinstance(change, DrainNode | RemoveNode)
    return f"{node.name}/{change.drive} is not in the rings; {node.name} has {', '.join(sorted(names))}"


def concerned(ring: str, builder: RingBuilder, change: Change) -> list[Device]:
    """The devices of this ring that a change is about; those that are to be added are not among them."""
    match change:
        case DrainDrive(node, drive) | RemoveDrive(node, drive) | ReplaceDrive(node, drive):
            return [device for device in devices_of(ring, builder, node) if device.device == drive]
        case DrainNode(node) | RemoveNode(node):
            return devices_of(ring, builder, node)
        case AddDrives() | Continue():
            return []


def devices_of(ring: str, builder: RingBuilder, node: NodeAddress) -> list[Device]:
    """Of a node, those that are not on their way out."""
    address = normal_host(node.ip), node.port(kind_of(ring))
    return [
        device
        for device in builder.live_devices()
        if (device.ip, device.port) == address and device.id not in builder.removed
    ]


def make(builder: RingBuilder, ring: str, change: Change, now_s: int) -> list[str]:
    """Do it, without moving a partition; notes for the operator. Raises ChangeRefused, BuilderError; the builder is
    then of no use."""
    drives, hosts = _domains(builder)
    found = concerned(ring, builder, change)
    match change:
        case AddDrives():
            return _add(builder, ring, change)
        case Continue():
            return []
        case ReplaceDrive():
            return _replace(builder, ring, change, found, now_s)
        case DrainDrive() | DrainNode():
            notes = _drain(builder, found)
        case RemoveDrive() | RemoveNode():
            notes = _remove(builder, ring, change, found, now_s)
    drives_left, hosts_left = _domains(builder)
    if drives >= builder.replicas > drives_left:
        raise ChangeRefused(
            f"{ring} ring: {builder.replicas:g} replicas need {math.ceil(builder.replicas)} drives, and {drives_left} "
            "would be left: add a drive first, or lower the replicas"
        )
    if hosts >= builder.replicas > hosts_left:
        notes.append(f"{ring} ring: only {hosts_left} nodes will be left, so replicas of a partition share a node")
    return notes


def _add(builder: RingBuilder, ring: str, change: AddDrives) -> list[str]:
    node = change.node
    known = {device.device for device in devices_of(ring, builder, node)}
    before = [device.weight for device in builder.live_devices() if device.weight > 0]
    for drive in change.drives:
        if drive.name in known:
            raise ChangeRefused(f"{node.name}/{drive.name} is in the rings already, or named twice: name another drive")
        known.add(drive.name)
        port = node.port(kind_of(ring))
        builder.add_device(NewDevice(change.zone, node.ip, port, drive.name, drive.weight, region=change.region))
    return [f"{node.name}/{drive.name} gets weight {drive.weight:g}{_beside(before)}" for drive in change.drives]


def _beside(weights: list[float]) -> str:
    if not weights:
        return ""
    least, most = min(weights), max(weights)
    return f"; drives there have {least:g}" + (f" to {most:g}" if most > least else "")


def _drain(builder: RingBuilder, found: Iterable[Device]) -> list[str]:
    drained = [device.device for device in found if device.weight == 0]
    for device in found:
        if device.weight > 0:
            builder.change_device(device.id, weight=0.0)
    return [f"{name} is drained already; what is still on it goes on moving" for name in drained]


def _replace(builder: RingBuilder, ring: str, change: ReplaceDrive, found: list[Device], now_s: int) -> list[str]:
    name = change.node.name
    if change.drive == change.by:
        raise ChangeRefused(
            f"{name}/{change.drive}: a new disk under the same name needs no change of the rings: mount it there, and "
            "the replicators fill it"
        )
    if any(device.device == change.by for device in devices_of(ring, builder, change.node)):
        raise ChangeRefused(f"{name}/{change.by} is in the rings already: drain {change.drive} instead")
    _refuse_last_copies(builder, ring, found, f"drain {change.drive} instead: objstore drive drain")
    waiting = 0 if change.is_lost else builder.waiting_count(now_s, {device.id for device in found})
    if waiting:
        raise ChangeRefused(
            f"{ring} ring: {waiting} of its partitions have another replica on its way: wait "
            f"{math.ceil(builder.seconds_until_moves(now_s) / 60)} min, or say --lost when it is dead"
        )
    for device in found:
        builder.replace_device(device.id, change.by, now_s=now_s)
    return []


def _remove(
    builder: RingBuilder, ring: str, change: RemoveDrive | RemoveNode, found: list[Device], now_s: int
) -> list[str]:
    notes = []
    if change.is_lost:
        tool = f"objstore-ring-builder {ring}.builder remove"
        _refuse_last_copies(builder, ring, found, f"what they held is lost if you give it up; only by hand: {tool}")
        waiting = builder.waiting_count(now_s, {device.id for device in found})
        if waiting:
            notes.append(f"{ring} ring: {waiting} of its partitions have another replica on its way already")
    else:
        what = f"{change.node.name}/{change.drive}" if isinstance(change, RemoveDrive) else change.node.name
        _refuse_not_empty(builder, ring, change, found, what)
    for device in found:
        builder.remove_device(device.id)
    return notes


def _refuse_not_empty(
    builder: RingBuilder, ring: str, change: RemoveDrive | RemoveNode, found: list[Device], what: str
) -> None:
    counts = builder.part_counts()
    held = sum(counts[device.id] for device in found)
    drain = f"objstore {'drive' if isinstance(change, RemoveDrive) else 'node'} drain"
    if held:
        raise ChangeRefused(
            f"{what} still holds {held} partitions of the {ring} ring: drain it first ({drain}), or say --lost when it "
            "is dead"
        )
    if change.left is None:
        raise ChangeRefused(
            f"nobody has looked whether {what} is empty: run this on its node, or say --lost when it is dead"
        )
    if change.left:
        raise ChangeRefused(
            f"{what} still has {change.left} partitions on disk that replicators have not moved yet: wait until it is "
            "empty, or say --lost when it is dead"
        )


def _refuse_last_copies(builder: RingBuilder, ring: str, found: Iterable[Device], instead: str) -> None:
    """Partitions that have no replica but on these devices."""
    going = {device.id for device in found}
    rows = builder.rows or []
    last = sum(
        all(row[partition] in going for row in rows if partition < len(row))
        for partition in range(builder.partition_count if rows else 0)
    )
    if last:
        raise ChangeRefused(f"{ring} ring: {last} partitions have their only copies there: {instead}")


def _domains(builder: RingBuilder) -> tuple[int, int]:
    """How many drives, and how many hosts, have a weight."""
    weighted = [device for device in builder.live_devices() if device.weight > 0]
    return len(weighted), len({device.machine for device in weighted})
