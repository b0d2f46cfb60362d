"""The replicator of account or container databases: every database of this node's devices, brought to its other places.

One engine for both kinds (account/passes/replicate.py, container/passes/replicate.py); what differs is a Kindred. A job
is one database:

    a primary's      goes to the other primaries; where a primary's disk is away, the next handoff stands in
    a handoff's      goes to all primaries, and is removed once each of them has said that it has it all
    long deleted     is removed once nobody else knows more of it; it is given to nobody who has it no more

A peer that is down, or lies, costs a failure and is tried again in the next pass. Source: formats 2.5, 5.5, 6.8.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Protocol

from objstore.core.errors import Corrupt, DeviceUnavailable, DomainError, NotFound
from objstore.core.timestamp import Timestamp
from objstore.daemon.pass_ import FAILURES, Counts, Job, PassReport, Scope
from objstore.db import on_disk, outbound
from objstore.db.database import Database, Databases
from objstore.db.location import Location
from objstore.db.outbound import LocalState
from objstore.db.reclaim import Cutoffs, reclaim
from objstore.peers.db_replicas import Place
from objstore.replication.db_plan import Fate, may_reclaim, may_remove_handoff
from objstore.replication.db_removal import remove_empty, remove_old_copies, remove_unchanged
from objstore.replication.db_sender import Report, Sender
from objstore.ring.local import is_named_here, local_devices
from objstore.ring.model import Device, Node, Ring
from objstore.runtime.clock import Clock
from objstore.runtime.devices import Devices

_STATS = ("success", "diff", "no_change", "rsync", "remove", "empty", "rows")
"""What recon shows of a pass, by Swift's names: rows sent to a peer, nothing to send, a whole file sent (by whatever
means), databases removed, directories cleared."""
STAND_INS_MAX = 1
"""Handoffs that are given a database in the place of one primary whose disk is away, in one pass."""


@dataclass(frozen=True, slots=True)
class DatabaseJob(Job):
    location: Location


@dataclass(frozen=True, slots=True)
class CannotRead(Job):
    """A device that is away."""

    reason: str


@dataclass(frozen=True, slots=True)
class Options:
    """reclaim_age_s: how long deleted things are remembered. handoffs_only: leave what is at home alone.
    handoff_delete: how many primaries must have confirmed a handoff's; 0 for all."""

    reclaim_age_s: float = 604800.0
    handoffs_only: bool = False
    handoff_delete: int = 0


class Kindred(Protocol):
    """What replication does differently for one kind of database."""

    def prepare(self, database: Database, state: LocalState) -> Sequence[Location]:
        """Before it is sent; further databases on this device that were written to and shall be sent at once."""
        ...

    def may_go(self, connection: sqlite3.Connection) -> bool:
        """Whether nobody waits for anything of a long deleted one."""
        ...

    def settle(self, database: Database) -> None:
        """Afterwards, when other replicas may have changed it, or it has gone."""
        ...


