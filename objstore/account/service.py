"""What every handler of the account server works with, made once per process."""

from __future__ import annotations

from dataclasses import dataclass

from objstore.account.settings import AccountServerSettings
from objstore.core import metadata_headers
from objstore.core.hashing import HashSecrets
from objstore.core.limits import Limits
from objstore.core.names import BackendPath
from objstore.core.policy import Policies
from objstore.core.timestamp import Timestamp
from objstore.db import metadata as meta
from objstore.db.account import AccountBroker
from objstore.db.database import Databases
from objstore.http.request import Request
from objstore.runtime.clock import Clock
from objstore.runtime.devices import Devices

META_PREFIX = "x-account-meta-"
KEPT_PREFIXES = (META_PREFIX, "x-account-sysmeta-")


@dataclass(frozen=True, slots=True)
class AccountService:
    settings: AccountServerSettings
    secrets: HashSecrets
    policies: Policies
    limits: Limits
    devices: Devices
    databases: Databases
    clock: Clock

    def broker(self, path: BackendPath) -> AccountBroker:
        """The account a path names. Raises DeviceUnavailable."""
        assert path.account is not None
        hash_hex = self.secrets.hash_path(path.account)
        return AccountBroker(self.databases.at(self.devices.path(path.device), path.partition, hash_hex))

    def check_room(self, path: BackendPath) -> None:
        """Raises InsufficientStorage when writes must stop."""
        self.devices.check_reserve(self.devices.path(path.device), 0, self.settings.fallocate_reserve)

    def is_auto_created(self, account: str) -> bool:
        return account.startswith(self.settings.auto_create_account_prefix)

    def check_metadata(self, metadata: meta.Metadata) -> None:
        """Raises BadRequest when an account may not store this."""
        meta.check_limits(metadata, META_PREFIX, self.limits)


def metadata_of(request: Request, timestamp: Timestamp) -> meta.Metadata:
    """What a request sets or removes. Raises BadRequest."""
    return meta.stamped(metadata_headers.stored(request.headers("x-account-"), KEPT_PREFIXES), timestamp)
