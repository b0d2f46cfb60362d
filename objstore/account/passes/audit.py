"""account-auditor: the common pass (daemon/db_audit.py) over account databases."""

from __future__ import annotations

import logging

from objstore.config.settings import reads
from objstore.daemon.db_audit import AccountAuditorSettings, DatabaseAuditor
from objstore.daemon.surroundings import Surroundings
from objstore.db.account import KIND
from objstore.db.database import Databases


@reads(AccountAuditorSettings)
def factory(surroundings: Surroundings[AccountAuditorSettings]) -> DatabaseAuditor:
    logger = logging.getLogger(f"objstore.{surroundings.name}")
    return DatabaseAuditor(surroundings.name, Databases(KIND, logger), surroundings.devices, logger)
