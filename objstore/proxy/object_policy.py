"""Which storage policy an object request is for."""

from __future__ import annotations

from objstore.core.info import ContainerInfo
from objstore.http.environ import Environ

_POLICY_FLAG = "HTTP_X_BACKEND_STORAGE_POLICY_INDEX"


def object_policy(environ: Environ, info: ContainerInfo) -> int | None:
    """The index an internal client names, else the container's; None when there is no such container."""
    named = environ.get(_POLICY_FLAG)
    if named and named.isascii() and named.isdigit():
        return int(named)
    return info.policy_index if info.exists else None
