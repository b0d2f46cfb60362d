"""Settings of the container server. Names and defaults are Swift's."""

from __future__ import annotations

from dataclasses import dataclass

from objstore.config.settings import boolean, decimal, names, setting
from objstore.dbserver.settings import DatabaseServerSettings


@dataclass(frozen=True)
class ContainerServerSettings(DatabaseServerSettings):
    """How one container server keeps and serves containers."""

    conn_timeout: float = setting("0.5", decimal(0.001), "Seconds to connect to an account server.")
    node_timeout: float = setting("3", decimal(0.001), "Seconds to wait for an account server.", advanced=True)
    allow_versions: bool = setting("false", boolean, "Keep X-Versions-Location of clients.", advanced=True)
    allowed_sync_hosts: tuple[str, ...] = setting(
        "127.0.0.1", names, "Hosts that X-Container-Sync-To may name.", advanced=True
    )
    report_interval: float = setting(
        "2", decimal(0), "Seconds after which changed counts are told to the account; 0: only the updater does."
    )
