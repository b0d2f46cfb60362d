"""What objstore-init does to processes: start them detached, and signal those that its pid files name.

A start is done when the process has said READY=1, which it says to a service manager's socket; for that moment this
command is one. What a process writes to standard error goes to <run dir>/<server>.err, and is shown when it does not
start. Set log_file, which is rotated, for what it has to say later.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from objstore.cli.terminal import FAILED, CommandError, Terminal
from objstore.config.server import ROLE_PORTS
from objstore.runtime.pid_files import PidFile, module_of

READY_WITHIN_S = 60.0
_POLL_S = 0.05
_ERROR_LINES = 20
_OF_A_MANAGER = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


@dataclass(frozen=True, slots=True)
class How:
    """is_once: one pass of a daemon. is_foreground: with this terminal, until it ends. waits: until it serves, or its
    pass is over."""

    is_once: bool = False
    is_foreground: bool = False
    waits: bool = True

    @property
    def is_attached(self) -> bool:
        """Whether this command lives as long as what it starts."""
        return self.is_foreground or (self.is_once and self.waits)


def start(files: Sequence[PidFile], how: How, run_dir: Path, terminal: Terminal) -> bool:
    """Whether all of them run (or ran, with is_once)."""
    if how.is_once:
        servers = [file.server for file in files if file.server in ROLE_PORTS]
        for server in servers:
            terminal.say(f"{server}: a server has no single pass; left out")
        files = [file for file in files if file.server not in ROLE_PORTS]
    if how.is_attached:
        with _only_one(run_dir):
            children = [_spawn(file, how, None, terminal) for file in files]
        # Outside the lock: this may take hours.
        return all([child is not None and _wait_for_end(child, terminal) for child in children])
    with _only_one(run_dir):
        # All at once, then wait for each: most of a start is loading code.
        starts = [_begin(file, how, terminal) for file in files]
        return all([_ended_well(begun, terminal) for begun in starts])


def _begin(file: PidFile, how: How, terminal: Terminal) -> _Begun:
    manager = _Manager() if how.waits else None
    child = _spawn(file, how, manager, terminal)
    if child is not None and manager is None:
        terminal.say(f"{file.server}: started, pid {child.process.pid} ({file.conf})")
    return _Begun(file, child, manager)


def _ended_well(begun: _Begun, terminal: Terminal) -> bool:
    """Whether it runs, if only since before."""
    try:
        if begun.child is None:
            return begun.file.process() is not None
        return begun.manager is None or begun.manager.wait(begun.child, terminal)
    finally:
        if begun.manager is not None:
            begun.manager.close()


def stop(files: Sequence[PidFile], wait_s: float, kills_then: bool, terminal: Terminal) -> bool:
    """Ask all to end, then wait. wait_s: 0 does not wait. Whether all have ended."""
    asked = _signal_all(files, signal.SIGTERM, terminal)
    left = _wait_until_gone(asked, wait_s) if wait_s else []
    if left and kills_then:
        for file in left:
            terminal.complain(f"{file.server}: still there after {wait_s:g} s; killed")
        return kill(left, wait_s, terminal)
    for file in left:
        terminal.complain(f"{file.server}: still there after {wait_s:g} s ({file.conf}); --kill-after-timeout ends it")
    return not left


def kill(files: Sequence[PidFile], wait_s: float, terminal: Terminal) -> bool:
    """SIGKILL; the kernel then ends the workers as well."""
    left = _wait_until_gone(_signal_all(files, signal.SIGKILL, terminal), max(wait_s, 1.0))
    return not left


def reload(files: Sequence[PidFile], terminal: Terminal) -> bool:
    """Whether all run and were told."""
    return len(_signal_all(files, signal.SIGHUP, terminal)) == len(files)


def _signal_all(files: Sequence[PidFile], number: signal.Signals, terminal: Terminal) -> list[PidFile]:
    """Those that run and got the signal. The pid file of what does not run is removed."""
    told = []
    for file in files:
        try:
            is_told = file.send(number)
        except PermissionError:
            raise CommandError(f"{file.server}: it belongs to another user; try as root", code=FAILED) from None
        if is_told:
            terminal.say(f"{file.server}: {number.name} sent ({file.conf})")
            told.append(file)
        else:
            terminal.say(f"{file.server}: not running ({file.conf})")
            file.remove()
    return told


def _wait_until_gone(files: Sequence[PidFile], wait_s: float) -> list[PidFile]:
    """Those that are still there after wait_s; the others' pid files are removed."""
    left, deadline = list(files), time.monotonic() + wait_s
    while left:
        for file in list(left):
            if file.process() is None:
                file.remove()
                left.remove(file)
        if not left or time.monotonic() > deadline:
            break
        time.sleep(_POLL_S)
    return left


