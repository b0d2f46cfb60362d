"""The file system of a server whose hub makes the cheap system calls itself and waits, green, only for syncs and locks.

What is called from a native thread works as in the plain Fs.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager

from objstore.runtime import green
from objstore.runtime.fs import Fs
from objstore.runtime.gates import Gates
from objstore.runtime.sync import sync_all


class GreenFs(Fs):
    """Made before or after the fork, in the thread that will run the hub."""

    def __init__(self) -> None:
        super().__init__(self._pause)
        self._hub_thread = threading.get_ident()
        self._gates = Gates()

    def _pause(self, seconds: float) -> None:
        (green.sleep if self._is_in_hub_thread else time.sleep)(seconds)

    @property
    def _is_in_hub_thread(self) -> bool:
        return threading.get_ident() == self._hub_thread

    def sync(self, fd: int) -> None:
        if self._is_in_hub_thread:
            sync_all((fd,))
        else:
            super().sync(fd)

    def sync_data(self, fd: int) -> None:
        if self._is_in_hub_thread:
            sync_all((fd,), data_only=True)
        else:
            super().sync_data(fd)

    def sync_directory(self, path: str) -> None:
        if self._is_in_hub_thread:
            self.sync_directories((path,))
        else:
            super().sync_directory(path)

    def sync_directories(self, paths: Sequence[str]) -> None:
        if not self._is_in_hub_thread:
            super().sync_directories(paths)
            return
        fds: list[int] = []
        try:
            for path in paths:
                fds.append(os.open(path, os.O_RDONLY | os.O_DIRECTORY))
            sync_all(fds)
        finally:
            for fd in fds:
                os.close(fd)

    def lock(self, path: str, timeout_s: float) -> AbstractContextManager[None]:
        lock = super().lock(path, timeout_s)
        return _GatedLock(self._gates, lock, path, timeout_s) if self._is_in_hub_thread else lock


class _GatedLock:
    __slots__ = ("_gates", "_lock", "_path", "_timeout_s")

    def __init__(self, gates: Gates, lock: AbstractContextManager[None], path: str, timeout_s: float) -> None:
        self._gates = gates
        self._lock = lock
        self._path = path
        self._timeout_s = timeout_s

    def __enter__(self) -> None:
        self._gates.enter(self._path, self._timeout_s)
        try:
            self._lock.__enter__()
        except BaseException:
            self._gates.leave(self._path)
            raise

    def __exit__(self, *_: object) -> None:
        try:
            self._lock.__exit__(None, None, None)
        finally:
            self._gates.leave(self._path)
