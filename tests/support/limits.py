"""Error limiters whose silent nodes answer when a test says so, without servers."""

from __future__ import annotations

from objstore.peers.silence import Silences
from objstore.proxy.error_limit import ErrorLimiter
from objstore.runtime import green
from objstore.runtime.clock import SystemClock


def limiter(limit=10, interval_s=60.0, clock=None, answers=lambda _: True):
    """answers: what a silent node's address gives when it is asked how it is; at once, unless it waits."""
    return ErrorLimiter(limit, interval_s, clock or SystemClock(), Silences(answers))


class Frozen:
    """Nobody answers until thaw(). asked: the addresses that were asked, in order."""

    def __init__(self):
        self.asked = []
        self._thawed = green.Future()

    def __call__(self, address):
        self.asked.append(address)
        return self._thawed.wait()

    def thaw(self):
        self._thawed.set(True)
        settle()


def settle():
    """Let every green thread that can go on do so."""
    for _ in range(3):
        green.sleep(0)
