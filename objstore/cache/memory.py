"""The cache that needs nothing: an LRU of this process, bounded by entries. It serves where no memcached is configured.

Each worker has its own, so nothing may rest on two workers seeing the same. One green thread at a time uses it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any


class MemoryCache:
    """A CacheService (http/environ.py)."""

    is_shared = False

    def __init__(self, entries_max: int = 10_000, monotonic: Callable[[], float] = time.monotonic) -> None:
        assert entries_max > 0
        self._entries_max = entries_max
        self._monotonic = monotonic
        self._entries: OrderedDict[str, tuple[Any, float]] = OrderedDict()

    def get(self, key: str) -> Any:
        entry = self._entries.get(key)
        if entry is None:
            return None
        value, expires = entry
        if expires and self._monotonic() >= expires:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return value

    def set(self, key: str, value: Any, ttl_s: float = 0) -> None:
        self._entries[key] = (value, self._monotonic() + ttl_s if ttl_s else 0.0)
        self._entries.move_to_end(key)
        if len(self._entries) > self._entries_max:
            self._entries.popitem(last=False)

    def delete(self, key: str) -> None:
        self._entries.pop(key, None)

    def incr(self, key: str, delta: int = 1, ttl_s: float = 0) -> int | None:
        """The life of a counter is counted from its first use."""
        current = self.get(key)
        if current is None:
            count = max(0, delta)
            self.set(key, count, ttl_s)
            return count
        if not isinstance(current, int):
            return None
        count = max(0, current + delta)
        self._entries[key] = (count, self._entries[key][1])
        return count
