"""What every daemon can be told in its ini section, [object-updater] and its like; daemons add their own keys.

Names are Swift's. A key of the section wins over the same key in [DEFAULT], as in every file of a Swift daemon (but
not in PasteDeploy's sections, see config/inifile.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from objstore.config.priority import PrioritySettings
from objstore.config.settings import decimal, number, setting, text

RECON_DIRECTORY = "/var/cache/swift"
WORKERS_MAX = 1024
WORKERS_DOC = (
    "Processes that share the disks, at most one per disk, when the daemon runs by its own command; in `objstore up`, "
    "where all daemons of a node share a process, it does it alone."
)


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast a daemon may go. per_second: 0 is as fast as it can. of: which of a job's counts are meant
    (pass_.Counts); "" counts jobs."""

    per_second: float = 0.0
    of: str = ""


@dataclass(frozen=True)
class DaemonSettings(PrioritySettings):
    """Base of the settings of a daemon. A subclass says other defaults by naming a field again."""

    interval: float = setting("300", decimal(0), "Seconds from the start of one pass to the start of the next.")
    concurrency: int = setting("1", number(1, 1024), "How many jobs run at once, spread over the devices.")
    recon_cache_path: str = setting(RECON_DIRECTORY, text, "Where passes leave what objstore-recon reports.")

    @property
    def rate(self) -> Rate:
        """Daemons with an …_per_second setting say so here."""
        return Rate()

    @property
    def worker_count(self) -> int:
        """Processes that share the disks, where the daemon runs by its own command; daemons that have a setting for it
        say so here."""
        return 1

    def concurrency_among(self, workers: int) -> int:
        """How many jobs run at once in one of so many processes."""
        return self.concurrency

    @property
    def recon_directory(self) -> Path:
        return Path(self.recon_cache_path)


def kind_of(daemon: str) -> str:
    """object-updater → object: whose server, ini file and recon file it goes with."""
    return daemon.partition("-")[0]
