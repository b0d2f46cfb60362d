"""What the proxy knows of an account or a container, as values that caches hold and middleware asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_EMPTY: Mapping[str, str] = {}
_UNUSED: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """status: of the HEAD that told it (204, 404, 410 …). meta and sysmeta: lower-case names without their prefix.

    policy_usage: <policy name in lower case>-bytes-used, -object-count, -container-count."""

    status: int
    container_count: int = 0
    object_count: int = 0
    bytes_used: int = 0
    meta: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    sysmeta: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    really_exists: bool = True
    policy_usage: Mapping[str, int] = field(default_factory=lambda: _UNUSED)

    @property
    def exists(self) -> bool:
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class ContainerInfo:
    """As AccountInfo, of a container. policy_index is the container's storage policy."""

    status: int
    object_count: int = 0
    bytes_used: int = 0
    policy_index: int = 0
    read_acl: str | None = None
    write_acl: str | None = None
    sync_key: str | None = None
    sync_to: str | None = None
    versions: str | None = None
    sharding_state: str = "unsharded"
    meta: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    sysmeta: Mapping[str, str] = field(default_factory=lambda: _EMPTY)

    @property
    def exists(self) -> bool:
        return 200 <= self.status < 300
