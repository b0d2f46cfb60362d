"""Several transfers at once, in native threads, and how far they are.

A worker thread has one file at a time; the network is used by so many at once as there are slots, whatever number of
pieces a file is cut into.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

from objstore.client.errors import ClientError, Stopped

T = TypeVar("T")
R = TypeVar("R")
TICK_S = 0.1
_WAITING_PER_THREAD = 4


class Kind(Enum):
    COPIED = "copied"
    SKIPPED = "skipped"
    """There already, the same."""
    LEFT_OUT = "left out"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one file or object. why: of what was left out or failed. is_verified: whether every byte was
    compared with a checksum."""

    kind: Kind
    source: str
    destination: str = ""
    size_bytes: int = 0
    why: str = ""
    is_verified: bool = True


@dataclass(frozen=True, slots=True)
class Job:
    """do(): what came of it, or raises ClientError or OSError, which is a failure of this job alone."""

    source: str
    destination: str
    size_bytes: int
    do: Callable[[], Done]


@dataclass(slots=True)
class Transfer:
    """One that is under way."""

    name: str
    size_bytes: int
    done_bytes: int = 0


@dataclass
class Progress:
    """Counters of everything; read by whoever draws them, written by the workers."""

    files: int = 0
    size_bytes: int = 0
    files_done: int = 0
    done_bytes: int = 0
    began_s: float = field(default_factory=time.monotonic)
    is_complete: bool = False
    _under_way: list[Transfer] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def expect(self, size_bytes: int) -> None:
        with self._lock:
            self.files += 1
            self.size_bytes += size_bytes

    @contextmanager
    def of(self, job: Job) -> Iterator[None]:
        transfer = Transfer(job.source, job.size_bytes)
        _here.transfer = transfer
        with self._lock:
            self._under_way.append(transfer)
        try:
            yield
        finally:
            with self._lock:
                self._under_way.remove(transfer)
                self.files_done += 1
                # Whatever was not sent because it was there, or failed, is no work left.
                self.done_bytes += transfer.size_bytes - transfer.done_bytes

    def resize(self, size_bytes: int) -> None:
        """The job of this thread turns out to be of another size than was expected."""
        transfer: Transfer | None = getattr(_here, "transfer", None)
        if transfer is not None:
            with self._lock:
                self.size_bytes += size_bytes - transfer.size_bytes
                transfer.size_bytes = size_bytes

    def counter(self) -> Callable[[int], None]:
        """The counter of this thread's job, which the threads that work for the job share."""
        transfer: Transfer | None = getattr(_here, "transfer", None)

        def count(more_bytes: int) -> None:
            with self._lock:
                self.done_bytes += more_bytes
                if transfer is not None:
                    transfer.done_bytes += more_bytes

        return count

    def under_way(self) -> list[Transfer]:
        with self._lock:
            return list(self._under_way)


_here = threading.local()


class Workers:
    """at_once: transfers over the network. stop(): makes whatever they do end soon."""

    def __init__(self, at_once: int, stop: Callable[[], None], progress: Progress | None = None) -> None:
        self.at_once = at_once
        self.slots = threading.BoundedSemaphore(at_once)
        self.progress = progress or Progress()
        self._stop = stop

    def run(self, jobs: Iterable[Job | Done], tick: Callable[[], None] = lambda: None) -> Iterator[Done]:
        """What came of each, as it comes. A Done among the jobs is passed on. Jobs are drawn from their stream as
        there is room for them; tick() is called now and then, from the thread that iterates.

        Whatever ends the iteration early (Ctrl-C among it) stops the workers and waits for them."""
        stream = iter(jobs)
        waiting: set[Future[Done]] = set()
        is_more = True
        with ThreadPoolExecutor(self.at_once, thread_name_prefix="transfer") as pool:
            try:
                while is_more or waiting:
                    while is_more and len(waiting) < self.at_once * _WAITING_PER_THREAD:
                        job = next(stream, None)
                        if job is None:
                            is_more, self.progress.is_complete = False, True
                        elif isinstance(job, Done):
                            yield job
                        else:
                            self.progress.expect(job.size_bytes)
                            waiting.add(pool.submit(self._one, job))
                    finished, waiting = wait(waiting, TICK_S, FIRST_COMPLETED)
                    tick()
                    for future in finished:
                        yield future.result()
            except BaseException:
                self._stop()
                for future in waiting:
                    future.cancel()
                raise

    def _one(self, job: Job) -> Done:
        with self.progress.of(job):
            try:
                return job.do()
            except Stopped as error:
                return _failed(job, str(error))
            except ClientError as error:
                return _failed(job, str(error))
            except OSError as error:
                return _failed(job, _said(error))

    def pieces(self, items: Sequence[T], do: Callable[[T], R]) -> list[R]:
        """do() of every piece of one file, as many at once as there are slots; the results in order. The first that
        raises ends those that have not begun, and is raised."""
        transfer = getattr(_here, "transfer", None)

        def one(item: T) -> R:
            _here.transfer = transfer
            with self.slots:
                return do(item)

        if len(items) == 1:
            return [one(items[0])]
        with ThreadPoolExecutor(min(self.at_once, len(items)), thread_name_prefix="piece") as pool:
            futures = [pool.submit(one, item) for item in items]
            try:
                return [future.result() for future in futures]
            except BaseException:
                for future in futures:
                    future.cancel()
                raise


def _failed(job: Job, why: str) -> Done:
    return Done(Kind.FAILED, job.source, job.destination, job.size_bytes, why)


def _said(error: OSError) -> str:
    what = error.strerror or str(error) or type(error).__name__
    return f"{what}: {error.filename}" if error.filename else what
