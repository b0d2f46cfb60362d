"""Leaving the terminal: the command forks, the child becomes the supervisor, the parent waits until it is ready.

The child tells its parent lines for the terminal through a pipe; the last one carries an exit code. When it dies
without a word the parent says so.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from objstore.runtime import process

_EXIT = "\0exit "


class Voice:
    """The child's line to whoever waits; silent after done()."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def say(self, text: str) -> None:
        if self._fd >= 0:
            os.write(self._fd, text.replace("\n", " ").encode("utf-8", "backslashreplace") + b"\n")

    def done(self, code: int) -> None:
        """Let the parent end with an exit code."""
        if self._fd >= 0:
            os.write(self._fd, f"{_EXIT}{code}\n".encode())
            os.close(self._fd)
            self._fd = -1

    def hang_up(self) -> None:
        """Called in a process forked from the background process: close its copy of the pipe."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def detach(run: Callable[[Voice], int], hear: Callable[[str], None], stderr: Path) -> int:
    """Run in the background; returns, in the foreground, the code that was given to Voice.done().

    stderr: the file that gets what the child writes there: tracebacks that nobody caught.

    run: called in the child with its Voice, in a session of its own, without a terminal; its result is the exit code of
    that process. hear(line): called in the parent for every line that was said.
    """
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    sys.stdout.flush()
    sys.stderr.flush()
    if process.fork() == 0:
        os.close(read_fd)
        _leave(run, Voice(write_fd), stderr)
    os.close(write_fd)
    with os.fdopen(read_fd, encoding="utf-8") as lines:
        for line in lines:
            text = line.rstrip("\n")
            if text.startswith(_EXIT):
                return int(text.removeprefix(_EXIT))
            hear(text)
    hear("the supervisor died before it was ready")
    return 1


def _leave(run: Callable[[Voice], int], voice: Voice, stderr: Path) -> None:
    code = 1
    try:
        os.setsid()
        _point(os.devnull, (0, 1), os.O_RDWR)
        _point(str(stderr), (2,), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        code = run(voice)
        voice.done(code)
    except BaseException as error:  # The process boundary; the parent shows it.
        voice.say(f"{type(error).__name__}: {error}")
        voice.done(code)
    finally:
        os._exit(code)


def _point(path: str, descriptors: tuple[int, ...], flags: int) -> None:
    fd = os.open(path, flags, 0o640)
    for descriptor in descriptors:
        os.dup2(fd, descriptor)
    os.close(fd)
