"""Jobs that were found and wait for their turn: bounded, and handed out so that all devices have work.

Between the one who draws jobs and the workers who run them; everything here is called from green threads of one hub.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from objstore.daemon.pass_ import Job
from objstore.runtime.green import Semaphore

J = TypeVar("J", bound=Job)


class Backlog(Generic[J]):
    """size: jobs that may wait. A job is taken from the device that has the fewest running, oldest first."""

    def __init__(self, size: int) -> None:
        assert size > 0
        self._room = Semaphore(size)
        self._items = Semaphore(0)
        self._waiting: dict[str, deque[J]] = {}
        self._running: dict[str, int] = {}
        self._is_closed = False

    def put(self, job: J) -> None:
        """Waits for room."""
        assert not self._is_closed
        self._room.acquire()
        self._waiting.setdefault(job.device, deque()).append(job)
        self._items.release()

    def close(self) -> None:
        """There will be no more: who takes gets what is left, then None."""
        self._is_closed = True
        self._items.release()

    def take(self) -> J | None:
        """The next job; waits for one. None at the end. The taker says done() for it."""
        self._items.acquire()
        if not self._waiting:
            assert self._is_closed
            # The next taker shall find the end too.
            self._items.release()
            return None
        device = min(self._waiting, key=lambda name: self._running.get(name, 0))
        jobs = self._waiting[device]
        job = jobs.popleft()
        if not jobs:
            del self._waiting[device]
        self._running[device] = self._running.get(device, 0) + 1
        self._room.release()
        return job

    def done(self, job: J) -> None:
        left = self._running[job.device] - 1
        if left:
            self._running[job.device] = left
        else:
            del self._running[job.device]
