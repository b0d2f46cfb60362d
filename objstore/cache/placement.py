"""Which memcached server holds a key: consistent hashing that every proxy of a cluster computes alike, Swift's too.

Each server string stands at 50 points of a circle, MD5("<server>-<i>"); a key belongs to the first point at or after
its own MD5, and to the next other servers when that one is out of order. Source: formats 7.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterator, Sequence

_POINTS = 50


def wire_key(key: str) -> str:
    """The name of a key on the wire: its MD5 as 32 hex digits."""
    return _md5(key)


class Circle:
    def __init__(self, servers: Sequence[str]) -> None:
        """servers: the strings as configured; both proxies of a pair must spell them alike."""
        assert servers
        points = {_md5(f"{server}-{index}"): server for server in servers for index in range(_POINTS)}
        self._hashes = sorted(points)
        self._servers = [points[point] for point in self._hashes]
        self._count = len(set(servers))

    def holders(self, hashed: str) -> Iterator[str]:
        """Every server once, in the order to try for a wire key."""
        start = bisect_left(self._hashes, hashed)
        seen: set[str] = set()
        for step in range(len(self._servers)):
            server = self._servers[(start + step) % len(self._servers)]
            if server not in seen:
                seen.add(server)
                yield server
                if len(seen) == self._count:
                    return


def _md5(text: str) -> str:
    return hashlib.md5(text.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()
