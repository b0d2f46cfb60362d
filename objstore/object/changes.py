"""Changes that are open: from before a name is given until the row that tells of it is safe, on each device.

A mark on the device says since when there may have been any (storage/untold.py), for the updater to find should this
process be killed. It costs a PUT nothing as a rule: the mark is written to, not synced, by the first change after a
pause, and every SETTLE_S it is moved on to the oldest change that is still open, or says that none is. A change that
fails half-way (the disk says EIO, a row can be neither sent nor kept) may have given a name of which nobody will ever
tell: a little later the mark is left to the updater as it stands, and another one made.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType

from objstore.core.errors import DomainError
from objstore.runtime.clock import Clock
from objstore.runtime.device_threads import DeviceThreads
from objstore.runtime.green import Future, call_after, spawn
from objstore.storage.engine import ChangeMark, Engine

LOOK_EVERY_NS = 10_000_000_000
"""How long a mark may be gone (a disk was replaced) before that is noticed."""
LEAVE_AFTER_S = 5.0
"""How long a failed change waits for others that fail, which go with it."""
SETTLE_S = 1.0
"""How far the mark may lag behind: so much more is looked into after a kill, and waits before it leaves a handoff."""
_NS_PER_TICK = 10_000


@dataclass(slots=True)
class _Device:
    """said_ns: since when the mark says that changes may be open; 0: that none is. saying: set while the mark is being
    written. began: of each open change, when; oldest first. failed_ns: since when one is open for good; 0: none is.
    looked_ns: when the mark was last seen to be in place."""

    mark: ChangeMark
    said_ns: int
    looked_ns: int
    saying: Future | None = None
    began: dict[Change, int] = field(default_factory=dict)
    failed_ns: int = 0
    is_renewing: bool = False
    is_settling: bool = False

    def oldest_ns(self) -> int:
        """0: none is open."""
        oldest = next(iter(self.began.values()), 0)
        return min(oldest, self.failed_ns) if oldest and self.failed_ns else oldest or self.failed_ns


class Change:
    """with changes.change(device) as change: …; change.begin(); give a name; send its row or keep it."""

    __slots__ = ("_changes", "_device", "_state")

    def __init__(self, changes: OpenChanges | None, device: str) -> None:
        """changes: None for one that nobody is to be told of."""
        self._changes = changes
        self._device = device
        self._state: _Device | None = None

    def __enter__(self) -> Change:
        return self

    def begin(self) -> None:
        """The change is open until the block is left. Raises DeviceUnavailable, InsufficientStorage, OSError: nothing
        was begun."""
        if self._changes is not None:
            self._state = self._changes.began(self, self._device)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._changes is not None and self._state is not None:
            self._changes.ended(self, self._device, self._state, has_failed=kind is not None)


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

    def change(self, device: str) -> Change:
        """A change that is not open yet."""
        return Change(self, device)

    def began(self, change: Change, device: str) -> _Device:
        """What ended() needs. For Change.begin(), and raises what that raises."""
        began_ns = self._now_ns()
        state = self._device(device, began_ns)
        # Before anything is waited for: whoever settles meanwhile knows of it, or is waited for.
        state.began[change] = began_ns
        try:
            while state.saying is not None:
                state.saying.wait()
            if not state.said_ns:
                self._say(device, state, state.oldest_ns())
        except BaseException:
            del state.began[change]
            raise
        if not state.is_settling:
            self._settle_later(device, state)
        return state

    def ended(self, change: Change, device: str, state: _Device, *, has_failed: bool) -> None:
        """has_failed: the mark says already that this one is open, and goes on to say so."""
        began_ns = state.began.pop(change)
        if has_failed:
            if not state.failed_ns:
                self._leave_later(device, state)
            state.failed_ns = min(began_ns, state.failed_ns or began_ns)

    def _settle_later(self, device: str, state: _Device) -> None:
        state.is_settling = True
        self._later(SETTLE_S, lambda: spawn(self._settle, device, state))

    def _settle(self, device: str, state: _Device) -> None:
        """Have the mark say what is open now."""
        with suppress(OSError, DomainError):
            # A mark that cannot be written says too much, which harms nobody.
            oldest_ns = state.oldest_ns()
            if oldest_ns != state.said_ns:
                self._say(device, state, oldest_ns)
        state.is_settling = False
        if state.said_ns:
            self._settle_later(device, state)

    def _say(self, device: str, state: _Device, since_ns: int) -> None:
        """since_ns: 0 for nothing open. One at a time: of two writes in native threads the wrong one could be last."""
        while state.saying is not None:
            state.saying.wait()
        state.saying = Future()
        try:
            self._threads.run_short(device, state.mark.set, since_ns or self._now_ns(), not since_ns)
            state.said_ns = since_ns
        finally:
            said, state.saying = state.saying, None
            said.set()

    def _leave_later(self, device: str, state: _Device) -> None:
        self._later(LEAVE_AFTER_S, lambda: spawn(self._leave, device, state))

    def _leave(self, device: str, state: _Device) -> None:
        """Leave what has failed to the updater; a disk that takes no mark is tried again."""
        try:
            self._renew(device, state)
        except (OSError, DomainError):
            self._leave_later(device, state)

    def _device(self, device: str, now_ns: int) -> _Device:
        state = self._devices.get(device)
        if state is None:
            mark = self._threads.run(device, self._engine.mark, device, now_ns)
            state = self._devices.setdefault(device, _Device(mark, now_ns, now_ns))
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
            since_ns = next(iter(state.began.values()), self._now_ns())
            mark = self._threads.run(device, self._engine.mark, device, since_ns)
            while state.saying is not None:
                state.saying.wait()
        finally:
            state.is_renewing = False
        old, state.mark, state.said_ns, state.failed_ns = state.mark, mark, since_ns, 0
        old.abandon()
        if not state.is_settling:
            self._settle_later(device, state)

    def _now_ns(self) -> int:
        return self._clock.now().ticks * _NS_PER_TICK
