"""How much of the processor and the disks a process gets when others want them, too.

Both belong to a thread and are inherited by those that it starts, and by its children (rsync): they are taken first of
all, before there are any. Source: setpriority(2), ioprio_set(2).
"""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass

BEST_EFFORT, IDLE = 2, 3
NORMAL_LEVEL = 4
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
_WHO_PROCESS = 1
_CLASS_SHIFT = 13
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Priority:
    """niceness: -20 to 19. io_class: 1 real time, 2 best effort, 3 idle. io_level: 0 to 7, the first to the last of
    its class. None: nothing is said about it."""

    niceness: int | None = None
    io_class: int | None = None
    io_level: int | None = None


BACKGROUND = Priority(5, BEST_EFFORT, 6)
"""Who answers clients gets three times as much of a busy processor: the kernel's weights are 1024 and 335. The daemons'
units say the same (config/units.py)."""


def background(told: Sequence[Priority], niceness: int) -> Priority:
    """Of a process of daemons that were told these. niceness: what it was started with, which nobody lowers unasked.
    Where they differ the most urgent counts; what one was not told is as in BACKGROUND."""
    least, io_class, io_level = BACKGROUND.niceness, BACKGROUND.io_class, BACKGROUND.io_level
    assert least is not None and io_class is not None and io_level is not None
    if any(each.niceness is not None for each in told):
        niceness = min(least if each.niceness is None else each.niceness for each in told)
    else:
        niceness = max(least, niceness)
    ios = [(each.io_class or io_class, io_level if each.io_level is None else each.io_level) for each in told]
    return Priority(niceness, *min(ios, default=(io_class, io_level)))


def give_way(told: Sequence[Priority] = ()) -> list[str]:
    """Let those who answer clients go first, if nobody was told otherwise. As take()."""
    return take(background(told, os.getpriority(os.PRIO_PROCESS, 0)))


def take(wanted: Priority) -> list[str]:
    """For this thread and what it starts from now on. Returns what the kernel refused, for the log: work goes on."""
    problems = []
    if wanted.niceness is not None:
        try:
            os.setpriority(os.PRIO_PROCESS, 0, wanted.niceness)
        except OSError as error:
            problems.append(
                f"nice_priority = {wanted.niceness}: {error.strerror}; only root may go below what a process was "
                "started with, or Nice= of its systemd unit"
            )
    if wanted.io_class is not None or wanted.io_level is not None:
        problem = _set_io(wanted.io_class or BEST_EFFORT, NORMAL_LEVEL if wanted.io_level is None else wanted.io_level)
        problems += [problem] if problem else []
    return problems


def _set_io(io_class: int, level: int) -> str:
    """Why not; "" when it is done. A machine whose call we do not know has no problem: its disks do without."""
    number = _IOPRIO_SET.get(platform.machine())
    value = io_class << _CLASS_SHIFT | (0 if io_class == IDLE else level)
    if number is None or _libc.syscall(number, _WHO_PROCESS, 0, value) == 0:
        return ""
    return f"ionice_class {io_class}, ionice_priority {level}: {os.strerror(ctypes.get_errno())}"
