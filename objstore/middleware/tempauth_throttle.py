"""Slowing down whoever guesses keys: after a few wrong ones each further try from an address waits, up to 2 s.

A wait holds one green thread and nothing else; right keys from other addresses are not touched. Per worker.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from objstore.runtime import green

_FREE_FAILURES = 5
_FORGOTTEN_AFTER_S = 60.0
_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 2.0
_ADDRESSES = 4096


class Throttle:
    def __init__(
        self, sleep: Callable[[float], None] = green.sleep, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._sleep = sleep
        self._monotonic = monotonic
        self._failures: dict[str, tuple[int, float]] = {}

    def wait(self, address: str) -> None:
        """Before a key is looked at."""
        count, last = self._failures.get(address, (0, 0.0))
        if count < _FREE_FAILURES:
            return
        if self._monotonic() - last > _FORGOTTEN_AFTER_S:
            del self._failures[address]
            return
        self._sleep(min(_FIRST_DELAY_S * 2 ** min(count - _FREE_FAILURES, 10), _LONGEST_DELAY_S))

    def failed(self, address: str) -> None:
        if len(self._failures) >= _ADDRESSES and address not in self._failures:
            del self._failures[next(iter(self._failures))]
        count, _ = self._failures.get(address, (0, 0.0))
        self._failures[address] = (count + 1, self._monotonic())
