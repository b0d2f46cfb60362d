"""How objects of a partition get to another node: by rsync where that can be had and is worth it, else in-band.

bring() is for primaries among themselves; confirm() is for a handoff that goes when it hears that all is there, and
so asks in-band in any case. A node that serves no rsync module is spoken to in-band for the rest of the pass.
"""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from objstore.core.hashing import HashSecrets
from objstore.daemon.pace import Pace
from objstore.peers.failure import NodeFailure, name_of
from objstore.peers.replicate import ReplicateCalls
from objstore.replication.in_band import BLOCK_BYTES, InBandSender, Outcome, Subject
from objstore.replication.plan import SMALL_BYTES, SMALL_OBJECTS, batches
from objstore.replication.rsync_push import RsyncPush
from objstore.ring.model import Node
from objstore.runtime import green
from objstore.runtime.clock import Clock, SystemClock
from objstore.runtime.device_threads import DeviceThreads
from objstore.storage.engine import Engine
from objstore.storage.layout import ObjectAddress
from objstore.storage.partitions import PartitionPlaces
from objstore.storage.reader import DamagedObject
from objstore.storage.replica import OpenReplica, Replica, body_bytes, inventory, open_replica

_log = logging.getLogger("objstore.object-replicator")
SMALL_BODY_BYTES = 1 << 16
"""A body up to this size is read by the hub if it is in the page cache."""
SLOWEST_READ_BYTES = 4096
BETTER_IN_BAND = NodeFailure("serves no rsync module")


@dataclass(frozen=True, slots=True)
class Delivery:
    """counts: what was done. confirmed: hashes that the node has confirmed. failure: None when all went well."""

    counts: Counter[str] = field(default_factory=Counter)
    confirmed: frozenset[str] = frozenset()
    failure: NodeFailure | None = None


@dataclass(frozen=True, slots=True)
class Small:
    """What goes in-band in any case: at most so many objects, of at most so many bytes together."""

    objects: int = SMALL_OBJECTS
    bytes: int = SMALL_BYTES


@dataclass
class Deliverer:
    """rsync: None: in-band only. bandwidth_kb_s: of bodies in one conversation, as rsync has it of one push; 0: no
    limit. sleep: green."""

    engine: Engine
    places: PartitionPlaces
    secrets: HashSecrets
    calls: ReplicateCalls
    in_band: InBandSender
    threads: DeviceThreads
    rsync: RsyncPush | None = None
    region_of_here: int | None = None
    small: Small = Small()
    bandwidth_kb_s: int = 0
    clock: Clock = field(default_factory=SystemClock)
    sleep: Callable[[float], object] = green.sleep
    _without_rsync: set[tuple[str, int]] = field(default_factory=set)

    def bring(self, node: Node, device: str, subject: Subject, suffixes: Sequence[str]) -> Delivery:
        """Everything of these suffixes that the node lacks. Raises DeviceUnavailable, OSError: of the device here."""
        counts: Counter[str] = Counter()
        path = self.places.path(device, subject.policy_index, subject.partition)
        found = ((suffix, self.threads.run(device, inventory, path, suffix)) for suffix in suffixes)
        first = list(itertools.islice(batches(found, self.small.objects + 1), 1))
        if self._uses_rsync(node) and not (first and self._is_small(device, path, first[0])):
            pushed = self._push(node, device, subject, suffixes, counts)
            if pushed is not BETTER_IN_BAND:
                return Delivery(counts, failure=pushed)
        for batch in itertools.chain(first, batches(found)):
            outcome = self._converse(node, device, subject, batch, counts)
            if outcome.failure is not None:
                return Delivery(counts, failure=outcome.failure)
        return Delivery(counts)

    def confirm(self, node: Node, device: str, subject: Subject, batch: Sequence[Replica]) -> Delivery:
        """Have a node confirm that it has these objects, after bringing it what it lacks. Raises as bring()."""
        counts: Counter[str] = Counter()
        uses_rsync = self._uses_rsync(node)
        first = self._converse(node, device, subject, batch, counts, is_confirming=True, sends=not uses_rsync)
        lacking = [replica for replica in batch if replica.hash_hex not in first.in_sync]
        if first.failure is not None or not lacking:
            return _delivered(counts, first.in_sync, first.failure)
        path = self.places.path(device, subject.policy_index, subject.partition)
        if uses_rsync and not self._is_small(device, path, lacking):
            wanting = sorted({replica.hash_hex[-3:] for replica in lacking})
            pushed = self._push(node, device, subject, wanting, counts)
            if pushed not in (None, BETTER_IN_BAND):
                return Delivery(counts, first.in_sync, pushed)
        # What was sent is asked for once more: only that answer says that it can be read there, and stays.
        second = self._converse(node, device, subject, lacking, counts, is_confirming=True)
        confirmed = first.in_sync | second.in_sync
        if second.sent and second.failure is None:
            third = self._converse(node, device, subject, lacking, counts, is_confirming=True, sends=False)
            return _delivered(counts, confirmed | third.in_sync, third.failure)
        return _delivered(counts, confirmed, second.failure)

    def forget_failures(self) -> None:
        """A new pass tries everything again."""
        self._without_rsync.clear()

    def _is_small(self, device: str, path: str, replicas: Sequence[Replica]) -> bool:
        if len(replicas) > self.small.objects:
            return False
        return self.threads.run(device, body_bytes, path, replicas) <= self.small.bytes

    def _uses_rsync(self, node: Node) -> bool:
        return self.rsync is not None and node.replication_address not in self._without_rsync

    def _push(
        self, node: Node, device: str, subject: Subject, suffixes: Sequence[str], counts: Counter[str]
    ) -> NodeFailure | None:
        """By rsync; None when it is done, BETTER_IN_BAND where the node has no rsync, else what failed."""
        assert self.rsync is not None, "only called where rsync is used"
        path = self.places.path(device, subject.policy_index, subject.partition)
        is_far = self.region_of_here is not None and node.region != self.region_of_here
        try:
            command = self.rsync.command(node, subject.policy_index, subject.partition, suffixes, is_far=is_far)
        except ValueError as error:
            return NodeFailure(f"{name_of(node)}: {error}")
        pushed = self.threads.run(device, self.rsync.run, command, path)
        counts["rsync"] += 1
        counts["files"] += pushed.file_count
        if pushed.has_no_daemon:
            self._without_rsync.add(node.replication_address)
            _log.warning("node=%s: no rsync, going in-band: %s", name_of(node), pushed.failure)
            return BETTER_IN_BAND
        # Even after a failure: some files may have arrived, of which the other node does not know.
        failure = self.calls.rehash(node, subject.policy_index, subject.partition, suffixes)
        return NodeFailure(f"{name_of(node)}: {pushed.failure}") if pushed.failure else failure

    def _converse(
        self,
        node: Node,
        device: str,
        subject: Subject,
        batch: Sequence[Replica],
        counts: Counter[str],
        *,
        is_confirming: bool = False,
        sends: bool = True,
    ) -> Outcome:
        source = DeviceSource(self, device, subject, Pace(self.bandwidth_kb_s << 10))
        outcome = self.in_band.synchronise(node, subject, batch, source, is_confirming=is_confirming, sends=sends)
        counts["ssync"] += 1
        counts["objects"] += outcome.sent
        counts["bytes"] += outcome.sent_bytes
        return outcome