@dataclass(slots=True)
class DatabaseReplicator:
    """A Pass. ring: whose devices and partitions count, asked again for every job. addresses, port: by which the ring
    names this node's devices."""

    name: str
    databases: Databases
    devices: Devices
    ring: Callable[[], Ring]
    addresses: frozenset[str]
    port: int
    sender: Sender
    kindred: Kindred
    clock: Clock
    logger: logging.Logger
    options: Options = field(default_factory=Options)

    def jobs(self, scope: Scope) -> Iterator[DatabaseJob | CannotRead]:
        ring, datadir = self.ring(), self.databases.kind.datadir
        for name in self._device_names(ring):
            if not scope.has_device(name):
                continue
            try:
                yield from self._jobs_of(ring, name, self.devices.path(name), scope)
            except (OSError, DeviceUnavailable) as error:
                # A directory that the ring does not name, and that is not a mount point, is not a disk that is away.
                if is_named_here(ring, self.addresses, name) or not isinstance(error, DeviceUnavailable):
                    yield CannotRead(f"{name}/{datadir}", name, str(error))

    def _device_names(self, ring: Ring) -> list[str]:
        """Of this node's devices: those that the ring names, and those on disk that it names no more (their databases
        have to move). None at all where the ring does not know this node: it may be another cluster's."""
        named = local_devices(ring, self.addresses, self.port)
        if not named:
            return []
        left = [name for name in self.devices.all_names() if not is_named_here(ring, self.addresses, name)]
        return sorted({*named, *left})

    def _jobs_of(self, ring: Ring, device: str, path: str, scope: Scope) -> Iterator[DatabaseJob]:
        datadir, here = self.databases.kind.datadir, local_devices(ring, self.addresses, self.port).get(device)
        found = [partition for partition in on_disk.partitions(path, datadir) if scope.has_partition(partition)]
        homes = {partition for partition in found if here is not None and _is_home(ring, partition, here.id)}
        # What does not belong here first: it takes room, and may be the only copy of what came meanwhile.
        strays = [partition for partition in found if partition not in homes]
        for partition in strays if self.options.handoffs_only else [*strays, *sorted(homes)]:
            for location in on_disk.locations(path, datadir, partition):
                yield DatabaseJob(f"{device}/{datadir}/{partition}/{location.hash}", device, location)

    def run(self, job: DatabaseJob | CannotRead) -> Counts:
        if isinstance(job, CannotRead):
            self.logger.error("device=%s problem=%r: its databases are not replicated", job.device, job.reason)
            return {FAILURES: 1}
        return self.replicate(job.location)

    def finished(self, report: PassReport) -> Mapping[str, object]:
        counts = report.counts
        stats = {"attempted": report.job_count, "start": report.started_s, "failure": counts.get(FAILURES, 0)}
        return {
            "replication_time": report.elapsed_s,
            "replication_last": report.started_s + report.elapsed_s,
            "replication_stats": {**stats, **{name: counts.get(name, 0) for name in _STATS}},
        }

    def replicate(self, location: Location) -> Counts:
        """Bring one database to where it belongs."""
        counts: Counter[str] = Counter()
        database = Database(self.databases, location)
        try:
            self._replicate(database, counts)
        except NotFound:
            pass  # Removed meanwhile, or only leftovers: nothing to bring anywhere.
        except Corrupt:
            counts["quarantined"] += 1  # The other replicas bring a whole copy.
            counts[FAILURES] += 1
        except (DomainError, OSError, sqlite3.Error) as error:
            self.logger.warning("hash=%s device=%r problem=%s: left alone", location.hash, location.device, error)
            counts[FAILURES] += 1
        return dict(counts)

    def _replicate(self, database: Database, counts: Counter[str]) -> None:
        location = database.location
        before = self._long_ago()
        self.databases.threads.run(location.device_path, remove_old_copies, self.databases.fs, location, before.seconds)
        if not database.exists:
            if remove_empty(database):
                counts["empty"] += 1
            return
        counts["rows_reclaimed"] += reclaim(database, self.clock.now(), self.options.reclaim_age_s)
        state = self._state(database)
        more = self.kindred.prepare(database, state)
        if more:
            state = self._state(database)
        self._send(database, state, before, counts)
        self.kindred.settle(database)
        for other in more:
            counts.update(self.replicate(other))

    def _state(self, database: Database) -> LocalState:
        datadir = database.location.datadir
        database.flush()
        return database.read(lambda connection: outbound.local_state(connection, datadir))

    def _send(self, database: Database, state: LocalState, before: Timestamp, counts: Counter[str]) -> None:
        """Send to all primaries but this node; then see whether the database may go."""
        ring, location = self.ring(), database.location
        partition = ring.partition(bytes.fromhex(location.hash))
        here = local_devices(ring, self.addresses, self.port).get(location.device)
        is_home = here is not None and partition == int(location.partition) and _is_home(ring, partition, here.id)
        others = [node for node in ring.primaries(partition) if not is_home or here is None or node.id != here.id]
        is_over = self._is_over(database, state, before)
        stand_ins = _others(ring.handoffs(partition), here) if is_home and not is_over else iter(())
        fates = []
        for node in others:
            place = Place(node, partition, location.hash)
            is_far = here is not None and here.region != node.region
            report = self.sender.send(
                database, state, place, is_handoff=not is_home, may_create=not is_over, is_far=is_far
            )
            fates.append(report.fate)
            self._count(report, place, counts)
            if report.fate is Fate.UNMOUNTED:
                self._send_to_stand_in(database, state, stand_ins, place, counts)
        is_reclaimed = is_over and may_reclaim(fates, len(others))
        is_handed_back = not is_home and may_remove_handoff(fates, len(others), self.options.handoff_delete)
        if is_reclaimed or is_handed_back:
            # Only as it was when the others were asked: what they told us, or a client, since then keeps it.
            counts["remove"] += remove_unchanged(database, state.fingerprint)

    def _send_to_stand_in(
        self, database: Database, state: LocalState, stand_ins: Iterator[Node], place: Place, counts: Counter[str]
    ) -> None:
        for node in islice(stand_ins, STAND_INS_MAX):
            stand_in = replace(place, node=node)
            self._count(self.sender.send(database, state, stand_in), stand_in, counts)

    def _count(self, report: Report, place: Place, counts: Counter[str]) -> None:
        counts["rows"] += report.rows
        counts["rsync"] += report.files
        counts["diff"] += bool(report.rows)
        counts["no_change"] += report.fate is Fate.CONFIRMED and not report.rows
        if report.fate in (Fate.FAILED, Fate.UNMOUNTED):
            counts[FAILURES] += 1
            self.logger.warning("hash=%s peer=%s problem=%r: not replicated", place.hash, place, report.reason)
        else:
            counts["success"] += 1

    def _is_over(self, database: Database, state: LocalState, before: Timestamp) -> bool:
        """Whether it was deleted so long ago that it may be forgotten."""
        if not state.is_deleted or not "0" < state.delete_timestamp < before.internal:
            return False
        datadir = database.location.datadir
        return database.read(
            lambda connection: not outbound.has_rows(connection, datadir) and self.kindred.may_go(connection),
            fresh=False,
        )

    def _long_ago(self) -> Timestamp:
        return Cutoffs.of(self.clock.now(), self.options.reclaim_age_s).deleted


def _is_home(ring: Ring, partition: int, device_id: int) -> bool:
    if partition >= ring.partition_count:
        return False
    return any(node.id == device_id for node in ring.primaries(partition))


def _others(nodes: Iterator[Node], here: Device | None) -> Iterator[Node]:
    return (node for node in nodes if here is None or node.id != here.id)
