"""What a supervised process is, seen from inside: its sockets, how it says it is ready, how it learns it must stop.

A Program's run() is called in a fresh child, before any hub exists there. It builds its application, calls
worker.ready(), and serves until worker.wait_for_stop() returns; then it drains and returns.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from objstore.runtime import green
from objstore.runtime.listen import BACKLOG, Address

EX_CONFIG = 78
READY = b"r"
REFUSAL = b"x"
# What a pipe takes without anybody reading.
REFUSAL_BYTES = 32 << 10


@dataclass(frozen=True, slots=True)
class Program:
    """One process to keep running. (role, node, index) is its name; index counts workers that do the same.

    run: what the child does. addresses: what it listens on. origin: the setting those came from, for messages.
    backlog: connections that may wait there to be accepted.
    """

    role: str
    node: str
    run: Callable[[Worker], None]
    index: int = 0
    device: str = ""
    addresses: tuple[Address, ...] = ()
    origin: str = ""
    backlog: int = BACKLOG

    @property
    def name(self) -> tuple[str, str, int]:
        return self.role, self.node, self.index

    def __str__(self) -> str:
        return f"{self.role} {self.node}" + (f" #{self.index}" if self.index else "")


@dataclass(slots=True)
class Worker:
    """A child's view of its supervisor. grace_s: how long it may drain after it was told to stop."""

    program: Program
    sockets: Mapping[Address, socket.socket]
    grace_s: float
    _ready_fd: int
    _stop_fd: int = -1
    _is_stopping: bool = field(default=False, init=False)

    def ready(self) -> None:
        """Say that requests are being served."""
        if self._ready_fd >= 0:
            os.write(self._ready_fd, READY)
            os.close(self._ready_fd)
            self._ready_fd = -1

    def refuse(self, lines: Sequence[str]) -> None:
        """Say why this program cannot be started; instead of ready()."""
        if self._ready_fd >= 0:
            text = "\n".join(line.replace("\n", " ") for line in lines)
            os.write(self._ready_fd, REFUSAL + text.encode("utf-8", "backslashreplace")[:REFUSAL_BYTES])
            os.close(self._ready_fd)
            self._ready_fd = -1

    def listen_for_stop(self) -> None:
        """Route SIGTERM into a descriptor. Ctrl-C reaches all processes of a terminal; only the supervisor acts."""
        self._stop_fd, write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def wait_for_stop(self) -> None:
        """Wait (green) until the supervisor asks this process to stop."""
        while not self._is_stopping:
            green.wait_readable(self._stop_fd)
            try:
                self._is_stopping = signal.SIGTERM in os.read(self._stop_fd, 64)
            except BlockingIOError:
                continue
