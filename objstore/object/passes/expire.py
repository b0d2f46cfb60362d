"""The object expirer: removes objects whose X-Delete-At has passed, by the queue their writers left.

The queue is the account .expiring_objects: a container per day and hundredth of the names, an entry per object. A pass
has a job for each hundredth; which containers of it are this node's business is decided by daemon/share.py, so nodes
need not be numbered, and who is down is stood in for. For every entry that is due the newest replica is asked, the
object is deleted as of its X-Delete-At, and only when that is confirmed the entry is removed from its container.
Several objects go together, past the proxy (expire_together.py).

Whatever is cut off is done again by the next pass: an object already deleted is recognised by its tombstone.
Source: formats 4.15; features B3.10; vectors/wire/expirer.jsonl.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from objstore.config.errors import ConfigError, ConfigProblem
from objstore.config.settings import reads
from objstore.daemon.pace import Pace
from objstore.daemon.pass_ import FAILURES, Counts, Job, PassReport, Scope
from objstore.daemon.share import TAKEOVER_S, Shares, belongs, can_connect
from objstore.daemon.surroundings import Surroundings
from objstore.http.internal import InternalClient, ListingFailed
from objstore.http.status import HTTPStatus
from objstore.object.passes.expire_plan import (
    Task,
    Verdict,
    delete_verdict,
    home_of,
    is_told_of,
    look_verdict,
    task_of,
)
from objstore.object.passes.expire_settings import DELAY_PREFIX, ObjectExpirerSettings, delays_of
from objstore.object.passes.expire_together import TogetherExpirer
from objstore.object.passes.here import RingBook
from objstore.peers.batch_client import BatchClient
from objstore.peers.clocks import seconds_ahead
from objstore.peers.queue_rows import QueueRows, Removal, direct_client
from objstore.peers.recently_silent import RecentlySilent
from objstore.ring.model import Node
from objstore.ring.reload import ReloadingRing
from objstore.runtime import green
from objstore.runtime.clock import Clock

SLICES = 100
"""Jobs of a pass: the queue spreads each day over as many containers."""
AT_ONCE = 200
"""Entries that are done together; those whose objects are gone are removed in one request."""
_log = logging.getLogger("objstore.object.expirer")


class QueueRemover(Protocol):
    """peers.queue_rows.QueueRows, as far as it is used here."""

    def remove(self, account: str, container: str, rows: list[Removal], *, one_by_one: bool = False) -> bool: ...


class Together(Protocol):
    """expire_together.TogetherExpirer, as far as it is used here."""

    def expire(self, tasks: Mapping[Task, int], now_s: float) -> dict[Task, Verdict]: ...


@dataclass(frozen=True, slots=True)
class ExpireJob(Job):
    """The queue containers whose number ends like this."""

    slice: int


class ObjectExpirer:
    """The Pass of the objstore-object-expirer. rank(container): how many nodes come before this one (share.py)."""

    name = "object-expirer"

    def __init__(
        self,
        settings: ObjectExpirerSettings,
        client: InternalClient,
        queue: QueueRemover,
        rank: Callable[[str], int],
        clock: Clock,
        together: Together | None = None,
        lead_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """together: None: everything goes through the proxy. lead_s: how far the clock is ahead of the others, asked
        once a pass. Raises ValueError for a delay_reaping_… that makes no sense."""
        self._settings = settings
        self._client = client
        self._queue = queue
        self._rank = rank
        self._clock = clock
        self._measured_lead_s = lead_s
        self._lead_s = 0.0
        self._delays, problems = delays_of(settings.extra)
        if problems:
            raise ValueError("; ".join(problems))
        self._account = f".{settings.expiring_objects_account_name}"
        self._pace = Pace(settings.tasks_per_second)
        self._together = together
        self._containers: list[str] | None = None
        self._policies: dict[tuple[str, str], int | None] = {}
        self._listing = green.Semaphore(1)

    def jobs(self, scope: Scope) -> Iterator[ExpireJob]:
        self._containers = None
        self._policies = {}
        if self._settings.dequeue_from_legacy:
            for number in range(SLICES):
                yield ExpireJob(f"{self._account}/{number:02d}", "", number)

    def run(self, job: ExpireJob) -> Counts:
        counts: Counter[str] = Counter()
        for container in self._due(counts):
            if int(container) % SLICES == job.slice:
                # Numbered daemons share by entry, and have nobody to stand in for them.
                rank = 0 if self._settings.processes else self._rank(container)
                try:
                    self._work_off(container, rank, counts)
                except ListingFailed as error:
                    self._count_unlisted(error, counts)
        return counts

    def finished(self, report: PassReport) -> Mapping[str, object]:
        return {
            "object_expiration_pass": report.elapsed_s,
            "expired_last_pass": report.counts.get(Verdict.DONE.value, 0),
        }

    # The queue

    def _due(self, counts: Counter[str]) -> list[str]:
        """Names of the containers that may hold something due, the oldest first; asked for once a pass."""
        with self._listing:
            if self._containers is None:
                self._look_at_other_clocks()
                self._containers = []
                now_s = self._now_s()
                try:
                    for page in self._client.pages(f"/v1/{self._account}"):
                        names = [str(row.get("name", "")) for row in page.rows]
                        self._containers += [name for name in names if _is_number(name) and int(name) <= now_s]
                except ListingFailed as error:
                    self._count_unlisted(error, counts)
            return self._containers

    def _look_at_other_clocks(self) -> None:
        lead_s = self._measured_lead_s()
        if lead_s and not self._lead_s:
            _log.error(
                "this node's clock is %.0f s ahead of the others: only what is due by theirs is deleted; have it set "
                "by chrony or systemd-timesyncd",
                lead_s,
            )
        self._lead_s = lead_s

    def _now_s(self) -> float:
        """Unix seconds, by which it is decided what is due: never ahead of what the other nodes say, because an object
        that is deleted too early is lost."""
        return self._clock.now().seconds - self._lead_s

    def _work_off(self, container: str, rank: int, counts: Counter[str]) -> None:
        """Everything due in one container. rank: 0 takes what is due, others what has been due for a while.

        Raises ListingFailed."""
        until_s = int(self._now_s() - rank * TAKEOVER_S)
        is_seen = False
        for page in self._client.pages(f"/v1/{self._account}/{container}", f"{max(0, until_s) + 1:010d}"):
            is_seen = True
            due = [task for row in page.rows if (task := self._task(container, row)) is not None]
            for start in range(0, len(due), AT_ONCE):
                gone = self._do_all(due[start : start + AT_ONCE], counts)
                now = self._clock.now()
                self._remove(container, [Removal(task.entry, now) for task in gone], page.is_sharded, counts)
        if not is_seen and not rank:
            self._drop_if_past(container)

    def _task(self, container: str, row: dict[str, Any]) -> Task | None:
        """The task of a row; None when it is not due, or another daemon's."""
        settings = self._settings
        entry = str(row.get("name", ""))
        task = task_of(entry, str(row.get("content_type", "")))
        if task is None or not belongs(container, entry, settings.process, settings.processes):
            return None
        delays = self._delays
        delay_s = delays.get((task.account, task.container), delays.get((task.account, ""), 0.0)) if delays else 0.0
        return task if task.at.seconds + delay_s <= self._now_s() else None

    def _remove(self, container: str, done: list[Removal], is_sharded: bool, counts: Counter[str]) -> None:
        if done and not self._queue.remove(self._account, container, done, one_by_one=is_sharded):
            _log.warning("container=%s: no server took the removal of %d entries; later again", container, len(done))
            counts[FAILURES] += 1

    @staticmethod
    def _count_unlisted(error: ListingFailed, counts: Counter[str]) -> None:
        _log.warning("%s: the queue cannot be listed; later again", error)
        counts[FAILURES] += 1

    def _drop_if_past(self, container: str) -> None:
        """Remove an empty container of a day long past. A server that still holds an entry refuses, and entries that
        come late bring it back."""
        past_s = self._now_s() - 2 * self._settings.expiring_objects_container_divisor
        if int(container) < past_s - SLICES:
            self._client.request("DELETE", f"/v1/{self._account}/{container}").discard()

    # Many objects

    def _do_all(self, tasks: Sequence[Task], counts: Counter[str]) -> list[Task]:
        """Have objects deleted; those whose entries can go."""
        gone: list[Task] = []
        verdicts = self._do_together(tasks)
        for task in tasks:
            verdict = verdicts.get(task) or self._do(task)
            counts[verdict.value] += 1
            if verdict in (Verdict.DONE, Verdict.DROPPED):
                gone.append(task)
        return gone

    def _do_together(self, tasks: Sequence[Task]) -> dict[Task, Verdict]:
        """Run the tasks without the proxy, many at once; the verdicts of those for which that was possible."""
        if self._together is None or len(tasks) < 2:
            return {}
        homes = {names: self._policy_of(names) for names in {(task.account, task.container) for task in tasks}}
        located = {task: home for task in tasks if (home := homes[task.account, task.container]) is not None}
        self._pause(len(located))
        return self._together.expire(located, self._now_s())

    def _policy_of(self, names: tuple[str, str]) -> int | None:
        """Where the container's objects lie; None when that cannot be told, or its rows may belong to a shard. Asked
        once a pass: an object that is not found there stays, with its entry, for the next."""
        if names not in self._policies:
            response = self._client.request("HEAD", f"/v1/{names[0]}/{names[1]}")
            response.discard()
            self._policies[names] = home_of(response.status, response.headers)
        return self._policies[names]

    # One object

    def _do(self, task: Task) -> Verdict:
        """Have the object deleted by way of the proxy."""
        self._pause()
        verdict = self._look(task)
        return self._delete(task) if verdict is Verdict.DELETE else verdict

    def _look(self, task: Task) -> Verdict:
        headers = {"X-Newest": "true", "X-Backend-Open-Expired": "true"}
        response = self._client.request("HEAD", task.path, headers=headers)
        response.discard()
        verdict = look_verdict(task, response.status, response.headers, self._age_s(task), self._settings.reclaim_age)
        if verdict is Verdict.DONE and response.status == HTTPStatus.NOT_FOUND and is_told_of(task, response.headers):
            # Whoever deleted it may have been cut off before the container heard of it: the same DELETE tells it again.
            return Verdict.DONE if self._delete(task) is not Verdict.FAILED else Verdict.FAILED
        return verdict

    def _delete(self, task: Task) -> Verdict:
        headers = {"X-Timestamp": task.at.normal, "X-Backend-Clean-Expiring-Object-Queue": "no"}
        if not task.is_unconditional:
            headers["X-If-Delete-At"] = task.at.normal
        response = self._client.request("DELETE", task.path, headers=headers)
        response.discard()
        return delete_verdict(response.status, self._age_s(task), self._settings.reclaim_age)

    def _age_s(self, task: Task) -> float:
        return self._now_s() - task.at.seconds

    def _pause(self, count: int = 1) -> None:
        self._pace.charge(self._clock.monotonic(), count)
        if (seconds := self._pace.wait_s(self._clock.monotonic())) > 0:
            green.sleep(seconds)


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) <= 10


