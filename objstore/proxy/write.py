"""A small write to every replica at once: accounts, containers, object POST, DELETE and PUTs that fit in one send.

One green thread, no waiting on any single node. First everybody is connected to, so that the requests can be made
knowing who serves them (targets.py). A node that refuses (no connection, 5xx, 507) is replaced by the next handoff at
once; one that is silent for `lend_s` while the quorum is missing gets a handoff beside it. Once a quorum has answered
the rest get `post_quorum_s`, because a write that all replicas have needs no repair; for who is silent even then a
handoff takes the write. Nodes under error limiting are asked when the quorum cannot be had without them. While the
quorum is missing a slow node has all of `answer_s`; but where a quorum has answered and does not agree (a POST that one
replica took and another knows nothing of) nobody waits long for a node that does not even say that it is there.

Where primaries know nothing of an object that a POST is about, handoffs are asked, as for a read: it may have been
stored on them alone (quorum.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from objstore.http.client import PeerTimedOut
from objstore.http.status import HTTPStatus, is_success
from objstore.peers.exchange import Caller, Exchange, wait_for_some
from objstore.proxy.fault import FaultLog
from objstore.proxy.nodes import Writing
from objstore.proxy.orphans import adopted, telling_again
from objstore.proxy.quorum import WriteQuorum
from objstore.proxy.slots import Slots
from objstore.proxy.targets import RequestPlan
from objstore.ring.model import Node
from objstore.runtime import green


@dataclass(frozen=True, slots=True)
class WriteTimes:
    """Seconds: for a node's answer, before a handoff stands in, and for the stragglers after the quorum."""

    answer_s: float
    lend_s: float
    post_quorum_s: float


class WriteReply(NamedTuple):
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
        doubts_absence: bool = False,
        use_replication: bool = False,
    ) -> None:
        """replica_count: slots that vote, the first ones. The others are sent the first one's request, and not waited
        for."""
        self._times = times
        self._voters = replica_count
        self.quorum = WriteQuorum(replica_count, is_forgiving=is_forgiving, doubts_absence=doubts_absence)
        self.replies: list[WriteReply] = []
        self._slots = Slots(caller, faults, plan, replica_count, self.quorum.vote, use_replication=use_replication)
        self._stored: dict[int, Node] = {}
        self._has_looked_further = False

    @property
    def status(self) -> int:
        return self.quorum.final()

    def reply_for(self, status: int) -> WriteReply | None:
        """The first reply of that status: the one whose headers and text the client gets."""
        return next((reply for reply in self.replies if reply.status == status), None)

    def run(self, whom: Writing) -> int:
        self._slots.start(whom)
        started_s = green.monotonic()
        give_up_s = started_s + self._times.answer_s
        lend_at_s = min(started_s + self._times.lend_s, give_up_s)
        while self._slots.active or self._look_further() or self._resort():
            if self._is_decided and not self._look_further():
                if self._is_every_slot_served:
                    break
                give_up_s = min(give_up_s, green.monotonic() + self._times.post_quorum_s)
                lend_at_s = give_up_s
            for exchange in self._slots.wait(min(give_up_s, lend_at_s)):
                self._take(exchange)
            now_s = green.monotonic()
            if now_s >= lend_at_s:
                is_done = self.quorum.has_success or self.quorum.is_forgiven
                is_vain = self.quorum.is_split and self._slots.are_frozen()
                is_lent = (is_done or not self._is_decided) and self._stand_in()
                if not is_lent and (is_vain or now_s >= give_up_s):
                    break
                if is_done:
                    give_up_s = now_s + self._times.post_quorum_s
                lend_at_s = min(give_up_s, now_s + self._times.post_quorum_s)
        self._slots.give_up(lambda exchange: PeerTimedOut(f"no answer to {exchange.request.method}"))
        if self._slots.unserved and self._stored:
            self._tell_again()
        return self.status

    def _tell_again(self) -> None:
        """Have a server that did the write tell the update targets of those that fell away with nobody in their place.
        Who was only silent tells them when it goes on."""
        slots = self._slots
        told = set(range(self._voters)) - {slot for slot in slots.unserved if not self.quorum.has_succeeded(slot)}
        for slot, footers in adopted(slots.requests[: self._voters], told, list(self._stored)[:1]).items():
            request = slots.requests[slot]
            etag = next((value for name, value in request.headers if name == "Etag"), "")
            if request.method == "DELETE" or (request.method == "PUT" and etag):
                exchange = slots.ask(self._stored[slot], telling_again(request, footers, etag))
                if exchange.failure is None:
                    wait_for_some([exchange], green.monotonic() + self._times.lend_s)
                exchange.discard()

    @property
    def _is_decided(self) -> bool:
        """Nothing that is still to come changes what the client hears."""
        quorum = self.quorum
        if quorum.has_success or quorum.is_forgiven:
            return True
        return quorum.verdict() is not None and not quorum.can_succeed(
            exchange.slot for exchange in self._slots.active if exchange.slot < self._voters
        )

    @property
    def _is_every_slot_served(self) -> bool:
        """Who is still silent has a handoff that was not."""
        silent = {exchange.slot for exchange in self._slots.active}
        return all(slot < self._voters and self.quorum.has_succeeded(slot) for slot in silent)

    def _look_further(self) -> bool:
        """Once, ask handoffs for what primaries do not have; False when nobody was asked."""
        absent = self.quorum.absent
        if not absent or self._has_looked_further:
            return False
        self._has_looked_further = True
        return self._slots.look_further(absent)

    def _resort(self) -> bool:
        return not self._is_decided and self._slots.resort()

    def _take(self, exchange: Exchange) -> None:
        head = exchange.head
        body = exchange.read_body(self._times.answer_s) if head is not None else None
        if head is None or body is None:
            return self._slots.failed(exchange)
        if head.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return self._slots.refused(exchange, head.status)
        self.replies.append(WriteReply(exchange.slot, head.status, head.headers, body))
        if is_success(head.status) and exchange.slot < self._voters:
            self._stored[exchange.slot] = exchange.node
        if exchange.slot < self._voters:
            self.quorum.vote(exchange.slot, head.status, is_primary=exchange.node.index is not None)

    def _stand_in(self) -> bool:
        """True when somebody was asked."""
        is_resorted = self._resort()
        return self._slots.stand_in() or is_resorted
