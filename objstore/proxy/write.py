"""A small write to every replica at once: accounts, containers, object POST, DELETE and PUTs that fit in one send.

One green thread, no waiting on any single node. First everybody is connected to, so that the requests can be made
knowing who serves them (targets.py). A node that refuses (no connection, 5xx, 507) is replaced by the next handoff at
once; one that is silent for `lend_s` while the quorum is missing gets a handoff beside it. Once a quorum has answered
the rest get `post_quorum_s`, because a write that all replicas have needs no repair; for who is silent even then a
handoff takes the write. Nodes under error limiting are asked when the quorum cannot be had without them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from objstore.http.client import PeerTimedOut
from objstore.http.status import HTTPStatus, is_success
from objstore.peers.exchange import BackendRequest, Caller, Exchange, wait_for_some
from objstore.proxy.fault import FaultLog
from objstore.proxy.orphans import adopted, telling_again
from objstore.proxy.quorum import WriteQuorum
from objstore.proxy.targets import RequestPlan
from objstore.ring.model import Node
from objstore.runtime import green


@dataclass(frozen=True, slots=True)
class WriteTimes:
    """Seconds: for a node's answer, before a handoff stands in, and for the stragglers after the quorum."""

    answer_s: float
    lend_s: float
    post_quorum_s: float


@dataclass(frozen=True, slots=True)
class WriteReply:
    """A node's final answer, body read."""

    slot: int
    status: int
    headers: dict[str, str]
    body: bytes


