"""[container-reconciler]: Swift's option names and defaults."""

from __future__ import annotations

from dataclasses import dataclass

from objstore.config.settings import decimal, number, setting, text
from objstore.daemon.settings import DaemonSettings


@dataclass(frozen=True)
class ContainerReconcilerSettings(DaemonSettings):
    """Takes objects that were written with another policy than their container's to where they belong. The
    nodes of a cluster share the work by themselves."""

    interval: float = setting("30", decimal(0), "Seconds from the start of one pass to the start of the next.")
    reclaim_age: float = setting(
        "604800", decimal(0), "Age at which an entry whose object cannot be found is dropped. The same on every node."
    )
    processes: int = setting(
        "0", number(0), "Share the work among so many daemons, each with its own `process`; 0: all nodes share it."
    )
    process: int = setting("0", number(0), "Which of these this one is, from 0.")
    internal_client_conf_path: str = setting(
        "", text, "An internal-client.conf with the pipeline to use; empty: the proxy alone."
    )
