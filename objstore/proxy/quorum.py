"""WriteQuorum: what the proxy answers to a write, decided from the statuses of the replicas. Pure.

A write has one slot per replica. A slot votes with the answer of its primary, or of the handoff that stood in for it;
a success is never taken back. The client hears success only when a quorum of slots succeeded: half the replicas,
rounded up (2 of 3, 2 of 4, 1 of 2). Refusals of the client's doing (4xx) need a quorum too: one replica that is behind
must not speak for all. What no quorum says is 503: the write may or may not survive, and the client asks again.

A 404 of a handoff says nothing of the object: what there is lies on the primary that it stands in for. It is no vote
for 404. A DELETE is done where there is nothing, too: its tombstone keeps a copy that comes later from being seen. So
every 404 counts for it, and one replica that had the object is enough for 204: reads would have found it there.

Nor does a 404 of primaries say that there is no object, when somebody else has it: all its copies may lie on handoffs,
stored there while the primaries were away. A POST of an object therefore takes no 404 for an answer that one success
contradicts (`doubts_absence`): it needs its quorum of successes, or nobody knows.

    statuses of 3 slots   verdict
    201 201 -             201   (the third is waited for a moment, but cannot change it)
    201 507 -             none yet
    201 507 507           503
    404 404 204           404, or 204 for a DELETE
    404 404 202           503 for a POST of an object
    404 204 503           503, or 204 for a DELETE: what is gone on one replica and unknown on another is gone
    404 404* 404*         503 (*: of handoffs; the client asks again, because two primaries were not heard)

Source: formats 6.4; features B2.2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from objstore.http.status import HTTPStatus, is_success

_CLASSES = (2, 3, 4)
_KNOWS_NOTHING = -int(HTTPStatus.NOT_FOUND)
"""A handoff's 404, as it is noted: of no class."""


def quorum_size(replica_count: int) -> int:
    """Replicas that must accept a write before the client hears success: half, rounded up.

    replica_count: replicas of the ring, at least 1; 2 -> 1, 3 -> 2, 4 -> 2.
    """
    assert replica_count >= 1
    return (replica_count + 1) // 2


class WriteQuorum:
    """The votes of one write. `is_forgiving`: with one success, every 404 counts as another (DELETE of an object).
    `doubts_absence`: with one success, a 404 is no vote (POST of an object)."""

    __slots__ = ("_slots", "_is_forgiving", "_doubts_absence", "quorum", "success_count")

    def __init__(self, slot_count: int, *, is_forgiving: bool = False, doubts_absence: bool = False) -> None:
        self._slots: list[int] = [0] * slot_count
        self._is_forgiving = is_forgiving
        self._doubts_absence = doubts_absence
        self.quorum = quorum_size(slot_count)
        self.success_count = 0

    def vote(self, slot: int, status: int, *, is_primary: bool = True) -> None:
        """The final status of a slot's node. A success stays; anything else is replaced by a later answer, but for a
        primary's by that of a handoff that knows nothing."""
        if is_success(self._slots[slot]):
            return
        if is_primary or status != HTTPStatus.NOT_FOUND:
            self._slots[slot] = status
            self.success_count += is_success(status)
        elif not self._has_answered(slot):
            self._slots[slot] = _KNOWS_NOTHING

    def has_succeeded(self, slot: int) -> bool:
        return is_success(self._slots[slot])

    @property
    def has_success(self) -> bool:
        """A quorum succeeded: whatever else comes, the client hears success."""
        return self.success_count >= self.quorum

    @property
    def is_forgiven(self) -> bool:
        """With those that have nothing a quorum succeeded: whatever else comes, the client hears success."""
        return self._is_forgiving and self._forgiven() is not None

    @property
    def is_split(self) -> bool:
        """A quorum has answered, and they do not agree: who is still silent decides, or nobody."""
        answered = sum(map(self._has_answered, range(len(self._slots))))
        return answered >= self.quorum and self._decided() is None

    @property
    def is_contested(self) -> bool:
        """Somebody has it, somebody does not, and neither is answered to the client."""
        return self._doubts_absence and not self.has_success and self.success_count > 0 and bool(self.absent)

    @property
    def absent(self) -> list[int]:
        """Slots whose primary has nothing, while nothing but such absence is known or the votes do not decide: others
        may have what belongs there. Empty unless absence is doubted."""
        if not self._doubts_absence or self.verdict() not in (None, HTTPStatus.NOT_FOUND):
            return []
        return [slot for slot, status in enumerate(self._slots) if status == HTTPStatus.NOT_FOUND]

    def can_succeed(self, open_slots: Iterable[int]) -> bool:
        """Whether a quorum can still succeed if every open slot does."""
        hopeful = sum(1 for slot in set(open_slots) if not is_success(self._slots[slot]))
        return self.success_count + hopeful >= self.quorum

    def verdict(self) -> int | None:
        """The status that has a plain quorum, or None. A class wins together; its most frequent status speaks."""
        for hundreds in _CLASSES:
            votes = [status for status in self._slots if status // 100 == hundreds and not self._is_doubted(status)]
            if len(votes) >= self.quorum:
                return _spokesman(votes)
        return None

    def final(self) -> int:
        """The answer once nobody else will vote: what is decided, or 503."""
        decided = self._decided()
        return HTTPStatus.SERVICE_UNAVAILABLE if decided is None else decided

    def _decided(self) -> int | None:
        forgiven = self._forgiven() if self._is_forgiving else None
        return self.verdict() if forgiven is None else forgiven

    def _forgiven(self) -> int | None:
        successes = [status for status in self._slots if is_success(status)]
        missing = self._slots.count(HTTPStatus.NOT_FOUND) + self._slots.count(_KNOWS_NOTHING)
        if successes and len(successes) + missing >= self.quorum:
            return _spokesman(successes)
        return None

    def _is_doubted(self, status: int) -> bool:
        return self._doubts_absence and status == HTTPStatus.NOT_FOUND and any(map(is_success, self._slots))

    def _has_answered(self, slot: int) -> bool:
        """Something other than that it cannot."""
        return 0 < abs(self._slots[slot]) < HTTPStatus.INTERNAL_SERVER_ERROR


def _spokesman(statuses: list[int]) -> int:
    """The most frequent status; of equals the largest, which says the least (202 rather than 201)."""
    if statuses.count(statuses[0]) == len(statuses):
        return statuses[0]
    return max(Counter(statuses).items(), key=lambda item: (item[1], item[0]))[0]
