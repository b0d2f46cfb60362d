"""Turns: whoever works for long in the hub's thread lets others go first now and then."""

from __future__ import annotations

from objstore.runtime import green

TURN_S = 0.005


class Turns:
    __slots__ = ("_since_s",)

    def __init__(self) -> None:
        self._since_s = green.monotonic()

    def give(self) -> None:
        """To be called often: gives a turn away when TURN_S have passed since the last."""
        if green.monotonic() - self._since_s > TURN_S:
            green.sleep(0)
            self._since_s = green.monotonic()
