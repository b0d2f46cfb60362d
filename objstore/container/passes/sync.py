"""container-sync: brings the objects of containers that have X-Container-Sync-To and -Key to other clusters.

Which containers those are stands in a directory of links per device (db/sync_links.py); a job is one of them. Only
primaries work, each on its own database: sync_container.py tells what a turn does, sync_row.py what a row needs. A
container that is sharded is left alone, and said to be: its rows lie in other databases than its points.

Nothing is ever deleted or changed here but the two points, and the link of a container that is no longer synced.
Source: feature B3.12; formats 1.4, 5.4, 6.10.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from objstore.config.settings import reads
from objstore.config.sync_realms import LiveRealms
from objstore.container.passes.sync_container import ContainerTurn, Share
from objstore.container.passes.sync_peer import Peer, Verdict
from objstore.container.passes.sync_progress import Memory
from objstore.container.passes.sync_row import RowSync
from objstore.container.passes.sync_settings import ContainerSyncSettings
from objstore.container.passes.sync_target import Target
from objstore.core.errors import BadRequest, DeviceUnavailable, DomainError, NotFound
from objstore.core.hashing import HashSecrets
from objstore.core.sync_realms import Realms
from objstore.daemon.pass_ import FAILURES, Counts, Job, PassReport, Scope
from objstore.daemon.surroundings import Surroundings
from objstore.db.connection import IDLE_CONNECTIONS_OF_A_WALK
from objstore.db.container import KIND, UNSHARDED, ContainerBroker
from objstore.db.database import Database, Databases
from objstore.db.location import Location
from objstore.db.sync_links import linked
from objstore.db.sync_rows import SyncState, sync_state
from objstore.http.internal import InternalClient
from objstore.http.outgoing import Outgoing
from objstore.ring.local import local_devices
from objstore.ring.model import Ring
from objstore.ring.reload import ReloadingRing
from objstore.runtime.clock import Clock
from objstore.runtime.devices import Devices
from objstore.runtime.netinfo import local_addresses

_AWAY_S = 60.0
"""How long nothing is tried with a cluster that was away, at most; less where passes come more often."""
_FILTERS = ("slo", "symlink")
"""Without them manifests and links would be read as what they lead to, or in no form that can be sent."""
_log = logging.getLogger("objstore.container-sync")


@dataclass(frozen=True, slots=True)
class SyncContainer(Job):
    location: Location


@dataclass(frozen=True, slots=True)
class CannotRead(Job):
    reason: str


SyncJob = SyncContainer | CannotRead
ShareOf = Callable[[str, str], Share | None]
"""Of a device and a partition: which primary this is; None for a handoff."""


@dataclass(slots=True)
class ContainerSync:
    """The Pass of objstore-container-sync. client: the pipeline that reads objects here. realms: as they are now."""

    settings: ContainerSyncSettings
    devices: Devices
    databases: Databases
    secrets: HashSecrets
    realms: Callable[[], Realms]
    share_of: ShareOf
    peer: Peer
    client: InternalClient
    clock: Clock
    memory: Memory = field(default_factory=Memory)
    name: str = "container-sync"
    _away_until: dict[str, float] = field(default_factory=dict, init=False)

    # Finding

    def jobs(self, scope: Scope) -> Iterator[SyncJob]:
        for device in self.devices.all_names():
            if scope.has_device(device):
                yield from self._jobs_of(device, scope)

    def _jobs_of(self, device: str, scope: Scope) -> Iterator[SyncJob]:
        try:
            for location in linked(self.devices.path(device)):
                if location.partition.isdigit() and scope.has_partition(int(location.partition)):
                    yield SyncContainer(f"{device}/{location.partition}/{location.hash}", device, location)
        except (OSError, DeviceUnavailable) as error:
            yield CannotRead(f"{device}/sync_containers", device, str(error))

    # Doing

    def run(self, job: SyncJob) -> Counts:
        if isinstance(job, CannotRead):
            _log.error("device=%s error=%r: its synced containers cannot be found", job.device, job.reason)
            return {FAILURES: 1}
        try:
            return self._sync(job)
        except DomainError as error:
            _log.warning("container=%s error=%r: not synced", job.key, error)
            return {FAILURES: 1}

    def finished(self, report: PassReport) -> Mapping[str, object]:
        self.memory.tidy()
        return {}

    def _sync(self, job: SyncContainer) -> Counts:
        broker = ContainerBroker(Database(self.databases, job.location))
        try:
            found = broker.state()
        except NotFound:
            broker.settle_sync_link()
            return {"no_container": 1}
        state = sync_state(found.info)
        if state is None:
            broker.settle_sync_link()
            return {"not_synced": 1}
        if self.secrets.hash_path(found.info.account, found.info.container) != job.location.hash:
            _log.error("container=%s name=%r: does not belong where it lies", job.key, found.info.path)
            return {FAILURES: 1}
        share = self.share_of(job.device, job.location.partition)
        if share is None:
            return {"handoffs": 1}
        if found.sharding != UNSHARDED:
            _log.warning("container=%r state=%s: sharded containers are not synced", found.info.path, found.sharding)
            return {"sharded": 1}
        try:
            target = Target.of(state.target, state.key, self.realms(), self.settings.allowed_sync_hosts)
        except BadRequest as error:
            _log.warning("container=%r reason=%r: cannot be synced", found.info.path, error.reason)
            return {FAILURES: 1}
        return self._take_turn(broker, state, share, target)

    def _take_turn(self, broker: ContainerBroker, state: SyncState, share: Share, target: Target) -> Counts:
        began = self.clock.monotonic()
        if self._away_until.get(target.root, began) > began:
            return {"suppressed": 1}
        limits_s = {1: self.settings.container_time / 2, 2: self.settings.container_time}
        turn = ContainerTurn(
            broker,
            state,
            share,
            self.memory.of(state.info.id, state.since),
            RowSync(self.client, self.peer, target, state.info).bring,
            self.settings.sync_row_concurrency,
            lambda step: self.clock.monotonic() - began < limits_s[step],
        )
        counts = turn.run()
        if turn.ended_by is not None:
            _log.warning("container=%r target=%s reason=%r: put off", state.info.path, target.url, turn.ended_by.why)
            if turn.ended_by.verdict is Verdict.AWAY:
                self._suppress(target.root)
        return {"synced": 1, **counts}

    def _suppress(self, root: str) -> None:
        now = self.clock.monotonic()
        self._away_until = {known: until for known, until in self._away_until.items() if until > now}
        self._away_until[root] = now + min(_AWAY_S, self.settings.interval)


@reads(ContainerSyncSettings)
def factory(surroundings: Surroundings[ContainerSyncSettings]) -> ContainerSync:
    """Raises ConfigError."""
    settings, cluster = surroundings.settings, surroundings.cluster
    databases = Databases(KIND, _log, idle_connections=IDLE_CONNECTIONS_OF_A_WALK)
    ring = ReloadingRing(cluster.swift_dir / "container.ring.gz")
    ip, port = surroundings.address
    addresses = local_addresses(ip)
    realms = LiveRealms(cluster.swift_dir)
    clients = [
        Outgoing(
            trust=settings.trust,
            proxy=proxy,
            connect_timeout_s=settings.conn_timeout,
            timeout_s=settings.node_timeout,
        )
        for proxy in settings.sync_proxy or (None,)
    ]
    return ContainerSync(
        settings,
        surroundings.devices,
        databases,
        cluster.secrets,
        lambda: realms.current,
        lambda device, partition: share_in(ring.current, addresses, port, device, partition),
        Peer(clients),
        InternalClient(surroundings.pipeline(settings.internal_client_conf_path, _FILTERS), "objstore container-sync"),
        surroundings.clock,
    )


def share_in(ring: Ring, addresses: Collection[str], port: int, device: str, partition: str) -> Share | None:
    """Which primary of a partition a device of this node is."""
    here = local_devices(ring, addresses, port).get(device)
    number = int(partition)
    if here is None or number >= ring.partition_count:
        return None
    nodes = ring.primaries(number)
    for index, node in enumerate(nodes):
        if node.id == here.id:
            return Share(index, len(nodes))
    return None
