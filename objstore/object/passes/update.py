"""object-updater: carries container rows that were left in async_pending to the container servers.

Where a server was killed before it could leave a row there, that is done first (object/passes/untold.py). A job is the
waiting rows of one container on one device. Each of the container's primaries that has not got them yet is sent them,
in one UPDATE where it takes that and the rows allow it, else one by one. A file goes when every primary has taken its
row; until then it remembers who has. Source: formats 4.14, 6.5.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from objstore.config.settings import reads
from objstore.core.errors import DeviceUnavailable
from objstore.core.hashing import HashSecrets
from objstore.core.policy import Policies
from objstore.daemon.interleave import interleaved
from objstore.daemon.pace import Pace
from objstore.daemon.pass_ import FAILURES, Counts, Job, PassReport, Scope
from objstore.daemon.surroundings import Surroundings
from objstore.object.expiring import ExpiryQueue
from objstore.object.passes.oldest import OldestPending
from objstore.object.passes.untold import Retelling
from objstore.object.passes.update_batch import Batch
from objstore.object.passes.update_plan import Verdict, container_of, groups, verdict
from objstore.object.passes.update_settings import ObjectUpdaterSettings
from objstore.peers.container_rows import Answer, ContainerRows, Redirect
from objstore.peers.node_client import NodeClient, Timeouts
from objstore.peers.silence import Silences
from objstore.ring.model import Node, Ring
from objstore.ring.reload import ReloadingRing
from objstore.runtime import green
from objstore.runtime.clock import Clock
from objstore.runtime.device_threads import DeviceThreads
from objstore.runtime.devices import Devices
from objstore.runtime.fs import Fs
from objstore.storage import pending
from objstore.storage.layout import DeviceLayout
from objstore.storage.pending_walk import Corrupt, Waiting, Window, windows
from objstore.storage.quarantine import set_aside
from objstore.storage.untold import boot_id

_log = logging.getLogger("objstore.object-updater")


@dataclass(frozen=True, slots=True)
class SendRows(Job):
    """policy_index: of the async_pending directory. container_path: account/container of the database. is_deferred: it
    had to wait for its container's rate once."""

    policy_index: int
    container_path: str
    rows: tuple[Waiting, ...]
    is_deferred: bool = False


@dataclass(frozen=True, slots=True)
class Tidy(Job):
    """A job: clear away what is in some suffix directories besides rows to send."""

    policy_index: int
    superseded: tuple[str, ...] = ()
    corrupt: tuple[Corrupt, ...] = ()
    empty: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CannotRead(Job):
    reason: str


@dataclass(frozen=True, slots=True)
class TellAgain(Job):
    """A server was killed that had changes open on this device."""


UpdateJob = TellAgain | SendRows | Tidy | CannotRead


@dataclass(frozen=True, slots=True)
class Limits:
    """rows_per_s: of one container (0: any number), of which `buckets` share one. deferred_max: rows kept in memory.
    deferred_s: how long after the start of a pass they may still go."""

    rows_per_s: float = 0.0
    buckets: int = 1000
    deferred_max: int = 10_000
    deferred_s: float = 300.0


