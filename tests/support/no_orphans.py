"""Runs a command and leaves none of its processes behind: python -m tests.support.no_orphans COMMAND...

bin/runtests runs pytest by it. Tests start servers, some of them in sessions of their own; when pytest dies, these
would go on. A process started here is adopted by this one when its parent ends (PR_SET_CHILD_SUBREAPER, prctl(2)),
wherever it has gone, so that all that is left can be found and ended when the command has ended. No other process is
touched.

SIGINT, SIGTERM and SIGHUP reach the command's process group as SIGINT, once, as a terminal's Ctrl-C would: pytest tears
its fixtures down. The command is killed when that takes longer than PATIENCE_S, or at the second SIGINT. The exit code
is the command's.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

PATIENCE_S = 30
_PR_SET_CHILD_SUBREAPER = 36
_POLL_S = 0.01


def main(argv: Sequence[str]) -> int:
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    command = _Command(argv)
    code = command.wait()
    for line in _end_all():
        print(f"left behind, and ended: {line}", file=sys.stderr)
    return code


class _Command:
    """In a process group of its own: what a terminal sends to this one's group must not reach it twice."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._is_interrupted = False
        self._waiting: list[signal.Signals] = []
        self._pid = 0
        # SIGINT also where it is ignored, as it is by what a script starts in the background; SIGHUP not under nohup.
        is_deaf = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        for number in (signal.SIGINT, signal.SIGTERM, *(() if is_deaf else (signal.SIGHUP,))):
            signal.signal(number, self._pass_on)
        signal.signal(signal.SIGALRM, lambda number, frame: self._send(signal.SIGKILL))
        self._pid = os.posix_spawnp(argv[0], argv, os.environ, setpgroup=0)
        for number in self._waiting:
            self._pass_on(number, None)

    def wait(self) -> int:
        """The exit code, 128 and the signal's number where one ended it. Adopted processes are reaped meanwhile."""
        pid, status = 0, 0
        while pid != self._pid:
            pid, status = os.waitpid(-1, 0)
        self._pid = 0
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)  # What is left to do is bounded, and the exit code is known.
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        if not self._pid:
            self._waiting.append(signal.Signals(number))
        elif not self._is_interrupted:
            self._is_interrupted = True
            signal.alarm(PATIENCE_S)
            self._send(signal.SIGINT)
        elif number == signal.SIGINT:
            self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        """wait() alone reaps the process: until then its number, which is its group's, is nobody else's."""
        if self._pid:
            os.killpg(self._pid, number)


def _end_all() -> list[str]:
    """Kill all descendants, and again what they start meanwhile, until there are none. A line for each."""
    lines: dict[int, str] = {}
    give_up_s = time.monotonic() + PATIENCE_S
    while found := _descendants(os.getpid()):
        for pid in found:
            lines.setdefault(pid, f"pid {pid}: {_command_line(pid)}")
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if time.monotonic() > give_up_s:
            return [*lines.values(), f"which does not die: {found}"]
        time.sleep(_POLL_S)
        _reap()
    return list(lines.values())


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _descendants(ancestor: int) -> list[int]:
    """Living ones."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue  # It has ended since.
            if state != "Z":
                children.setdefault(int(parent), []).append(int(entry.name))
    found, waiting = [], [ancestor]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:200]
    except OSError:
        return "gone"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
