"""Services: what every handler of the proxy works with. One per worker; made before the fork, opened by first use.

rings and policies of the cluster, who is reachable, how nodes are ordered for each policy, and the clock. Handlers
build a request and say which ring and partition; everything about nodes, handoffs, votes and timeouts is in here and
in the modules it hands the request to.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from objstore.config.cluster import Cluster
from objstore.core.errors import UnknownPolicy
from objstore.core.headers import is_true
from objstore.core.names import quoted
from objstore.core.timestamp import Timestamp
from objstore.http.environ import Environ
from objstore.http.request import Request
from objstore.peers.exchange import BackendRequest, Caller, Pool
from objstore.peers.silence import Silences
from objstore.proxy.error_limit import ErrorLimiter
from objstore.proxy.fault import FaultLog
from objstore.proxy.nodes import Key, NodeOrder, Ordering, Timings
from objstore.proxy.quorum import quorum_size
from objstore.proxy.read import Read, ReadTimes
from objstore.proxy.read_plan import ReadPlan
from objstore.proxy.settings import ProxySettings
from objstore.proxy.targets import RequestPlan
from objstore.proxy.write import Write, WriteTimes
from objstore.ring.model import Node, Ring
from objstore.runtime.clock import Clock
from objstore.runtime.generations import Generations

_PLACES_REMEMBERED = 1024
REPLICATION_FLAG = "HTTP_X_BACKEND_USE_REPLICATION_NETWORK"


class RingFile(Protocol):
    """A ring that may be replaced while we run (ring.reload.ReloadingRing)."""

    @property
    def current(self) -> Ring: ...


@dataclass(frozen=True, slots=True)
class Rings:
    account: RingFile
    container: RingFile
    objects: Mapping[int, RingFile]


class Place(NamedTuple):
    """Where a name lives: its ring, its partition, and how its nodes are ordered. path: /partition/names, quoted."""

    ring: Ring
    partition: int
    order: NodeOrder
    settings: ProxySettings
    path: str

    @property
    def primaries(self) -> Sequence[Node]:
        return self.ring.primaries(self.partition)


class Services:
    def __init__(
        self,
        cluster: Cluster,
        settings: ProxySettings,
        policy_settings: Mapping[int, ProxySettings],
        rings: Rings,
        pool: Pool,
        clock: Clock,
        generations: Generations,
        logger: logging.Logger,
    ) -> None:
        """policy_settings: by policy index, for those that have a section of their own."""
        self.cluster = cluster
        self.settings = settings
        self.policy_settings = policy_settings
        self.rings = rings
        self.clock = clock
        self.generations = generations
        self.logger = logger
        self.caller = Caller(pool, settings.conn_timeout, settings.lend_timeout)
        self.timings = Timings(clock, settings.timing_expiry)
        self._errors = ErrorLimiter(
            settings.error_suppression_limit, settings.error_suppression_interval, clock, Silences()
        )
        self.faults = FaultLog(self._errors, logger)
        self._order = self._ordered(settings)
        self._container_places: dict[tuple[str, str], Place] = {}
        # By identity: all settings live as long as this does.
        self._read_times = {id(own): _read_times(own) for own in (settings, *policy_settings.values())}
        self._orders = {index: self._ordered(own) for index, own in policy_settings.items()}

    def _ordered(self, settings: ProxySettings) -> NodeOrder:
        key: Key | None = None
        if settings.sorting_method == "timing":
            key = self.timings.of
        elif settings.sorting_method == "affinity":
            key = settings.read_affinity.priority()
        ordering = Ordering(
            settings.request_node_count,
            key,
            settings.write_affinity.locality(),
            settings.write_affinity_node_count,
            settings.write_affinity_handoff_delete_count,
        )
        # The module, not an instance: its generator is seeded again in every forked worker.
        return NodeOrder(ordering, self._errors, random)

    # Places

    def account_place(self, account: str) -> Place:
        ring = self.rings.account.current
        partition = ring.partition(self.cluster.secrets.digest(account))
        return Place(ring, partition, self._order, self.settings, f"/{partition}{quoted(f'/{account}')}")

    def container_place(self, account: str, container: str) -> Place:
        ring = self.rings.container.current
        known = self._container_places.get((account, container))
        if known is not None and known.ring is ring:
            return known
        partition = ring.partition(self.cluster.secrets.digest(account, container))
        path = f"/{partition}{quoted(f'/{account}/{container}')}"
        place = Place(ring, partition, self._order, self.settings, path)
        if len(self._container_places) >= _PLACES_REMEMBERED:
            self._container_places.clear()
        self._container_places[account, container] = place
        return place

    def object_place(self, policy_index: int, account: str, container: str, obj: str) -> Place:
        """Raises UnknownPolicy when there is no ring for the policy."""
        found = self.rings.objects.get(policy_index)
        if found is None:
            raise UnknownPolicy(str(policy_index))
        ring = found.current
        partition = ring.partition(self.cluster.secrets.digest(account, container, obj))
        return Place(
            ring,
            partition,
            self._orders.get(policy_index, self._order),
            self.policy_settings.get(policy_index, self.settings),
            f"/{partition}{quoted(f'/{account}/{container}/{obj}')}",
        )

    # Requests

    def read(self, place: Place, request: BackendRequest, *, voices: int = 1, use_replication: bool = False) -> Read:
        """Ask for something; voices: see ReadPlan. The Read has run."""
        settings = place.settings
        primary_count = len(place.primaries)
        # Where everybody there is gets asked, a rebalance can hide nothing and all of them are believed.
        asks_all = settings.request_node_count.of(primary_count) >= place.ring.device_count
        plan = ReadPlan(
            primary_count, voices=voices, forgiven=0 if asks_all else settings.rebalance_missing_suppression_count
        )
        read = Read(
            self.caller,
            self.faults,
            self._read_times[id(settings)],
            request,
            plan,
            timings=self.timings if settings.sorting_method == "timing" else None,
            use_replication=use_replication,
        )
        read.run(place.order.reading(place.ring, place.partition), min(max(voices, 1), primary_count))
        return read

    def newest_voices(self, place: Place) -> int:
        return len(place.primaries)

    def quorum_voices(self, place: Place) -> int:
        """As many as make sure that one of them has heard of every acknowledged write."""
        return quorum_size(len(place.primaries))

    def write(
        self, place: Place, plan: RequestPlan, *, doubts_absence: bool = False, use_replication: bool = False
    ) -> Write:
        """Send a small write to every replica; doubts_absence: see WriteQuorum. The Write has run."""
        write = self._write(plan, place, use_replication, doubts_absence=doubts_absence)
        write.run(place.order.writing(place.ring, place.partition))
        return write

    def delete(self, place: Place, plan: RequestPlan, *, use_replication: bool = False) -> Write:
        """As write, for a DELETE of an object: a 404 counts as gone, and handoffs of write affinity hear of it too."""
        write = self._write(plan, place, use_replication, is_forgiving=True)
        write.run(place.order.deleting(place.ring, place.partition))
        return write

    def _write(
        self,
        plan: RequestPlan,
        place: Place,
        use_replication: bool,
        *,
        is_forgiving: bool = False,
        doubts_absence: bool = False,
    ) -> Write:
        return Write(
            self.caller,
            self.faults,
            self.write_times(place.settings),
            plan,
            len(place.primaries),
            is_forgiving=is_forgiving,
            doubts_absence=doubts_absence,
            use_replication=use_replication,
        )

    @staticmethod
    def write_times(settings: ProxySettings) -> WriteTimes:
        return WriteTimes(settings.node_timeout, settings.lend_timeout, settings.post_quorum_timeout)


def _read_times(settings: ProxySettings) -> ReadTimes:
    return ReadTimes(
        settings.node_timeout,
        settings.concurrency_timeout if settings.concurrent_gets else None,
        settings.recoverable_node_timeout,
    )


def timestamp_of(request: Request, clock: Clock) -> Timestamp:
    """The timestamp of a write: now, or what an internal client dictates in X-Timestamp (the gatekeeper takes it from
    a client's request). Raises BadRequest."""
    return clock.now() if request.header("x-timestamp") is None else request.timestamp()


def uses_replication(environ: Environ) -> bool:
    """Whether an internal client wants its requests on the replication network."""
    return REPLICATION_FLAG in environ and is_true(environ[REPLICATION_FLAG])
