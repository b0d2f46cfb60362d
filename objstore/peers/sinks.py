"""Sinks: the same body to several nodes from one green thread, with no blocking send to any of them.

A Sink is an exchange that has said 100 Continue, and what of the current block it has not taken yet. push() offers a
block to all and returns when everybody has it in its socket's buffer; who takes nothing for `stall_s` while enough
others go on is dropped. Blocks are views of the caller's buffer, shared by all sinks: it may be reused after push().
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from objstore.http.client import PIECES_AT_MOST, PeerBroken, PeerError, PeerTimedOut
from objstore.http.status import HTTPStatus
from objstore.peers.exchange import Exchange
from objstore.runtime import green

Piece = bytes | memoryview


class Sink:
    """exchange: settled with a 100."""

    __slots__ = ("exchange", "is_framed", "takes_crc", "takes_targets", "_backlog", "_progress_s")

    def __init__(
        self, exchange: Exchange, *, is_framed: bool, takes_crc: bool = False, takes_targets: bool = False
    ) -> None:
        """is_framed: it takes the MIME documents of formats 6.6, else the bare body; takes_crc: and a CRC32C;
        takes_targets: and more servers to update."""
        self.exchange = exchange
        self.is_framed = is_framed
        self.takes_crc = takes_crc
        self.takes_targets = takes_targets
        self._backlog: deque[Piece] = deque()
        self._progress_s = green.monotonic()

    @property
    def is_idle(self) -> bool:
        return not self._backlog

    @property
    def stalled_since_s(self) -> float:
        return self._progress_s

    def offer(self, pieces: Sequence[Piece]) -> None:
        self._backlog.extend(pieces)
        self._progress_s = green.monotonic()

    def advance(self) -> None:
        """Send what the kernel takes now. Raises PeerError."""
        connection = self.exchange.connection
        while self._backlog:
            sent = connection.try_send_pieces(list(islice(self._backlog, PIECES_AT_MOST)))
            if sent == 0:
                return
            self._progress_s = green.monotonic()
            self._strike_off(sent)

    def _strike_off(self, sent: int) -> None:
        while sent:
            piece = self._backlog[0]
            if sent < len(piece):
                self._backlog[0] = memoryview(piece)[sent:]
                return
            sent -= len(piece)
            self._backlog.popleft()


class Sinks:
    """needed: how many must stay; with fewer the upload has failed. on_lost: told of every sink that is dropped."""

    def __init__(
        self,
        sinks: Sequence[Sink],
        needed: int,
        stall_s: float,
        patience_s: float,
        on_lost: Callable[[Sink, PeerError], None],
    ) -> None:
        """stall_s: for a sink that the others can do without; patience_s: for one that they cannot."""
        self.live = list(sinks)
        self._needed = needed
        self._stall_s = stall_s
        self._patience_s = patience_s
        self._on_lost = on_lost

    @property
    def is_enough(self) -> bool:
        return len(self.live) >= self._needed

    def push_to_all(self, pieces: Sequence[Piece]) -> None:
        """push() of the same pieces to everybody."""
        self.push(lambda _: pieces)

    def push(self, pieces_of: Callable[[Sink], Sequence[Piece]]) -> None:
        """Offer a block to every sink and wait until each has taken it or is dropped. Check is_enough afterwards."""
        for sink in self.live:
            sink.offer(pieces_of(sink))
        waiting = self._advance(self.live)
        while waiting and self.is_enough:
            limit_s = self._stall_s if len(self.live) > self._needed else self._patience_s
            wait_s = max(0.0, min(sink.stalled_since_s for sink in waiting) + limit_s - green.monotonic())
            green.wait_any((), [sink.exchange.connection.fd for sink in waiting], wait_s)
            waiting = self._advance(waiting)
            self._drop_stalled(waiting, limit_s)
            waiting = [sink for sink in waiting if sink in self.live]

    def drop_ended(self) -> None:
        """Drop who has closed the connection or answered already: the kernel takes bytes for one that is dead, too."""
        for sink in list(self.live):
            try:
                head = sink.exchange.connection.try_read_head()
            except PeerError as error:
                self._lose(sink, error)
                continue
            if head is not None and head.status >= HTTPStatus.OK:
                self._lose(sink, PeerBroken(f"answered {head.status} before the end of the body"))

    def close(self) -> None:
        """Abandon the upload: the servers see it end early and keep nothing."""
        for sink in self.live:
            sink.exchange.discard()
        self.live.clear()

    def _advance(self, sinks: Sequence[Sink]) -> list[Sink]:
        """Those that still have something to send."""
        waiting = []
        for sink in list(sinks):
            try:
                sink.advance()
            except PeerError as error:
                self._lose(sink, error)
                continue
            if not sink.is_idle:
                waiting.append(sink)
        return waiting

    def _drop_stalled(self, sinks: Sequence[Sink], limit_s: float) -> None:
        now_s = green.monotonic()
        for sink in sinks:
            # One at a time: the next may be the one that the others cannot do without.
            limit_now_s = self._stall_s if len(self.live) > self._needed else self._patience_s
            if now_s - sink.stalled_since_s >= limit_now_s:
                self._lose(sink, PeerTimedOut(f"took nothing for {limit_now_s:g} s"))

    def _lose(self, sink: Sink, error: PeerError) -> None:
        self.live.remove(sink)
        sink.exchange.fail(error)
        self._on_lost(sink, error)
