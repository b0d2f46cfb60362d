"""What every handler of the account server works with, made once per process."""

from __future__ import annotations

from dataclasses import dataclass

from objstore.core import metadata_headers
from objstore.core.names import BackendPath
from objstore.core.timestamp import Timestamp
from objstore.db import metadata as meta
from objstore.db.account import AccountBroker
from objstore.dbserver.node import DatabaseNode
from objstore.http.request import Request

META_PREFIX = "x-account-meta-"
KEPT_PREFIXES = (META_PREFIX, "x-account-sysmeta-")


@dataclass(frozen=True, slots=True)
class AccountService:
    node: DatabaseNode

    def broker(self, path: BackendPath) -> AccountBroker:
        """The account a path names. Raises DeviceUnavailable."""
        assert path.account is not None
        return AccountBroker(self.node.database(path, path.account))

    def check_metadata(self, metadata: meta.Metadata) -> None:
        """Raises BadRequest when an account may not store this."""
        meta.check_limits(metadata, META_PREFIX, self.node.limits)


def metadata_of(request: Request, timestamp: Timestamp) -> meta.Metadata:
    """The metadata that a request sets ('' removes), with its timestamp. Raises BadRequest."""
    return meta.stamped(metadata_headers.stored(request.headers("x-account-"), KEPT_PREFIXES), timestamp)
