"""Which servers let a deadline pass lately: a daemon with a thousand things to tell cannot wait for each of them anew.

Unlike silence.py nothing is asked in the background: a daemon's next pass comes anyway.
"""

from __future__ import annotations

from collections.abc import Callable

from objstore.http.client import ConnectFailed, PeerError, PeerTimedOut

SILENCE_S = 10.0
REFUSAL_S = 0.1
"""A connection that fails sooner was refused by a machine that is there."""

Address = tuple[str, int]


class RecentlySilent:
    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._until: dict[Address, float] = {}

    def __contains__(self, address: Address) -> bool:
        return self._until.get(address, 0.0) > self._monotonic()

    def failed(self, address: Address, error: PeerError, started_s: float) -> None:
        """An exchange that began at started_s failed. Only what cost time makes a server silent."""
        now = self._monotonic()
        if isinstance(error, PeerTimedOut) or (isinstance(error, ConnectFailed) and now - started_s >= REFUSAL_S):
            self._until[address] = now + SILENCE_S
