"""User plus system CPU time of running processes, from /proc/<pid>/stat."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """CPU seconds a process has used so far, all its threads together. FileNotFoundError when it is gone."""
    # The second field is the name in parentheses, which may hold blanks: count from the last parenthesis.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def cpu_with_children_s(pid: int) -> float:
    """As cpu_s, with what its children used that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS_PER_S


def machine_cpu_s() -> float:
    """CPU seconds that everybody on this machine has used since it started: user, nice, system, interrupts, stolen."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    user, nice, system, _, _, *interrupts = map(int, fields[1:9])
    return (user + nice + system + sum(interrupts)) / _TICKS_PER_S


def by_role(pids: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """CPU seconds by role, for pids by role."""
    return {role: sum(cpu_s(pid) for pid in each) for role, each in pids.items()}
