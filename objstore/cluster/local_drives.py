"""Drives of the node in a directory, looked at and made ready where they are: by a command there, or for a command on
another node by the agent.

Looking changes nothing. What the rings are to name is made ready before they do: its directory is there, is mounted if
the node's drives are, can be written, keeps extended attributes, and holds no data that must not come back.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from objstore.cluster import drive_weights
from objstore.cluster.change_plan import Usage
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.disk_facts import disk_fact
from objstore.cluster.drives import DriveError, Drives, check_data
from objstore.cluster.holder_messages import usage_of, usage_to_json
from objstore.cluster.init import InitError, check_directory
from objstore.cluster.ring_manifest import RING_SUFFIX
from objstore.cluster.servers import PROXY_NODE, ServerFile, glance
from objstore.cluster.strict_json import Fields
from objstore.cluster.usage import measured
from objstore.config.cluster import load_cluster
from objstore.ring.fileformat import load
from objstore.ring.model import Ring
from objstore.runtime.devices import is_safe_name
from objstore.runtime.fs import Fs


@dataclass(frozen=True, slots=True)
class Look:
    """left: partitions and container rows on the drives that were asked about, None when one could not be looked at.
    weight: of the new drive by its size, None where it has no file system of its own."""

    left: int | None
    weight: int | None = None
    usage: Usage = field(default_factory=Usage)

    def to_json(self) -> dict[str, Any]:
        """Any: what JSON has."""
        return {"left": self.left, "weight": self.weight, "usage": usage_to_json(self.usage)}


def look_of(fields: Fields) -> Look:
    """The inverse of to_json(), of what another node said. Raises BadFields."""
    left = None if fields.plain().get("left") is None else fields.number("left")
    is_weighed = fields.plain().get("weight") is not None
    weight = fields.number("weight", 1, drive_weights.WEIGHT_MAX) if is_weighed else None
    return Look(left, weight, usage_of(fields.object("usage")))


@dataclass(frozen=True)
class LocalDrives:
    """directory: of the cluster. node: its name; its servers are on this machine. Everything raises ConfigError."""

    directory: ClusterDirectory
    node: str

    def look(self, held: Sequence[str] = (), new: str = "") -> Look:
        """held: drives whose partitions are counted. new: one that is to join; "" is none. Blocks as long as the disks
        do. Raises DriveError."""
        servers = [server for server in glance(self.directory) if server.node != PROXY_NODE]
        path = self.path(new) if new else None
        usage = measured(servers, self._rings(), [] if path is None else [path])
        return Look(self.left_on(held), None if path is None else drive_weights.of_own_file_system(path), usage)

    def left_on(self, drives: Sequence[str]) -> int | None:
        """Partitions and container rows still there; None when one of the drives cannot be looked at."""
        server, total = self._server(), 0
        for drive in drives:
            fact = disk_fact(self.node, self.path(drive), server.settings.mount_check)
            if fact.problem:
                return None
            total += fact.partitions + fact.pending
        return total

    def prepare(self, drive: str, *, may_have_data: bool) -> None:
        """The drive can be used afterwards. may_have_data: of this cluster's. Raises DriveError, OSError."""
        server, path = self._server(), self.path(drive)
        if server.settings.mount_check and not os.path.ismount(path):
            raise DriveError(
                f"{path}: nothing is mounted there; mount the drive first, or set mount_check = no in {server.ini.path}"
            )
        if path.is_symlink():
            raise DriveError(f"{path}: is a link, which rsync does not follow; mount the drive there")
        if not path.parent.is_dir() and self.directory.nodes not in path.parents:
            raise DriveError(f"{path.parent}: there is no such directory; make it, or mount the drive at {path}")
        try:
            check_directory(path, Fs())
        except InitError as error:
            raise DriveError(str(error)) from None
        check_data(Drives(path.parent, (drive,), server.settings.mount_check), load_cluster(server.swift_dir).secrets)
        if self.left_on([drive]) and not may_have_data:
            raise DriveError(
                f"{path}: holds partitions already, from which deleted objects may come back: empty it, or say "
                "--keep-data when it left the rings less than reclaim_age (a week) ago"
            )

    def path(self, drive: str) -> Path:
        """Raises DriveError for a name that no device may have: it may have come from another node."""
        if not is_safe_name(drive):
            raise DriveError(f"{drive!r:.80}: expected the name of a drive: letters, digits and any of _.-~")
        return Path(os.path.abspath(self._server().devices)) / drive

    def _server(self) -> ServerFile:
        """The object server: all three have the same drives."""
        server = next(
            (each for each in glance(self.directory) if (each.node, each.role) == (self.node, "object-server")), None
        )
        if server is None:
            raise DriveError(f"{self.node}: {self.directory.root} has no object server of that node")
        return server

    def _rings(self) -> Mapping[str, Ring]:
        paths = sorted(self.directory.etc.glob(f"*{RING_SUFFIX}"))
        return {path.name.removesuffix(RING_SUFFIX): load(path) for path in paths}
