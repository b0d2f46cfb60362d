"""Looking at a drive of this machine before the rings name it, or forget it."""

from __future__ import annotations

import os
from pathlib import Path

from objstore.cli.ring_session import Rings
from objstore.cli.status_disks import disk_fact
from objstore.cli.terminal import FAILED, CommandError
from objstore.cluster.changes import NodeAddress
from objstore.cluster.drives import DriveError, Drives, check_data
from objstore.cluster.init import InitError, check_directory
from objstore.cluster.servers import ServerFile
from objstore.config.cluster import load_cluster
from objstore.runtime.fs import Fs


def prepare(rings: Rings, node: NodeAddress, drive: str, may_have_data: bool) -> None:
    """The drive's directory is there afterwards, can be used, and is no other cluster's. may_have_data: of this
    cluster's. Raises CommandError."""
    server = rings.server(node)
    if server is None:
        raise CommandError(
            f"{node.name} is another machine: run this there, where the drive can be looked at", code=FAILED
        )
    path = Path(os.path.abspath(server.devices)) / drive
    if server.settings.mount_check and not os.path.ismount(path):
        raise CommandError(
            f"{path}: nothing is mounted there; mount the drive first, or set mount_check = no", code=FAILED
        )
    if not path.is_dir() and rings.directory.nodes not in path.parents:
        raise CommandError(f"{path}: there is no such directory; make it, or mount the drive there", code=FAILED)
    try:
        check_directory(path, Fs())
        check_data(Drives(path.parent, (drive,), server.settings.mount_check), load_cluster(server.swift_dir).secrets)
    except (InitError, DriveError) as error:
        raise CommandError(str(error), code=FAILED) from None
    if left_on(server, [drive]) and not may_have_data:
        raise CommandError(
            f"{path}: holds partitions already, from which deleted objects may come back: empty it, or say --keep-data "
            "when it left the rings less than reclaim_age (a week) ago",
            code=FAILED,
        )


def left_on(server: ServerFile | None, drives: list[str]) -> int | None:
    """Partitions and container rows still on drives; None when nobody here can look."""
    if server is None:
        return None
    total = 0
    for drive in drives:
        fact = disk_fact(server.node, server.devices / drive, server.settings.mount_check)
        if fact.problem:
            return None
        total += fact.partitions + fact.pending
    return total
