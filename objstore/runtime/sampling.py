"""What a process spends its processor time on, by looking at it every few milliseconds of that time.

    with Sampling(interval_s=0.005) as sampling:
        green.sleep(10)
    sampling.stats()    # a pstats.Stats: sort it, print it, dump it for other viewers

SIGPROF comes after every interval of processor time (of all threads) and interrupts whatever Python code the main
thread runs; its stack is counted. A tracing profiler (cProfile) was rejected: it follows calls and returns of the whole
thread, so that green threads, which switch in the middle of calls, put their time on each other's account, and it makes
everything several times slower while it runs. Here a call count is a count of samples. C code counts for the function
that called it. One at a time in a process, in its main thread.
"""

from __future__ import annotations

import pstats
import signal
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

INTERVAL_S = 0.005
_FUNCTIONS_MAX = 20_000
_DEPTH_MAX = 500

Function = tuple[str, int, str]
"""File, first line, name: as pstats has it."""


Times = tuple[int, int, float, float]
"""Calls without and with recursion, own and cumulative seconds."""
Row = tuple[int, int, float, float, dict[Function, Times]]


class AlreadySampling(Exception):
    """Another Sampling runs in this process."""


class _Table:
    """A table of samples in the form in which pstats.Stats accepts a profiler."""

    def __init__(self, stats: dict[Function, Row]) -> None:
        self.stats = stats

    def create_stats(self) -> None:
        """They are there."""


class _Entry:
    """samples: in which the function was on the stack; own: at its top. callers: the same, by who called it."""

    __slots__ = ("samples", "own", "callers")

    def __init__(self) -> None:
        self.samples = 0
        self.own = 0
        self.callers: dict[Function, list[int]] = {}


class Sampling:
    _running: Sampling | None = None

    def __init__(self, interval_s: float = INTERVAL_S) -> None:
        self._interval_s = interval_s
        self._entries: dict[Function, _Entry] = {}
        self._previous: Any = None
        self.sample_count = 0

    def __enter__(self) -> Sampling:
        """Raises AlreadySampling."""
        if Sampling._running is not None:
            raise AlreadySampling
        Sampling._running = self
        self._previous = signal.signal(signal.SIGPROF, lambda _, frame: self.count(frame))
        signal.setitimer(signal.ITIMER_PROF, self._interval_s, self._interval_s)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        # A signal that is under way must not end the process, which is what it does by default.
        signal.signal(signal.SIGPROF, self._previous if callable(self._previous) else signal.SIG_IGN)
        Sampling._running = None

    def count(self, frame: FrameType | None) -> None:
        """One sample: of this frame and all that called it."""
        self.sample_count += 1
        stack = list(_functions(frame))
        for depth, function in enumerate(stack):
            entry = self._entries.get(function)
            if entry is None:
                if len(self._entries) >= _FUNCTIONS_MAX:
                    continue
                entry = self._entries[function] = _Entry()
            is_top = depth == 0
            entry.own += is_top
            if function in stack[:depth]:
                continue  # Called by itself: its time is counted once.
            entry.samples += 1
            if depth + 1 < len(stack):
                counts = entry.callers.setdefault(stack[depth + 1], [0, 0])
                counts[0] += 1
                counts[1] += is_top

    @property
    def rows(self) -> dict[Function, Row]:
        """Times are samples times the interval."""
        return {function: self._row(entry) for function, entry in self._entries.items()}

    def stats(self) -> pstats.Stats:
        """The same, to be sorted, printed or dumped."""
        rows = self.rows
        # pstats refuses an empty table; its type names cProfile's class, but all it asks for is `stats`.
        table: Any = _Table(rows) if rows else None
        return pstats.Stats(table)

    def _row(self, entry: _Entry) -> Row:
        callers = {caller: self._times(*counts) for caller, counts in entry.callers.items()}
        return (*self._times(entry.samples, entry.own), callers)

    def _times(self, samples: int, own: int) -> Times:
        return samples, samples, own * self._interval_s, samples * self._interval_s


def _functions(frame: FrameType | None) -> Iterator[Function]:
    for _ in range(_DEPTH_MAX):
        if frame is None:
            return
        code = frame.f_code
        yield code.co_filename, code.co_firstlineno, code.co_name
        frame = frame.f_back
