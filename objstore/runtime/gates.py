"""One green thread at a time, by key: those of one process queue up, in order, for what only one of them may do.

Behind a gate stands a lock that other processes see (flock). With the gate, the green threads of one process never poll
for a lock that one of them holds.
"""

from __future__ import annotations

from collections import deque

from objstore.core.errors import LockTimeout
from objstore.runtime.green import Future, TimedOut


class Gates:
    """Gates that exist while somebody is inside. Used in the hub's thread alone."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[Future]] = {}

    def __len__(self) -> int:
        """Keys that somebody is alone for."""
        return len(self._lines)

    def held(self, key: str, timeout_s: float) -> Held:
        """with gates.held(path, 10.0): alone for that key. Raises LockTimeout."""
        return Held(self, key, timeout_s)

    def enter(self, key: str, timeout_s: float) -> None:
        """Raises LockTimeout. Who has entered must leave()."""
        line = self._lines.get(key)
        if line is None:
            self._lines[key] = deque()
            return
        turn = Future()
        line.append(turn)
        try:
            turn.wait(timeout_s)
        except BaseException as error:
            if turn.is_set:
                self.leave(key)
            else:
                line.remove(turn)
            if isinstance(error, TimedOut):
                raise LockTimeout(key, timeout_s) from None
            raise

    def leave(self, key: str) -> None:
        line = self._lines[key]
        if line:
            line.popleft().set()
        else:
            del self._lines[key]


class Held:
    __slots__ = ("_gates", "_key", "_timeout_s")

    def __init__(self, gates: Gates, key: str, timeout_s: float) -> None:
        self._gates = gates
        self._key = key
        self._timeout_s = timeout_s

    def __enter__(self) -> None:
        self._gates.enter(self._key, self._timeout_s)

    def __exit__(self, *_: object) -> None:
        self._gates.leave(self._key)
