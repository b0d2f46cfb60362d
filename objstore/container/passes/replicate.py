"""container-replicator: what containers need beside the common engine (replication/db_replicator.py).

Before a container is sent its misplaced rows go to the reconciler's queue: into a database on this device, which is
then replicated to where the queue belongs like any other. They are noted as queued only after they are durable there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from objstore.config.settings import reads
from objstore.core.errors import InvalidTimestamp
from objstore.core.hashing import HashSecrets
from objstore.daemon.surroundings import Surroundings
from objstore.db import misplaced
from objstore.db.container import KIND, ContainerBroker, read_info
from objstore.db.database import Database
from objstore.db.location import Location
from objstore.db.merge import ObjectRow
from objstore.db.outbound import LocalState
from objstore.replication.db_factory import make_replicator
from objstore.replication.db_replicator import DatabaseReplicator
from objstore.replication.db_settings import ContainerReplicatorSettings
from objstore.ring.model import Ring
from objstore.runtime.clock import Clock

BATCHES_MAX = 100
"""Of misplaced rows of one container in one pass."""


@dataclass(frozen=True, slots=True)
class Containers:
    """What container replication does differently (db_replicator.Kindred)."""

    secrets: HashSecrets
    ring: Callable[[], Ring]
    clock: Clock

    def prepare(self, database: Database, state: LocalState) -> Sequence[Location]:
        if not database.read(misplaced.has_other_policies, fresh=False):
            return ()
        queues: dict[Location, None] = {}
        for _ in range(BATCHES_MAX):
            found = database.read(misplaced.misplaced)
            if found is None:
                break
            for queue, rows in self._entries(found).items():
                queues[self._add(database, queue, rows)] = None
            through = found.through
            database.write(lambda connection: misplaced.queued(connection, through))  # noqa: B023 - run at once
        return tuple(queues)

    def may_go(self, connection: sqlite3.Connection) -> bool:
        """The account must have heard of the deletion."""
        info = read_info(connection)
        told = (info.reported_put_timestamp, info.reported_delete_timestamp)
        counts = (info.reported_object_count, info.reported_bytes_used)
        return told == (info.put_timestamp, info.delete_timestamp) and counts == (info.object_count, info.bytes_used)

    def settle(self, database: Database) -> None:
        """Have the directory of synced containers say what the metadata says now."""
        ContainerBroker(database).settle_sync_link()

    def _entries(self, found: misplaced.Found) -> dict[str, list[ObjectRow]]:
        queues: dict[str, list[ObjectRow]] = {}
        for row in found.rows:
            try:
                queue, entry = misplaced.queue_entry(found.account, found.container, row)
            except InvalidTimestamp:
                continue  # Nobody could tell which of two such objects is newer.
            queues.setdefault(queue, []).append(entry)
        return queues

    def _add(self, database: Database, queue: str, rows: Sequence[ObjectRow]) -> Location:
        """Put rows into a queue on this database's device, made when missing."""
        account = misplaced.QUEUE_ACCOUNT
        hash_hex = self.secrets.hash_path(account, queue)
        partition = self.ring().partition(bytes.fromhex(hash_hex))
        broker = ContainerBroker(database.shared.at(database.location.device_path, str(partition), hash_hex))
        if not broker.exists:
            now = self.clock.now()
            broker.create(account, queue, now, now, misplaced.QUEUE_POLICY)
        broker.add_many(rows)
        return broker.database.location


@reads(ContainerReplicatorSettings)
def factory(surroundings: Surroundings[ContainerReplicatorSettings]) -> DatabaseReplicator:
    secrets, clock = surroundings.cluster.secrets, surroundings.clock
    return make_replicator(surroundings, KIND, lambda ring: Containers(secrets, ring, clock))
