"""The container reconciler: takes objects that were written with the wrong storage policy to the right one.

When the two halves of a split cluster make the same container with different policies, one policy wins, and the objects
written with the other are found by nobody. The container replicator puts their rows into the queue .misplaced_objects.
For each entry this pass asks all replicas of the container what its policy is, copies the object there with a timestamp
just after its own, and only when that is confirmed deletes the old copy, and only then the entry.

Cut off anywhere it begins again: a copy made before is recognised by its timestamp. What cannot be decided (replicas of
the container that are away or disagree, an object on a node that is away) waits; nothing is deleted for lack of an
answer. Source: formats 5.10; features B2.5; vectors/wire/reconciler.jsonl.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from objstore.config.settings import reads
from objstore.container.passes.reconcile_plan import (
    MOVE_OFFSET,
    TOMBSTONE_OFFSET,
    Copy,
    Entry,
    Step,
    claim_of,
    entry_of,
    later,
    moved_headers,
    policy_of,
    queue_names,
    step_for,
)
from objstore.container.passes.reconcile_settings import ContainerReconcilerSettings
from objstore.core.hashing import HashSecrets
from objstore.core.names import quoted
from objstore.core.timestamp import Timestamp
from objstore.daemon.pass_ import FAILURES, Counts, Job, PassReport, Scope
from objstore.daemon.share import TAKEOVER_S, Shares, belongs, can_connect
from objstore.daemon.surroundings import Surroundings
from objstore.db.misplaced import QUEUE_ACCOUNT
from objstore.http.internal import InternalClient, ListingFailed
from objstore.http.status import HTTPStatus, is_success
from objstore.http.subrequest import SubResponse
from objstore.peers.node_client import NodeClient, Reply
from objstore.peers.queue_rows import QueueRows, Removal, direct_client
from objstore.ring.model import Ring
from objstore.ring.reload import ReloadingRing
from objstore.runtime import green
from objstore.runtime.clock import Clock

SLICES = 16
"""Jobs of a pass, each a share of the entries by their names."""
ENTRIES_AT_MOST = 100_000
"""Of one pass; the next one goes on."""
_log = logging.getLogger("objstore.container.reconciler")


class QueueRemover(Protocol):
    """peers.queue_rows.QueueRows, as far as it is used here."""

    def remove(self, account: str, container: str, rows: Sequence[Removal], *, one_by_one: bool = False) -> bool: ...


@dataclass(frozen=True, slots=True)
class ReconcileJob(Job):
    slice: int


class ContainerPolicies:
    """Asks all primaries of a container which policy it has."""

    def __init__(self, calls: NodeClient, ring: Callable[[], Ring], secrets: HashSecrets, clock: Clock) -> None:
        self._calls = calls
        self._ring = ring
        self._secrets = secrets
        self._clock = clock

    def of(self, account: str, container: str) -> int | None:
        """None: it cannot be told now."""
        ring = self._ring()
        partition = ring.partition(self._secrets.digest(account, container))
        headers = [("X-Timestamp", self._clock.now().internal)]
        path = quoted(f"/{partition}/{account}/{container}")
        replies = self._calls.ask_all(ring.primaries(partition), "HEAD", path, headers)
        return policy_of(
            claim_of(reply.status, reply.headers) if isinstance(reply, Reply) else None for reply in replies
        )


class ContainerReconciler:
    """The Pass of the objstore-container-reconciler. rank(entry name): how many nodes come before this one."""

    name = "container-reconciler"

    def __init__(
        self,
        settings: ContainerReconcilerSettings,
        client: InternalClient,
        queue: QueueRemover,
        policy_of_container: Callable[[str, str], int | None],
        rank: Callable[[str], int],
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._client = client
        self._queue = queue
        self._policy_of_container = policy_of_container
        self._rank = rank
        self._clock = clock
        self._entries: list[Entry] | None = None
        self._listing = green.Semaphore(1)

    def jobs(self, scope: Scope) -> Iterator[ReconcileJob]:
        self._entries = None
        for number in range(SLICES):
            yield ReconcileJob(f"{QUEUE_ACCOUNT}/{number}", "", number)

    def run(self, job: ReconcileJob) -> Counts:
        counts: Counter[str] = Counter()
        for entry in self._found(counts):
            if belongs(entry.queue, entry.name, job.slice, SLICES) and self._is_mine(entry):
                self._reconcile(entry, counts)
        return counts

    def finished(self, report: PassReport) -> Mapping[str, object]:
        return {}

    # The queue

    def _found(self, counts: Counter[str]) -> list[Entry]:
        """Every entry there is; asked for once a pass."""
        with self._listing:
            if self._entries is None:
                self._entries = []
                try:
                    self._find(self._entries, counts)
                except ListingFailed as error:
                    _log.warning("%s: the queue cannot be listed; later again", error)
                    counts[FAILURES] += 1
            return self._entries

    def _find(self, found: list[Entry], counts: Counter[str]) -> None:
        """Raises ListingFailed."""
        pages = self._client.pages(f"/v1/{QUEUE_ACCOUNT}")
        listed = {str(row.get("name", "")) for page in pages for row in page.rows}
        for queue in queue_names(self._clock.now(), sorted(listed)):
            before = len(found)
            for page in self._client.pages(f"/v1/{QUEUE_ACCOUNT}/{queue}"):
                for row in page.rows:
                    entry = entry_of(queue, row)
                    if entry is None:
                        counts["strange"] += 1
                        _log.warning("queue=%s row=%r: names no misplaced object; left alone", queue, row.get("name"))
                    else:
                        found.append(entry)
                if len(found) >= ENTRIES_AT_MOST:
                    return
            if queue in listed and len(found) == before:
                self._drop_if_past(queue)

    def _drop_if_past(self, queue: str) -> None:
        """Remove an empty container that is old. A server that still holds an entry refuses, and one that comes late
        brings the container back."""
        if int(queue) < self._clock.now().seconds - self._settings.reclaim_age:
            self._client.request("DELETE", f"/v1/{QUEUE_ACCOUNT}/{queue}").discard()

    def _is_mine(self, entry: Entry) -> bool:
        settings = self._settings
        if settings.processes:
            return belongs(entry.queue, entry.name, settings.process, settings.processes)
        return self._age_s(entry) >= self._rank(entry.name) * TAKEOVER_S

    # One entry

    def _reconcile(self, entry: Entry, counts: Counter[str]) -> None:
        index = self._policy_of_container(entry.account, entry.container)
        if index is None:
            counts["undecided"] += 1
            return
        if index == entry.policy_index:
            step = Step.POP
        elif entry.is_delete:
            step = self._delete_right(entry, index)
        else:
            step = self._take_home(entry, index)
        counts[step.value] += 1
        if step in (Step.FAIL, Step.LATER):
            return
        if step is Step.DROP:
            _log.warning("name=%r policy=%d: not found for reclaim_age; given up", entry.path, entry.policy_index)
        if not self._queue.remove(QUEUE_ACCOUNT, entry.queue, [Removal(entry.name, entry.pop_at)]):
            counts[FAILURES] += 1

    def _delete_right(self, entry: Entry, index: int) -> Step:
        """A delete that was told to the wrong policy."""
        is_done = self._tombstone(entry.path, index, later(entry.at, TOMBSTONE_OFFSET))
        return Step.DELETE_OLD if is_done else Step.FAIL

    def _take_home(self, entry: Entry, index: int) -> Step:
        """A write that went to the wrong policy."""
        response = self._ask("HEAD", entry.path, index)
        response.discard()
        right = Copy.of(response.status, response.headers)
        source = self._ask("GET", entry.path, entry.policy_index)
        try:
            wrong = Copy.of(source.status, source.headers)
            step = step_for(entry, right, wrong, self._age_s(entry), self._settings.reclaim_age)
            if step is Step.MOVE and not self._copy(entry.path, index, source, wrong.timestamp):
                return Step.FAIL
        finally:
            source.close()
        if step in (Step.MOVE, Step.DELETE_OLD):
            newest = max(entry.at, wrong.timestamp) if wrong.is_there else entry.at
            if not self._tombstone(entry.path, entry.policy_index, later(newest, TOMBSTONE_OFFSET)):
                return Step.FAIL
        if step is Step.MOVE:
            _log.info("name=%r from=%d to=%d: moved", entry.path, entry.policy_index, index)
        return step

    def _copy(self, path: str, index: int, source: SubResponse, at: Timestamp) -> bool:
        """Whether a quorum of the right policy has it, or something newer."""
        length = source.headers.get("content-length", "")
        if not length.isdigit():
            return False
        headers = {
            **moved_headers(source.headers),
            "X-Timestamp": later(at, MOVE_OFFSET).internal,
            "X-Backend-Storage-Policy-Index": str(index),
        }
        response = self._client.request("PUT", path, headers=headers, body=source.body, length_bytes=int(length))
        response.discard()
        return is_success(response.status)

    def _tombstone(self, path: str, index: int, at: Timestamp) -> bool:
        headers = {"X-Timestamp": at.internal, "X-Backend-Storage-Policy-Index": str(index)}
        response = self._client.request("DELETE", path, headers=headers)
        response.discard()
        # 404: nothing was there, and the tombstones are. 409: something newer is.
        return is_success(response.status) or response.status in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)

    def _ask(self, method: str, path: str, index: int) -> SubResponse:
        """Ask for the newest replica, expired or not: an object is moved as it is."""
        headers = {
            "X-Backend-Storage-Policy-Index": str(index),
            "X-Newest": "true",
            "X-Backend-Open-Expired": "true",
        }
        return self._client.request(method, path, headers=headers)

    def _age_s(self, entry: Entry) -> float:
        return self._clock.now().seconds - entry.recorded_at.seconds


@reads(ContainerReconcilerSettings)
def factory(surroundings: Surroundings[ContainerReconcilerSettings]) -> ContainerReconciler:
    """Raises ConfigError."""
    settings, cluster, clock = surroundings.settings, surroundings.cluster, surroundings.clock
    ring = ReloadingRing(cluster.swift_dir / "container.ring.gz")
    # What is encrypted is moved as it is: under another key it would be another object of the same age.
    pipeline = surroundings.pipeline(settings.internal_client_conf_path, without=("encryption",))
    client = InternalClient(pipeline, "objstore container-reconciler")
    calls = direct_client()
    policies = ContainerPolicies(calls, lambda: ring.current, cluster.secrets, clock)
    queue = QueueRows(calls, lambda: ring.current, cluster.secrets)
    shares = Shares(lambda: ring.current, surroundings.address, clock.monotonic, can_connect)
    return ContainerReconciler(settings, client, queue, policies.of, shares.rank, clock)
