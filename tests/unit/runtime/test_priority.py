import os
import subprocess
import sys

import pytest

from objstore.runtime.priority import BACKGROUND, Priority, background

_SHOW = """
import ctypes, os, platform
from objstore.runtime.priority import Priority, give_way, take
problems = {call}
number = {{"x86_64": 252, "aarch64": 31}}[platform.machine()]
io = ctypes.CDLL(None).syscall(number, 1, 0)
print(os.getpriority(os.PRIO_PROCESS, 0), io >> 13, io & 7, problems)
"""


def _show(call, *, more=0):
    """(niceness, I/O class, level, refused) of a process that was started so much nicer and made this call."""
    command = ["nice", "-n", str(more), sys.executable, "-c", _SHOW.format(call=call)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    niceness, io_class, level, refused = said.split(maxsplit=3)
    return int(niceness), int(io_class), int(level), refused.strip()


@pytest.mark.parametrize(
    ("told", "started", "expected"),
    [
        ([], 0, Priority(5, 2, 6)),
        ([Priority()], 12, Priority(12, 2, 6)),
        ([Priority(niceness=0)], 3, Priority(0, 2, 6)),
        ([Priority(niceness=19)], 0, Priority(19, 2, 6)),
        ([Priority(niceness=19), Priority()], 0, Priority(5, 2, 6)),
        ([Priority(niceness=19), Priority(niceness=10)], 0, Priority(10, 2, 6)),
        ([Priority(io_class=3)], 0, Priority(5, 3, 6)),
        ([Priority(io_class=3), Priority(io_class=2, io_level=7)], 0, Priority(5, 2, 7)),
        ([Priority(io_level=0), Priority()], 0, Priority(5, 2, 0)),
    ],
    ids=["nobody", "nicer already", "in front", "nicest", "one alone", "both", "idle disk", "differ", "level"],
)
def test_the_most_urgent_daemon_of_a_process_counts(told, started, expected):
    assert background(told, started) == expected


@pytest.mark.parametrize("more", [0, 12], ids=["usual", "nicer already"])
def test_background_work_gives_way(more):
    usual = min(os.getpriority(os.PRIO_PROCESS, 0) + more, 19)
    assert _show("give_way()", more=more) == (max(usual, BACKGROUND.niceness), 2, 6, "[]")


def test_a_process_takes_what_it_is_told():
    assert _show("take(Priority(19, 3, 2))") == (19, 3, 0, "[]")


def test_nothing_told_changes_nothing():
    assert _show("take(Priority())") == _show("[]")


def test_what_the_kernel_refuses_is_said_and_no_more():
    drop = "(os.setgid(65534), os.setuid(65534)) if os.geteuid() == 0 else None"
    niceness, _, _, refused = _show(f"({drop}, take(Priority(-5)))[1]")
    assert niceness == os.getpriority(os.PRIO_PROCESS, 0)
    assert "nice_priority = -5" in refused and "Nice=" in refused
