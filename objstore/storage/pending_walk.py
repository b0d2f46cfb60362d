"""Finding what waits in async_pending: whole suffix directories at a time, of each hash the newest
file and those that it does not make meaningless.

Source: formats 4.14. Reads only, and holds no more than READ_AT_ONCE files in memory however many wait.
Called from native threads.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from objstore.core.timestamp import InvalidTimestamp, Timestamp
from objstore.storage.pending import DeferredUpdate, decode

READ_AT_ONCE = 4096
FILE_BYTES_MAX = 1 << 20
# A large buffer costs more than the file: nearly all are below this.
_USUAL_BYTES = 8192
_NO_FILE = frozenset({errno.ELOOP, errno.EISDIR, errno.ENXIO})
"""What opening or reading a link, a directory or a socket says."""
_SUFFIX = re.compile(r"[0-9a-f]{3}")
_HASH = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Waiting:
    """One update. path: of its file. timestamp: of its name, which orders updates of one hash."""

    path: str
    timestamp: Timestamp
    update: DeferredUpdate


@dataclass(frozen=True, slots=True)
class Corrupt:
    path: str
    reason: str


@dataclass(slots=True)
class Window:
    """What was found in some suffix directories. superseded: files that a newer one of the same hash makes
    meaningless. empty: directories that hold nothing. unreadable: files that the
    disk did not give; they may be whole."""

    waiting: list[Waiting] = field(default_factory=list)
    superseded: list[str] = field(default_factory=list)
    corrupt: list[Corrupt] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    unreadable: list[Corrupt] = field(default_factory=list)
    file_count: int = 0


def windows(directory: str) -> Iterator[Window]:
    """Of an async_pending directory, which need not be there. Raises OSError of a disk that cannot be read."""
    window = Window()
    for suffix in _entries(directory):
        if not _SUFFIX.fullmatch(suffix):
            continue
        _look(f"{directory}/{suffix}", window)
        if window.file_count >= READ_AT_ONCE:
            yield window
            window = Window()
    if window.file_count or window.empty:
        yield window


def _entries(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _look(directory: str, window: Window) -> None:
    names = _entries(directory)
    if not names:
        window.empty.append(directory)
        return
    by_hash: dict[str, list[tuple[Timestamp, str]]] = {}
    for name in names:
        parsed = _parsed(name)
        if parsed is not None:
            by_hash.setdefault(parsed[0], []).append((parsed[1], f"{directory}/{name}"))
            window.file_count += 1
    for files in by_hash.values():
        _read_newest(sorted(files, reverse=True), window)


def _read_newest(files: list[tuple[Timestamp, str]], window: Window) -> None:
    """Of one hash, the newest first. A row tells of all that was stored up to its data; a POST's data is older than the
    POST, and a PUT that came in between, later than the POST, has a row that is needed. What cannot be read supersedes
    nothing."""
    told_until: Timestamp | None = None
    for timestamp, path in files:
        if told_until is not None and timestamp <= told_until:
            window.superseded.append(path)
        else:
            told_until = _read(path, timestamp, window) or told_until


def _parsed(name: str) -> tuple[str, Timestamp] | None:
    """(hash, timestamp) of a file's name; None for what is not ours, which stays where it is."""
    hash_hex, dash, text = name.partition("-")
    if not dash or "-" in text or not _HASH.fullmatch(hash_hex):
        return None
    try:
        return hash_hex, Timestamp.parse(text)
    except InvalidTimestamp:
        return None


def _read(path: str, timestamp: Timestamp, window: Window) -> Timestamp | None:
    """When the data was stored that the row of a file tells of; None when nobody knows."""
    try:
        content = _content(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        found = window.corrupt if error.errno in _NO_FILE else window.unreadable
        found.append(Corrupt(path, error.strerror or str(error)))
        return None
    if len(content) > FILE_BYTES_MAX:
        window.corrupt.append(Corrupt(path, f"longer than {FILE_BYTES_MAX} bytes"))
        return None
    try:
        update = decode(content)
    except ValueError as error:
        window.corrupt.append(Corrupt(path, str(error)))
        return None
    window.waiting.append(Waiting(path, timestamp, update))
    return _data_of(update, timestamp)


def _data_of(update: DeferredUpdate, timestamp: Timestamp) -> Timestamp:
    try:
        return Timestamp.parse(update.headers["x-timestamp"])
    except (KeyError, InvalidTimestamp):
        return timestamp


def _content(path: str) -> bytes:
    """All of a file, or more than FILE_BYTES_MAX of it. Raises OSError; never waits for a pipe's other end."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        content = os.read(fd, _USUAL_BYTES)
        if len(content) == _USUAL_BYTES:
            content += os.read(fd, FILE_BYTES_MAX)
        return content
    finally:
        os.close(fd)
