"""BatchClient: many questions about objects to many nodes at once, those of a node in one request (peers/batched).

A server that does not know BATCH gets them one by one, for RETRY_BATCH_S without asking again. Nothing is raised for
what a peer does: every question has its answer or the reason why not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from objstore.core.headers import lowered
from objstore.http.status import HTTPStatus
from objstore.peers.batched import ANSWER_BYTES, METHOD, REQUESTS_AT_MOST, Item, parse_answer, question
from objstore.peers.exchange import BackendRequest
from objstore.peers.failure import NodeFailure
from objstore.peers.node_client import Headers, NodeClient, Reply
from objstore.ring.model import Node
from objstore.runtime import green
from objstore.runtime.several import several

RETRY_BATCH_S = 600.0
ONE_BY_ONE = 8
"""Questions at once to a server that does not know BATCH."""
_NOT_UNDERSTOOD = frozenset({HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED})

Address = tuple[str, int]
Answer = Reply | NodeFailure


@dataclass(frozen=True, slots=True)
class Question:
    """path: below the device, from the partition on, percent-encoded. method: one of batched.METHODS."""

    node: Node
    method: str
    path: str
    headers: Headers = ()


class BatchClient:
    """One per process; fine for many green threads."""

    def __init__(self, client: NodeClient, monotonic: Callable[[], float] = green.monotonic) -> None:
        self._client = client
        self._monotonic = monotonic
        self._refused_until: dict[Address, float] = {}

    def ask(self, questions: Sequence[Question]) -> list[Answer]:
        """An answer to each, in their order."""
        pieces = _by_node(questions)
        found = several(len(pieces), lambda slots: self._ask_node([questions[slot] for slot in slots]), pieces)
        answers = {
            slot: answer
            for slots, some in zip(pieces, found, strict=True)
            for slot, answer in zip(slots, some, strict=True)
        }
        return [answers[slot] for slot in range(len(questions))]

    def _ask_node(self, questions: Sequence[Question]) -> list[Answer]:
        """No more than go in one request."""
        found = self._batch(questions) if len(questions) > 1 and self._may_know(questions[0].node) else None
        return several(ONE_BY_ONE, self._ask_alone, questions) if found is None else found

    def _ask_alone(self, each: Question) -> Answer:
        return self._client.ask(each.node, each.method, each.path, each.headers)

    def _may_know(self, node: Node) -> bool:
        return self._refused_until.get(node.replication_address, 0.0) <= self._monotonic()

    def _batch(self, questions: Sequence[Question]) -> list[Answer] | None:
        """None: the node does not know how."""
        first = questions[0].node
        partition = questions[0].path.split("/", 2)[1]
        body = question([_item(each) for each in questions])
        answer = self._client.ask(first, METHOD, f"/{partition}", body=body, answer_bytes_max=ANSWER_BYTES)
        if isinstance(answer, NodeFailure):
            return [answer] * len(questions)
        if answer.status in _NOT_UNDERSTOOD:
            self._refused_until[first.replication_address] = self._monotonic() + RETRY_BATCH_S
            return None
        if answer.status != HTTPStatus.OK:
            return [Reply(each.node, answer.status, answer.headers, answer.body) for each in questions]
        try:
            found = parse_answer(answer.body, len(questions))
        except ValueError as error:
            return [NodeFailure.of_lie(first, f"to {METHOD}: {error}")] * len(questions)
        return [Reply(each.node, status, headers) for each, (status, headers) in zip(questions, found, strict=True)]


def _item(each: Question) -> Item:
    target = BackendRequest(each.method, each.path, ()).target(each.node)
    return Item(each.method, target, {lowered(name): value for name, value in each.headers})


def _by_node(questions: Sequence[Question]) -> list[list[int]]:
    """Numbers of the questions, by the address they go to, in pieces that one request takes."""
    found: dict[Address, list[int]] = {}
    for slot, each in enumerate(questions):
        found.setdefault(each.node.replication_address, []).append(slot)
    return [
        slots[start : start + REQUESTS_AT_MOST]
        for slots in found.values()
        for start in range(0, len(slots), REQUESTS_AT_MOST)
    ]
