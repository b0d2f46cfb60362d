"""[object-updater]: Swift's option names, and its defaults but where a doc says why not."""

from __future__ import annotations

from dataclasses import dataclass

from objstore.config.settings import decimal, number, setting, text
from objstore.daemon.settings import WORKERS_DOC, WORKERS_MAX, DaemonSettings, Rate


@dataclass(frozen=True)
class ObjectUpdaterSettings(DaemonSettings):
    """Carries container rows that an object server could not deliver (async_pending) to the container servers."""

    interval: float = setting("300", decimal(0), "Seconds from the start of one pass to the start of the next.")
    concurrency: int = setting("8", number(1, 1024), "Requests under way at once; rows of a container go together.")
    node_timeout: float = setting("10", decimal(0.001), "Seconds to wait for a container server.")
    conn_timeout: float = setting("0.5", decimal(0.001), "Seconds to connect to a container server.")
    objects_per_second: float = setting(
        "0", decimal(0), "Rows sent a second, at most; 0: no limit (Swift: 50; it sends each row alone)."
    )
    max_objects_per_container_per_second: float = setting(
        "0", decimal(0), "Rows sent a second to one container; what is above waits. 0: no limit."
    )
    per_container_ratelimit_buckets: int = setting(
        "1000",
        number(1),
        "How many such limits there are; containers that fall on the same one share it.",
        advanced=True,
    )
    max_deferred_updates: int = setting(
        "10000", number(0), "Rows above that limit kept in memory to be sent at the end of the pass.", advanced=True
    )
    async_tracker_max_entries: int = setting(
        "100", number(1), "Containers whose oldest waiting row is known to recon.", advanced=True
    )
    async_tracker_dump_count: int = setting("5", number(1), "Of those, how many it shows.", advanced=True)
    updater_workers: int = setting("1", number(0, WORKERS_MAX), f"{WORKERS_DOC} 0: one, as 1.", advanced=True)
    expiring_objects_account_name: str = setting(
        "expiring_objects", text, "Account of the queue of objects to expire, without its dot.", advanced=True
    )
    expiring_objects_container_divisor: int = setting(
        "86400", number(1), "Seconds of expiry per container of that queue. The same everywhere.", advanced=True
    )
    slowdown: float = setting("0", decimal(0), "Accepted for Swift's sake: see objects_per_second.", advanced=True)
    report_interval: float = setting("300", decimal(0), "Accepted for Swift's sake.", advanced=True)

    @property
    def rate(self) -> Rate:
        return Rate(self.objects_per_second, "rows")

    @property
    def worker_count(self) -> int:
        return max(1, self.updater_workers)
