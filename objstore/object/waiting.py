"""Green threads that wait for a verdict which another one brings.

A Future with a deadline costs two timers a wait. Here all verdicts of one turn of the hub share one, and one sweep
finds everybody whose time is over: all wait equally long, so the first to come is the first to go.
"""

from __future__ import annotations

import logging
from typing import Any

from objstore.runtime import green
from objstore.runtime.green import monotonic

SWEEP_S = 0.05
"""Deadlines are kept to this grain, where nothing else is asked for."""
_log = logging.getLogger("objstore.object")


class Ticket:
    """outcome: None until somebody brought it."""

    __slots__ = ("outcome", "until", "waiter")

    def __init__(self) -> None:
        self.outcome: Any = None
        self.until = 0.0
        self.waiter: Any = None


class WaitingRoom:
    """timeout_s: how long everybody waits at most. grain_s: how exactly that is kept."""

    def __init__(self, timeout_s: float, *, grain_s: float = SWEEP_S) -> None:
        self._timeout_s = timeout_s
        self._grain_s = grain_s
        self._waiting: dict[Ticket, None] = {}
        self._told: list[Ticket] = []
        self._is_sweeping = False

    def wait(self, ticket: Ticket) -> Any:
        """The outcome; None when the time is over."""
        ticket.until = monotonic() + self._timeout_s
        ticket.waiter = green.current()
        self._waiting[ticket] = None
        if not self._is_sweeping:
            self._sweep_in(self._timeout_s)
        try:
            green.park()
        finally:
            ticket.waiter = None
            self._waiting.pop(ticket, None)
        return ticket.outcome

    def tell(self, ticket: Ticket, outcome: Any) -> None:
        """Bring an outcome, not None; who waits goes on in the next turn of the hub."""
        ticket.outcome = outcome
        if not self._told:
            green.call_after(0, self._wake_told)
        self._told.append(ticket)

    def tell_now(self, ticket: Ticket, outcome: Any) -> None:
        """As tell(), from a callback of the hub: who waits goes on at once."""
        ticket.outcome = outcome
        _wake(ticket)

    def _wake_told(self) -> None:
        told, self._told = self._told, []
        for ticket in told:
            _wake(ticket)

    def _sweep_in(self, seconds: float) -> None:
        self._is_sweeping = True
        green.call_after(max(seconds, self._grain_s), self._sweep)

    def _sweep(self) -> None:
        self._is_sweeping = False
        now = monotonic()
        late = []
        for ticket in self._waiting:
            if ticket.until > now:
                self._sweep_in(ticket.until - now)
                break
            late.append(ticket)
        for ticket in late:
            _wake(ticket)


def _wake(ticket: Ticket) -> None:
    waiter, ticket.waiter = ticket.waiter, None
    if waiter is None:
        return  # Gone meanwhile: its time was over, or it was killed.
    try:
        waiter.switch()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        # A spawned waiter that ends with an error raises it here, in its parent. Its Task has it for whoever joins.
        _log.debug("a task ended with %r", error)
