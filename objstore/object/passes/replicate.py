"""object-replicator: brings what lies on this node's devices to where the rings say that it belongs.

A job is one partition of one policy on one device. A primary compares suffix hashes with the other primaries and brings
them what they lack. A handoff brings everything to all primaries and then removes its own copy:

    1. it holds the partition's replication lock, so that it cannot take its own copy for another one
    2. a batch of objects is offered to every primary; what a primary wants is sent, then offered once more
    3. an object counts as confirmed by a primary only when that has said, asked for a confirmation, that it wants
       nothing of it (object/handlers/ssync.py: then it is readable there, and synced)
    4. what every primary has confirmed is removed, if its directory still holds exactly what was offered

A crash anywhere leaves too many copies, never too few. Digests decide what is worth looking at; they never decide that
anything is removed. Source: formats 6.7 to 6.9; doc/formats/replication.md.
"""

from __future__ import annotations

import logging
import random
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from objstore.core.errors import DeviceUnavailable, DomainError
from objstore.core.policy import Policies
from objstore.daemon.pass_ import FAILURES, Counts, Job, PassReport, Scope
from objstore.object.passes.absences import Absences
from objstore.object.passes.deliver import Deliverer, Delivery
from objstore.object.passes.here import Here, RingBook
from objstore.peers.failure import NodeFailure
from objstore.peers.replicate import ReplicateCalls
from objstore.replication.in_band import Subject
from objstore.replication.plan import (
    batches,
    confirmations_needed,
    differing,
    is_relisted,
    removable,
    role_of,
)
from objstore.ring.model import Node, Ring
from objstore.runtime.clock import Clock
from objstore.runtime.device_threads import DeviceThreads
from objstore.storage.engine import Engine
from objstore.storage.layout import DeviceLayout
from objstore.storage.partitions import PartitionPlaces
from objstore.storage.removal import remove_confirmed, remove_partition
from objstore.storage.replica import Replica, inventory, suffixes
from objstore.storage.untold import boot_id, unsafe_since

_log = logging.getLogger("objstore.object-replicator")
_LOCK_TIMEOUT_S = 5.0
_NOTHING_DONE = dict.fromkeys(("attempted", "hashmatch", "remove", "rsync", "success", "suffix_sync"), 0)
"""Counts that recon tools look for whether or not there was anything to count."""
CONFIRMED_AT_ONCE = 500
"""Objects of a handoff that are brought home together: a primary opens and syncs each before it confirms them."""


@dataclass(frozen=True, slots=True)
class PartitionJob(Job):
    """partition: the name of its directory."""

    policy_index: int
    partition: str

    @property
    def subject(self) -> Subject:
        return Subject(self.policy_index, self.partition)


@dataclass(frozen=True, slots=True)
class ReplicationRules:
    """handoffs_first: partitions that do not belong here go before all others. handoff_delete: how many primaries must
    confirm before a handoff's copy goes; 0: all of them."""

    handoffs_first: bool = False
    handoff_delete: int = 0


