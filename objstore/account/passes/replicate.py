"""account-replicator: what accounts need beside the common engine (replication/db_replicator.py): next to nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from objstore.config.settings import reads
from objstore.daemon.surroundings import Surroundings
from objstore.db.account import KIND
from objstore.db.database import Database
from objstore.db.location import Location
from objstore.db.outbound import LocalState
from objstore.replication.db_factory import make_replicator
from objstore.replication.db_replicator import DatabaseReplicator
from objstore.replication.db_settings import AccountReplicatorSettings


class Accounts:
    """What account replication does differently (db_replicator.Kindred)."""

    def prepare(self, database: Database, state: LocalState) -> Sequence[Location]:
        return ()

    def may_go(self, connection: sqlite3.Connection) -> bool:
        """An account is last in the chain: nobody has to be told."""
        return True

    def settle(self, database: Database) -> None:
        pass


@reads(AccountReplicatorSettings)
def factory(surroundings: Surroundings[AccountReplicatorSettings]) -> DatabaseReplicator:
    return make_replicator(surroundings, KIND, lambda ring: Accounts())