@dataclass(slots=True)
class ObjectUpdater:
    """ring: gives the container ring of this moment."""

    devices: Devices
    policies: Policies
    secrets: HashSecrets
    ring: Callable[[], Ring]
    peers: ContainerRows
    clock: Clock
    limits: Limits = Limits()
    oldest: OldestPending = field(default_factory=OldestPending)
    fs: Fs = field(default_factory=Fs)
    queue: ExpiryQueue | None = None
    name: str = "object-updater"
    _threads: DeviceThreads = field(default_factory=lambda: DeviceThreads(2), init=False)
    _paces: dict[int, Pace] = field(default_factory=dict, init=False)
    # Appended to and counted in the hub, taken from where jobs are drawn.
    _deferred: deque[SendRows] = field(default_factory=deque, init=False)
    _deferred_count: int = field(default=0, init=False)
    _deferred_until: float = field(default=0.0, init=False)

    # Finding

    def jobs(self, scope: Scope) -> Iterator[UpdateJob]:
        self._deferred.clear()
        self._deferred_count = 0
        self._deferred_until = self.clock.monotonic() + self.limits.deferred_s
        names = [name for name in self.devices.all_names() if scope.has_device(name)]
        yield from interleaved(self._jobs_of(name, scope) for name in names)
        # What is deferred after the last look here waits on disk for the next pass, as everything did before.
        while self._deferred:
            yield self._deferred.popleft()

    def _jobs_of(self, device: str, scope: Scope) -> Iterator[UpdateJob]:
        try:
            layout = DeviceLayout(self.devices.path(device))
            if scope.partitions is None and self._retelling(device).is_due():
                yield TellAgain(f"{device}/untold", device)
            for policy in self.policies:
                if scope.has_policy(policy.index):
                    for window in windows(layout.pending(policy.index)):
                        yield from self._jobs_in(device, policy.index, window, scope)
        except (OSError, DeviceUnavailable) as error:
            yield CannotRead(f"{device}/async_pending", device, str(error))

    def _jobs_in(self, device: str, policy_index: int, window: Window, scope: Scope) -> Iterator[UpdateJob]:
        base = f"{device}/async_pending/{policy_index}"
        if window.superseded or window.corrupt or window.empty:
            yield Tidy(
                f"{base}/tidy",
                device,
                policy_index,
                tuple(window.superseded),
                tuple(window.corrupt),
                tuple(window.empty),
            )
        for unread in window.unreadable:
            yield CannotRead(unread.path, device, unread.reason)
        for number, (path, rows) in enumerate(groups(window.waiting)):
            if scope.partitions is None or scope.has_partition(self._partition(self.ring(), path)):
                yield SendRows(f"{base}/{path}#{number}", device, policy_index, path, rows)

    # Doing

    def run(self, job: UpdateJob) -> Counts:
        if isinstance(job, SendRows):
            return self._send(job)
        if isinstance(job, TellAgain):
            count = self._threads.run(job.device, self._retelling(job.device).run)
            if count:
                _log.warning(
                    "device=%s rows=%d: a server ended before it had told these; told again", job.device, count
                )
            return {"told_again": count}
        if isinstance(job, Tidy):
            counts = self._threads.run(job.device, self._tidy, job)
            for corrupt in job.corrupt:
                _log.error("path=%r reason=%r: not an update that can be sent; set aside", corrupt.path, corrupt.reason)
            return counts
        _log.error("device=%s path=%r error=%r: pending updates cannot be read", job.device, job.key, job.reason)
        return {FAILURES: 1}

    def _retelling(self, device: str) -> Retelling:
        """Raises DeviceUnavailable."""
        layout, queue = DeviceLayout(self.devices.path(device)), self.queue or ExpiryQueue(self.secrets)
        return Retelling(self.fs, layout, self.policies, self.secrets, queue, boot_id())

    def finished(self, report: PassReport) -> Mapping[str, object]:
        now = self.clock.now().seconds
        left = report.counts.get("left", 0) + self._deferred_count
        entries = {
            "object_updater_sweep": report.elapsed_s,
            "object_updater_stats": self.oldest.stats(now),
            "object_updater_last": now,
            "async_pending": left,
            "async_pending_last": now,
        }
        self.oldest.clear()
        return entries

    def _send(self, job: SendRows) -> dict[str, int]:
        if job.is_deferred:
            self._deferred_count -= len(job.rows)
        allowed = self._allowed(job)
        counts = {"rows": len(allowed), "success": 0, "redirects": 0, FAILURES: 0, "left": 0}
        if rest := job.rows[len(allowed) :]:
            counts["deferrals"] = len(rest)
            counts["left"] += self._defer(replace(job, rows=rest, is_deferred=True))
        if not allowed:
            return counts
        redirected = self._send_to(job, job.container_path, allowed, counts)
        by_path: dict[str, list[Waiting]] = {}
        for row in redirected:
            by_path.setdefault(container_of(row.update), []).append(row)
        for path, rows in by_path.items():
            # Once per pass: whoever is sent on again waits for the next.
            counts[FAILURES] += len(again := self._send_to(job, path, rows, counts))
            counts["left"] += len(again)
        return counts

    def _allowed(self, job: SendRows) -> Sequence[Waiting]:
        """The rows that this container's rate limit lets through now."""
        if not self.limits.rows_per_s:
            return job.rows
        bucket = self.secrets.digest(*job.container_path.split("/"))[0:4]
        number = int.from_bytes(bucket, "big") % self.limits.buckets
        pace = self._paces.setdefault(number, Pace(self.limits.rows_per_s))
        if job.is_deferred:
            self._wait_for_turn(pace)
        now = self.clock.monotonic()
        rows = job.rows[: pace.allowance(now)]
        pace.charge(now, len(rows))
        return rows

    def _wait_for_turn(self, pace: Pace) -> None:
        """A deferred job waits here: put back at once it would come round again and again."""
        while (now := self.clock.monotonic()) < self._deferred_until and (wait_s := pace.wait_s(now)) > 0:
            green.sleep(min(wait_s, self._deferred_until - now, 1.0))

    def _defer(self, job: SendRows) -> int:
        """Keep rows for the end of the pass. How many it could not keep: beyond the limits they wait for the next."""
        is_late = self.clock.monotonic() >= self._deferred_until
        if is_late or self._deferred_count + len(job.rows) > self.limits.deferred_max:
            return len(job.rows)
        self._deferred.append(job)
        self._deferred_count += len(job.rows)
        return 0

    def _send_to(self, job: SendRows, path: str, rows: Sequence[Waiting], counts: dict[str, int]) -> list[Waiting]:
        """Send rows to one database and settle their files; those that were redirected, as they are now."""
        ring = self.ring()
        partition = self._partition(ring, path)
        nodes = ring.primaries(partition)
        batch = Batch(job.policy_index, rows)
        tasks = [green.spawn(self._send_to_node, node, partition, path, batch) for node in nodes]
        answers: list[list[Answer | None]] = [task.join() for task in tasks]
        ids = [node.id for node in nodes]
        verdicts = [self._verdict(row, ids, [each[number] for each in answers]) for number, row in enumerate(rows)]
        self._threads.run(job.device, self._settle, job, rows, verdicts)
        redirected = []
        for row, judged in zip(rows, verdicts, strict=True):
            if judged.update is None:
                counts["success"] += 1
            elif judged.is_redirected:
                counts["redirects"] += 1
                redirected.append(Waiting(row.path, row.timestamp, judged.update))
            else:
                counts[FAILURES] += 1
                counts["left"] += 1
                self.oldest.note(row.timestamp, row.update.account, row.update.container)
        return redirected

    def _send_to_node(self, node: Node, partition: int, path: str, batch: Batch) -> list[Answer | None]:
        """The node's answer for each row; None for a row it has already."""
        rows = batch.rows
        answers: list[Answer | None] = [None] * len(rows)
        missing = [number for number, row in enumerate(rows) if node.id not in row.update.successes]
        together = batch.that_may_go_together(missing) if self.peers.may_take_many(node) else ()
        if len(together) > 1:
            body, headers = batch.update(together)
            answer = self.peers.send_many(node, partition, path, body, headers)
            if answer is not None:
                for number in together:
                    answers[number] = answer
        for number in missing:
            if answers[number] is None:
                update = rows[number].update
                headers = {"x-backend-storage-policy-index": str(batch.policy_index), **update.headers}
                answers[number] = self.peers.send(node, partition, update.op, f"{path}/{update.obj}", headers)
        return answers

    def _verdict(self, row: Waiting, ids: Sequence[int], answers: Sequence[Answer | None]) -> Verdict:
        accepted: list[int] = []
        redirects: dict[int, Redirect] = {}
        for node_id, answer in zip(ids, answers, strict=True):
            if answer is not None and answer.is_success:
                accepted.append(node_id)
            elif answer is not None and answer.redirect is not None:
                redirects[node_id] = answer.redirect
        return verdict(row.update, ids, accepted, redirects)

    def _partition(self, ring: Ring, path: str) -> int:
        return ring.partition(self.secrets.digest(*path.split("/")))

    # On disk, in a thread of the device

    def _settle(self, job: SendRows, rows: Sequence[Waiting], verdicts: Sequence[Verdict]) -> None:
        layout = DeviceLayout(self.devices.path(job.device))
        for row, judged in zip(rows, verdicts, strict=True):
            if judged.update is None:
                self.fs.unlink(row.path)
            elif judged.update is not row.update:
                pending.rewrite(self.fs, layout, job.policy_index, row.path, judged.update)

    def _tidy(self, job: Tidy) -> dict[str, int]:
        """Raises OSError; the runner counts that."""
        for path in job.superseded:
            self.fs.unlink(path)
        for corrupt in job.corrupt:
            layout = DeviceLayout(self.devices.path(job.device))
            set_aside(self.fs, corrupt.path, layout.quarantine(job.policy_index), lambda: uuid.uuid4().hex)
        for directory in job.empty:
            self._remove_if_old(directory)
        return {"superseded": len(job.superseded), "quarantined": len(job.corrupt)}

    def _remove_if_old(self, directory: str) -> None:
        """Not one that an object server has just made, to put an update there."""
        try:
            age_s = self.clock.now().seconds - os.stat(directory).st_mtime
        except FileNotFoundError:
            return
        if age_s > EMPTY_AGE_S:
            self.fs.remove_directory(directory)


EMPTY_AGE_S = 60.0


@reads(ObjectUpdaterSettings)
def factory(surroundings: Surroundings[ObjectUpdaterSettings]) -> ObjectUpdater:
    settings, cluster, clock = surroundings.settings, surroundings.cluster, surroundings.clock
    ring = ReloadingRing(cluster.swift_dir / "container.ring.gz")
    calls = NodeClient("object-updater", Timeouts(settings.conn_timeout, settings.node_timeout), silence=Silences())
    return ObjectUpdater(
        surroundings.devices,
        cluster.policies,
        cluster.secrets,
        lambda: ring.current,
        ContainerRows(calls, clock.monotonic),
        clock,
        Limits(
            settings.max_objects_per_container_per_second,
            settings.per_container_ratelimit_buckets,
            settings.max_deferred_updates,
            settings.interval,
        ),
        OldestPending(settings.async_tracker_max_entries, settings.async_tracker_dump_count),
        queue=ExpiryQueue(
            cluster.secrets, settings.expiring_objects_account_name, settings.expiring_objects_container_divisor
        ),
    )