class Write:
    """run() once, then `status` and `replies`."""

    def __init__(
        self,
        caller: Caller,
        faults: FaultLog,
        times: WriteTimes,
        plan: RequestPlan,
        replica_count: int,
        *,
        is_forgiving: bool = False,
        use_replication: bool = False,
    ) -> None:
        """replica_count: slots that vote, the first ones. The others are sent the first one's request, and not waited
        for."""
        self._caller = caller
        self._faults = faults
        self._times = times
        self._plan = plan
        self._use_replication = use_replication
        self.quorum = WriteQuorum(replica_count, is_forgiving=is_forgiving)
        self.replies: list[WriteReply] = []
        self._voters = replica_count
        self._requests: Sequence[BackendRequest] = ()
        self._active: list[Exchange] = []
        self._lent: set[int] = set()
        self._unserved: list[int] = []
        self._stored: dict[int, Node] = {}
        self._handoffs: Iterator[Node] = iter(())
        self._doubtful: Iterator[Node] = iter(())

    @property
    def status(self) -> int:
        return self.quorum.final()

    def reply_for(self, status: int) -> WriteReply | None:
        """The first reply of that status: the one whose headers and text the client gets."""
        return next((reply for reply in self.replies if reply.status == status), None)

    def run(self, slots: Sequence[Node | None], handoffs: Iterator[Node], doubtful: Iterable[Node] = ()) -> int:
        """slots: their nodes, None for one that needs a handoff. doubtful: nodes of the last resort."""
        self._handoffs = handoffs
        self._doubtful = iter(doubtful)
        self._start_all(slots)
        started_s = green.monotonic()
        give_up_s = started_s + self._times.answer_s
        lend_at_s = min(started_s + self._times.lend_s, give_up_s)
        while self._active or self._resort():
            if self._is_decided:
                if self._is_every_slot_served:
                    break
                give_up_s = min(give_up_s, green.monotonic() + self._times.post_quorum_s)
                lend_at_s = give_up_s
            for exchange in wait_for_some(self._active, min(give_up_s, lend_at_s)):
                self._active.remove(exchange)
                self._take(exchange)
            now_s = green.monotonic()
            if now_s >= lend_at_s:
                is_done = self.quorum.has_success or self.quorum.is_forgiven
                is_lent = (is_done or not self._is_decided) and self._stand_in()
                if now_s >= give_up_s and not is_lent:
                    break
                if is_done:
                    give_up_s = now_s + self._times.post_quorum_s
                lend_at_s = give_up_s
        self._abandon()
        if self._unserved and self.quorum.has_success:
            self._tell_again()
        return self.status

    def _tell_again(self) -> None:
        """Have a server that did the write tell the update targets of those that fell away with nobody in their place.
        Who was only silent tells them when it goes on."""
        told = set(range(self._voters)) - {slot for slot in self._unserved if not self.quorum.has_succeeded(slot)}
        for slot, footers in adopted(self._requests[: self._voters], told, list(self._stored)[:1]).items():
            request = self._requests[slot]
            etag = next((value for name, value in request.headers if name == "Etag"), "")
            if request.method == "DELETE" or (request.method == "PUT" and etag):
                again = telling_again(request, footers, etag)
                exchange = self._caller.start(self._stored[slot], again, use_replication=self._use_replication)
                if exchange.failure is None:
                    wait_for_some([exchange], green.monotonic() + self._times.lend_s)
                exchange.discard()

    def _start_all(self, slots: Sequence[Node | None]) -> None:
        reached = [self._reach(slot, node) for slot, node in enumerate(slots)]
        servers = [None if exchange is None else exchange.node for exchange in reached]
        self._requests = self._plan(servers[: self._voters])
        for slot, exchange in enumerate(reached):
            if exchange is None:
                self._leave(slot)
            else:
                self._send(exchange)

    @property
    def _is_decided(self) -> bool:
        """Nothing that is still to come changes what the client hears."""
        quorum = self.quorum
        if quorum.has_success or quorum.is_forgiven:
            return True
        return quorum.verdict() is not None and not quorum.can_succeed(
            exchange.slot for exchange in self._active if exchange.slot < self._voters
        )

    @property
    def _is_every_slot_served(self) -> bool:
        """Who is still silent has a handoff that was not."""
        silent = {exchange.slot for exchange in self._active}
        return all(slot < self._voters and self.quorum.has_succeeded(slot) for slot in silent)

    def _reach(self, slot: int, node: Node | None) -> Exchange | None:
        """A connection to the node, or to the next handoff when there is none or it cannot be reached."""
        while True:
            if node is None:
                node = next(self._handoffs, None) if slot < self._voters else None
                if node is None:
                    return None
            exchange = self._caller.connect(node, slot=slot, use_replication=self._use_replication)
            if exchange.failure is None:
                return exchange
            self._faults.failed(node, exchange.failure)
            node = None

    def _send(self, exchange: Exchange) -> None:
        exchange.send(self._requests[exchange.slot if exchange.slot < self._voters else 0])
        if exchange.failure is None:
            self._active.append(exchange)
        else:
            self._faults.failed(exchange.node, exchange.failure)
            self._start(exchange.slot, None)

    def _start(self, slot: int, node: Node | None) -> None:
        exchange = self._reach(slot, node)
        if exchange is None:
            self._leave(slot)
        else:
            self._send(exchange)

    def _leave(self, slot: int) -> None:
        """Nobody serves the slot, but perhaps the last resort."""
        if slot < self._voters:
            self._unserved.append(slot)
            self._vote(slot, HTTPStatus.SERVICE_UNAVAILABLE)

    def _resort(self) -> bool:
        """Give the slots that nobody serves to doubtful nodes; True when one of those was reached."""
        if self._is_decided:
            return False
        count = len(self._active)
        self._handoffs = self._doubtful
        unserved, self._unserved = self._unserved, []
        for slot in unserved:
            self._start(slot, None)
        return len(self._active) > count

    def _take(self, exchange: Exchange) -> None:
        head = exchange.head
        body = exchange.read_body(self._times.answer_s) if head is not None else None
        if head is None or body is None:
            assert exchange.failure is not None
            self._faults.failed(exchange.node, exchange.failure)
            return self._start(exchange.slot, None)
        if head.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._faults.refused(exchange.node, head.status)
            return self._start(exchange.slot, None)
        self.replies.append(WriteReply(exchange.slot, head.status, head.headers, body))
        if is_success(head.status) and exchange.slot < self._voters:
            self._stored[exchange.slot] = exchange.node
        return self._vote(exchange.slot, head.status)

    def _vote(self, slot: int, status: int) -> None:
        if slot < self._voters:
            self.quorum.vote(slot, status)

    def _stand_in(self) -> bool:
        """A handoff beside every silent node; whichever of the two answers first speaks for the slot. False when nobody
        was asked."""
        count = len(self._active)
        for exchange in self._active[:]:
            if exchange.slot in self._lent or exchange.slot >= self._voters:
                continue
            self._lent.add(exchange.slot)
            self._faults.silent(exchange.node)
            node = next(self._handoffs, None)
            if node is not None:
                self._start(exchange.slot, node)
        if not self._is_decided:
            self._resort()
        return len(self._active) > count

    def _abandon(self) -> None:
        for exchange in self._active:
            self._faults.failed(exchange.node, PeerTimedOut(f"no answer to {exchange.request.method}"))
            exchange.discard()
        self._active.clear()
