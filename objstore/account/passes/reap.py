"""account-reaper: empties accounts that a client deleted, objects first, then containers; replicators do the rest.

A job is a share of one container's objects, and the container itself once it is empty. Everything is an ordinary
deletion with the time of now, so that doing it again does no harm and a node that is away hears of it by replication.
What cannot be done (a node away, a container that fills again) waits for the next pass. Source: formats 6.10.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from objstore.account.passes.reap_plan import is_ours, shared_out
from objstore.account.passes.reap_settings import AccountReaperSettings
from objstore.config.settings import reads
from objstore.core.errors import DeviceUnavailable
from objstore.core.hashing import HashSecrets
from objstore.core.policy import Policies
from objstore.daemon.pass_ import FAILURES, Counts, Job, PassReport, Scope
from objstore.daemon.surroundings import Surroundings
from objstore.db import on_disk
from objstore.db.location import ACCOUNTS, Location
from objstore.db.marked_deleted import Unreadable, containers_of, deleted_account
from objstore.http.status import HTTPStatus, is_success
from objstore.peers.deletions import DirectClient, Page
from objstore.ring.local import local_devices
from objstore.ring.model import Node, Ring
from objstore.ring.reload import ReloadingRing
from objstore.runtime import green
from objstore.runtime.clock import Clock
from objstore.runtime.devices import Devices
from objstore.runtime.netinfo import local_addresses

OBJECTS_PER_JOB = 10_000
JOBS_PER_CONTAINER = 10_000
"""Of one pass; a larger container takes another."""
PAGES_PER_JOB = 100
OBJECTS_AT_ONCE = 8

Rings = Callable[[str], Ring]
"""A ring by its name (core.policy.Policy.ring_name for objects)."""

_log = logging.getLogger("objstore.account-reaper")


@dataclass(frozen=True, slots=True)
class Reap(Job):
    """overdue_s: since the account might be reaped."""

    account: str
    container: str
    overdue_s: float


@dataclass(frozen=True, slots=True)
class CannotRead(Job):
    reason: str


@dataclass(slots=True)
class _Progress:
    """Of one container in this pass, shared by its jobs. marker: listed up to here. at_work: jobs that delete what they
    listed. is_clean: nothing has failed so far."""

    marker: str = ""
    is_listed: bool = False
    is_clean: bool = True
    at_work: int = 0
    turn: green.Semaphore = field(default_factory=lambda: green.Semaphore(1))


@dataclass(slots=True)
class AccountReaper:
    """A Pass. addresses, port: by which the account ring names this node's devices. warn_after_s: an account that is
    still there so long after it fell due is worth a warning."""

    devices: Devices
    rings: Rings
    addresses: frozenset[str]
    port: int
    secrets: HashSecrets
    policies: Policies
    peers: DirectClient
    clock: Clock
    delay_s: float = 0.0
    warn_after_s: float = 2_592_000.0
    name: str = "account-reaper"
    _progress: dict[tuple[str, str], _Progress] = field(default_factory=dict, init=False)

    # Finding

    def jobs(self, scope: Scope) -> Iterator[Reap | CannotRead]:
        self._progress = {}
        ring = self.rings("account")
        for name, device in sorted(local_devices(ring, self.addresses, self.port).items()):
            if scope.has_device(name):
                try:
                    yield from self._jobs_of(ring, name, device.id, scope)
                except (OSError, DeviceUnavailable) as error:
                    yield CannotRead(f"{name}/{ACCOUNTS}", name, str(error))

    def _jobs_of(self, ring: Ring, device: str, device_id: int, scope: Scope) -> Iterator[Reap | CannotRead]:
        path = self.devices.path(device)
        for partition in on_disk.partitions(path, ACCOUNTS):
            if partition >= ring.partition_count or not scope.has_partition(partition):
                continue
            primaries = ring.primaries(partition)
            index = next((node.index for node in primaries if node.id == device_id), None)
            if index is not None:
                for location in on_disk.locations(path, ACCOUNTS, partition):
                    try:
                        yield from self._jobs_in(location, device, index, len(primaries))
                    except Unreadable as error:
                        yield CannotRead(f"{device}/{ACCOUNTS}/{partition}/{location.hash}", device, str(error))

    def _jobs_in(self, location: Location, device: str, index: int, primary_count: int) -> Iterator[Reap]:
        found = deleted_account(location)
        if found is None:
            return
        overdue_s = self.clock.now().seconds - found.since.seconds - self.delay_s
        if overdue_s < 0:
            return
        for container, count in containers_of(location):
            if is_ours(container, index, primary_count, overdue_s):
                base = f"{device}/{found.account}/{container}"
                for number in range(min(1 + max(count, 0) // OBJECTS_PER_JOB, JOBS_PER_CONTAINER)):
                    yield Reap(f"{base}#{number}", device, found.account, container, overdue_s)

    # Doing

    def run(self, job: Reap | CannotRead) -> Counts:
        if isinstance(job, CannotRead):
            _log.error("job=%s problem=%s: account not read", job.key, job.reason)
            return {FAILURES: 1}
        counts: Counter[str] = Counter()
        progress = self._progress.setdefault((job.account, job.container), _Progress())
        done = 0
        for _ in range(PAGES_PER_JOB):
            page = self._next_page(job, progress, counts)
            if page is None or done >= OBJECTS_PER_JOB:
                break
            done += len(page.names)
            self._delete_all(job, page, progress, counts)
        return dict(counts)

    def finished(self, report: PassReport) -> Mapping[str, object]:
        """Swift's reaper tells recon nothing; `objstore status` has the counts."""
        return {}

    def _next_page(self, job: Reap, progress: _Progress, counts: Counter[str]) -> Page | None:
        """What to delete next; None when all is listed. Whoever finds that nothing is left deletes the container."""
        with progress.turn:
            if progress.is_listed:
                return None
            page = self._page(job, progress.marker, None)
            if page is not None and page.names:
                progress.marker = page.names[-1]
                progress.at_work += 1
                return page
            progress.is_listed = True
            if page is not None and page.is_sharded:
                _log.error(
                    "account=%r container=%r: it is sharded, which is not reaped yet", job.account, job.container
                )
                progress.is_clean = False
            if page is None:
                progress.is_clean = False
        if not progress.at_work:
            self._finish(job, progress, counts)
        return None

    def _delete_all(self, job: Reap, page: Page, progress: _Progress, counts: Counter[str]) -> None:
        failed = self._delete_objects(job, page.names, page.policy_index, counts)
        progress.is_clean = progress.is_clean and not failed
        progress.at_work -= 1
        if progress.is_listed and not progress.at_work:
            self._finish(job, progress, counts)

    def _finish(self, job: Reap, progress: _Progress, counts: Counter[str]) -> None:
        """Nothing is listed any more: the container goes, and with it what lies in other policies."""
        if not progress.is_clean:
            self._note_remaining(job, counts)
            return
        statuses = self._delete_container(job)
        if HTTPStatus.CONFLICT in statuses and self._reap_other_policies(job, counts):
            statuses = self._delete_container(job)
        if all(is_success(status) or status == HTTPStatus.NOT_FOUND for status in statuses):
            counts["containers_deleted"] += 1
            counts["success"] += 1
        else:
            _log.info("account=%r container=%r statuses=%s: not gone yet", job.account, job.container, statuses)
            self._note_remaining(job, counts)

    def _note_remaining(self, job: Reap, counts: Counter[str]) -> None:
        counts["containers_remaining"] += 1
        counts[FAILURES] += 1
        if job.overdue_s >= self.warn_after_s:
            _log.warning(
                "account=%r container=%r overdue_s=%d: a deleted account is still not empty",
                job.account, job.container, job.overdue_s,
            )  # fmt: skip

    def _reap_other_policies(self, job: Reap, counts: Counter[str]) -> bool:
        """Objects that lie elsewhere than their container says; whether there were any."""
        found = 0
        for policy in self.policies:
            marker = ""
            for _ in range(PAGES_PER_JOB):
                page = self._page(job, marker, policy.index)
                if page is None or not page.names:
                    break
                found += len(page.names)
                self._delete_objects(job, page.names, policy.index, counts)
                marker = page.names[-1]
        return found > 0

    def _page(self, job: Reap, marker: str, policy_index: int | None) -> Page | None:
        """From whichever replica answers; an empty one when those that answer have no such container; None for none."""
        nodes, partition = self._places("container", job.account, job.container)
        nothing = None
        for node in nodes:
            answer = self.peers.page(node, partition, job.account, job.container, marker, policy_index)
            if isinstance(answer, Page):
                return answer
            if answer == HTTPStatus.NOT_FOUND:
                nothing = Page((), 0, False)
        return nothing

    def _delete_objects(self, job: Reap, names: Sequence[str], policy_index: int, counts: Counter[str]) -> int:
        """Delete objects, some at once; how many of them are not gone from most of their nodes."""
        policy = self.policies.by_index(policy_index)
        if policy is None:
            _log.error("account=%r container=%r policy=%d: unknown", job.account, job.container, policy_index)
            return len(names)
        waiting = iter(names)
        failed = 0

        def work() -> None:
            nonlocal failed
            for name in waiting:
                is_gone = self._delete_object(job, name, policy.ring_name, policy.index)
                counts["objects_deleted" if is_gone else "objects_remaining"] += 1
                failed += not is_gone

        tasks = [green.spawn(work) for _ in range(min(OBJECTS_AT_ONCE, len(names)))]
        try:
            for task in tasks:
                task.join()
        finally:
            for task in tasks:
                task.kill()
        return failed

    def _delete_object(self, job: Reap, name: str, ring_name: str, policy_index: int) -> bool:
        nodes, partition = self._places(ring_name, job.account, job.container, name)
        containers, container_partition = self._places("container", job.account, job.container)
        timestamp = self.clock.now().internal
        statuses = [
            self.peers.delete(
                node,
                partition,
                f"/{job.account}/{job.container}/{name}",
                [
                    *_targets("Container", shared_out(containers, place, len(nodes)), container_partition),
                    ("X-Backend-Storage-Policy-Index", str(policy_index)),
                    ("X-Timestamp", timestamp),
                ],
            )
            for place, node in enumerate(nodes)
        ]
        gone = sum(is_success(status) or status == HTTPStatus.NOT_FOUND for status in statuses)
        return gone * 2 > len(nodes)

    def _delete_container(self, job: Reap) -> list[int]:
        nodes, partition = self._places("container", job.account, job.container)
        accounts, account_partition = self._places("account", job.account)
        timestamp = self.clock.now().internal
        return [
            self.peers.delete(
                node,
                partition,
                f"/{job.account}/{job.container}",
                [
                    *_targets("Account", shared_out(accounts, place, len(nodes)), account_partition),
                    ("X-Account-Override-Deleted", "yes"),
                    ("X-Timestamp", timestamp),
                ],
            )
            for place, node in enumerate(nodes)
        ]

    def _places(self, ring_name: str, *names: str) -> tuple[tuple[Node, ...], int]:
        ring = self.rings(ring_name)
        partition = ring.partition(self.secrets.digest(*names))
        return ring.primaries(partition), partition