@reads(ObjectExpirerSettings)
def factory(surroundings: Surroundings[ObjectExpirerSettings]) -> ObjectExpirer:
    """Raises ConfigError."""
    settings, cluster = surroundings.settings, surroundings.cluster
    containers = ReloadingRing(cluster.swift_dir / "container.ring.gz")
    objects = ReloadingRing(cluster.swift_dir / "object.ring.gz")
    client = InternalClient(surroundings.pipeline(settings.internal_client_conf_path), "objstore object-expirer")
    calls = direct_client(silence=RecentlySilent(surroundings.clock.monotonic))
    queue = QueueRows(calls, lambda: containers.current, cluster.secrets)
    rings = RingBook(cluster.swift_dir, cluster.policies)
    together = TogetherExpirer(BatchClient(calls), rings.current, cluster.secrets, queue, settings.reclaim_age)
    clock = surroundings.clock

    def lead_s() -> float:
        return seconds_ahead(
            calls,
            [Node(device) for device in objects.current.devices if device is not None],
            lambda: clock.now().seconds,
        )

    shares = Shares(lambda: objects.current, surroundings.address, surroundings.clock.monotonic, can_connect)
    try:
        return ObjectExpirer(settings, client, queue, shares.rank, clock, together, lead_s)
    except ValueError as error:
        place = str(cluster.swift_dir)
        raise ConfigError([ConfigProblem(place, surroundings.name, DELAY_PREFIX, "", "", str(error))]) from None
