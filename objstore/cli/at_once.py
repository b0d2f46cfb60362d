"""Ask several things at once, and do not wait for those that stall."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


def within(asked: Mapping[K, Callable[[], T]], deadline_s: float) -> dict[K, T]:
    """Call all, each in a thread of its own; the answers that came within the deadline, by key, in the order asked.

    A call that stalls is left behind: its thread ends with the process. A call must not raise; one that does counts
    as one that did not answer.
    """
    answers: queue.SimpleQueue[tuple[K, T]] = queue.SimpleQueue()

    def ask(key: K) -> None:
        answers.put((key, asked[key]()))

    for key in asked:
        threading.Thread(target=ask, args=(key,), daemon=True).start()
    until = time.monotonic() + deadline_s
    came: dict[K, T] = {}
    while len(came) < len(asked):
        try:
            key, answer = answers.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            break
        came[key] = answer
    return {key: came[key] for key in asked if key in came}
