"""What the expirer makes of a queue entry, and of what it hears about the object. Pure. Source: formats 4.15.

1795318588-AUTH_a/c/o           the object is to go at that second, if that still is its X-Delete-At
1795318588.12345-AUTH_a/c/o     an asynchronous delete, content type application/async-deleted: to go as it was then
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from objstore.core.timestamp import InvalidTimestamp, Timestamp
from objstore.http.status import HTTPStatus, is_success
from objstore.peers.queue_rows import ASYNC_DELETED

_UNSHARDED = ("", "unsharded")


@dataclass(frozen=True, slots=True)
class Task:
    """One entry. entry: its name, for removing it. at: when the object is to go. is_unconditional: whatever its
    X-Delete-At says."""

    entry: str
    at: Timestamp
    account: str
    container: str
    obj: str
    is_unconditional: bool = False

    @property
    def path(self) -> str:
        return f"/v1/{self.account}/{self.container}/{self.obj}"


class Verdict(Enum):
    DONE = "success"
    """The object is gone: the entry can go."""
    DROPPED = "dropped"
    """Nothing was found for so long that nothing will be."""
    LATER = "missing"
    """Nothing known, or changed: the entry stays."""
    FAILED = "failures"
    DELETE = "delete"
    """It is there, and expired: delete it."""


def task_of(entry: str, content_type: str = "") -> Task | None:
    """None for a name that is not an entry of the queue; it is left alone."""
    when, dash, path = entry.partition("-")
    parts = path.split("/", 2)
    if not dash or len(parts) != 3 or not all(parts):
        return None
    seconds, dot, decimals = when.partition(".")
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) <= 10):
        return None
    if dot and not (decimals.isascii() and decimals.isdigit()):
        return None
    try:
        at = Timestamp.parse(when)
    except InvalidTimestamp:
        return None
    account, container, obj = parts
    return Task(entry, at, account, container, obj, content_type.split(";")[0].strip() == ASYNC_DELETED)


def look_verdict(task: Task, status: int, headers: Mapping[str, str], age_s: float, reclaim_age_s: float) -> Verdict:
    """Of the newest replica's answer to a HEAD that opens expired objects.

    A replica that was away when the expiry was changed would still accept the old one, and its tombstone would end the
    object everywhere: so the newest is asked before anybody is told to delete."""
    if is_success(status):
        written = _timestamp(headers.get("x-backend-data-timestamp"))
        if written is not None and written >= task.at:
            return Verdict.DONE  # Written again since; if that expires, it has an entry of its own.
        if task.is_unconditional or _seconds(headers.get("x-delete-at")) == task.at.ticks // 100_000:
            return Verdict.DELETE
        return _missing(age_s, reclaim_age_s)
    if status == HTTPStatus.NOT_FOUND:
        deleted = _timestamp(headers.get("x-backend-timestamp"))
        if deleted is not None and deleted >= task.at:
            return Verdict.DONE
        return _missing(age_s, reclaim_age_s)
    return Verdict.FAILED


def is_told_of(task: Task, headers: Mapping[str, str]) -> bool:
    """Whether a tombstone is the one that an expirer writes for the task. Whoever wrote it may have been cut off before
    the container heard of it, and nobody else will tell."""
    return _timestamp(headers.get("x-backend-timestamp")) == task.at


def delete_verdict(status: int, age_s: float, reclaim_age_s: float) -> Verdict:
    """The verdict on a task after the answer to its DELETE."""
    if is_success(status) or status == HTTPStatus.CONFLICT:
        return Verdict.DONE
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.PRECONDITION_FAILED):
        return _missing(age_s, reclaim_age_s)
    return Verdict.FAILED


def home_of(status: int, headers: Mapping[str, str]) -> int | None:
    """The policy of a container's objects, of the answer to a HEAD; None for none, or one whose rows may lie in
    shards."""
    index = headers.get("x-backend-storage-policy-index", "")
    is_whole = headers.get("x-backend-sharding-state", "") in _UNSHARDED
    return int(index) if is_success(status) and is_whole and index.isascii() and index.isdigit() else None


def _missing(age_s: float, reclaim_age_s: float) -> Verdict:
    return Verdict.DROPPED if age_s > reclaim_age_s else Verdict.LATER


def _timestamp(text: str | None) -> Timestamp | None:
    try:
        return None if text is None else Timestamp.parse(text)
    except InvalidTimestamp:
        return None


def _seconds(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
