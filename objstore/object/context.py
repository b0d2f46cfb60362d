"""What every handler of the object server works with, and how a request names an object."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from objstore.core.errors import BadRequest, UnknownPolicy
from objstore.core.hashing import HashSecrets
from objstore.core.names import BackendPath
from objstore.core.policy import Policies
from objstore.http.request import Request
from objstore.object.expiring import ExpiryQueue
from objstore.object.settings import ObjectServerSettings
from objstore.object.update import ContainerUpdates
from objstore.runtime.clock import Clock
from objstore.runtime.device_threads import DeviceThreads
from objstore.storage.engine import CRC_HEADER, Engine
from objstore.storage.layout import ObjectAddress

_USER_METADATA = ("x-object-meta-", "x-object-transient-sysmeta-")
_SYSMETA = "x-object-sysmeta-"
_NEVER_KEPT = frozenset({"content-length", "etag", "deleted", CRC_HEADER})


@dataclass(frozen=True)
class ObjectContext:
    engine: Engine
    policies: Policies
    secrets: HashSecrets
    clock: Clock
    settings: ObjectServerSettings
    updates: ContainerUpdates
    threads: DeviceThreads
    expiry: ExpiryQueue
    logger: logging.Logger

    def policy_index(self, request: Request) -> int:
        """Of X-Backend-Storage-Policy-Index; 0 when it is missing. Raises UnknownPolicy."""
        text = request.header("x-backend-storage-policy-index")
        if text is None:
            return 0
        policy = self.policies.by_index(text)
        if policy is None:
            raise UnknownPolicy(text)
        return policy.index

    def locate(self, request: Request) -> tuple[BackendPath, ObjectAddress]:
        """The names of an object request and where the object lives. Raises BadRequest, UnknownPolicy."""
        path = request.backend_path(5, 5)
        assert path.account is not None and path.container is not None and path.obj is not None
        digest = self.secrets.hash_path(path.account, path.container, path.obj)
        return path, ObjectAddress(path.device, path.partition, self.policy_index(request), path.name, digest)

    def locate_for_change(self, request: Request) -> tuple[BackendPath, ObjectAddress]:
        """As locate; a partition that is no number would make a directory nobody walks."""
        path, address = self.locate(request)
        if not (address.partition.isascii() and address.partition.isdigit()):
            raise BadRequest(f"Invalid partition: {address.partition}")
        return path, address

    def kept_headers(self, request: Request, *, with_sysmeta: bool) -> dict[str, str]:
        """The headers of a PUT or POST that are stored: metadata, allowed_headers, and X-Backend-Replication-Headers.
        The proxy forwards everything a client sends, so nothing else may be."""
        kept: dict[str, str] = {}
        for name, value in request.headers("x-object-"):
            if name.startswith(_USER_METADATA) or (with_sysmeta and name.startswith(_SYSMETA)):
                kept[name] = value
        for name in self._other_names(request):
            if text := request.header(name):
                kept[name] = text
        for name in _NEVER_KEPT:
            kept.pop(name, None)
        return kept

    def _other_names(self, request: Request) -> Iterable[str]:
        yield from self.settings.allowed_headers
        for name in (request.header("x-backend-replication-headers") or "").split():
            yield name.lower()
