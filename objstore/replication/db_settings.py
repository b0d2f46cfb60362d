"""[account-replicator] and [container-replicator]: Swift's option names, and its defaults but where a doc says why
not."""

from __future__ import annotations

from dataclasses import dataclass

from objstore.config.settings import Kind, boolean, decimal, number, setting
from objstore.daemon.settings import DaemonSettings, Rate
from objstore.replication.rsync_module import checked_module


def _handoff_delete(value: str) -> int:
    if value.lower() == "auto":
        return 0
    count = int(value)
    if count < 0:
        raise ValueError("")
    return count


module = Kind(lambda value: checked_module(value) if value else "", "HOST::MODULE of an rsync daemon, or nothing")
handoff_delete = Kind(_handoff_delete, "auto, or a whole number")


@dataclass(frozen=True)
class DatabaseReplicatorSettings(DaemonSettings):
    """The settings that account and container replicators share."""

    interval: float = setting("30", decimal(0), "Seconds from the start of one pass to the start of the next.")
    concurrency: int = setting("8", number(1, 1024), "Databases that are replicated at once.")
    databases_per_second: float = setting("50", decimal(0), "Databases looked at a second, at most; 0: no limit.")
    per_diff: int = setting("1000", number(1, 100_000), "Rows sent in one request.")
    max_diffs: int = setting("100", number(1), "Such requests to one replica of a database in one pass.")
    node_timeout: float = setting("10", decimal(0.001), "Seconds to wait for another node's server.")
    conn_timeout: float = setting("0.5", decimal(0.001), "Seconds to connect to another node's server.")
    reclaim_age: float = setting(
        "604800", decimal(0), "How long deleted things are remembered. The same on every node, or deletes come undone."
    )
    handoffs_only: bool = setting(
        "no", boolean, "Only bring home what lies on handoffs: for a disk that is full. Back to no afterwards."
    )
    handoff_delete: int = setting(
        "auto", handoff_delete, "Primaries that must have a handoff's database before it is removed; auto: all."
    )
    rsync_compress: bool = setting("no", boolean, "Compress what rsync sends to other regions.", advanced=True)
    rsync_io_timeout: int = setting("60", number(1), "Seconds of silence after which rsync gives up.", advanced=True)

    @property
    def rate(self) -> Rate:
        return Rate(self.databases_per_second)


_MODULE_DOC = (
    "Where rsync brings whole databases; fields: ip, port, replication_ip, replication_port, region, zone, device, "
    "meta. Empty, or without rsync: they are sent in band."
)


@dataclass(frozen=True)
class AccountReplicatorSettings(DatabaseReplicatorSettings):
    """Keeps the copies of account databases alike, and brings home what lies on handoffs."""

    rsync_module: str = setting("{replication_ip}::account", module, _MODULE_DOC)


@dataclass(frozen=True)
class ContainerReplicatorSettings(DatabaseReplicatorSettings):
    """Keeps the copies of container databases alike, and brings home what lies on handoffs."""

    rsync_module: str = setting("{replication_ip}::container", module, _MODULE_DOC)