@dataclass(frozen=True, slots=True)
class DeviceSource:
    """in_band.Source over a partition here."""

    owner: Deliverer
    device: str
    subject: Subject
    pace: Pace
    _blocks: list[memoryview] = field(default_factory=list)
    """One, once it was needed: fresh memory for each read costs more than the reading."""

    def open(self, hash_hex: str) -> OpenReplica | None:
        owner, subject = self.owner, self.subject
        path = owner.places.path(self.device, subject.policy_index, subject.partition)
        try:
            return owner.threads.run(self.device, open_replica, owner.places.fs, path, hash_hex, owner.secrets)
        except DamagedObject as error:
            self._set_aside(hash_hex, error.reason)
            return None

    def read(self, opened: OpenReplica, count: int, offset: int) -> bytes | memoryview:
        """Short reads keep a low bandwidth from silences that the other node would take for the end."""
        assert opened.body is not None, "a tombstone has no body"
        if not self.pace.is_unlimited:
            count = min(count, max(SLOWEST_READ_BYTES, self.owner.bandwidth_kb_s << 9))
            self._take_turn(count)
        if count <= SMALL_BODY_BYTES:
            data = opened.body.pread_cached(count, offset)
            if data is not None:
                return data
        if not self._blocks:
            self._blocks.append(memoryview(bytearray(BLOCK_BYTES)))
        block = self._blocks[0][:count]
        return block[: self.owner.threads.run(self.device, opened.body.preadinto, block, offset)]

    def _take_turn(self, count: int) -> None:
        clock = self.owner.clock
        if (seconds := self.pace.wait_s(clock.monotonic())) > 0:
            self.owner.sleep(seconds)
        self.pace.charge(clock.monotonic(), count)

    def damaged(self, opened: OpenReplica) -> None:
        parts = opened.name.split("/", 3)[1:]
        self._set_aside(self.owner.secrets.hash_path(*parts), "its body is not what was written")

    def _set_aside(self, hash_hex: str, reason: str) -> None:
        address = ObjectAddress(self.device, self.subject.partition, self.subject.policy_index, "", hash_hex)
        place = self.owner.threads.run(self.device, self.owner.engine.quarantine, address)
        _log.error("device=%s hash=%s: quarantined as %s: %s", self.device, hash_hex, place, reason)


def _delivered(counts: Counter[str], confirmed: Collection[str], failure: NodeFailure | None) -> Delivery:
    return Delivery(counts, frozenset(confirmed), failure)
