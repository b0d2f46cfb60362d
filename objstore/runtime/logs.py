"""Log files: one line per event, `time level logger pid text key=value …`, rotated by size.

Several processes may append to one file (the workers of a proxy): every line is one write() to a descriptor opened for
appending, and whoever finds the file too long moves it aside under a lock; the others notice and open the new one.
There is no queue and no thread: what was logged is in the kernel when the call returns. A line break in a message is
written as \\n, so that nobody can forge a line.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import sys
import time
from pathlib import Path

SIZE_LIMIT = 32 << 20
KEPT = 4
_CHECK_INTERVAL_S = 0.25
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
LEVELS = {name: getattr(logging, name) for name in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")}


class LineRecord(logging.LogRecord):
    """A record that is a finished line. The library's own asks for the thread, the process' name and the caller too,
    which costs more than writing it; nobody prints those."""

    def __init__(self, name: str, level: int, line: str) -> None:
        now = time.time()
        self.name = name
        self.msg = line
        self.args = None
        self.levelno = level
        self.levelname = logging.getLevelName(level)
        self.created = now
        self.msecs = int(now % 1 * 1000) + 0.0
        self.process = os.getpid()
        self.exc_info = self.exc_text = self.stack_info = None
        self.pathname = self.filename = self.module = self.funcName = ""
        self.lineno = 0
        self.thread = self.threadName = self.processName = None
        self.relativeCreated = 0.0

    def getMessage(self) -> str:
        return str(self.msg)


class LineFormatter(logging.Formatter):
    """2026-11-21T09:10:11.123Z info objstore.proxy 4711 worker started index=0"""

    def __init__(self) -> None:
        super().__init__()
        self._second = (0, "")

    def format(self, record: logging.LogRecord) -> str:
        second = int(record.created)
        if self._second[0] != second:
            self._second = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        line = (
            f"{self._second[1]}.{int(record.msecs):03d}Z {record.levelname.lower()} {record.name} {record.process} "
            f"{record.getMessage()}"
        )
        if record.exc_info and record.exc_info[0] is not None:
            line += f' traceback="{self.formatException(record.exc_info)}"'
        # Whatever would be escaped is not printable; of most lines this one look is enough.
        return line if line.isprintable() else _CONTROL.sub(_escaped, line)


class RotatedFile(logging.Handler):
    """Appends to a file that other processes append to as well."""

    def __init__(self, path: Path, size_limit: int = SIZE_LIMIT, kept: int = KEPT) -> None:
        super().__init__()
        self._path = path
        self._size_limit = size_limit
        self._kept = kept
        self._fd = -1
        self._checked_at = 0.0
        self.setFormatter(LineFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record).encode("utf-8", "backslashreplace") + b"\n"
            os.write(self._current(), line)
        except Exception:  # A full disk must not stop a request; logging's own rule for handlers.
            self.handleError(record)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        super().close()

    def _current(self) -> int:
        """The descriptor of the file that stands under the path; looked up at most four times a second."""
        now = time.monotonic()
        if self._fd >= 0 and now - self._checked_at < _CHECK_INTERVAL_S:
            return self._fd
        self._checked_at = now
        if self._fd < 0 or not self._is_current():
            self._reopen()
        if os.fstat(self._fd).st_size >= self._size_limit:
            self._rotate()
        return self._fd

    def _is_current(self) -> bool:
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return False
        ours = os.fstat(self._fd)
        return (there.st_ino, there.st_dev) == (ours.st_ino, ours.st_dev)

    def _reopen(self) -> None:
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = fd

    def _rotate(self) -> None:
        """file -> file.1 -> … -> file.<kept>, which is lost. The directory is locked: one process does it."""
        lock = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self._is_current():
                for number in range(self._kept - 1, 0, -1):
                    if self._numbered(number).exists():
                        os.replace(self._numbered(number), self._numbered(number + 1))
                os.replace(self._path, self._numbered(1))
            self._reopen()
        finally:
            os.close(lock)

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def log_to_file(path: Path, level: str = "INFO") -> None:
    """From now on this process logs to a file, and nowhere else. Called once per process, after fork."""
    _replace_handlers(RotatedFile(path), level)


def log_to_stderr(level: str = "INFO") -> None:
    """From now on this process logs to its standard error, which a service manager keeps."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    _replace_handlers(handler, level)


def _replace_handlers(handler: logging.Handler, level: str) -> None:
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(LEVELS[level.upper()])
    logging.captureWarnings(True)
    # A handler that fails says so on stderr only while developing.
    logging.raiseExceptions = False


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")
