"""The auditor of account or container databases: each one read whole, a broken one taken out of service.

A job is one database. What SQLite finds wrong goes to quarantine at once, and replication brings a good copy; counts
that are not those of the rows are made right in place. Used by account/passes/audit.py and container/passes/audit.py.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from objstore.config.settings import decimal, setting
from objstore.core.errors import Corrupt, DeviceUnavailable, DomainError, NotFound
from objstore.daemon.interleave import interleaved
from objstore.daemon.pass_ import FAILURES, Counts, Job, PassReport, Scope
from objstore.daemon.settings import DaemonSettings, Rate
from objstore.db import on_disk
from objstore.db.audit import Finding, audit, miscount, recount
from objstore.db.connection import Busy
from objstore.db.database import Database, Databases, MissingStat
from objstore.db.location import Location
from objstore.runtime.devices import Devices


@dataclass(frozen=True, slots=True)
class AuditJob(Job):
    """location: None for a device that cannot be read; reason says why."""

    location: Location | None
    reason: str = ""


@dataclass(slots=True)
class DatabaseAuditor:
    """A Pass."""

    name: str
    databases: Databases
    devices: Devices
    logger: logging.Logger

    def jobs(self, scope: Scope) -> Iterator[AuditJob]:
        yield from interleaved(
            self._jobs_of(name, scope) for name in self.devices.all_names() if scope.has_device(name)
        )

    def _jobs_of(self, device: str, scope: Scope) -> Iterator[AuditJob]:
        datadir = self.databases.kind.datadir
        try:
            path = self.devices.path(device)
            for partition in on_disk.partitions(path, datadir):
                if scope.has_partition(partition):
                    for location in on_disk.locations(path, datadir, partition):
                        yield AuditJob(f"{device}/{datadir}/{partition}/{location.hash}", device, location)
        except (OSError, DeviceUnavailable) as error:
            yield AuditJob(f"{device}/{datadir}", device, None, str(error))

    def run(self, job: AuditJob) -> Counts:
        if job.location is None:
            self.logger.error("device=%s problem=%r: its databases cannot be read", job.device, job.reason)
            return {FAILURES: 1}
        database = Database(self.databases, job.location)
        try:
            return self._audit(database)
        except NotFound:
            return {}
        except Corrupt:  # Found on the way, quarantined, and logged.
            return {"quarantined": 1, FAILURES: 1}
        except (DomainError, OSError, sqlite3.Error, Busy) as error:
            self.logger.warning("job=%s problem=%s: not audited", job.key, error)
            return {FAILURES: 1}

    def finished(self, report: PassReport) -> Mapping[str, object]:
        kind = self.databases.kind.server
        return {
            f"{kind}_auditor_pass_completed": report.elapsed_s,
            f"{kind}_audits_since": report.started_s,
            f"{kind}_audits_passed": report.counts.get("passed", 0),
            f"{kind}_audits_failed": report.counts.get(FAILURES, 0),
        }

    def _audit(self, database: Database) -> Counts:
        location = database.location
        database.read(self._check_stat)  # Merges what is pending, too, and brings old tables up to date.
        for path in location.files():
            found: Finding = self.databases.threads.run(location.device_path, audit, path, location.datadir)
            if found.damage:
                raise database.quarantine(path, found.damage)
            if found.miscount:
                return self._recount(database, path, found.miscount)
        return {"passed": 1}

    def _check_stat(self, connection: sqlite3.Connection) -> None:
        if connection.execute(f"SELECT 1 FROM {self.databases.kind.stat_table}").fetchone() is None:
            raise MissingStat

    def _recount(self, database: Database, path: str, reason: str) -> Counts:
        datadir = database.location.datadir

        def change(connection: sqlite3.Connection) -> str:
            # Seen again under the lock: the file may have been replaced meanwhile.
            reason = miscount(connection, datadir)
            if reason:
                recount(connection, datadir)
            return reason

        if path != database.location.current():
            return {FAILURES: 1}
        if database.write(change):
            self.logger.error("path=%r reason=%r: wrong counts made right", path, reason)
        return {"recounted": 1, FAILURES: 1}


@dataclass(frozen=True)
class AccountAuditorSettings(DaemonSettings):
    """Checks account databases, and takes broken ones out of service."""

    interval: float = setting("1800", decimal(0), "Seconds from the start of one pass to the start of the next.")
    accounts_per_second: float = setting("200", decimal(0), "Databases read a second, at most; 0: no limit.")

    @property
    def rate(self) -> Rate:
        return Rate(self.accounts_per_second)


@dataclass(frozen=True)
class ContainerAuditorSettings(DaemonSettings):
    """Checks container databases, and takes broken ones out of service."""

    interval: float = setting("1800", decimal(0), "Seconds from the start of one pass to the start of the next.")
    containers_per_second: float = setting("200", decimal(0), "Databases read a second, at most; 0: no limit.")

    @property
    def rate(self) -> Rate:
        return Rate(self.containers_per_second)