@dataclass(frozen=True, slots=True)
class _Child:
    file: PidFile
    process: subprocess.Popen[bytes]
    errors: Path


def _spawn(file: PidFile, how: How, manager: _Manager | None, terminal: Terminal) -> _Child | None:
    """None when it runs already, or cannot be started (which is said)."""
    running = file.process()
    if running is not None:
        terminal.say(f"{file.server}: already running, pid {running.pid} ({file.conf})")
        return None
    errors = file.path.with_suffix(".err")
    environ = {name: value for name, value in os.environ.items() if name not in _OF_A_MANAGER}
    if manager is not None:
        environ[_OF_A_MANAGER[0]] = manager.address
    try:
        errors.parent.mkdir(parents=True, exist_ok=True)
        with open(os.devnull, "rb") as nothing, open(errors, "wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", module_of(file.server), str(file.conf), *(["--once"] * how.is_once)],
                env=environ,
                stdin=nothing,
                stdout=None if how.is_attached else sink,
                stderr=None if how.is_attached else sink,
                start_new_session=not how.is_attached,
                cwd="/",
            )
        file.write(process.pid)
    except OSError as error:
        terminal.complain(f"{file.server}: cannot be started ({error})")
        return None
    return _Child(file, process, errors)


@dataclass(frozen=True, slots=True)
class _Begun:
    """child: None when it ran already, or could not be started. manager: None when nobody waits."""

    file: PidFile
    child: _Child | None
    manager: _Manager | None


class _Manager:
    """A service manager's socket for one start. It must not be asked again once wait() has returned."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="objstore-init-")
        self.address = f"{self._directory.name}/notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.bind(self.address)
        self._socket.settimeout(_POLL_S)
        # A server that has become another user says READY too.
        os.chmod(self._directory.name, 0o711)
        os.chmod(self.address, 0o622)

    def close(self) -> None:
        self._socket.close()
        self._directory.cleanup()

    def wait(self, child: _Child, terminal: Terminal) -> bool:
        """Whether it said that it is ready."""
        file = child.file
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                if self._socket.recv(4096).startswith(b"READY=1"):
                    terminal.say(f"{file.server}: running, pid {child.process.pid} ({file.conf})")
                    return True
            if child.process.poll() is not None:
                return _not_started(child, terminal)
        terminal.complain(f"{file.server}: not ready after {READY_WITHIN_S:g} s; it may still come: {child.errors}")
        return False


def _not_started(child: _Child, terminal: Terminal) -> bool:
    child.file.remove()
    terminal.complain(f"{child.file.server}: it ended with exit code {child.process.returncode} ({child.file.conf})")
    for line in child.errors.read_text(errors="replace").splitlines()[-_ERROR_LINES:]:
        terminal.complain(f"  {line.removeprefix('objstore: ')}")
    return False


def _wait_for_end(child: _Child, terminal: Terminal) -> bool:
    try:
        code = child.process.wait()
    except KeyboardInterrupt:  # It reached the process as well.
        child.process.terminate()
        code = child.process.wait()
    child.file.remove()
    if code:
        terminal.complain(f"{child.file.server}: it ended with exit code {code} ({child.file.conf})")
    return code == 0


@contextlib.contextmanager
def _only_one(run_dir: Path) -> Iterator[None]:
    """Two of these at once must not start the same server twice."""
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        fd = os.open(run_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise CommandError(f"{run_dir}: cannot be used for pid files ({error.strerror})") from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
