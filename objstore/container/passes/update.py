"""container-updater: finds containers whose account does not know how they are, and tells it.

The container server reports changes itself within seconds (container/reports.py); this pass finds what that missed:
a process that ended, an account server that was away. A job is one database that has changed since it was last found
in order. The account is told at all its primaries, and the database notes it when all of them have taken it. An
account of which most replicas could not be told is left alone for a while.

What all have heard is told again at growing intervals: a replicator that was just bringing one account server the
counts of another may have put older ones there after the report, which nobody can tell from newer ones (formats 5.5),
and which the replicas then agree on.

A database on a handoff is not reported: it may be behind, and is gone before it could correct itself, while the
primaries believe that the account knows their counts. They report once the replicator has brought it home.
Source: formats 5.4, 6.2, 6.3.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from objstore.config.settings import reads
from objstore.container.account_update import info_headers
from objstore.container.news import IN_DOUBT, facts, has_news, is_heard, is_in_doubt, is_known
from objstore.container.passes.seen import Look, Seen, look
from objstore.container.passes.update_settings import ContainerUpdaterSettings
from objstore.core.errors import DeviceUnavailable, DomainError, NotFound
from objstore.core.hashing import HashSecrets
from objstore.daemon.interleave import interleaved
from objstore.daemon.pass_ import FAILURES, Counts, Job, PassReport, Scope
from objstore.daemon.surroundings import Surroundings
from objstore.db import on_disk
from objstore.db.connection import IDLE_CONNECTIONS_OF_A_WALK
from objstore.db.container import KIND, ContainerBroker, ContainerInfo
from objstore.db.database import Database, Databases
from objstore.db.location import CONTAINERS, Location
from objstore.http.status import is_success
from objstore.peers.account_rows import AccountRows
from objstore.peers.node_client import NodeClient, Timeouts
from objstore.peers.silence import Silences
from objstore.ring.local import belongs_elsewhere
from objstore.ring.model import Ring
from objstore.ring.reload import ReloadingRing
from objstore.runtime import green
from objstore.runtime.clock import Clock
from objstore.runtime.devices import Devices
from objstore.runtime.netinfo import local_addresses

_log = logging.getLogger("objstore.container-updater")


@dataclass(frozen=True, slots=True)
class TellAccount(Job):
    """before: how the database stood when it was found. is_again: it is told though it should be known."""

    location: Location
    before: Look
    is_again: bool = False


@dataclass(frozen=True, slots=True)
class CannotRead(Job):
    reason: str


UpdateJob = TellAccount | CannotRead


@dataclass(slots=True)
class ContainerUpdater:
    """ring: gives the account ring of this moment. suppression_s: how long an account that could not be told is left
    alone. is_handoff(device, partition): whether its containers belong on other devices."""

    devices: Devices
    databases: Databases
    secrets: HashSecrets
    ring: Callable[[], Ring]
    peers: AccountRows
    clock: Clock
    suppression_s: float = 60.0
    seen: Seen = field(default_factory=Seen)
    is_handoff: Callable[[str, int], bool] = lambda device, partition: False
    name: str = "container-updater"
    _suppressed_until: dict[str, float] = field(default_factory=dict, init=False)

    # Finding

    def jobs(self, scope: Scope) -> Iterator[UpdateJob]:
        self._forget_suppressed()
        found: set[str] = set()
        names = [name for name in self.devices.all_names() if scope.has_device(name)]
        yield from interleaved(self._jobs_of(name, scope, found) for name in names)
        if scope.is_everything:
            self.seen.forget_others(found)

    def _jobs_of(self, device: str, scope: Scope, found: set[str]) -> Iterator[UpdateJob]:
        try:
            path = self.devices.path(device)
            for partition in on_disk.partitions(path, CONTAINERS):
                if scope.has_partition(partition) and not self.is_handoff(device, partition):
                    for location in on_disk.locations(path, CONTAINERS, partition):
                        before = look(location)
                        found.add(location.directory)
                        if before is None:
                            continue
                        is_again = self.seen.is_unchanged(location, before)
                        if not is_again or self.seen.is_due(location, self.clock.now().seconds):
                            key = f"{device}/{partition}/{location.hash}"
                            yield TellAccount(key, device, location, before, is_again)
        except (OSError, DeviceUnavailable) as error:
            yield CannotRead(f"{device}/{CONTAINERS}", device, str(error))

    # Doing

    def run(self, job: UpdateJob) -> Counts:
        if isinstance(job, CannotRead):
            _log.error("device=%s error=%r: its containers cannot be read", job.device, job.reason)
            return {FAILURES: 1}
        now_s = self.clock.now().seconds
        try:
            return self._update(job, now_s)
        except NotFound:
            return {}
        except DomainError as error:
            _log.warning("container=%s error=%r: not reported to its account", job.key, error)
            return {FAILURES: 1}

    def finished(self, report: PassReport) -> Mapping[str, object]:
        return {"container_updater_sweep": report.elapsed_s}

    def _update(self, job: TellAccount, now_s: float) -> Counts:
        broker = ContainerBroker(Database(self.databases, job.location))
        info = broker.info()
        if self.secrets.hash_path(info.account, info.container) != job.location.hash:
            # Reporting it would overwrite what another container's account knows.
            _log.error("container=%s name=%r: does not belong where it lies", job.key, info.path)
            return {FAILURES: 1}
        if not has_news(info) and not job.is_again:
            self.seen.remember(job.location, job.before, now_s)
            return {"no_changes": 1}
        if self._suppressed_until.get(info.account, 0.0) > self.clock.monotonic():
            return {"suppressed": 1}
        successes, replicas = self._tell(info)
        if not has_news(info):
            # Whoever was away, or has no such account any more, has heard it once.
            self.seen.remember(job.location, job.before, now_s)
            return {"asked": 1, "again": 1}
        if not is_known(successes, replicas):
            if not is_in_doubt(info):
                broker.reported(*IN_DOUBT)
            if not is_heard(successes, replicas):
                self._suppressed_until[info.account] = self.clock.monotonic() + self.suppression_s
            return {"asked": 1, FAILURES: 1}
        broker.reported(*facts(info))
        return {"asked": 1, "success": 1}

    def _tell(self, info: ContainerInfo) -> tuple[int, int]:
        """(replicas of the account that took it, all of them)."""
        ring = self.ring()
        partition = ring.partition(self.secrets.digest(info.account))
        nodes = ring.primaries(partition)
        headers = {name.lower(): value for name, value in info_headers(info)}
        headers["x-account-override-deleted"] = "yes"
        tasks = [
            green.spawn(self.peers.report, node, partition, info.account, info.container, headers) for node in nodes
        ]
        return sum(is_success(task.join()) for task in tasks), len(nodes)

    def _forget_suppressed(self) -> None:
        now = self.clock.monotonic()
        for account in [account for account, until in self._suppressed_until.items() if until <= now]:
            self._suppressed_until.pop(account, None)


@reads(ContainerUpdaterSettings)
def factory(surroundings: Surroundings[ContainerUpdaterSettings]) -> ContainerUpdater:
    settings, cluster = surroundings.settings, surroundings.cluster
    databases = Databases(KIND, _log, idle_connections=IDLE_CONNECTIONS_OF_A_WALK)
    ring = ReloadingRing(cluster.swift_dir / "account.ring.gz")
    calls = NodeClient("container-updater", Timeouts(settings.conn_timeout, settings.node_timeout), silence=Silences())
    containers = ReloadingRing(cluster.swift_dir / "container.ring.gz")
    ip, port = surroundings.address
    addresses = local_addresses(ip)
    return ContainerUpdater(
        surroundings.devices,
        databases,
        cluster.secrets,
        lambda: ring.current,
        AccountRows(calls),
        surroundings.clock,
        settings.account_suppression_time,
        seen=Seen(again_s=settings.tell_again_after),
        is_handoff=lambda device, partition: belongs_elsewhere(containers.current, addresses, port, device, partition),
    )
