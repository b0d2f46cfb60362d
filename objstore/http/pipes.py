"""Kernel pipes for splice, kept for reuse: making one costs two descriptors and its buffer's pages each time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

__all__ = ["PIPE_BYTES", "pipe"]

PIPE_BYTES = 1 << 20
"""Room asked for per pipe: a quarter of it costs up to half as much CPU again. The kernel may give less (its limit is
64 MiB per user), which only costs speed."""

_KEPT_AT_MOST = 16
_idle: list[tuple[int, int]] = []
_idle_pid = 0


@contextlib.contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """(read end, write end), both non-blocking. Must be empty again at the end of the block; an error discards it."""
    global _idle_pid
    if _idle_pid != os.getpid():
        _idle.clear()
        _idle_pid = os.getpid()
    ends = _idle.pop() if _idle else _new()
    try:
        yield ends
    except BaseException:
        _discard(ends)
        raise
    if len(_idle) < _KEPT_AT_MOST:
        _idle.append(ends)
    else:
        _discard(ends)


def _new() -> tuple[int, int]:
    ends = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    with contextlib.suppress(PermissionError):
        fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return ends


def _discard(ends: tuple[int, int]) -> None:
    for end in ends:
        os.close(end)
