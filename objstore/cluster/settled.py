"""Whether a node has brought everything to where its rings say: the evidence on which a next step may follow early.

A node is settled at a version of the rings when the last pass of each of its replicators began after all its servers
had these rings, went over all disks, and failed nowhere: a replicator that meets a peer that is down, full or not
mounted counts a failure. It is the node's own clock on both sides. What cannot be read, or is not said, is no evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from objstore.cluster.directory import STORAGE_KINDS, ClusterDirectory
from objstore.cluster.ring_manifest import FILE_NAME, InvalidManifest, read_manifest
from objstore.cluster.servers import RECON_KEY, glance
from objstore.config.errors import ConfigError
from objstore.config.inifile import DEFAULT
from objstore.daemon import recon
from objstore.ring.reload import CHECK_INTERVAL_S
from objstore.runtime.clock import Clock
from objstore.runtime.fs import Fs

_WORKERS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Settlement:
    """Of the node with that name in a directory."""

    directory: ClusterDirectory
    node: str
    fs: Fs
    clock: Clock

    def version(self) -> int:
        """Of the rings it is settled at; 0: it is not, or nobody can tell."""
        path = self.directory.etc / FILE_NAME
        try:
            installed_s = path.stat().st_mtime
            manifest = read_manifest(self.directory.etc, self.fs)
            if manifest is None or path.stat().st_mtime != installed_s:
                return 0
            return manifest.version if self._is_since(installed_s + CHECK_INTERVAL_S) else 0
        except (OSError, InvalidManifest, ConfigError):
            return 0

    def _is_since(self, since_s: float) -> bool:
        servers = {server.role: server for server in glance(self.directory) if server.node == self.node}
        now_s = self.clock.now().seconds
        for kind in STORAGE_KINDS:
            server = servers.get(f"{kind}-server")
            # Servers that read rings elsewhere have those that somebody brought there, whenever that was.
            if server is None or not server.swift_dir.samefile(self.directory.etc):
                return False
            cache = server.ini.pairs(DEFAULT).get(RECON_KEY, str(self.directory.cache(self.node)))
            found = recon.read(recon.recon_file(Path(cache), recon.DAEMONS))
            jobs = clean_jobs(found, f"{kind}-replicator", since_s, now_s)
            if jobs is None or (not jobs and _has_partitions(server.devices, kind)):
                return False
        return True


def clean_jobs(entries: Mapping[str, Any], name: str, since_s: float, now_s: float) -> int | None:
    """Jobs of a daemon's last passes, of all its processes; None when one of them is no evidence. entries: of
    daemons.recon, Any as it was read. Pure."""
    parts: list[object] = [entries.get(name)]
    if name not in entries:
        first = entries.get(f"{name} #0")
        count = _number(first, "workers") if isinstance(first, Mapping) else None
        if count is None or not 1 <= count <= _WORKERS_MAX:
            return None
        parts = [entries.get(f"{name} #{index}") for index in range(int(count))]
    if not all(_is_good(part, since_s, now_s) for part in parts):
        return None
    return sum(int(_number(part, "jobs") or 0) for part in parts if isinstance(part, Mapping))


def _is_good(entry: object, since_s: float, now_s: float) -> bool:
    if not isinstance(entry, Mapping):
        return False
    started_s = _number(entry, "started")
    return (
        entry.get("is_complete") is True
        and entry.get("is_everything") is True
        and _number(entry, "failures") == 0
        and started_s is not None
        # A clock that was set back makes passes of before look like later ones.
        and since_s <= started_s <= now_s
    )


def _number(entry: Mapping[str, Any], name: str) -> float | None:
    value = entry.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _has_partitions(devices: Path, kind: str) -> bool:
    """Whether there is anything on any disk. A replicator that does not find itself in the rings has no job either."""
    patterns = (f"*/{kind}s/[0-9]*", f"*/{kind}s-*/[0-9]*")
    return any(True for pattern in patterns for _ in devices.glob(pattern))
