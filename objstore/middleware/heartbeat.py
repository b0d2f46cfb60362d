"""An answer that takes long: its status is out at once, a blank goes out now and then, the report stands at the end.

Proxies and clients with short patience then keep the connection. Used where the real status of the work is part of a
report in the body: copies and manifests with ?heartbeat=on, bulk operations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from objstore.runtime import green

INTERVAL_S = 10.0


class HeartbeatBody:
    """work: makes the report, in a green thread of its own; it raises nothing. abandon: called instead when nobody ever
    reads this. first: what goes out before anything is known."""

    def __init__(
        self,
        work: Callable[[], bytes],
        *,
        abandon: Callable[[], None] | None = None,
        first: bytes = b" ",
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._work = work
        self._abandon = abandon
        self._first = first
        self._interval_s = interval_s
        self._done = green.Future()
        self._task: green.Task | None = None

    def __iter__(self) -> Iterator[bytes]:
        self._task = green.spawn(self._run)
        if self._first:
            yield self._first
        while True:
            try:
                self._done.wait(self._interval_s)
                break
            except green.TimedOut:
                yield b" "
        yield self._task.join()

    def close(self) -> None:
        """The client left: work that is not done is given up, like an upload that is cut."""
        if self._task is None:
            if self._abandon is not None:
                self._abandon()
        elif not self._task.is_done:
            self._task.kill()

    def _run(self) -> bytes:
        try:
            return self._work()
        finally:
            self._done.set()