@dataclass
class ObjectReplicator:
    """One pass after another over a node's devices. shuffle: the order of partitions, so that two nodes do not walk in
    step. round_index: of the pass, from 0; a random start lets single passes (--once) look afresh everywhere in
    time."""

    engine: Engine
    places: PartitionPlaces
    policies: Policies
    rings: RingBook
    here: Here
    calls: ReplicateCalls
    deliverer: Deliverer
    threads: DeviceThreads
    clock: Clock
    rules: ReplicationRules = ReplicationRules()
    random: random.Random = field(default_factory=random.Random)
    name: str = "object-replicator"

    def __post_init__(self) -> None:
        self.round_index = self.random.randrange(1 << 16)
        self._scope = Scope()
        self.absences = Absences(self.clock)

    # Finding

    def jobs(self, scope: Scope) -> Iterator[PartitionJob]:
        self._scope = scope
        rings = self.rings.seen
        if not any(self.here.has_any_of(ring) for ring in rings.values()):
            return  # finished() says so.
        devices = [device for device in self.places.devices.names() if scope.has_device(device)]
        later: list[PartitionJob] = []
        for policy in self.policies:
            ring = rings.get(policy.index)
            if ring is None or not scope.has_policy(policy.index) or _is_growing(ring):
                continue
            for device in devices:
                for job in self._of_device(device, policy.index, scope):
                    if self.rules.handoffs_first and not self._is_handoff(job, ring):
                        later.append(job)
                    else:
                        yield job
        yield from later

    def _of_device(self, device: str, policy_index: int, scope: Scope) -> Iterator[PartitionJob]:
        try:
            partitions = self.places.on_device(device, policy_index)
        except DeviceUnavailable:
            return
        self.random.shuffle(partitions)
        for partition in partitions:
            if scope.has_partition(int(partition)):
                key = f"{device}/objects{f'-{policy_index}' if policy_index else ''}/{partition}"
                yield PartitionJob(key, device, policy_index, partition)

    def _is_handoff(self, job: PartitionJob, ring: Ring) -> bool:
        number = int(job.partition)
        return (
            number < ring.partition_count
            and role_of(ring.primaries(number), lambda node: self.here.is_device(node, job.device)).is_handoff
        )

    # Doing

    def run(self, job: PartitionJob) -> Counts:
        counts: Counter[str] = Counter(attempted=1)
        ring = self.rings.current(job.policy_index)
        number = int(job.partition)
        if ring is None or number >= ring.partition_count:
            self._fail(counts, job, "the ring has no such partition; it is left as it is")
            return counts
        role = role_of(ring.primaries(number), lambda node: self.here.is_device(node, job.device))
        try:
            if role.is_handoff:
                self._revert(job, role.peers, counts)
            else:
                self._mend(job, ring, role.peers, counts)
        except (DomainError, OSError) as error:
            self._fail(counts, job, str(error))
        if not counts[FAILURES]:
            counts["success"] += 1
        return counts

    def _mend(self, job: PartitionJob, ring: Ring, peers: tuple[Node, ...], counts: Counter[str]) -> None:
        """A primary: bring every other primary what it lacks. One whose disk is away is stood in for by a handoff."""
        local = self._hashes(job, relist=is_relisted(int(job.partition), self.round_index))
        if not local:
            return
        stand_ins = (node for node in ring.handoffs(int(job.partition)) if not self.here.is_device(node, job.device))
        waiting, left = deque(peers), len(peers)
        while waiting:
            node = waiting.popleft()
            remote = self._remote_hashes(node, job)
            if isinstance(remote, NodeFailure):
                self._fail(counts, job, remote.reason)
                if remote.is_unmounted and left:
                    left -= 1
                    waiting.extend(filter(None, [next(stand_ins, None)]))
                continue
            wanting = differing(local, remote)
            if wanting:
                # Ours may be the stale ones: a file can have been brought here since they were computed.
                local = self._hashes(job, wanting)
                wanting = differing(local, remote)
            if not wanting:
                counts["hashmatch"] += 1
                continue
            counts["suffix_sync"] += len(wanting)
            self._note(counts, job, self.deliverer.bring(node, job.device, job.subject, wanting))

    def _revert(self, job: PartitionJob, primaries: tuple[Node, ...], counts: Counter[str]) -> None:
        """A handoff: bring everything home, then remove what all primaries have."""
        counts["handoffs"] += 1
        with self.places.replicating(job.device, job.policy_index, job.partition, _LOCK_TIMEOUT_S) as path:
            # Cleans up what is superseded or reclaimable, so that nobody is offered it.
            self._hashes(job, relist=True)
            names = self.threads.run(job.device, suffixes, path)
            for batch in batches(((suffix, self._inventory(job, path, suffix)) for suffix in names), CONFIRMED_AT_ONCE):
                self._bring_home(job, path, primaries, batch, counts)
            if not counts[FAILURES]:
                counts["partitions_removed"] += self.threads.run(job.device, remove_partition, self.places.fs, path)

    def _bring_home(
        self, job: PartitionJob, path: str, primaries: tuple[Node, ...], batch: list[Replica], counts: Counter[str]
    ) -> None:
        confirmed = []
        for node in primaries:
            absent = self.absences.of(node)
            if absent is None:
                delivery = self.deliverer.confirm(node, job.device, job.subject, batch)
                self.absences.note(node, delivery.failure)
            else:
                delivery = Delivery(failure=absent)
            self._note(counts, job, delivery)
            confirmed.append(delivery.confirmed)
        needed = confirmations_needed(len(primaries), self.rules.handoff_delete)
        for suffix, replicas in removable(batch, confirmed, needed).items():
            counts["remove"] += self.threads.run(job.device, self._remove, job.device, path, suffix, replicas)

    def _remove(self, device: str, path: str, suffix: str, replicas: list[Replica]) -> int:
        """In a native thread. What was named a moment ago, its row not safe yet, is for the next pass."""
        fs = self.places.fs
        since_ns = unsafe_since(fs, DeviceLayout(self.places.devices.path(device)), boot_id())
        return remove_confirmed(fs, path, suffix, replicas, since_ns)

    def _remote_hashes(self, node: Node, job: PartitionJob) -> dict[str, str] | NodeFailure:
        absent = self.absences.of(node)
        if absent is not None:
            return absent
        found = self.calls.suffix_hashes(node, job.policy_index, job.partition)
        self.absences.note(node, found if isinstance(found, NodeFailure) else None)
        return found

    def _hashes(self, job: PartitionJob, recalculate: tuple[str, ...] = (), *, relist: bool = False) -> dict[str, str]:
        return self.threads.run(
            job.device,
            lambda: self.engine.hashes(job.device, job.policy_index, job.partition, recalculate, relist=relist),
        )

    def _inventory(self, job: PartitionJob, path: str, suffix: str) -> list[Replica]:
        return self.threads.run(job.device, inventory, path, suffix)

    def _note(self, counts: Counter[str], job: PartitionJob, delivery: Delivery) -> None:
        counts.update(delivery.counts)
        if delivery.failure is not None:
            self._fail(counts, job, delivery.failure.reason)

    def _fail(self, counts: Counter[str], job: PartitionJob, reason: str) -> None:
        counts[FAILURES] += 1
        _log.warning("job=%s: %s", job.key, reason)

    # Reporting

    def finished(self, report: PassReport) -> Mapping[str, object]:
        self.round_index += 1
        self.deliverer.forget_failures()
        for policy in self.policies:
            self.rings.current(policy.index)
        if not any(self.here.has_any_of(ring) for ring in self.rings.seen.values()):
            _log.error("no device of the rings is at %s: nothing is replicated; see bind_ip and bind_port", self.here)
        if not self._scope.is_everything:
            return {}
        ended_s, minutes = report.started_s + report.elapsed_s, report.elapsed_s / 60
        counted = {name: count for name, count in report.counts.items() if name != FAILURES}
        failures = report.counts.get(FAILURES, 0)
        stats = {**_NOTHING_DONE, **counted, "failure": failures, "start": report.started_s}
        return {
            "replication_stats": stats,
            "replication_time": minutes,
            "replication_last": ended_s,
            "object_replication_time": minutes,
            "object_replication_last": ended_s,
        }


def _is_growing(ring: Ring) -> bool:
    """While the partition power is being raised objects stand in two partitions: nothing is moved then."""
    return ring.next_part_power is not None
