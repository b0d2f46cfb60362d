"""ReadPlan: which answer of many replicas a client gets, and when to stop asking. Pure.

One node is asked after the other (or several at once); every answer goes through consider(). The rules, from
formats 6.4:
- the first 200, 206, 304, 412 or 416 of a replica that has the thing wins, unless the newest is asked for: then all
  primaries are heard and the newest timestamp wins;
- an answer older than the newest 404 that carries a timestamp is of a copy that should have been deleted: it loses;
- a 404 without a timestamp says "I know nothing": from a handoff it does not count at all, and up to
  `forgiven` primaries may say so (a rebalance has just moved the partition there) without their vote counting;
- nobody has it: the answer with a quorum of the primaries' votes, else 503.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from objstore.core.errors import InvalidTimestamp
from objstore.core.timestamp import ZERO, Timestamp
from objstore.http.status import HTTPStatus, is_success
from objstore.proxy.quorum import quorum_size

_DATA_TIMESTAMPS = ("x-backend-data-timestamp", "x-put-timestamp", "x-backend-timestamp", "x-timestamp")
_TOUCHED_TIMESTAMPS = ("x-backend-timestamp", "x-timestamp")
_DEFINITE = frozenset({HTTPStatus.NOT_MODIFIED, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE})


class Answer(NamedTuple):
    """What a replica said. timestamp: of its data, or of its tombstone; touched: of its metadata. ZERO: not known."""

    status: int
    timestamp: Timestamp
    is_handoff: bool
    has_copy: bool
    touched: Timestamp = ZERO

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str], is_handoff: bool) -> Answer:
        # A 412 of a replica without a copy says nothing about the others; one with a copy names its ETag.
        has_copy = is_success(status) or status in _DEFINITE or (status == 412 and "etag" in headers)
        if not has_copy:
            return cls(status, _first(headers, ("x-backend-timestamp",)), is_handoff, False)
        return cls(status, _first(headers, _DATA_TIMESTAMPS), is_handoff, True, _first(headers, _TOUCHED_TIMESTAMPS))

    def is_newer_than(self, other: Answer) -> bool:
        return (self.timestamp, self.touched) > (other.timestamp, other.touched)


class ReadPlan:
    """One read. Ask nodes until is_over; then `best` is the index of the winning answer, or final() the status."""

    def __init__(self, primary_count: int, *, voices: int = 1, forgiven: int = 0) -> None:
        """voices: primaries that must answer before a copy wins: 1 takes the first, primary_count the newest."""
        self._primary_count = primary_count
        self._voices = voices
        self._forgiven = forgiven
        self._answers: list[Answer] = []
        self._deleted_at = ZERO
        self._primaries_answered = 0
        self._primaries_failed = 0
        self.best: int | None = None

    def consider(self, answer: Answer) -> bool:
        """Take an answer in; True when it is the best so far. Its index is the number of answers before it."""
        index = len(self._answers)
        self._answers.append(answer)
        if not answer.is_handoff:
            self._primaries_answered += 1
        if answer.status == HTTPStatus.NOT_FOUND and answer.timestamp > self._deleted_at:
            self._deleted_at = answer.timestamp
            if self.best is not None and self._answers[self.best].timestamp < answer.timestamp:
                self.best = None
        if not answer.has_copy or answer.timestamp < self._deleted_at:
            return False
        if self.best is None or answer.is_newer_than(self._answers[self.best]):
            self.best = index
            return True
        return False

    def accept(self, status: int, is_handoff: bool) -> bool:
        """consider(), for the only answer of a read that wants no other: timestamps that are compared with nothing need
        not be parsed. False: nothing was taken in, consider() has to."""
        if self._answers or self._voices != 1 or not (is_success(status) or status in _DEFINITE):
            return False
        self._answers.append(Answer(status, ZERO, is_handoff, True))
        self._primaries_answered += not is_handoff
        self.best = 0
        return True

    def fail(self, is_handoff: bool) -> None:
        """A node that gave no answer, or one that means nothing (5xx)."""
        if not is_handoff:
            self._primaries_failed += 1

    @property
    def is_over(self) -> bool:
        """Whether the client can be answered now: nobody else needs to be asked."""
        if self.best is None:
            return False
        if self._primaries_answered + self._primaries_failed >= self._primary_count:
            return True
        return self._voices == 1 or self._primaries_answered >= self._voices

    def final(self) -> int:
        """The status when everybody was asked and nobody had a usable copy."""
        votes: dict[int, int] = {}
        forgiven = self._forgiven
        for answer in self._answers:
            knows_nothing = answer.status == HTTPStatus.NOT_FOUND and not answer.timestamp.is_set()
            if knows_nothing and answer.is_handoff:
                continue
            if knows_nothing and forgiven and self._primary_count > forgiven:
                forgiven -= 1
                continue
            status = HTTPStatus.NOT_FOUND if answer.has_copy else answer.status
            votes[status] = votes.get(status, 0) + 1
        needed = quorum_size(self._primary_count)
        winners = [status for status, count in votes.items() if count >= needed and status < 500]
        return max(winners) if winners else HTTPStatus.SERVICE_UNAVAILABLE


def _first(headers: Mapping[str, str], names: tuple[str, ...]) -> Timestamp:
    for name in names:
        text = headers.get(name)
        if text:
            try:
                return Timestamp.parse(text)
            except InvalidTimestamp:
                continue
    return ZERO
