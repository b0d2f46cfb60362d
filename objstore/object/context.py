"""What every handler of the object server works with, and how a request names an object."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property

from objstore.core.errors import BadRequest, UnknownPolicy
from objstore.core.hashing import HashSecrets
from objstore.core.headers import environ_key, header_name, is_true
from objstore.core.names import BackendPath
from objstore.core.policy import Policies
from objstore.http.request import Request
from objstore.object.changes import Change, OpenChanges
from objstore.object.expiring import ExpiryQueue
from objstore.object.settings import ObjectServerSettings
from objstore.object.update import ContainerUpdates
from objstore.runtime.clock import Clock
from objstore.runtime.device_threads import DeviceThreads
from objstore.storage.engine import CRC_HEADER, Engine
from objstore.storage.layout import ObjectAddress

_USER_METADATA = ("HTTP_X_OBJECT_META_", "HTTP_X_OBJECT_TRANSIENT_SYSMETA_")
_METADATA = (*_USER_METADATA, "HTTP_X_OBJECT_SYSMETA_")
_NEVER_KEPT = frozenset({"content-length", "etag", "deleted", CRC_HEADER})


@dataclass(frozen=True)
class ObjectContext:
    engine: Engine
    policies: Policies
    secrets: HashSecrets
    clock: Clock
    settings: ObjectServerSettings
    updates: ContainerUpdates
    changes: OpenChanges
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

    def change(self, request: Request, device: str) -> Change:
        """Around giving a name and telling of it. A replicator's copies have been told of where they were written."""
        return Change(None if is_true(request.header("x-backend-replication")) else self.changes, device)

    def locate(self, request: Request) -> tuple[BackendPath, ObjectAddress]:
        """The names of an object request and where the object lives. Raises BadRequest, UnknownPolicy."""
        path = request.backend_path(5, 5)
        return path, self.address(path, self.policy_index(request))

    def address(self, path: BackendPath, policy_index: int) -> ObjectAddress:
        """Of a path with all five names."""
        assert path.account is not None and path.container is not None and path.obj is not None
        digest = self.secrets.hash_path(path.account, path.container, path.obj)
        return ObjectAddress(path.device, path.partition, policy_index, path.name, digest)

    def locate_for_change(self, request: Request) -> tuple[BackendPath, ObjectAddress]:
        """As locate; a partition that is no number would make a directory nobody walks."""
        path, address = self.locate(request)
        if not (address.partition.isascii() and address.partition.isdigit()):
            raise BadRequest(f"Invalid partition: {address.partition}")
        return path, address

    def kept_headers(self, request: Request, *, with_sysmeta: bool) -> dict[str, str]:
        """The headers of a PUT or POST that are stored: metadata, allowed_headers, and X-Backend-Replication-Headers.
        The proxy forwards everything a client sends, so nothing else may be."""
        environ = request.environ
        prefixes = _METADATA if with_sysmeta else _USER_METADATA
        kept = {header_name(key): value for key, value in environ.items() if key.startswith(prefixes)}
        others = environ.keys() & self._allowed_keys
        replicated = request.header("x-backend-replication-headers")
        if replicated:
            others.update(environ_key(name) for name in replicated.split())
        for key in others:
            if value := environ.get(key):
                kept[header_name(key)] = value
        for name in _NEVER_KEPT & kept.keys():
            del kept[name]
        return kept

    @cached_property
    def _allowed_keys(self) -> frozenset[str]:
        return frozenset(map(environ_key, self.settings.allowed_headers))
