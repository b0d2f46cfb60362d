"""The recon cache: what passes leave behind for whoever asks how the node is doing. Source: formats 6.10.

    <directory>/account.recon  container.recon  object.recon     one JSON object on one line
    <directory>/daemons.recon                                    ours: a key per daemon (runner.py says what)

A merge replaces the keys it names and leaves the others; the value {} removes its key. Writers of several processes
(and Swift's own daemons beside them) take turns by flock on the file itself; a reader never sees half a file, because
the new one is renamed into place. Nothing here is worth a sync: after a crash the next pass writes it again.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

LOCK_TIMEOUT_S = 2.0
SIZE_LIMIT = 16 << 20
_POLL_S = 0.02
DAEMONS = "daemons"
"""The kind of our own file."""


def recon_file(directory: Path, kind: str) -> Path:
    """kind: account, container, object, drive, relinker, or daemons."""
    return directory / f"{kind}.recon"


def read(path: Path) -> dict[str, Any]:
    """What a recon file says; {} when there is none, or it cannot be understood. Raises OSError for one that is there
    and cannot be read."""
    try:
        with open(path, "rb") as file:
            return _parsed(file.read(SIZE_LIMIT))
    except FileNotFoundError:
        return {}


def merge(path: Path, entries: Mapping[str, object]) -> None:
    """Put entries into a recon file. Blocks; called from native threads. Raises OSError (also when the file stayed
    locked by somebody else for LOCK_TIMEOUT_S)."""
    change(path, lambda known: entries)


def change(path: Path, entries_of: Callable[[Mapping[str, Any]], Mapping[str, object]]) -> None:
    """As merge(), of what entries_of() makes of what the file says now; nobody changes it in between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = _locked(path)
    try:
        with open(os.dup(fd), "rb") as file:
            known = _parsed(file.read(SIZE_LIMIT))
        for key, value in entries_of(known).items():
            if value == {}:
                known.pop(key, None)
            else:
                known[key] = value
        _replace(path, json.dumps(known).encode() + b"\n")
    finally:
        os.close(fd)


def _locked(path: Path) -> int:
    """A descriptor that holds the lock of the file that stands under the path now: a writer renames a new one there."""
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_current(fd, path):
                return fd
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(fd)
                raise OSError(errno.EAGAIN, "locked by another process", str(path)) from None
            time.sleep(_POLL_S)
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _is_current(fd: int, path: Path) -> bool:
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    ours = os.fstat(fd)
    return (there.st_ino, there.st_dev) == (ours.st_ino, ours.st_dev)


def _replace(path: Path, content: bytes) -> None:
    fd, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            os.fchmod(fd, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
