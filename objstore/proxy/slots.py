"""Slots: who serves each replica of a write, and who stands in for whom. Used by small writes and by uploads.

First everybody is connected to, so that the requests can be made knowing who serves them (targets.py). A node that
cannot be reached or refuses is replaced by the next handoff at once; one that is silent gets a handoff beside it when
the caller says so. Nodes of the last resort (those under error limiting) take what nobody serves when the caller sees
that it cannot do without. What answers mean is the caller's: it takes them off `active` and votes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

from objstore.http.client import PeerError
from objstore.http.status import HTTPStatus
from objstore.peers.exchange import BackendRequest, Caller, Exchange, wait_for_some
from objstore.proxy.fault import FaultLog
from objstore.proxy.nodes import Writing
from objstore.proxy.targets import RequestPlan
from objstore.ring.model import Node

Vote = Callable[[int, int], None]
"""(slot, status)."""


class Slots:
    """active: exchanges that have not settled. requests: of each voter, once started. unserved: slots that nobody
    serves. start() once, then wait() until the caller has heard enough."""

    def __init__(
        self,
        caller: Caller,
        faults: FaultLog,
        plan: RequestPlan,
        voter_count: int,
        vote: Vote,
        *,
        interim: bool = False,
        use_replication: bool = False,
    ) -> None:
        """voter_count: the first slots, one per replica. The others are sent the first one's request; nobody stands in
        for them. vote: told 503 of a slot that nobody serves. interim: an exchange settles with its 100 Continue."""
        self.active: list[Exchange] = []
        self._caller = caller
        self._faults = faults
        self._plan = plan
        self._voters = voter_count
        self._vote = vote
        self._interim = interim
        self._use_replication = use_replication
        self.requests: Sequence[BackendRequest] = ()
        self._handoffs: Iterator[Node] = iter(())
        self._doubtful: Iterable[Node] = ()
        self._lent: set[int] = set()
        self.unserved: list[int] = []

    def start(self, whom: Writing) -> None:
        self._handoffs = whom.handoffs
        self._doubtful = whom.doubtful
        reached = [self._reach(slot, node) for slot, node in enumerate(whom.slots)]
        servers = [None if exchange is None else exchange.node for exchange in reached]
        self.requests = self._plan(servers[: self._voters])
        for slot, exchange in enumerate(reached):
            if exchange is None:
                self._leave(slot)
            else:
                self._send(exchange)

    def wait(self, deadline_s: float) -> list[Exchange]:
        """Exchanges that have settled, no longer active; [] at the deadline."""
        settled = wait_for_some(self.active, deadline_s)
        for exchange in settled:
            self.active.remove(exchange)
        return settled

    def failed(self, exchange: Exchange) -> None:
        """A node gave no answer: the next handoff takes its slot."""
        assert exchange.failure is not None
        self._faults.failed(exchange.node, exchange.failure)
        self._fill(exchange.slot, None)

    def refused(self, exchange: Exchange, status: int) -> None:
        """A node answered 5xx: the next handoff takes its slot."""
        self._faults.refused(exchange.node, status)
        self._fill(exchange.slot, None)

    def stand_in(self) -> bool:
        """A handoff beside every silent node that has none; whichever answers first speaks for the slot. False when
        nobody was asked."""
        count = len(self.active)
        for exchange in self.active[:]:
            slot = exchange.slot
            if slot in self._lent or slot >= self._voters:
                continue
            self._faults.silent(exchange.node)
            node = next(self._handoffs, None)
            if node is not None:
                self._lent.add(slot)
                self._fill(slot, node)
        return len(self.active) > count

    def look_further(self, absent: Iterable[int]) -> bool:
        """Ask a handoff for each of these slots, whose nodes have nothing; False when there was none to ask."""
        count = len(self.active)
        for slot in absent:
            node = next(self._handoffs, None)
            if node is None:
                break
            self._fill(slot, node)
        return len(self.active) > count

    def are_frozen(self) -> bool:
        """Whether those who are active were asked how they are before, and have not answered that either. Else they are
        asked now."""
        frozen = [self._faults.is_silent(exchange.node) for exchange in self.active]
        for exchange in self.active:
            self._faults.silent(exchange.node)
        return all(frozen)

    def resort(self) -> bool:
        """Let doubtful nodes stand in, too, from now on, and first for the slots that nobody serves; True when one was
        reached for those."""
        count = len(self.active)
        self._handoffs, self._doubtful = chain(self._handoffs, self._doubtful), ()
        unserved, self.unserved = self.unserved, []
        for slot in unserved:
            self._fill(slot, None)
        return len(self.active) > count

    def ask(self, node: Node, request: BackendRequest) -> Exchange:
        """One more request to a node, beside the slots: the caller waits for it and lets it go."""
        return self._caller.start(node, request, use_replication=self._use_replication)

    def drop(self) -> None:
        """Let go of who is still silent, without blame."""
        for exchange in self.active:
            exchange.discard()
        self.active.clear()

    def give_up(self, error_of: Callable[[Exchange], PeerError]) -> list[Exchange]:
        """Let go of who is still silent; those exchanges."""
        silent, self.active = self.active, []
        for exchange in silent:
            self._faults.failed(exchange.node, error_of(exchange))
            exchange.discard()
        return silent

    def _fill(self, slot: int, node: Node | None) -> None:
        exchange = self._reach(slot, node)
        if exchange is None:
            self._leave(slot)
        else:
            self._send(exchange)

    def _reach(self, slot: int, node: Node | None) -> Exchange | None:
        """A connection to the node, or to the next handoff when there is none or it cannot be reached."""
        while True:
            if node is None:
                node = next(self._handoffs, None) if slot < self._voters else None
                if node is None:
                    return None
            exchange = self._caller.connect(
                node, slot=slot, interim=self._interim, use_replication=self._use_replication
            )
            if exchange.failure is None:
                return exchange
            self._faults.failed(node, exchange.failure)
            node = None

    def _send(self, exchange: Exchange) -> None:
        exchange.send(self.requests[exchange.slot if exchange.slot < self._voters else 0])
        if exchange.failure is None:
            self.active.append(exchange)
        else:
            self.failed(exchange)

    def _leave(self, slot: int) -> None:
        """Nobody serves the slot, but perhaps the last resort."""
        if slot < self._voters:
            self.unserved.append(slot)
            self._vote(slot, HTTPStatus.SERVICE_UNAVAILABLE)
