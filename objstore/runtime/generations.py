"""Generations: how every worker of a machine learns at once that something it has cached was changed by another.

A table of 64-bit stamps in memory shared by all processes forked after create(). A name falls into one slot by its
hash; whoever changes the entity bumps the slot, before and after, and a cached entry is valid only while the slot
holds the stamp that was read before the entry was fetched. Two names that share a slot invalidate each other, which
costs a fetch and nothing else.

A bump stores a stamp nobody has used before instead of adding one: additions of two processes at once can lose one,
a stamp cannot. Slots are aligned and eight bytes wide, so a reader sees the old stamp or the new one.
"""

from __future__ import annotations

import mmap
import os
import time
import zlib

_SLOTS = 1 << 15
_SLOT_BYTES = 8
_PID_SHIFT = 44
_CLOCK_MASK = (1 << _PID_SHIFT) - 1
_PID_MASK = (1 << 20) - 1


class Generations:
    """The table. `stamp` and `bump` never wait and never fail."""

    def __init__(self, slot_count: int = _SLOTS) -> None:
        self._memory = mmap.mmap(-1, slot_count * _SLOT_BYTES)
        self._slots = memoryview(self._memory).cast("Q")
        self._slot_count = slot_count
        self._last = 0

    def stamp(self, name: str) -> int:
        """The present generation of a name: read it before fetching what is to be cached."""
        return self._slots[self._slot(name)]

    def bump(self, name: str) -> None:
        """Make every cached entry of the name invalid, in every process."""
        self._slots[self._slot(name)] = self._fresh()

    def _slot(self, name: str) -> int:
        # crc32, not hash(): that one is salted by process, and workers of a spawned pool would disagree.
        return zlib.crc32(name.encode("utf-8", "surrogateescape")) % self._slot_count

    def _fresh(self) -> int:
        ticks = (time.monotonic_ns() >> 4) & _CLOCK_MASK
        self._last = ticks if ticks > self._last else self._last + 1
        return (os.getpid() & _PID_MASK) << _PID_SHIFT | self._last & _CLOCK_MASK


_shared: Generations | None = None


def create() -> Generations:
    """The process' table, made on the first call. Call it before forking workers, or each has a table of its own."""
    global _shared
    if _shared is None:
        _shared = Generations()
    return _shared
