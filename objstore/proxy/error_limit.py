"""ErrorLimiter: nodes that fail are left alone for a while. One per worker; nothing is shared.

More than `limit` errors without an interval of calm, or one answer of 507, and the node is skipped for `interval_s`
after its last error. Its requests go to the next node in order; replication brings home what handoffs took for it.
Source: features B4.11.

A node that lets a deadline pass is left alone at the first time, but only until it answers (peers/silence.py): a frozen
machine costs one request half a second, not every request ten times.
"""

from __future__ import annotations

from objstore.peers.silence import Silences
from objstore.ring.model import Node
from objstore.runtime.clock import Clock

_Key = tuple[str, int, str]


class ErrorLimiter:
    def __init__(self, limit: int, interval_s: float, clock: Clock, silences: Silences) -> None:
        self._limit = limit
        self._interval_s = interval_s
        self._clock = clock
        self._silences = silences
        self._errors: dict[_Key, tuple[int, float]] = {}

    def record(self, node: Node) -> bool:
        """Count an error; True when the node is skipped from now on and was not before."""
        count, last = self._errors.get(_key(node), (0, 0.0))
        now = self._clock.monotonic()
        if count and now - last > self._interval_s:
            count = 0
        self._errors[_key(node)] = (count + 1, now)
        return count == self._limit

    def suppress(self, node: Node) -> bool:
        """Skip the node from now on (its device is full or unmounted); True when it was not skipped before."""
        was_limited = self.is_limited(node)
        self._errors[_key(node)] = (self._limit + 1, self._clock.monotonic())
        return not was_limited

    def heard_nothing(self, node: Node) -> bool:
        """The node let a deadline pass: skip it until it answers. True when it was not skipped for that before."""
        return self._silences.heard_nothing(node.address, node.device.machine)

    def is_unheard(self, node: Node) -> bool:
        """Whether the node is skipped because it let a deadline pass, and has not answered since."""
        return self._silences.is_unheard(node.address)

    def is_limited(self, node: Node) -> bool:
        """Whether requests do without the node for now."""
        if not self._silences.is_calm and self._silences.is_silent(node.address, node.device.machine):
            return True
        if not self._errors:
            return False
        found = self._errors.get(_key(node))
        if found is None:
            return False
        count, last = found
        if self._clock.monotonic() - last > self._interval_s:
            del self._errors[_key(node)]
            return False
        return count > self._limit


def _key(node: Node) -> _Key:
    device = node.device
    return device.ip, device.port, device.device