def _targets(kind: str, nodes: Sequence[Node], partition: int) -> list[tuple[str, str]]:
    """Whom the server shall tell of the deletion, at the addresses that clients' traffic goes to."""
    return [
        (f"X-{kind}-Host", ",".join(f"{node.address[0]}:{node.address[1]}" for node in nodes)),
        (f"X-{kind}-Partition", str(partition)),
        (f"X-{kind}-Device", ",".join(node.name for node in nodes)),
    ]


@reads(AccountReaperSettings)
def factory(surroundings: Surroundings[AccountReaperSettings]) -> AccountReaper:
    settings, cluster, clock = surroundings.settings, surroundings.cluster, surroundings.clock
    names = ["account", "container", *(policy.ring_name for policy in cluster.policies)]
    reloading = {name: ReloadingRing(cluster.swift_dir / f"{name}.ring.gz") for name in names}
    for ring in reloading.values():
        assert ring.current is not None  # Read now: a daemon without its rings must not start.
    ip, port = surroundings.address
    return AccountReaper(
        surroundings.devices,
        lambda name: reloading[name].current,
        local_addresses(ip),
        port,
        cluster.secrets,
        cluster.policies,
        DirectClient(
            conn_timeout_s=settings.conn_timeout, node_timeout_s=settings.node_timeout, monotonic=clock.monotonic
        ),
        clock,
        settings.delay_reaping,
        settings.reap_warn_after,
    )
