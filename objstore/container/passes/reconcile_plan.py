"""What the reconciler makes of a queue entry, of a container's replicas and of two copies of an object. Pure.

    account    .misplaced_objects
    container  the hour of the write, 1795237200
    row        2:/AUTH_a/c/o, content type application/x-put or application/x-delete, etag: the row's created_at

Timestamps derived from the write's own (formats 3.3): tombstones of the old copy +1, removal of the entry +2, the moved
object +3; so whatever is written later by a client wins over all of them. Source: formats 5.10.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

from objstore.core.timestamp import TICKS_PER_SECOND, ZERO, InvalidTimestamp, Timestamp, decode
from objstore.db.policy_conflict import Claim
from objstore.http.status import HTTPStatus, is_success

HOUR_S = 3600
PUT_TYPE, DELETE_TYPE = "application/x-put", "application/x-delete"
TOMBSTONE_OFFSET, POP_OFFSET, MOVE_OFFSET = 1, 2, 3

_CLAIMED_TIMES = ("x-backend-put-timestamp", "x-backend-delete-timestamp", "x-backend-status-changed-at")
_NOT_MOVED = frozenset({
    "accept-ranges", "connection", "content-length", "date", "keep-alive", "last-modified", "server", "trailer",
    "transfer-encoding", "x-openstack-request-id", "x-timestamp", "x-trans-id",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """queue: container it stands in. name: of its row. at: of the write that landed in policy_index. recorded_at: of
    the row, so that a later one of the same name survives its removal."""

    queue: str
    name: str
    policy_index: int
    account: str
    container: str
    obj: str
    at: Timestamp
    recorded_at: Timestamp
    is_delete: bool

    @property
    def path(self) -> str:
        return f"/v1/{self.account}/{self.container}/{self.obj}"

    @property
    def pop_at(self) -> Timestamp:
        return later(self.recorded_at, POP_OFFSET)


def entry_of(queue: str, row: Mapping[str, object]) -> Entry | None:
    """The entry in a row of a JSON listing; None for a row that is not an entry, which is left alone."""
    name, etag, kind = str(row.get("name", "")), str(row.get("hash", "")), str(row.get("content_type", ""))
    index, colon, path = name.partition(":")
    parts = path.split("/", 3)
    if not colon or not _is_index(index) or len(parts) != 4 or parts[0] or not all(parts[1:]):
        return None
    if kind not in (PUT_TYPE, DELETE_TYPE):
        return None
    try:
        at = max(decode(etag))
        recorded_at = max(at, _listed_at(str(row.get("last_modified", ""))))
    except ValueError:
        return None
    _, account, container, obj = parts
    return Entry(queue, name, int(index), account, container, obj, at, recorded_at, kind == DELETE_TYPE)


def queue_container(at: Timestamp) -> str:
    """The container of the queue for a write of that time."""
    return str(int(at.seconds) // HOUR_S * HOUR_S)


def queue_names(now: Timestamp, listed: Sequence[str]) -> list[str]:
    """The queue's containers to look into, the oldest first: those the account lists, and those of this hour and the
    last, which it may not have heard of yet."""
    hour = int(queue_container(now))
    return sorted({str(hour), str(max(0, hour - HOUR_S)), *filter(_is_index, listed)}, key=int)


def entry_name(policy_index: int, account: str, container: str, obj: str) -> str:
    return f"{policy_index}:/{account}/{container}/{obj}"


def later(at: Timestamp, offset: int) -> Timestamp:
    return Timestamp(at.ticks, at.offset + offset)


def claim_of(status: int, headers: Mapping[str, str]) -> Claim | None:
    """What a replica says of its container; None when it knows nothing: a database that is missing is no evidence for
    policy 0, though that is what its 404 says."""
    if not (is_success(status) or status == HTTPStatus.NOT_FOUND):
        return None
    index = headers.get("x-backend-storage-policy-index", "")
    put, deleted, changed = (headers.get(name, "") for name in _CLAIMED_TIMES)
    if headers.get("x-backend-timestamp", ZERO.internal) == ZERO.internal or not (_is_index(index) and put and deleted):
        return None
    count = headers.get("x-container-object-count", "0")
    return Claim(int(index), put, deleted, changed, int(count) if _is_index(count) else 0)


def policy_of(claims: Iterable[Claim | None]) -> int | None:
    """The container's policy, when a majority of its primaries knows it and all who do agree. None: not yet; replicas
    that disagree settle that among themselves first."""
    said = list(claims)
    known = [claim.policy_index for claim in said if claim is not None]
    return known[0] if 2 * len(known) > len(said) and len(set(known)) == 1 else None


class Step(Enum):
    """The next step for a misplaced object."""

    MOVE = "moved"
    """Copy it, then delete the old one."""
    DELETE_OLD = "superseded"
    """The right place has it, or something newer: only the old copy has to go."""
    POP = "nothing_to_do"
    DROP = "dropped"
    """Nothing was found for so long that nothing will be."""
    LATER = "missing"
    FAIL = "failures"


@dataclass(frozen=True, slots=True)
class Copy:
    """What a policy says about an object. timestamp: of the object or its tombstone, ZERO when nothing is known."""

    status: int
    timestamp: Timestamp = ZERO

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str]) -> Copy:
        try:
            return cls(status, Timestamp.parse(headers.get("x-backend-timestamp", "") or ZERO.internal))
        except InvalidTimestamp:
            return cls(HTTPStatus.BAD_GATEWAY)

    @property
    def is_there(self) -> bool:
        return is_success(self.status)

    @property
    def is_an_answer(self) -> bool:
        return self.is_there or self.status == HTTPStatus.NOT_FOUND


def step_for(entry: Entry, right: Copy, wrong: Copy, age_s: float, reclaim_age_s: float) -> Step:
    """Of a write that landed in the wrong policy. right, wrong: the newest replica's word in each policy."""
    if not (right.is_an_answer and wrong.is_an_answer):
        return Step.FAIL
    # A move of ours keeps the ticks of what it moved.
    if wrong.is_there:
        if right.timestamp.ticks > wrong.timestamp.ticks:
            return Step.DELETE_OLD
        if wrong.timestamp < entry.at:
            return _missing(age_s, reclaim_age_s)  # An older copy; the one that counts may be on a node that is away.
        return Step.MOVE
    if right.timestamp.ticks >= entry.at.ticks:
        return Step.DELETE_OLD  # Moved before, or overwritten; a copy on a node that is away has to hear of it.
    if wrong.timestamp >= entry.at:
        return Step.POP  # Deleted where it was; that delete has an entry of its own.
    return _missing(age_s, reclaim_age_s)


def moved_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers of the PUT that makes the copy, from those of the GET. Lower-case names."""
    return {
        name: value for name, value in headers.items() if name not in _NOT_MOVED and not name.startswith("x-backend-")
    }


def _missing(age_s: float, reclaim_age_s: float) -> Step:
    return Step.DROP if age_s > reclaim_age_s else Step.LATER


def _listed_at(text: str) -> Timestamp:
    """The timestamp in last_modified of a listing. Raises ValueError."""
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    whole = int(moment.replace(microsecond=0).timestamp())
    return Timestamp(whole * TICKS_PER_SECOND + moment.microsecond // 10)


def _is_index(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18
