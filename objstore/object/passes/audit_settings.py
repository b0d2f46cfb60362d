"""[object-auditor]: Swift's option names and defaults."""

from __future__ import annotations

import math
from dataclasses import dataclass

from objstore.config.settings import Kind, decimal, names, number, setting
from objstore.daemon.settings import WORKERS_DOC, WORKERS_MAX, DaemonSettings

RSYNC_LEFTOVER_S = 86_400.0
TEMPORARY_AGE_S_MIN = 3600.0
"""An upload may take so long between two pieces, whatever an operator thinks."""
TOMBSTONE_LIFE_S = 86_400.0
"""How long the tombstone of a watcher's DELETE is kept at least."""


def _age(text: str) -> float:
    if text.lower() == "auto":
        return RSYNC_LEFTOVER_S
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError("")
    return value


def _temporary_age(text: str) -> float:
    value = float(text)
    if value != 0 and not TEMPORARY_AGE_S_MIN <= value < float("inf"):
        raise ValueError("")
    return value


def _sizes(text: str) -> tuple[int, ...]:
    sizes = sorted({int(item) for item in text.split(",") if item.strip()})
    if sizes and sizes[0] < 0:
        raise ValueError("")
    return tuple(sizes)


_age_or_auto = Kind(_age, "auto, or seconds; 0 leaves them alone")
_byte_sizes = Kind(_sizes, "numbers of bytes separated by commas")


@dataclass(frozen=True)
class ObjectAuditorSettings(DaemonSettings):
    """Compares every object on disk with its checksum, and sets damaged ones aside; empty files are found first."""

    interval: float = setting("30", decimal(0), "Seconds from the start of one pass to the start of the next.")
    concurrency: int = setting("1", number(1, WORKERS_MAX), f"Devices that are read at once. {WORKERS_DOC}")
    files_per_second: float = setting("20", decimal(0), "Objects of one device that are read in a second; 0: no limit.")
    bytes_per_second: float = setting(
        "10000000", decimal(0), "Bytes of one device that are read in a second; 0: no limit."
    )
    zero_byte_files_per_second: float = setting(
        "50",
        decimal(0),
        "Objects looked at in a second by the first part of a pass, which finds files that lost all their bytes; "
        "0: leave that part out.",
    )
    object_size_stats: tuple[int, ...] = setting(
        "", _byte_sizes, "Sizes by which objects are counted: up to so many bytes each, and larger than the last."
    )
    rsync_tempfile_timeout: float = setting(
        "auto", _age_or_auto, "Age in seconds at which what an interrupted rsync left is removed; auto: a day."
    )
    temporary_age: float = setting(
        "86400",
        Kind(_temporary_age, "seconds, 3600 or more; 0 leaves them alone"),
        "Age in seconds at which files in a device's tmp/ are removed: what uploads and database copies left there "
        "that were cut off.",
    )
    reclaim_age: float = setting(
        "604800", decimal(TOMBSTONE_LIFE_S), "How long a tombstone is kept. The same on every node."
    )
    watchers: tuple[str, ...] = setting(
        "", names, "Plug-ins that see every object: names of entry points, as objstore#dark_data."
    )
    disk_chunk_size: int = setting("65536", number(4096, 1 << 24), "Bytes read from disk at a time.", advanced=True)
    threads_per_disk: int = setting("1", number(1, 64), "Native threads that read one device.", advanced=True)

    @property
    def worker_count(self) -> int:
        return self.concurrency

    def concurrency_among(self, workers: int) -> int:
        return math.ceil(self.concurrency / workers)
