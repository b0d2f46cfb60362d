"""What stands where in the directory of a cluster that `objstore up DIR` runs.

    DIR/etc/swift.conf                    hash secrets, storage policies (0600)
    DIR/etc/proxy-server.conf             the proxy, its users and token keys (0600)
    DIR/etc/<node>/{account,container,object}-server.conf
    DIR/etc/cluster.json, agent.*, …      of a node among others: see cluster/node_layout.py
    DIR/etc/*.ring.gz, *.builder          rings, and what objstore-ring-builder edits them with
    DIR/nodes/<node>/<device>/            the data: what formats.md 1.4 says of a device (or drives lie elsewhere)
    DIR/log/<role>-<node>.log             rotated by size
    DIR/cache/<node>/*.recon              what daemons say of their passes (formats 6.10)
    DIR/run/                              control socket and lock of the supervisor (0700)

A cluster is there when DIR/etc is: init lays everything out beside it and renames it into place last.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

STORAGE_KINDS = ("object", "container", "account")
DEVICE = "d1"
MEMBERS_FILE = "cluster.json"


@dataclass(frozen=True, slots=True)
class ClusterDirectory:
    """Paths below one DIR. Nothing is opened or made here."""

    root: Path

    @property
    def etc(self) -> Path:
        return self.root / "etc"

    @property
    def nodes(self) -> Path:
        return self.root / "nodes"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def run(self) -> Path:
        return self.root / "run"

    def cache(self, node: str) -> Path:
        """The recon cache of a node."""
        return self.root / "cache" / node

    @property
    def exists(self) -> bool:
        return self.etc.is_dir()

    @property
    def swift_conf(self) -> Path:
        return self.etc / "swift.conf"

    @property
    def proxy_conf(self) -> Path:
        """Its ini file, or the conf.d directory that stands beside or instead of it."""
        return _file_or_directory(self.etc / "proxy-server.conf")

    @property
    def has_proxy(self) -> bool:
        """A node among others may leave that to them; anywhere else a proxy's file that is missing is a mistake."""
        return self.proxy_conf.exists() or not self.members_file.exists()

    @property
    def members_file(self) -> Path:
        """There when the directory is one node among others (cluster/members.py)."""
        return self.etc / MEMBERS_FILE

    def server_conf(self, node: str, kind: str) -> Path:
        """The ini file (or conf.d directory) of a node's object, container or account server."""
        return _file_or_directory(self.etc / node / f"{kind}-server.conf")

    def node_names(self) -> list[str]:
        """The nodes: directories of etc that hold a server's configuration; n2 comes before n10."""
        found = {path.parent.name for path in self.etc.glob("*/*-server.conf*")}
        return sorted(found, key=lambda name: (len(name), name))

    def log_file(self, role: str, node: str) -> Path:
        return self.log / (f"{role}-{node}.log" if node != "-" else f"{role}.log")


def _file_or_directory(file: Path) -> Path:
    directory = file.with_name(f"{file.name}.d")
    return directory if directory.is_dir() else file
