"""Where a storage server does its disk work: in the hub, or in native threads of the device.

Work that reads or writes much goes to a thread of its device: one that hangs keeps its own few threads busy and nobody
else's. Short work (a few system calls on a warm cache, and syncs, which wait green) is done at once by whoever needs
it: a thread would spend more on winning the interpreter's lock back after each call than on the work. A device whose
short work has become slow loses that favour for a while.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from objstore.runtime.green import Job, ThreadPool, monotonic

P = ParamSpec("P")
T = TypeVar("T")

SLOW_S = 1.0
"""Short work that takes longer than this, its syncs included, shows a slow device."""
WARY_S = 10.0
"""How long such a device's work goes to threads."""


class DeviceThreads:
    """A ThreadPool for every device named so far. size: threads of each."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._pools: dict[str, ThreadPool] = {}
        self._short: dict[str, _ShortWork] = {}

    def run(self, device: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in a thread of the device and wait for it (green)."""
        return self.start(device, function, *args, **kwargs).join()

    def start(self, device: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Job[T]:
        """As run(), without waiting yet."""
        pool = self._pools.get(device)
        if pool is None:
            pool = self._pools[device] = ThreadPool(self._size)
        return pool.start(function, *args, **kwargs)

    def run_short(self, device: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function whose long waits are green (runtime/green_fs.py), here if the device is quick."""
        work = self._short.get(device)
        if work is None:
            work = self._short[device] = _ShortWork()
        now = monotonic()
        if work.is_slow(now):
            return self.run(device, function, *args, **kwargs)
        ticket = object()
        work.running[ticket] = now
        try:
            return function(*args, **kwargs)
        finally:
            work.ended(ticket)


class _ShortWork:
    """Short work of one device. running: when each piece of work began, oldest first."""

    __slots__ = ("running", "slow_until")

    def __init__(self) -> None:
        self.running: dict[object, float] = {}
        self.slow_until = 0.0

    def is_slow(self, now: float) -> bool:
        if now < self.slow_until:
            return True
        oldest = next(iter(self.running.values()), now)
        return now - oldest > SLOW_S

    def ended(self, ticket: object) -> None:
        now = monotonic()
        if now - self.running.pop(ticket) > SLOW_S:
            self.slow_until = now + WARY_S
