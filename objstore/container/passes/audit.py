"""container-auditor: the common pass (daemon/db_audit.py) over container databases."""

from __future__ import annotations

import logging

from objstore.config.settings import reads
from objstore.daemon.db_audit import ContainerAuditorSettings, DatabaseAuditor
from objstore.daemon.surroundings import Surroundings
from objstore.db.container import KIND
from objstore.db.database import Databases


@reads(ContainerAuditorSettings)
def factory(surroundings: Surroundings[ContainerAuditorSettings]) -> DatabaseAuditor:
    logger = logging.getLogger(f"objstore.{surroundings.name}")
    return DatabaseAuditor(surroundings.name, Databases(KIND, logger), surroundings.devices, logger)
