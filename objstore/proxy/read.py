"""A read of one replica out of many: the first good answer wins, and a slow node costs the client nothing.

Nodes are asked in order. The next one is asked when one fails or knows nothing, and also, with concurrent gets, when
nobody has answered for `concurrency_s`; nobody is given up for being slow until `answer_s`. ReadPlan decides. The
winner's connection is handed over with its body unread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from objstore.http.client import PeerTimedOut
from objstore.http.status import HTTPStatus
from objstore.peers.exchange import BackendRequest, Caller, Exchange, wait_for_some
from objstore.proxy.fault import FaultLog
from objstore.proxy.nodes import Reading, Timings
from objstore.proxy.read_plan import Answer, ReadPlan
from objstore.ring.model import Node
from objstore.runtime import green


@dataclass(frozen=True, slots=True)
class ReadTimes:
    """Seconds: for a node's answer, before the next is asked too (None: never), and for stragglers nobody needs."""

    answer_s: float
    concurrency_s: float | None
    straggler_s: float


class Read:
    """run() once; then `winner` (its head is final, its body unread), or `status` and `last_head`."""

    def __init__(
        self,
        caller: Caller,
        faults: FaultLog,
        times: ReadTimes,
        request: BackendRequest,
        plan: ReadPlan,
        *,
        timings: Timings | None = None,
        use_replication: bool = False,
    ) -> None:
        self._caller = caller
        self._faults = faults
        self._times = times
        self._request = request
        self._timings = timings
        self._use_replication = use_replication
        self.plan = plan
        self.winner: Exchange | None = None
        self.heads: dict[int, dict[str, str]] = {}
        self._active: list[Exchange] = []

    @property
    def status(self) -> int:
        """The final status; of the winner when there is one."""
        if self.winner is not None:
            assert self.winner.head is not None
            return self.winner.head.status
        return self.plan.final()

    def run(self, whom: Reading, at_once: int = 1) -> Exchange | None:
        """at_once: nodes asked from the start; all primaries when the newest is wanted."""
        self._ask(whom.nodes, at_once)
        if self.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._ask(iter(whom.doubtful), at_once)
        return self.winner

    def _ask(self, nodes: Iterator[Node], at_once: int) -> None:
        has_more = True
        for _ in range(at_once):
            has_more = has_more and self._ask_next(nodes)
        try:
            while self._active or has_more:
                if self.plan.is_over:
                    break
                if not self._active:
                    has_more = self._ask_next(nodes)
                    continue
                settled = wait_for_some(self._active, self._deadline_s(has_more))
                for exchange in settled:
                    self._active.remove(exchange)
                    self._take(exchange, is_alone=len(settled) == 1 and not self._active)
                    if not self.plan.is_over and has_more and (self.winner is None or exchange.head is None):
                        has_more = self._ask_next(nodes)
                if not settled:
                    if has_more and self._times.concurrency_s is not None:
                        self._note_silent(self._times.concurrency_s)
                        has_more = self._ask_next(nodes)
                    elif not self._drop_silent():
                        break
        finally:
            for exchange in self._active:
                exchange.discard()
            self._active.clear()

    def _deadline_s(self, has_more: bool) -> float:
        now_s = green.monotonic()
        if has_more and self._times.concurrency_s is not None:
            return now_s + self._times.concurrency_s
        if self.winner is not None or self.plan.final() < HTTPStatus.INTERNAL_SERVER_ERROR:
            # The answer is known but for stragglers: they get a moment, not the whole timeout.
            return now_s + self._times.straggler_s
        return min(exchange.started_s for exchange in self._active) + self._times.answer_s

    def _ask_next(self, nodes: Iterator[Node]) -> bool:
        """Ask the next node that can be reached; False when there are no more."""
        for node in nodes:
            exchange = self._caller.start(node, self._request, use_replication=self._use_replication)
            if exchange.failure is None:
                self._active.append(exchange)
                return True
            self._faults.failed(node, exchange.failure)
            self.plan.fail(node.index is None)
        return False

    def _take(self, exchange: Exchange, *, is_alone: bool) -> None:
        """is_alone: nobody else has been asked and may answer, too."""
        node, head = exchange.node, exchange.head
        is_handoff = node.index is None
        if head is None:
            assert exchange.failure is not None
            self._faults.failed(node, exchange.failure)
            self.plan.fail(is_handoff)
            return
        if self._timings is not None:
            self._timings.record(node, green.monotonic() - exchange.started_s)
        if head.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._faults.refused(node, head.status)
            self.plan.fail(is_handoff)
            self._let_go(exchange)
            return
        self.heads.setdefault(head.status, head.headers)
        if is_alone and self.plan.accept(head.status, is_handoff):
            self.winner = exchange
        elif self.plan.consider(Answer.of(head.status, head.headers, is_handoff)):
            self._let_go(self.winner)
            self.winner = exchange
        else:
            self._let_go(exchange)
            if self.plan.best is None:
                self._let_go(self.winner)
                self.winner = None

    def _let_go(self, exchange: Exchange | None) -> None:
        """An answer that is not needed: short ones are read, so that the connection can be used again."""
        if exchange is None or exchange.head is None:
            return
        length = exchange.head.length
        if length is not None and length <= _DRAIN_BYTES:
            exchange.read_body(self._times.straggler_s)
        else:
            exchange.discard()

    def _note_silent(self, patience_s: float) -> None:
        """Other requests need not wait for those that we have waited for."""
        since_s = green.monotonic() - patience_s
        for exchange in self._active:
            if exchange.started_s <= since_s:
                self._faults.silent(exchange.node)

    def _drop_silent(self) -> bool:
        """Give up who has had its time; False when the answer is known, so that the rest is not needed."""
        if self.winner is not None or self.plan.final() < HTTPStatus.INTERNAL_SERVER_ERROR:
            for exchange in self._active:
                self._faults.failed(exchange.node, PeerTimedOut(f"no answer to {exchange.request.method}"))
            return False
        now_s = green.monotonic()
        for exchange in list(self._active):
            # The sum that the deadline was, to the bit: (a + b) - b may be less than a, and nobody would be overdue.
            if exchange.started_s + self._times.answer_s <= now_s:
                self._active.remove(exchange)
                exchange.fail(PeerTimedOut(f"no answer to {exchange.request.method}"))
                self._faults.failed(exchange.node, exchange.failure or PeerTimedOut("no answer"))
                self.plan.fail(exchange.node.index is None)
        return True


_DRAIN_BYTES = 4096
