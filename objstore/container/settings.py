"""Settings of the container server. Names and defaults are Swift's."""

from __future__ import annotations

from dataclasses import dataclass

from objstore.config.settings import Kind, Settings, boolean, decimal, names, setting, text
from objstore.runtime.devices import Reserve

reserve = Kind(Reserve.parse, "bytes, or a percentage such as 1%")


def _yes_no_or_both(value: str) -> bool | None:
    if not value:
        return None
    parsed: bool = boolean.parse(value)
    return parsed


serving = Kind(_yes_no_or_both, "yes, no, or empty")


@dataclass(frozen=True)
class ContainerServerSettings(Settings):
    """[app:container-server]"""

    devices: str = setting("/srv/node", text, "Directory that holds one directory, or mount point, for each device.")
    mount_check: bool = setting("true", boolean, "Refuse a device that is not a mount point (507).")
    fallocate_reserve: Reserve = setting("1%", reserve, "Space that writes may not take. Deletes may.")
    replication_server: bool | None = setting(
        "", serving, "yes: serve only REPLICATE; no: everything else; empty: both.", advanced=True
    )
    conn_timeout: float = setting("0.5", decimal(0.001), "Seconds to connect to an account server.")
    node_timeout: float = setting("3", decimal(0.001), "Seconds to wait for an account server.", advanced=True)
    allow_versions: bool = setting("false", boolean, "Keep X-Versions-Location of clients.", advanced=True)
    auto_create_account_prefix: str = setting(
        ".", text, "Accounts that begin with this are made at their first use. Leave it.", advanced=True
    )
    allowed_sync_hosts: tuple[str, ...] = setting(
        "127.0.0.1", names, "Hosts that X-Container-Sync-To may name.", advanced=True
    )
    db_preallocation: bool = setting(
        "off", boolean, "Accepted for Swift's sake; SQLite files are small.", advanced=True
    )
    fallocate: bool = setting("true", boolean, "Accepted for Swift's sake.", advanced=True)
    report_interval: float = setting(
        "2", decimal(0), "Seconds after which changed counts are told to the account; 0: only the updater does."
    )
    fail_fast: float = setting(
        "5", decimal(0), "Seconds for which an account server that timed out is left to the updater.", advanced=True
    )
