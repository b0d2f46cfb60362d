"""Counters and timings, sent to a StatsD server by UDP: one datagram an event, never waited for.

A metric is `name:value|c` (a count) or `name:value|ms` (a time); `|@0.1` behind it says that only one in ten was sent.
What belongs to one event travels in one datagram, a line each. A datagram that the kernel does not take at once, or
that nobody wants, is gone: work does not depend on who watches it. Source: the StatsD protocol
(github.com/statsd/statsd, docs/metric_types.md).

Whoever has nothing to send to holds None instead of a Statsd, and asks that one thing.
"""

from __future__ import annotations

import random
import re
import socket
from collections.abc import Callable

DATAGRAM_BYTES_MAX = 1400
"""What goes through any network in one piece."""
Metric = tuple[str, float, str]
"""(name, value, unit), as counted() and timed() make it."""
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]")


def name_part(text: str) -> str:
    """Text from outside (a device, a method) as one part of a metric's name: it cannot add a part or end the name."""
    return _NOT_IN_A_NAME.sub("_", text)[:100]


class CannotResolve(Exception):
    """The StatsD server's name has no address; the text says why."""


class Statsd:
    """One process' sender. prefix: before every name, without the dot; "" for none. rate: the share of events that are
    sent, 0 to 1. chance(): a number from 0 to 1. Made after the fork."""

    def __init__(
        self, host: str, port: int, prefix: str = "", rate: float = 1.0, chance: Callable[[], float] = random.random
    ) -> None:
        """Blocks while the name is looked up, once: an address of it is kept. Raises CannotResolve."""
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        except (OSError, UnicodeError) as error:
            raise CannotResolve(f"log_statsd_host = {host!r}: {error}") from None
        self._prefix = f"{prefix}." if prefix else ""
        self._rate = rate
        self._mark = f"|@{rate:g}" if rate < 1 else ""
        self._chance = chance
        self._socket = socket.socket(family, kind, protocol)
        self._socket.setblocking(False)
        self._socket.connect(address)

    def event(self, *metrics: Metric) -> None:
        """Send what belongs to one event. Never raises or blocks."""
        if self._rate < 1 and self._chance() >= self._rate:
            return
        datagram = b""
        for name, value, unit in metrics:
            line = f"{self._prefix}{name}:{value:.15g}|{unit}{self._mark}".encode("ascii", "replace")
            if datagram and len(datagram) + 1 + len(line) > DATAGRAM_BYTES_MAX:
                self._send(datagram)
                datagram = b""
            datagram = datagram + b"\n" + line if datagram else line
        if datagram:
            self._send(datagram)

    def __del__(self) -> None:
        # There may be none: the name had no address.
        if hasattr(self, "_socket"):
            self._socket.close()

    def _send(self, datagram: bytes) -> None:
        try:
            self._socket.send(datagram)
        except OSError:
            # Nobody listens there, or the buffer is full: this event is not told.
            return


def counted(name: str, amount: float = 1) -> Metric:
    return name, amount, "c"


def timed(name: str, seconds: float) -> Metric:
    return name, round(seconds * 1000, 4), "ms"
