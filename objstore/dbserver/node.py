"""The databases of one kind on this node, and what an account or container server does with them before its own work.

The servers' services hold a DatabaseNode, made once per process, after the fork.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from objstore.config.cluster import Cluster
from objstore.core.hashing import HashSecrets
from objstore.core.limits import Limits
from objstore.core.names import BackendPath
from objstore.core.policy import Policies
from objstore.db.database import Database, Databases
from objstore.db.kind import Kind
from objstore.dbserver.settings import DatabaseServerSettings
from objstore.http.dispatch import BackendApp, Handler
from objstore.runtime.clock import Clock
from objstore.runtime.devices import Devices


@dataclass(frozen=True, slots=True)
class DatabaseNode:
    settings: DatabaseServerSettings
    secrets: HashSecrets
    policies: Policies
    limits: Limits
    devices: Devices
    databases: Databases
    clock: Clock

    @classmethod
    def of(
        cls, kind: Kind, settings: DatabaseServerSettings, cluster: Cluster, clock: Clock, logger: logging.Logger
    ) -> DatabaseNode:
        return cls(
            settings=settings,
            secrets=cluster.secrets,
            policies=cluster.policies,
            limits=cluster.limits,
            devices=Devices(settings.devices, settings.mount_check),
            databases=Databases(kind, logger),
            clock=clock,
        )

    def database(self, path: BackendPath, *names: str) -> Database:
        """On the device and partition of a path, for these names. Raises DeviceUnavailable."""
        return self.databases.at(self.devices.path(path.device), path.partition, self.secrets.hash_path(*names))

    def check_room(self, path: BackendPath) -> None:
        """Raises InsufficientStorage when writes must stop, DeviceUnavailable."""
        self._check_reserve(self.devices.path(path.device))

    def check_room_for(self, database: Database) -> None:
        """As check_room, for a database of this node: its device has been found to be there."""
        self._check_reserve(database.location.device_path)

    def _check_reserve(self, device_path: str) -> None:
        self.devices.check_reserve(device_path, 0, self.settings.fallocate_reserve)

    def is_auto_created(self, account: str) -> bool:
        return account.startswith(self.settings.auto_create_account_prefix)

    def app(self, handlers: Mapping[str, Handler], replicate: Handler) -> BackendApp:
        """handlers: by method. replicate: of REPLICATE."""
        return BackendApp(
            self.databases.kind.server,
            handlers,
            {"REPLICATE": replicate},
            replication_server=self.settings.replication_server,
            logger=self.databases.logger,
        )
