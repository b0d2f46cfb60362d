"""[object-expirer]: Swift's option names, and its defaults but where a doc says why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import unquote

from objstore.config.settings import boolean, decimal, number, setting, text
from objstore.daemon.settings import DaemonSettings

DELAY_PREFIX = "delay_reaping_"


@dataclass(frozen=True)
class ObjectExpirerSettings(DaemonSettings):
    """Removes objects whose X-Delete-At has passed. The nodes of a cluster share the work by themselves.

    delay_reaping_ACCOUNT = SECONDS and delay_reaping_ACCOUNT/CONTAINER = SECONDS keep expired objects for longer
    (nobody but an operator can read them); names are quoted as in URLs."""

    WILDCARDS: ClassVar[tuple[str, ...]] = (DELAY_PREFIX,)

    interval: float = setting(
        "60", decimal(0), "Seconds from the start of one pass to the start of the next (Swift: 300)."
    )
    concurrency: int = setting(
        "16",
        number(1, 1024),
        "How many containers of the queue are worked off at once: removals share requests and commits (Swift: 1).",
    )
    tasks_per_second: float = setting(
        "500", decimal(0), "Objects that one node removes in a second; 0: no limit (Swift: 50)."
    )
    reclaim_age: float = setting(
        "604800", decimal(0), "Age at which an entry whose object cannot be found is dropped. The same on every node."
    )
    dequeue_from_legacy: bool = setting("yes", boolean, "no: leave the queue .expiring_objects to other nodes.")
    processes: int = setting(
        "0", number(0), "Share the work among so many daemons, each with its own `process`; 0: all nodes share it."
    )
    process: int = setting("0", number(0), "Which of these this one is, from 0.")
    internal_client_conf_path: str = setting(
        "", text, "An internal-client.conf with the pipeline to use; empty: the proxy alone."
    )
    expiring_objects_account_name: str = setting(
        "expiring_objects", text, "Account of the queue, without its dot.", advanced=True
    )
    expiring_objects_container_divisor: int = setting(
        "86400", number(1), "Seconds of expiry per container of the queue. The same everywhere.", advanced=True
    )


def delays_of(extra: Mapping[str, str]) -> tuple[dict[tuple[str, str], float], list[str]]:
    """({(account, container): seconds}, problems) of the delay_reaping_ keys; container is "" for a whole account."""
    found: dict[tuple[str, str], float] = {}
    problems: list[str] = []
    for key, value in extra.items():
        account, slash, container = key.removeprefix(DELAY_PREFIX).partition("/")
        try:
            seconds = float(value)
        except ValueError:
            seconds = -1.0
        if not account or (slash and not container) or not 0 <= seconds < float("inf"):
            problems.append(f"{key} = {value!r}: expected delay_reaping_ACCOUNT[/CONTAINER] = seconds, 0 or more")
        else:
            found[unquote(account), unquote(container)] = seconds
    return found, problems
