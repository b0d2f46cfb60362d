"""What clients asked, what they were told, and what may therefore be true: the rules that answers are judged by.

Every write has a time of its own, given by the client. An operation is

    acknowledged  answered with success
    refused       answered with a refusal that says nothing was done (4xx)
    unknown       answered 5xx, broken off, or never: it may have happened, or may happen yet

The newest acknowledged write counts, or a newer one of unknown fate: that one, once it is there, has legally won.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from objstore.core.timestamp import Timestamp


class Fate(Enum):
    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass
class Write:
    """content: of a PUT. tag: of a POST or PUT, kept as metadata. delete_at_s: wall seconds, 0: never. is_begun: the
    request has left its client; until it is answered its fate is unknown."""

    method: str
    path: str
    timestamp: Timestamp
    content: bytes = b""
    etag: str = ""
    tag: str = ""
    delete_at_s: int = 0
    fate: Fate = Fate.UNKNOWN
    status: int = 0

    def __str__(self) -> str:
        size, fate = len(self.content), self.fate.value
        return f"{self.method} {self.path} @{self.timestamp.internal} {size} B {fate} {self.status}"


@dataclass
class History:
    writes: list[Write] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def of(self, path: str, *methods: str) -> list[Write]:
        return [write for write in self.writes if write.path == path and (not methods or write.method in methods)]

    def possible(self, path: str) -> list[Write]:
        """PUTs and DELETEs any of which may be the last word; none at all: it never was (also when one is returned
        whose fate is unknown)."""
        return _last_words(self.of(path, "PUT", "DELETE"))

    def possible_posts(self, path: str, after: Timestamp) -> list[Write]:
        """POSTs any of which may be the last since a PUT."""
        return _last_words([write for write in self.of(path, "POST") if write.timestamp > after])

    def is_sure(self, path: str, *methods: str) -> bool:
        """Whether something of these was acknowledged."""
        return any(write.fate is Fate.ACKNOWLEDGED for write in self.of(path, *methods))


def _last_words(writes: list[Write]) -> list[Write]:
    known = [write for write in writes if write.fate is not Fate.REFUSED]
    sure = [write.timestamp for write in known if write.fate is Fate.ACKNOWLEDGED]
    newest = max(sure, default=None)
    return [write for write in known if newest is None or write.timestamp >= newest]
