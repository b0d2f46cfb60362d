"""The file system of a server whose hub makes the cheap system calls itself and waits, green, only for syncs and locks.

What is called from a native thread works as in the plain Fs.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager

from objstore.core.errors import LockTimeout
from objstore.runtime import green
from objstore.runtime.fs import Fs
from objstore.runtime.sync import sync_all


class GreenFs(Fs):
    """Made before or after the fork, in the thread that will run the hub."""

    def __init__(self) -> None:
        super().__init__(self._pause)
        self._hub_thread = threading.get_ident()
        self._queues: dict[str, deque[green.Future]] = {}

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
        return _GatedLock(self, lock, path, timeout_s) if self._is_in_hub_thread else lock

    def enter_gate(self, path: str, timeout_s: float) -> None:
        """Green threads of this process queue up here, so that they never poll for a lock that one of them holds.
        Raises LockTimeout."""
        queue = self._queues.get(path)
        if queue is None:
            self._queues[path] = deque()
        else:
            self._wait_in_line(queue, path, timeout_s)

    def leave_gate(self, path: str) -> None:
        queue = self._queues[path]
        if queue:
            queue.popleft().set()
        else:
            del self._queues[path]

    def _wait_in_line(self, queue: deque[green.Future], path: str, timeout_s: float) -> None:
        turn = green.Future()
        queue.append(turn)
        try:
            turn.wait(timeout_s)
        except BaseException as error:
            if turn.is_set:
                self.leave_gate(path)
            else:
                queue.remove(turn)
            if isinstance(error, green.TimedOut):
                raise LockTimeout(path, timeout_s) from None
            raise


class _GatedLock:
    __slots__ = ("_fs", "_lock", "_path", "_timeout_s")

    def __init__(self, fs: GreenFs, lock: AbstractContextManager[None], path: str, timeout_s: float) -> None:
        self._fs = fs
        self._lock = lock
        self._path = path
        self._timeout_s = timeout_s

    def __enter__(self) -> None:
        self._fs.enter_gate(self._path, self._timeout_s)
        try:
            self._lock.__enter__()
        except BaseException:
            self._fs.leave_gate(self._path)
            raise

    def __exit__(self, *_: object) -> None:
        try:
            self._lock.__exit__(None, None, None)
        finally:
            self._fs.leave_gate(self._path)
