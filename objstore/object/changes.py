"""Changes that are open: from before a name is given until the row that tells of it is safe, on each device.

A mark on the device says since when there have been any (storage/untold.py), for the updater to find should this
process be killed. It costs a PUT no sync: the mark is written to, not synced, and only when the oldest open change
changes. A change that fails half-way (the disk says EIO, a row can be neither sent nor kept) may have given a name of
which nobody will ever tell: a little later the mark is left to the updater as it stands, and another one made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from objstore.core.errors import DomainError
from objstore.runtime.clock import Clock
from objstore.runtime.device_threads import DeviceThreads
from objstore.runtime.green import call_after, spawn
from objstore.storage.engine import ChangeMark, Engine

LOOK_EVERY_NS = 10_000_000_000
"""How long a mark may be gone (a disk was replaced) before that is noticed."""
LEAVE_AFTER_S = 5.0
"""How long a failed change waits for others that fail, which go with it."""
_NS_PER_TICK = 10_000


@dataclass(slots=True)
class _Device:
    """began: of each open change, when; oldest first. failed_ns: since when one is open for good; 0: none is.
    looked_ns: when the mark was last seen to be in place."""

    mark: ChangeMark
    looked_ns: int
    began: dict[object, int] = field(default_factory=dict)
    failed_ns: int = 0
    is_renewing: bool = False

    def oldest_ns(self) -> int:
        """0: none is open."""
        oldest = next(iter(self.began.values()), 0)
        return min(oldest, self.failed_ns) if oldest and self.failed_ns else oldest or self.failed_ns


class OpenChanges:
    """Of one process; used in the hub's thread. later: calls a function some seconds later."""

    def __init__(
        self,
        engine: Engine,
        threads: DeviceThreads,
        clock: Clock,
        later: Callable[[float, Callable[[], object]], object] = call_after,
    ) -> None:
        self._engine = engine
        self._threads = threads
        self._clock = clock
        self._later = later
        self._devices: dict[str, _Device] = {}

    @contextmanager
    def open(self, device: str) -> Iterator[None]:
        """with changes.open(device): give a name, then send or keep its row. Raises DeviceUnavailable,
        InsufficientStorage, OSError: nothing was begun."""
        began_ns = self._now_ns()
        state = self._device(device, began_ns)
        ticket = object()
        if not state.oldest_ns():
            self._write(device, state, began_ns, False)
        state.began[ticket] = began_ns
        try:
            yield
        except BaseException:
            self._fail(device, state, state.began.pop(ticket))
            raise
        self._close(device, state, ticket)

    def _close(self, device: str, state: _Device, ticket: object) -> None:
        before_ns = state.oldest_ns()
        del state.began[ticket]
        oldest_ns = state.oldest_ns()
        if oldest_ns == before_ns:
            return
        with suppress(OSError, DomainError):
            # The change is done; a mark that cannot be written says too much, which harms nobody.
            self._write(device, state, oldest_ns or self._now_ns(), not oldest_ns)

    def _fail(self, device: str, state: _Device, began_ns: int) -> None:
        """The mark says already that this one is open, and goes on to say so."""
        if not state.failed_ns:
            self._leave_later(device, state)
        state.failed_ns = min(began_ns, state.failed_ns or began_ns)

    def _leave_later(self, device: str, state: _Device) -> None:
        self._later(LEAVE_AFTER_S, lambda: spawn(self._leave, device, state))

    def _leave(self, device: str, state: _Device) -> None:
        """Leave what has failed to the updater; a disk that takes no mark is tried again."""
        try:
            self._renew(device, state)
        except (OSError, DomainError):
            self._leave_later(device, state)

    def _write(self, device: str, state: _Device, since_ns: int, is_idle: bool) -> None:
        self._threads.run_short(device, state.mark.set, since_ns, is_idle)

    def _device(self, device: str, now_ns: int) -> _Device:
        state = self._devices.get(device)
        if state is None:
            mark = self._threads.run(device, self._engine.mark, device, now_ns)
            state = self._devices.setdefault(device, _Device(mark, now_ns))
            if state.mark is not mark:  # Somebody else was quicker.
                mark.set(now_ns, True)
                mark.abandon()
        elif abs(now_ns - state.looked_ns) >= LOOK_EVERY_NS:
            state.looked_ns = now_ns
            if not state.mark.is_in_place():
                self._renew(device, state)
        return state

    def _renew(self, device: str, state: _Device) -> None:
        """What has failed stays in the mark that is left; what is open is in the new one before the other goes."""
        if state.is_renewing:
            return
        state.is_renewing = True
        try:
            now_ns = self._now_ns()
            mark = self._threads.run(device, self._engine.mark, device, next(iter(state.began.values()), now_ns))
        finally:
            state.is_renewing = False
        old, state.mark, state.failed_ns = state.mark, mark, 0
        old.abandon()
        if not state.began:
            self._write(device, state, now_ns, True)

    def _now_ns(self) -> int:
        return self._clock.now().ticks * _NS_PER_TICK
