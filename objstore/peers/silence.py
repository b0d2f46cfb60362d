"""Silences: servers that let a deadline pass, left alone until they answer again.

A frozen process still accepts connections, so every request that is put to it costs its whole patience. Who has waited
in vain says so with heard_nothing(). From then on is_silent() holds until the server has answered an OPTIONS, which a
green thread puts to it at once and waits for: one that was merely slow with a request is trusted again within
milliseconds, one that is frozen as soon as it goes on, and no client waits for finding out.

Servers that share a machine often freeze together, and each would cost a request its patience. So while one of a group
is silent the others are under suspicion: the first request that wants one goes elsewhere, and has it asked as well.
What answers is trusted whatever its group does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable

from objstore.http.client import ConnectionPool, ConnectTimedOut, PeerError, PeerTimedOut, request
from objstore.runtime import green

Address = tuple[str, int]
Answers = Callable[[Address], bool]
"""Put a question to a server and wait: False when it let the time pass. Raises nothing."""

LAPSE_S = 60.0
"""Silent for so long, a server is tried again by a request, as with error limiting: our question may be lost."""
PATIENCE_S = 5.0
"""How long one question waits, on one connection."""
PAUSE_S = 0.5
_REPLY_BYTES = 65536
_log = logging.getLogger("objstore.peers")


def options(address: Address) -> bool:
    """Answers by OPTIONS /, which every storage server knows (formats 6.1). A refusal or a broken connection is an
    answer, too: it costs nobody time."""
    host, port = address
    named = f"[{host}]" if ":" in host else host
    headers = [("Host", f"{named}:{port}"), ("Connection", "close"), ("Content-Length", "0")]
    try:
        request(
            ConnectionPool(), host, port, "OPTIONS", "/", headers,
            connect_timeout_s=PATIENCE_S, timeout_s=PATIENCE_S, max_body_bytes=_REPLY_BYTES,
        )  # fmt: skip
    except (ConnectTimedOut, PeerTimedOut):
        return False
    except PeerError:
        return True
    return True


class Silences:
    """One per process. Its green threads end when their server answers, after lapse_s at the latest."""

    def __init__(self, answers: Answers = options, lapse_s: float = LAPSE_S) -> None:
        self._answers = answers
        self._lapse_s = lapse_s
        self._silent: dict[Address, Hashable] = {}
        self._cleared: dict[Hashable, set[Address]] = {}

    def heard_nothing(self, address: Address, group: Hashable = None) -> bool:
        """A request to the server let its deadline pass. True when that is news. group: what it shares its fate with,
        None for nothing."""
        if address in self._silent:
            return False
        self._suspect(address, group)
        return True

    @property
    def is_calm(self) -> bool:
        """Nobody is silent: nearly always."""
        return not self._silent

    def is_unheard(self, address: Address) -> bool:
        """Whether the server was asked and has not answered yet. Suspects nobody."""
        return address in self._silent

    def is_silent(self, address: Address, group: Hashable = None) -> bool:
        """Whether to do without the server for now."""
        if address in self._silent:
            return True
        cleared = self._cleared.get(group) if group is not None else None
        if cleared is None or address in cleared:
            return False
        self._suspect(address, group)
        return True

    def _suspect(self, address: Address, group: Hashable) -> None:
        self._silent[address] = group
        if group is not None:
            self._cleared.setdefault(group, set()).discard(address)
        green.spawn(self._ask, address)

    def _ask(self, address: Address) -> None:
        lapse_at_s = green.monotonic() + self._lapse_s
        has_answered = False
        try:
            while not (has_answered := self._answers(address)) and green.monotonic() < lapse_at_s:
                green.sleep(PAUSE_S)
        finally:
            self._trust(address)
        if not has_answered:
            _log.warning("peer=%s:%d silent for %.0f s: tried again", *address, self._lapse_s)

    def _trust(self, address: Address) -> None:
        group = self._silent.pop(address)
        if group is None:
            return
        if group in self._silent.values():
            self._cleared[group].add(address)
        else:
            del self._cleared[group]
