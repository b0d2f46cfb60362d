"""Natural group commit: rows that arrive for one database while a write is on its way share the next write.

The first row of a quiet database starts a drain; the drain takes all that has queued, writes it with one fdatasync,
wakes everybody whose row was in it, and goes on until nothing is queued. Under load the batches grow by themselves; a
lone row waits for nobody. The drain is a green thread of its own, so that a caller that is killed takes nobody with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from objstore.runtime.green import Future, spawn

Key = TypeVar("Key")

BATCH_RECORDS_MAX = 1000
"""Records of one write; more wait for the next, so that one write never holds the lock for long."""


class AppendGroups(Generic[Key]):
    """write(key, records) makes records durable, in a thread where it can stall; it raises for all of them together.

    after(key) runs once the writers of a batch have been woken; it must not raise.
    """

    def __init__(self, write: Callable[[Key, Sequence[bytes]], None], after: Callable[[Key], None]) -> None:
        self._write = write
        self._after = after
        self._queues: dict[Key, list[tuple[Sequence[bytes], Future]]] = {}

    def append(self, key: Key, records: Sequence[bytes]) -> None:
        """Return when the records are durable; raise what write() raised."""
        done = Future()
        queue = self._queues.get(key)
        if queue is None:
            self._queues[key] = [(records, done)]
            spawn(self._drain, key)
        else:
            queue.append((records, done))
        done.wait()

    def _drain(self, key: Key) -> None:
        while self._queues[key]:
            batch = self._next_batch(key)
            try:
                self._write(key, [record for records, _ in batch for record in records])
            except Exception as error:  # Every writer of the batch hears of it; the next batch may fare better.
                for _, done in batch:
                    done.fail(error)
                continue
            for _, done in batch:
                done.set()
            self._after(key)
        del self._queues[key]

    def _next_batch(self, key: Key) -> list[tuple[Sequence[bytes], Future]]:
        queue, size, count = self._queues[key], 0, 0
        for records, _ in queue:
            size, count = size + len(records), count + 1
            if size >= BATCH_RECORDS_MAX:
                break
        self._queues[key] = queue[count:]
        return queue[:count]
