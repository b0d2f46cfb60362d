"""What every handler of the container server works with, made once per process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from objstore.config.sync_realms import LiveRealms
from objstore.container.account_update import AccountNode, AccountUpdates, is_no_account, is_untold
from objstore.container.reports import Reports
from objstore.container.settings import ContainerServerSettings
from objstore.core import metadata_headers
from objstore.core.errors import BadRequest
from objstore.core.headers import is_true
from objstore.core.names import SHARDS_PREFIX, BackendPath
from objstore.core.policy import LEGACY_INDEX
from objstore.core.timestamp import Timestamp
from objstore.db import metadata as meta
from objstore.db.container import ContainerBroker, ContainerInfo
from objstore.dbserver.node import DatabaseNode
from objstore.http.request import Request

META_PREFIX = "x-container-meta-"
SYSMETA_PREFIX = "x-container-sysmeta-"
POLICY_INDEX = "x-backend-storage-policy-index"
POLICY_DEFAULT = "x-backend-storage-policy-default"

_SYNC_TO = "x-container-sync-to"
_KEPT_NAMES = ("x-container-read", "x-container-write", "x-container-sync-key", _SYNC_TO)


@dataclass(frozen=True, slots=True)
class ContainerService:
    node: DatabaseNode
    settings: ContainerServerSettings
    account_updates: AccountUpdates
    realms: LiveRealms
    reports: Reports | None
    """None: nobody but the updater tells accounts of changed counts."""

    def broker(self, path: BackendPath) -> ContainerBroker:
        """The container a path names. Raises DeviceUnavailable."""
        assert path.account is not None and path.container is not None
        return ContainerBroker(self.node.database(path, path.account, path.container))

    def note_change(self, path: BackendPath, broker: ContainerBroker) -> None:
        """An account may have to hear of a container."""
        if self.reports is not None:
            self.reports.note(path, broker)

    def tell_account(
        self,
        request: Request,
        path: BackendPath,
        nodes: Sequence[AccountNode],
        broker: ContainerBroker,
        info: ContainerInfo,
    ) -> bool:
        """Tell account servers what became of a container. False when all of them say that there is no such account."""
        statuses = self.account_updates.send(request, path, nodes, info)
        if any(map(is_untold, statuses)):
            self.note_change(path, broker)
        return not is_no_account(statuses)

    def check_metadata(self, metadata: meta.Metadata) -> None:
        """Raises BadRequest when a container may not store this."""
        meta.check_limits(metadata, META_PREFIX, self.node.limits)

    def may_create(self, request: Request, account: str) -> bool:
        """Whether a row or shard range makes the container it is for (formats 6.3)."""
        if is_true(request.header("x-backend-auto-create")):
            return True
        return self.node.is_auto_created(account) and not account.startswith(SHARDS_PREFIX)

    def policy_of(self, request: Request, header: str = POLICY_INDEX) -> int | None:
        """The policy index a header names, None without it. Raises BadRequest for one that this cluster has not."""
        text = request.header(header)
        if text is None:
            return None
        policy = self.node.policies.by_index(text)
        if policy is None:
            raise BadRequest(f"Invalid {header} {text!r}")
        return policy.index

    def row_policy(self, request: Request) -> int:
        """The policy of an object's row: the header, else 0 (pitfall 18)."""
        index = self.policy_of(request)
        return LEGACY_INDEX if index is None else index

    def metadata_of(self, request: Request, timestamp: Timestamp) -> meta.Metadata:
        """The metadata that a request sets ('' removes), with its timestamp. Raises BadRequest."""
        prefixes = (META_PREFIX, SYSMETA_PREFIX)
        items = dict(metadata_headers.stored(request.headers("x-container-"), prefixes))
        names = (*_KEPT_NAMES, "x-versions-location") if self.settings.allow_versions else _KEPT_NAMES
        for name in names:
            value = request.header(name)
            if value is not None:
                if name == _SYNC_TO:
                    self.realms.current.address(value, self.settings.allowed_sync_hosts)
                items.update(metadata_headers.stored([(name, value)], (name[:-1],)))
        return meta.stamped(items.items(), timestamp)
