"""Expired objects of one container, removed together: straight to their object servers, their rows in one request.

What the proxy does for one object (expire.py) takes the daemon longer than the servers take to do it, and a row for
each object longer still. So where everything is as it should be (the container is not sharded, all primaries of an
object answer and say the same of it) the daemon asks and deletes by itself:

    1. every primary is asked about the object, as the proxy would ask for the newest (expire_plan.look_verdict)
    2. every primary deletes it, if its X-Delete-At still is what the entry says
    3. the rows go to the container's primaries in one UPDATE, and a quorum of them must take it
    4. only then may the caller remove the entries

Whatever answers otherwise is left to the proxy, which knows of handoffs and of rows to be sent later. A crash after 2
leaves entries whose objects have the very tombstone that 2 writes: their rows are sent (again) by the next pass.
Source: formats 4.15, 6.3, 6.4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from objstore.core.hashing import HashSecrets
from objstore.core.names import quoted
from objstore.http.status import HTTPStatus
from objstore.object.passes.expire_plan import Task, Verdict, is_told_of, look_verdict
from objstore.peers.node_client import NodeClient, Reply
from objstore.peers.queue_rows import Removal
from objstore.ring.model import Node, Ring
from objstore.runtime import green

AT_ONCE = 32
"""Objects that one process has under way: each is a request to every one of its primaries."""
PER_CONTAINER = 8
"""Of them, of one call."""
T = TypeVar("T")
R = TypeVar("R")


class RowRemover(Protocol):
    """peers.queue_rows.QueueRows, as far as it is used here."""

    def remove(
        self, account: str, container: str, rows: list[Removal], *, policy_index: int = 0, by_quorum: bool = False
    ) -> bool: ...


@dataclass(frozen=True, slots=True)
class Told:
    """What all primaries say of a task's object. has_row: its row may still stand in the container."""

    verdict: Verdict
    has_row: bool = False


class TogetherExpirer:
    """ring: of a policy, None for an unknown one. reclaim_age_s: as of the pass. One per process."""

    def __init__(
        self,
        client: NodeClient,
        ring: Callable[[int], Ring | None],
        secrets: HashSecrets,
        rows: RowRemover,
        reclaim_age_s: float,
    ) -> None:
        self._client = client
        self._ring = ring
        self._secrets = secrets
        self._rows = rows
        self._reclaim_age_s = reclaim_age_s
        self._room = green.Semaphore(AT_ONCE)

    def expire(
        self, names: tuple[str, str], policy_index: int, tasks: Sequence[Task], now_s: float
    ) -> dict[Task, Verdict]:
        """What became of them; those that are missing are the proxy's. names: (account, container) of all tasks, whose
        objects lie in that policy and whose container is not sharded."""
        ring = self._ring(policy_index)
        if ring is None or ring.next_part_power is not None:
            return {}
        ready: Ring = ring
        outcomes = _side_by_side(lambda task: self._one(ready, policy_index, task, now_s), tasks)
        told = {task: outcome for task, outcome in zip(tasks, outcomes, strict=True) if outcome is not None}
        rows = [Removal(task.obj, task.at) for task, outcome in told.items() if outcome.has_row]
        verdicts = {task: outcome.verdict for task, outcome in told.items()}
        if rows and not self._rows.remove(*names, rows, policy_index=policy_index, by_quorum=True):
            verdicts |= {task: Verdict.FAILED for task, outcome in told.items() if outcome.has_row}
        return verdicts

    def _one(self, ring: Ring, policy_index: int, task: Task, now_s: float) -> Told | None:
        partition = ring.partition(self._secrets.digest(task.account, task.container, task.obj))
        nodes = ring.primaries(partition)
        path = quoted(f"/{partition}/{task.account}/{task.container}/{task.obj}")
        policy = ("X-Backend-Storage-Policy-Index", str(policy_index))
        with self._room:
            told = self._look(nodes, path, policy, task, now_s - task.at.seconds)
            if told is None or told.verdict is not Verdict.DELETE:
                return told
            headers = [
                policy,
                ("X-Timestamp", task.at.normal),
                ("X-If-Delete-At", task.at.normal),
                ("X-Backend-Clean-Expiring-Object-Queue", "no"),
            ]
            answers = self._client.ask_all(nodes, "DELETE", path, headers)
        is_gone = all(isinstance(answer, Reply) and answer.is_success for answer in answers)
        return Told(Verdict.DONE, has_row=True) if is_gone else None

    def _look(self, nodes: Sequence[Node], path: str, policy: tuple[str, str], task: Task, age_s: float) -> Told | None:
        """The verdict of all primaries; None where they differ, or one of them has not answered."""
        answers = self._client.ask_all(nodes, "HEAD", path, [policy, ("X-Backend-Open-Expired", "true")])
        replies = [answer for answer in answers if isinstance(answer, Reply)]
        if len(replies) < len(nodes) or not replies or task.is_unconditional:
            return None
        found = {look_verdict(task, reply.status, reply.headers, age_s, self._reclaim_age_s) for reply in replies}
        if found == {Verdict.DELETE}:
            return Told(Verdict.DELETE)
        if found == {Verdict.DONE} and all(reply.status == HTTPStatus.NOT_FOUND for reply in replies):
            return Told(Verdict.DONE, has_row=any(is_told_of(task, reply.headers) for reply in replies))
        return None


def _side_by_side(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """The function's result for each item, in order; some run at a time."""
    found: dict[int, R] = {}
    waiting = iter(enumerate(items))

    def work(waiting: Iterable[tuple[int, T]]) -> None:
        for number, item in waiting:
            found[number] = function(item)

    tasks = [green.spawn(work, waiting) for _ in range(min(PER_CONTAINER, len(items)))]
    try:
        for task in tasks:
            task.join()
    finally:
        for task in tasks:
            task.kill()
    return [found[number] for number in range(len(items))]
