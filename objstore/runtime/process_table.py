"""The processes of this machine that are ours, told by their titles: objstore <role> <node> <file or directory>.

Read from /proc. A pid says little: by the time one acts on it another process may have it. So whoever wants to send a
signal holds the process by a pidfd first, looks at it then, and signals that (send_if).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

TITLE = "objstore"
ONCE = " once"
"""How the title of a daemon ends that makes a single pass."""
_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class OurProcess:
    """age_s: since it was started. arguments: of its command line, as ps shows them; a process that has set its title
    has that as the only one. unit: the systemd service it runs in, "" for none."""

    pid: int
    parent_pid: int
    age_s: float
    arguments: tuple[str, ...]
    unit: str = ""

    @property
    def title(self) -> str:
        return " ".join(self.arguments)

    @property
    def role(self) -> str:
        """object-server, object-updater, supervisor, …; "" for a process that has not set its title yet."""
        words = self.title.split(" ")
        return words[1] if words[0] == TITLE and len(words) > 1 else ""


def look(pid: int, proc: Path = _PROC) -> OurProcess | None:
    """A process as it is now, ours or not; None when there is none, or it has ended and waits for its parent."""
    try:
        fields = (proc / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
        words = (proc / str(pid) / "cmdline").read_bytes().decode("utf-8", "replace").rstrip("\0 ").split("\0")
        uptime_s = float((proc / "uptime").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    if fields[0] in ("Z", "X"):
        return None
    return OurProcess(pid, int(fields[1]), uptime_s - int(fields[19]) / _TICKS, tuple(words), _unit_of(pid, proc))


def _unit_of(pid: int, proc: Path) -> str:
    """The systemd service of a process, "" for none, or where nobody tells."""
    try:
        lines = (proc / str(pid) / "cgroup").read_text(errors="replace").split()
    except OSError:
        return ""
    return next((part for line in lines for part in line.split("/") if part.endswith(".service")), "")


def ours(proc: Path = _PROC) -> list[OurProcess]:
    """All processes with our title, the oldest first."""
    found = [look(int(entry.name), proc) for entry in proc.iterdir() if entry.name.isdecimal()]
    return sorted((each for each in found if each is not None and each.role), key=lambda each: -each.age_s)


def root_of(one: OurProcess, by_pid: Mapping[int, OurProcess]) -> OurProcess:
    """The process of ours that a process descends from: itself, or the first whose parent is not ours."""
    seen: set[int] = set()
    while one.parent_pid in by_pid and one.pid not in seen:
        seen.add(one.pid)
        one = by_pid[one.parent_pid]
    return one


def send_if(pid: int, number: signal.Signals, is_meant: Callable[[OurProcess], bool]) -> bool:
    """Send a signal to a process, if it is still the one that is meant. False when it is gone, or another. Raises
    PermissionError."""
    try:
        fd = os.pidfd_open(pid)
    except (ProcessLookupError, OverflowError):
        return False
    try:
        found = look(pid)
        if found is None or not is_meant(found):
            return False
        signal.pidfd_send_signal(fd, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)


def indexed(processes: Iterable[OurProcess]) -> dict[int, OurProcess]:
    return {each.pid: each for each in processes}
