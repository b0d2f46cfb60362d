"""Bounds for fuzzers: no example takes a second of CPU, and all of them together do not make the process grow.

CPU time of the thread, not time that passes: a busy machine fails nobody.
"""

from __future__ import annotations

import functools
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

CPU_S_MAX = 1.0
GROWTH_KB_MAX = 50 * 1024


@contextmanager
def a_second() -> Iterator[None]:
    started = time.thread_time()
    yield
    used = time.thread_time() - started
    assert used < CPU_S_MAX, f"{used:.2f} s of CPU for one input"


def each_within_a_second(test: Callable[..., None]) -> Callable[..., None]:
    """Of a test under @given: every example is."""

    @functools.wraps(test)
    def bounded(*args: object, **kwargs: object) -> None:
        with a_second():
            test(*args, **kwargs)

    return bounded


@contextmanager
def memory() -> Iterator[None]:
    """Of this process: how far its peak rises inside."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < GROWTH_KB_MAX, f"{grown} KiB more at the peak"
