"""Expired objects removed together: straight to their object servers, the rows of a container in one request.

What the proxy does for one object (expire.py) takes the daemon longer than the servers take to do it, and a row for
each object longer still. So where everything is as it should be (the container is not sharded, all primaries of an
object answer and say the same of it) the daemon asks and deletes by itself:

    1. every primary is asked about the object, as the proxy would ask for the newest (expire_plan.look_verdict)
    2. every primary deletes it, if its X-Delete-At still is what the entry says
    3. the rows go to the container's primaries in one UPDATE, and a quorum of them must take it
    4. only then may the caller remove the entries

Questions about many objects go to a server in one request where it takes that (peers/batch_client): the request around
each cost both sides more than the answer. Whatever answers otherwise is left to the proxy, which knows of handoffs and
of rows to be sent later. A crash after 2 leaves entries whose objects have the very tombstone that 2 writes: their rows
are sent (again) by the next pass.
Source: formats 4.15, 6.3, 6.4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from objstore.core.hashing import HashSecrets
from objstore.core.names import quoted
from objstore.http.status import HTTPStatus
from objstore.object.passes.expire_plan import Task, Verdict, is_told_of, look_verdict
from objstore.peers.batch_client import BatchClient, Question
from objstore.peers.failure import NodeFailure
from objstore.peers.node_client import Headers, Reply
from objstore.peers.queue_rows import Removal
from objstore.ring.model import Node, Ring
from objstore.runtime import green
from objstore.runtime.several import several

TASKS_AT_ONCE = 40
"""Objects of one group: a question about each goes to every one of its primaries."""
GROUPS_AT_ONCE = 2
"""Groups that one process has under way."""
CONTAINERS_AT_ONCE = 16
"""Of a call, whose rows are being removed."""


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
        client: BatchClient,
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
        self._room = green.Semaphore(GROUPS_AT_ONCE)

    def expire(self, tasks: Mapping[Task, int], now_s: float) -> dict[Task, Verdict]:
        """What became of them; those that are missing are the proxy's. tasks: with the policy in which their objects
        lie; their containers are not sharded."""
        located = [
            _Located.of(task, policy_index, ring, self._secrets)
            for task, policy_index in tasks.items()
            if (ring := self._ring(policy_index)) is not None and ring.next_part_power is None
        ]
        told: dict[_Located, Told] = {}
        for start in range(0, len(located), TASKS_AT_ONCE):
            with self._room:
                told |= self._group(located[start : start + TASKS_AT_ONCE], now_s)
        untold = self._untold([each for each, outcome in told.items() if outcome.has_row])
        return {each.task: Verdict.FAILED if each in untold else outcome.verdict for each, outcome in told.items()}

    def _untold(self, gone: Sequence[_Located]) -> set[_Located]:
        """Remove their rows; those whose containers did not take that."""
        by_container: dict[tuple[str, str, int], list[_Located]] = {}
        for each in gone:
            by_container.setdefault((each.task.account, each.task.container, each.policy_index), []).append(each)
        groups = list(by_container.values())
        are_told = several(CONTAINERS_AT_ONCE, self._remove_rows, groups)
        return {each for some, is_told in zip(groups, are_told, strict=True) if not is_told for each in some}

    def _remove_rows(self, gone: Sequence[_Located]) -> bool:
        """Of one container."""
        first, rows = gone[0], [Removal(each.task.obj, each.task.at) for each in gone]
        names = first.task.account, first.task.container
        return self._rows.remove(*names, rows, policy_index=first.policy_index, by_quorum=True)

    def _group(self, group: Sequence[_Located], now_s: float) -> dict[_Located, Told]:
        """What is known of them, and those deleted that all primaries agree are to go."""
        looks = self._ask(group, "HEAD", lambda _: (("X-Backend-Open-Expired", "true"),))
        told = {
            each: found
            for each, answers in zip(group, looks, strict=True)
            if (found := self._told(each.task, answers, now_s)) is not None
        }
        due = [each for each, found in told.items() if found.verdict is Verdict.DELETE]
        for each, answers in zip(due, self._ask(due, "DELETE", _conditions), strict=True):
            if all(isinstance(answer, Reply) and answer.is_success for answer in answers):
                told[each] = Told(Verdict.DONE, has_row=True)
            else:
                del told[each]
        return told

    def _ask(
        self, group: Sequence[_Located], method: str, headers: Callable[[Task], Headers]
    ) -> list[list[Reply | NodeFailure]]:
        """What the primaries of each answer."""
        questions = []
        for each in group:
            lines = [("X-Backend-Storage-Policy-Index", str(each.policy_index)), *headers(each.task)]
            questions += [Question(node, method, each.path, lines) for node in each.nodes]
        answers = iter(self._client.ask(questions))
        return [[next(answers) for _ in each.nodes] for each in group]

    def _told(self, task: Task, answers: Sequence[Reply | NodeFailure], now_s: float) -> Told | None:
        """The verdict of all primaries; None where they differ, or one of them has not answered."""
        replies = [answer for answer in answers if isinstance(answer, Reply)]
        if len(replies) < len(answers) or not replies or task.is_unconditional:
            return None
        age_s = now_s - task.at.seconds
        found = {look_verdict(task, reply.status, reply.headers, age_s, self._reclaim_age_s) for reply in replies}
        if found == {Verdict.DELETE}:
            return Told(Verdict.DELETE)
        if found == {Verdict.DONE} and all(reply.status == HTTPStatus.NOT_FOUND for reply in replies):
            return Told(Verdict.DONE, has_row=any(is_told_of(task, reply.headers) for reply in replies))
        return None


@dataclass(frozen=True, slots=True, eq=False)
class _Located:
    """A task, and where its object lies. path: below the devices of its primaries."""

    task: Task
    policy_index: int
    nodes: Sequence[Node]
    path: str

    @classmethod
    def of(cls, task: Task, policy_index: int, ring: Ring, secrets: HashSecrets) -> _Located:
        partition = ring.partition(secrets.digest(task.account, task.container, task.obj))
        path = quoted(f"/{partition}/{task.account}/{task.container}/{task.obj}")
        return cls(task, policy_index, ring.primaries(partition), path)


def _conditions(task: Task) -> Headers:
    return (
        ("X-Timestamp", task.at.normal),
        ("X-If-Delete-At", task.at.normal),
        ("X-Backend-Clean-Expiring-Object-Queue", "no"),
    )
