"""Pid files: one process each, and whether it still is the one that was started.

    <run dir>/<server>.pid             of the only configuration of a server
    <run dir>/<server>/<number>.pid    of the configuration <server's directory>/<number>.conf

A file holds the pid of the process that supervises the others. It proves nothing: after a reboot another process may
have that pid. So a process counts only when its command line names the server and its configuration.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from objstore.runtime.process_table import ONCE, TITLE, OurProcess, look, send_if


@dataclass(frozen=True, slots=True)
class PidFile:
    """server: as in titles, object-server. conf: the file or directory it was started with."""

    path: Path
    server: str
    conf: Path

    def process(self) -> OurProcess | None:
        """The process that runs; None when there is no file, or it is not ours."""
        pid = _pid_in(self.path)
        found = look(pid) if pid else None
        return found if found is not None and self._is_ours(found) else None

    def write(self, pid: int) -> None:
        """Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f".{self.path.name}.new")
        temporary.write_text(f"{pid}\n")
        os.replace(temporary, self.path)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def send(self, number: signal.Signals) -> bool:
        """Signal the process, if it still is ours. Raises PermissionError."""
        pid = _pid_in(self.path)
        return pid > 0 and send_if(pid, number, self._is_ours)

    def _is_ours(self, process: OurProcess) -> bool:
        if process.role:
            return process.title.removesuffix(ONCE) == f"{TITLE} {self.server} - {self.conf}"
        # It has not set its title yet: as it was started.
        return module_of(self.server) in process.arguments and str(self.conf) in process.arguments


def module_of(server: str) -> str:
    """The module that is the command of a server or daemon."""
    return f"objstore.cli.{server.replace('-', '_')}"


def pids_in(directory: Path) -> Iterator[int]:
    """The pids in all pid files below a run directory."""
    for path in (*directory.glob("*.pid"), *directory.glob("*/*.pid")):
        pid = _pid_in(path)
        if pid:
            yield pid


def _pid_in(path: Path) -> int:
    """0 when there is no file or no pid in it."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError):
        return 0
    return int(text) if text.isdigit() and len(text) <= 10 else 0
