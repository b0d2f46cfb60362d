"""objstore drive add|drain|replace|remove DIR NODE DRIVE: the drives of a cluster, one at a time, plan first."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from objstore.cli.place import add_directory, existing
from objstore.cli.ring_session import Rings, add_change_arguments, carry_out
from objstore.cli.terminal import USAGE, CommandError, Terminal
from objstore.cluster.changes import AddDrives, DrainDrive, NewDrive, NodeAddress, RemoveDrive, ReplaceDrive
from objstore.cluster.local_drives import Look
from objstore.cluster.new_rings import WEIGHT
from objstore.cluster.node_addresses import devices_of
from objstore.ring.model import Device

EXAMPLE = """\
example:
  objstore drive add ~/cluster n2 d2            its share of all partitions moves there
  objstore drive drain ~/cluster n2 d1          its partitions go to others; then, when it is empty:
  objstore drive remove ~/cluster n2 d1
  objstore drive replace ~/cluster n2 d1 d3     d3 takes over everything d1 had, in one step
  objstore drive remove ~/cluster n2 d1 --lost  it is dead: its partitions are copied from the others

NODE is a node's name, as in objstore status, or its address; any node: where it is another machine, its agent looks at
the drive. DRIVE is a directory below the node's `devices`, made where the node's drives are no mounts. The plan is
shown first. Exit code 0: done; 1: refused or failed, nothing was changed; 2: --yes is needed; 78: no cluster.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("add", "drain", "replace", "remove"))
    add_directory(parser)
    parser.add_argument("node", metavar="NODE")
    parser.add_argument("drive", metavar="DRIVE")
    parser.add_argument("by", metavar="NEW", nargs="?", help="replace: the drive that takes over")
    parser.add_argument(
        "--weight",
        type=float,
        help="add: its share, relative to others (1 per gigabyte, or as its node's other drives)",
    )
    parser.add_argument("--zone", type=int, help="add: the failure domain of a node without drives")
    parser.add_argument("--keep-data", action="store_true", help="add, replace: the new drive may hold data already")
    parser.add_argument("--lost", action="store_true", help="remove, replace: the drive is dead, nothing can be read")
    add_change_arguments(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    _check_usage(arguments)
    rings = Rings(existing(arguments))
    node = rings.node(arguments.node)
    drive = _name(arguments.drive, rings, node)
    if arguments.action == "add":
        return _add(rings, node, drive, arguments, terminal)
    if arguments.action == "replace":
        return _replace(rings, node, drive, arguments, terminal)
    if arguments.action == "drain":
        return carry_out(rings, DrainDrive(node, drive), arguments, terminal)
    left = None if arguments.lost else rings.left_on(node, [drive])
    return carry_out(rings, RemoveDrive(node, drive, left, arguments.lost), arguments, terminal)


def _check_usage(arguments: argparse.Namespace) -> None:
    if (arguments.by is not None) != (arguments.action == "replace"):
        raise CommandError("expected drive replace DIR NODE OLD NEW, and one DRIVE for the others", code=USAGE)
    for option, action in (("weight", "add"), ("zone", "add")):
        if getattr(arguments, option) is not None and arguments.action != action:
            raise CommandError(f"--{option} goes with drive {action} only", code=USAGE)
    if arguments.keep_data and arguments.action not in ("add", "replace"):
        raise CommandError("--keep-data goes with drive add and drive replace only", code=USAGE)
    if arguments.lost and arguments.action not in ("remove", "replace"):
        raise CommandError("--lost goes with drive remove and drive replace only", code=USAGE)
    if arguments.weight is not None and not 0 < arguments.weight < 1e12:
        raise CommandError(f"--weight {arguments.weight:g}: expected a number above 0", code=USAGE)


def _name(text: str, rings: Rings, node: NodeAddress) -> str:
    """The drive's name, also from the path of its directory."""
    if "/" not in text:
        return text
    path, server = Path(text).expanduser().absolute(), rings.server(node)
    if server is not None and path.parent != Path(os.path.abspath(server.devices)):
        raise CommandError(f"{path}: drives of {node.name} are directories of {os.path.abspath(server.devices)}")
    return path.name


def _add(rings: Rings, node: NodeAddress, drive: str, arguments: argparse.Namespace, terminal: Terminal) -> int:
    zones = sorted({(device.region, device.zone) for device in _devices(rings, node)})
    if not zones and arguments.zone is None:
        raise CommandError(f"{node.name} has no drives yet: say its failure domain with --zone NUMBER", code=USAGE)
    if zones and arguments.zone not in (None, zones[0][1]):
        raise CommandError(f"{node.name} is in zone {zones[0][1]}: all drives of a node share its zone", code=USAGE)
    region, zone = zones[0] if zones else (1, arguments.zone)
    look = rings.look(node, new=drive)
    weight = arguments.weight or _weight(rings, node, look)
    return carry_out(
        rings,
        AddDrives(node, zone, (NewDrive(drive, weight),), region),
        arguments,
        terminal,
        usage=look.usage.and_of(rings.usage()),
        prepare=lambda: rings.prepare(node, drive, may_have_data=arguments.keep_data),
    )


def _replace(rings: Rings, node: NodeAddress, drive: str, arguments: argparse.Namespace, terminal: Terminal) -> int:
    by = _name(arguments.by, rings, node)
    change = ReplaceDrive(node, drive, by, arguments.lost)
    return carry_out(
        rings,
        change,
        arguments,
        terminal,
        usage=rings.look(node, new=by).usage.and_of(rings.usage()),
        prepare=lambda: rings.prepare(node, by, may_have_data=arguments.keep_data),
    )


def _devices(rings: Rings, node: NodeAddress) -> list[Device]:
    return [device for name, ring in rings.rings.items() for device in devices_of(ring, name.partition("-")[0], node)]


def _weight(rings: Rings, node: NodeAddress, look: Look) -> float:
    """By size where the cluster weighs so and the drive has a file system of its own; else as the node's others."""
    if look.weight is not None and rings.client is not None and rings.client.members.weights_by_size:
        return float(look.weight)
    weights = [device.weight for device in _devices(rings, node) if device.weight > 0]
    return sum(weights) / len(weights) if weights else WEIGHT
