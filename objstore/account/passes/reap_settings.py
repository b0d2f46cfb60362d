"""[account-reaper]: Swift's option names, and its defaults but where a doc says why not."""

from __future__ import annotations

from dataclasses import dataclass

from objstore.config.settings import decimal, number, setting
from objstore.daemon.settings import DaemonSettings


@dataclass(frozen=True)
class AccountReaperSettings(DaemonSettings):
    """Empties accounts that were deleted: their objects, then their containers."""

    interval: float = setting("3600", decimal(0), "Seconds from the start of one pass to the start of the next.")
    concurrency: int = setting("4", number(1, 1024), "Containers that are emptied at once (Swift: 25 of an account).")
    delay_reaping: float = setting("0", decimal(0), "Seconds after the deletion of an account before it is emptied.")
    reap_warn_after: float = setting(
        "2592000", decimal(0), "Seconds after which an account that is still not empty is worth a warning."
    )
    node_timeout: float = setting("10", decimal(0.001), "Seconds to wait for another server.")
    conn_timeout: float = setting("0.5", decimal(0.001), "Seconds to connect to another server.")
