"""WriteQuorum: what the proxy answers to a write, decided from the statuses of the replicas. Pure.

A write has one slot per replica. A slot votes with the answer of its primary, or of the handoff that stood in for it;
a success is never taken back. The client hears success only when a quorum of slots succeeded: half the replicas,
rounded up (2 of 3, 2 of 4, 1 of 2). Refusals of the client's doing (4xx) need a quorum too: one replica that is behind
must not speak for all. What no quorum says is 503: the write may or may not survive, and the client asks again.

    statuses of 3 slots   verdict
    201 201 -             201   (the third is waited for a moment, but cannot change it)
    201 507 -             none yet
    201 507 507           503
    404 404 204           404
    404 204 503           503, or 204 for a DELETE: what is gone on one replica and unknown on another is gone

Source: formats 6.4; features B2.2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from objstore.http.status import HTTPStatus, is_success

_CLASSES = (2, 3, 4)


def quorum_size(replica_count: int) -> int:
    """Replicas that must accept a write before the client hears success: half, rounded up.

    replica_count: replicas of the ring, at least 1; 2 -> 1, 3 -> 2, 4 -> 2.
    """
    assert replica_count >= 1
    return (replica_count + 1) // 2


class WriteQuorum:
    """The votes of one write. `is_forgiving`: a 404 counts as a success when nothing else reaches a quorum."""

    __slots__ = ("_slots", "_is_forgiving", "quorum")

    def __init__(self, slot_count: int, *, is_forgiving: bool = False) -> None:
        self._slots: list[int] = [0] * slot_count
        self._is_forgiving = is_forgiving
        self.quorum = quorum_size(slot_count)

    def vote(self, slot: int, status: int) -> None:
        """The final status of a slot's node. A success stays; anything else is replaced by a later answer."""
        if not is_success(self._slots[slot]):
            self._slots[slot] = status

    def has_voted(self, slot: int) -> bool:
        return self._slots[slot] != 0

    def has_succeeded(self, slot: int) -> bool:
        return is_success(self._slots[slot])

    @property
    def success_count(self) -> int:
        return sum(map(is_success, self._slots))

    @property
    def has_success(self) -> bool:
        """A quorum succeeded: whatever else comes, the client hears success."""
        return self.success_count >= self.quorum

    @property
    def is_forgiven(self) -> bool:
        """With those that know nothing a quorum succeeded: the client hears success unless more of them come."""
        return self._is_forgiving and self._forgiven() is not None

    def can_succeed(self, open_slots: Iterable[int]) -> bool:
        """Whether a quorum can still succeed if every open slot does."""
        hopeful = sum(1 for slot in set(open_slots) if not is_success(self._slots[slot]))
        return self.success_count + hopeful >= self.quorum

    def verdict(self) -> int | None:
        """The status that has a quorum, or None. A class of statuses wins together; its most frequent one speaks."""
        for hundreds in _CLASSES:
            votes = [status for status in self._slots if status // 100 == hundreds]
            if len(votes) >= self.quorum:
                return _spokesman(votes)
        return None

    def final(self) -> int:
        """The answer once nobody else will vote: the verdict, or 503."""
        verdict = self.verdict()
        if verdict is None and self._is_forgiving:
            verdict = self._forgiven()
        return HTTPStatus.SERVICE_UNAVAILABLE if verdict is None else verdict

    def _forgiven(self) -> int | None:
        successes = [status for status in self._slots if is_success(status)]
        missing = self._slots.count(HTTPStatus.NOT_FOUND)
        if successes and len(successes) + missing >= self.quorum:
            return _spokesman(successes)
        return None


def _spokesman(statuses: list[int]) -> int:
    """The most frequent status; of equals the largest, which says the least (202 rather than 201)."""
    if statuses.count(statuses[0]) == len(statuses):
        return statuses[0]
    return max(Counter(statuses).items(), key=lambda item: (item[1], item[0]))[0]
