"""Which servers let a deadline pass lately: a daemon with a thousand things to tell cannot wait for each of them anew.

Unlike silence.py nothing is asked in the background: a server that answers OPTIONS at once may still be slow with whole
databases, and a daemon's next pass comes anyway.
"""

from __future__ import annotations

from collections.abc import Callable

SILENCE_S = 10.0

Address = tuple[str, int]


class RecentlySilent:
    """A node_client.Silence."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._until: dict[Address, float] = {}

    def is_silent(self, address: Address) -> bool:
        return self._until.get(address, 0.0) > self._monotonic()

    def heard_nothing(self, address: Address) -> None:
        self._until[address] = self._monotonic() + SILENCE_S
