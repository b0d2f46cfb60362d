"""What may be there, by what clients were told. Pure: operations go in, contents that are allowed come out.

Every write has a timestamp of the proxy's clock that lies between its start and its end, as the client saw them; the
newest wins, on every copy, for good. So of two writes that did not overlap the later one wins, and of two that did
either may. A write that was not acknowledged may have happened, now or whenever a copy of it comes to light, or never.

A read during the run may be old, for the cluster is eventually consistent; but it must be whole, and be something that
was written to this name before the read ended. What is there at the end must be a write that no acknowledged one
certainly overtook.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from tests.support.final_check import ABSENT

NO_END = math.inf
"""End of a request whose client went away without an answer, while the request may still wait somewhere."""


class Kind(Enum):
    PUT = "PUT"
    DELETE = "DELETE"
    POST = "POST"


class Fate(Enum):
    """What the answer means."""

    DONE = "acknowledged"
    OPEN = "may have happened"


@dataclass(frozen=True, slots=True)
class Write:
    """start_s, end_s: monotonic. contents: ETags it may have written: one, but for a copy that was not acknowledged.
    meta: the value it gave to the metadata. status: 0 without an answer."""

    kind: Kind
    contents: frozenset[str]
    start_s: float
    end_s: float
    fate: Fate
    status: int = 0
    meta: str = ""

    def is_surely_before(self, other: Write) -> bool:
        return self.end_s < other.start_s

    def __str__(self) -> str:
        what = " ".join(self.contents) if len(self.contents) == 1 else f"one of {len(self.contents)}"
        what = f"{what if self.contents else ''} {self.meta}".strip()
        return f"{self.start_s:.3f}–{self.end_s:.3f} {self.kind.value} {what} {self.status} {self.fate.value}"


@dataclass(frozen=True, slots=True)
class Read:
    """Of a whole answer. etag: of the bytes that came, ABSENT for 404."""

    etag: str
    start_s: float
    end_s: float

    def __str__(self) -> str:
        return f"{self.start_s:.3f}–{self.end_s:.3f} GET {self.etag or '404'}"


def candidates(writes: Iterable[Write], kinds: Sequence[Kind] = (Kind.PUT, Kind.DELETE)) -> list[Write]:
    """The writes of these kinds that may be the newest: those that no acknowledged one surely came after."""
    writes = [write for write in writes if write.kind in kinds]
    done = [write for write in writes if write.fate is Fate.DONE]
    return [write for write in writes if not any(write.is_surely_before(other) for other in done)]


def allowed_at_end(writes: Sequence[Write]) -> frozenset[str]:
    """ETags that may be there when everything has come to rest, ABSENT among them when nothing may be there."""
    found: set[str] = set()
    for write in candidates(writes):
        found |= write.contents if write.kind is Kind.PUT else {ABSENT}
    if not any(write.fate is Fate.DONE for write in writes if write.kind is not Kind.POST):
        found.add(ABSENT)  # As before the first write.
    return frozenset(found)


def allowed_meta(writes: Sequence[Write], etag: str) -> frozenset[str]:
    """Values that the metadata of an object with this content may have at the end.

    A PUT sets it, and a POST that is newer sets it again."""
    puts = [write for write in candidates(writes) if write.kind is Kind.PUT and etag in write.contents]
    found: set[str] = set()
    for put in puts:
        posts = [write for write in writes if write.kind is Kind.POST and not write.is_surely_before(put)]
        found |= {post.meta for post in candidates(posts, (Kind.POST,))}
        if not any(put.is_surely_before(post) and post.fate is Fate.DONE for post in posts):
            found.add(put.meta)
    return frozenset(found)


def wrong_reads(writes: Sequence[Write], reads: Iterable[Read]) -> list[Read]:
    """Reads of what was never written, or not yet: torn, of another object, or of the future."""
    begun: dict[str, float] = {}
    for write in writes:
        for etag in write.contents if write.kind is Kind.PUT else ():
            begun[etag] = min(write.start_s, begun.get(etag, NO_END))
    return [read for read in reads if read.etag != ABSENT and begun.get(read.etag, NO_END) > read.end_s]
