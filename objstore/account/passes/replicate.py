"""account-replicator: what accounts need beside the common engine (replication/db_replicator.py): next to nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from objstore.db.database import Database
from objstore.db.location import Location
from objstore.db.outbound import LocalState


class Accounts:
    """What is peculiar to accounts (db_replicator.Kindred)."""

    def prepare(self, database: Database, state: LocalState) -> Sequence[Location]:
        return ()

    def may_go(self, connection: sqlite3.Connection) -> bool:
        """An account is last in the chain: nobody has to be told."""
        return True
