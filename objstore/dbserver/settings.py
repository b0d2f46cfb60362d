"""Settings that account and container servers share. Names and defaults are Swift's."""

from __future__ import annotations

from dataclasses import dataclass

from objstore.config.settings import Kind, Settings, boolean, setting, text
from objstore.runtime.devices import Reserve


def _yes_no_or_both(value: str) -> bool | None:
    if not value:
        return None
    parsed: bool = boolean.parse(value)
    return parsed


_reserve = Kind(Reserve.parse, "bytes, or a percentage such as 1%")
_serving = Kind(_yes_no_or_both, "yes, no, or empty")


@dataclass(frozen=True)
class DatabaseServerSettings(Settings):
    """How a server keeps databases on its devices, and which requests it serves."""

    devices: str = setting("/srv/node", text, "Directory that holds one directory, or mount point, for each device.")
    mount_check: bool = setting("true", boolean, "Refuse a device that is not a mount point (507).")
    fallocate_reserve: Reserve = setting(
        "1%", _reserve, "Free space that writes must leave: bytes, or percent of the disk. Deletes still work below it."
    )
    replication_server: bool | None = setting(
        "", _serving, "yes: serve only REPLICATE; no: everything else; empty: both.", advanced=True
    )
    auto_create_account_prefix: str = setting(
        ".", text, "Accounts that begin with this are made at their first use. Leave it.", advanced=True
    )
    db_preallocation: bool = setting(
        "off", boolean, "Accepted for Swift's sake; SQLite files are small.", advanced=True
    )
    fallocate: bool = setting("true", boolean, "Accepted for Swift's sake.", advanced=True)
