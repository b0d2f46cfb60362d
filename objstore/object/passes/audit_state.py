"""Where an audit of one device goes on after a restart: the partitions it has not looked at yet.

    <device>/objects[-N]/auditor_status_ALL.json      {"partitions": ["12", "731"]}
    <device>/objects[-N]/auditor_status_ZBF.json

Written at most once a minute and emptied at the end. What stands in it only saves work: a file that is missing, damaged
or names what is not there makes the audit begin anew. Source: formats 4.12.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from objstore.runtime.fs import Fs

WRITE_INTERVAL_S = 60.0
SIZE_LIMIT = 64 << 20


@dataclass(frozen=True, slots=True)
class Loaded:
    """partitions: still to do; empty when there is nothing to go on with. problem: what is wrong with the file, ""."""

    partitions: tuple[str, ...] = ()
    problem: str = ""


def state_path(data_directory: str, mode: str) -> str:
    return f"{data_directory}/auditor_status_{mode}.json"


def load(fs: Fs, path: str) -> Loaded:
    """Never raises for what a disk or a file says."""
    try:
        content = fs.content(path)
    except OSError as error:
        return Loaded(problem=f"{path}: cannot be read ({error.strerror}); the audit begins anew")
    return Loaded() if content is None else parsed(content, path)


def parsed(content: bytes, path: str) -> Loaded:
    """The state in the text of a state file. Pure."""
    problem = f'{path}: expected {{"partitions": [decimal names]}}; the audit begins anew'
    try:
        found = json.loads(content[:SIZE_LIMIT])
    except (ValueError, RecursionError):
        return Loaded(problem=problem)
    partitions = found.get("partitions") if isinstance(found, dict) else None
    if not isinstance(partitions, list) or not all(_is_partition(name) for name in partitions):
        return Loaded(problem=problem)
    return Loaded(tuple(dict.fromkeys(partitions)))


class Progress:
    """The remaining partitions of one device, policy and mode. One owner; write() may block."""

    def __init__(self, fs: Fs, path: str, partitions: Iterable[str], now_s: float) -> None:
        """now_s: monotonic."""
        self._fs = fs
        self._path = path
        self._remaining = dict.fromkeys(partitions)
        self._written_s = now_s

    def done(self, partition: str, now_s: float) -> bool:
        """Strike a partition off; whether it is time to write()."""
        self._remaining.pop(partition, None)
        return not self._remaining or now_s - self._written_s >= WRITE_INTERVAL_S

    def write(self, now_s: float) -> None:
        """Raises OSError."""
        self._written_s = now_s
        self._fs.replace_file(self._path, json.dumps({"partitions": list(self._remaining)}).encode())


def _is_partition(name: object) -> bool:
    return isinstance(name, str) and name.isascii() and name.isdigit()
