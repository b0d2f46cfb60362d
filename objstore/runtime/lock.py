"""One supervisor per directory: a lock that ends with the process that holds it, however that ends.

A POSIX record lock, because children do not inherit it: a worker that is still dying keeps no successor away.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

_NAME = "supervisor.lock"


def take(directory: Path) -> int | None:
    """Hold the directory's lock until the process ends; None when another process holds it. The descriptor must stay
    open, and the process must open that file nowhere else: closing any descriptor of it would drop the lock."""
    fd = os.open(directory / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def is_held(directory: Path) -> bool:
    """Whether another process holds the lock."""
    try:
        fd = os.open(directory / _NAME, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
