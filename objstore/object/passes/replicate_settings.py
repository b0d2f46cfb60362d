"""[object-replicator]: Swift's option names, and its defaults but where a doc says why not."""

from __future__ import annotations

from dataclasses import dataclass

from objstore.config.settings import Kind, boolean, choice, decimal, number, setting
from objstore.daemon.settings import WORKERS_DOC, WORKERS_MAX, DaemonSettings
from objstore.replication.rsync_module import checked_module

_handoff_delete = Kind(
    lambda text: 0 if text.lower() == "auto" else _positive(text), "auto (every primary), or a whole number"
)
_module = Kind(checked_module, "HOST::MODULE or rsync://HOST:PORT/MODULE, with fields such as {replication_ip}")


def _positive(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError(f"{text} is less than 0")
    return value


@dataclass(frozen=True)
class ObjectReplicatorSettings(DaemonSettings):
    """Brings objects to the nodes that the rings name, and takes them away where they do not belong."""

    interval: float = setting("30", decimal(0), "Seconds from the start of one pass to the start of the next.")
    concurrency: int = setting("1", number(1, 1024), "Partitions under way at once, spread over the devices.")
    sync_method: str = setting(
        "rsync",
        choice("rsync", "ssync"),
        "How objects travel: rsync (a few small ones go in-band), or in-band all. Without rsync installed: in-band.",
    )
    rsync_module: str = setting(
        "{replication_ip}::object",
        _module,
        "Where a node's devices are for rsync; {port}, {replication_port}, {device} and the like are filled in.",
    )
    rsync_bwlimit: int = setting("0", number(0), "KiB a second of one rsync or one conversation, at most; 0: no limit.")
    rsync_timeout: float = setting("900", decimal(1), "Seconds that pushing one partition may take.")
    rsync_io_timeout: int = setting("30", number(1), "Seconds of silence after which rsync gives up.")
    rsync_compress: bool = setting("no", boolean, "Compress what goes by rsync to another region.")
    handoffs_first: bool = setting("no", boolean, "Partitions that belong elsewhere go before all others.")
    handoff_delete: int = setting(
        "auto", _handoff_delete, "Primaries that must have an object before a handoff's copy goes. Leave it at auto."
    )
    conn_timeout: float = setting("0.5", decimal(0.001), "Seconds to connect to an object server.")
    node_timeout: float = setting("10", decimal(0.001), "Seconds of silence after which a conversation is given up.")
    http_timeout: float = setting("60", decimal(0.001), "Seconds to wait for the hashes of a partition.")
    reclaim_age: float = setting(
        "604800", decimal(0), "How long a tombstone is kept. The same on every node, or deletes come undone."
    )
    threads_per_disk: int = setting("2", number(1, 64), "Native threads for the work on one device.", advanced=True)
    replicator_workers: int = setting("0", number(0, WORKERS_MAX), f"{WORKERS_DOC} 0: one, as 1.", advanced=True)
    lockup_timeout: float = setting(
        "1800", decimal(0), "Accepted for Swift's sake: every wait has its own limit.", advanced=True
    )
    stats_interval: float = setting("300", decimal(0), "Accepted for Swift's sake.", advanced=True)
    ring_check_interval: float = setting("15", decimal(0), "Accepted for Swift's sake: it is always 15.", advanced=True)
    log_rsync_transfers: bool = setting("yes", boolean, "Accepted for Swift's sake.", advanced=True)
    rsync_error_log_line_length: int = setting("0", number(0), "Accepted for Swift's sake.", advanced=True)
    run_pause: float = setting("30", decimal(0), "Accepted for Swift's sake: see interval.", advanced=True)

    @property
    def worker_count(self) -> int:
        return max(1, self.replicator_workers)
