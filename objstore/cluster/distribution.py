"""The holder's rounds: every few seconds each node is asked how it is, and brought what it lacks.

A round follows every change at once. A node that is down costs its own answer only, and has everything with the first
round after it is back. What a node got by hand is reported, not replaced.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from objstore.cluster.calls import PUSH_S, ROUND_S, Calls, peer_of
from objstore.cluster.channel import ChannelError
from objstore.cluster.holder import ForeignRing, Holder
from objstore.cluster.members import Member
from objstore.cluster.membership import Membership
from objstore.cluster.node_state import ClusterFacts, NodeFact, NodeState, lacking
from objstore.cluster.ring_install import InstalledRings, RingState
from objstore.cluster.ring_manifest import RingSet
from objstore.core.errors import DomainError

ROUND_EVERY_S = 8.0
"""A change by hand on any node is known to the holder after this and a little, to everybody one round later."""
_log = logging.getLogger("objstore.agent")
T = TypeVar("T")


class AtOnce(Protocol):
    """Several calls at the same time; the answers that came within the deadline, by key."""

    def __call__(self, asked: Mapping[str, Callable[[], T]], deadline_s: float, /) -> dict[str, T]: ...


@dataclass(frozen=True, slots=True)
class _Heard:
    """What a round brought of one node. at_s: by the monotonic clock, when it answered last."""

    at_s: float | None = None
    state: NodeState | None = None
    problem: str = ""


class Distribution:
    """Of one agent; it works while that is the holder. One round at a time."""

    def __init__(
        self,
        membership: Membership,
        holder: Holder,
        installed: InstalledRings,
        calls: Calls,
        at_once: AtOnce,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._membership = membership
        self._holder = holder
        self._installed = installed
        self._calls = calls
        self._at_once = at_once
        self._monotonic = monotonic
        self._heard: dict[str, _Heard] = {}
        self._one_at_a_time = threading.Lock()
        self._own: RingSet | None = None
        self._foreign: tuple[str, ...] = ()

    def round(self, *, is_forced: bool = False) -> ClusterFacts:
        """Ask every node, bring each what it lacks; what is known afterwards. is_forced: rings that came by hand are
        replaced too. Raises OSError or DomainError of the holder's own files."""
        with self._one_at_a_time:
            self._read_own()
            facts = self.facts()
            others = [node for node in self._membership.members.nodes if node.id != self._membership.node_id]
            asked = {node.id: self._visit(node, facts, is_forced) for node in others}
            came = self._at_once(asked, ROUND_S + PUSH_S)
            for node in others:
                heard = came.get(node.id) or _Heard(problem=f"{node.name} does not answer in time")
                before = self._heard.get(node.id, _Heard())
                if heard.problem and heard.problem != before.problem:
                    _log.warning("node=%s problem=%s", node.name, heard.problem)
                if heard.at_s is None:
                    heard = replace(heard, at_s=before.at_s, state=before.state)
                self._heard[node.id] = heard
            return self.facts()

    def facts(self) -> ClusterFacts:
        """As of the last round; the holder's own files as they are now."""
        members = self._membership.members
        version, digests = 0, {}
        if self._own is not None:
            version, digests = self._own.version, {name: digest for name, (digest, _) in self._own.files.items()}
        return ClusterFacts(
            members.holding.name, version, digests, tuple(map(self._fact, members.nodes)), self._foreign
        )

    def _read_own(self) -> None:
        self._membership.require_holder()
        try:
            self._own, self._foreign = self._holder.rings(), ()
        except ForeignRing as error:
            # Whose they are is not known: nothing is sent until a person has decided.
            self._own, self._foreign = None, error.reasons

    def _fact(self, node: Member) -> NodeFact:
        if node.id == self._membership.node_id:
            return NodeFact(node.name, node.ip, 0.0, self._installed.state())
        heard = self._heard.get(node.id, _Heard())
        rings = heard.state.rings if heard.state is not None else RingState(0, {})
        age_s = None if heard.at_s is None else max(0.0, self._monotonic() - heard.at_s)
        return NodeFact(node.name, node.ip, age_s, rings, heard.problem)

    def _visit(self, node: Member, facts: ClusterFacts, is_forced: bool) -> Callable[[], _Heard]:
        """For a thread of its own; raises nothing."""

        def visit() -> _Heard:
            try:
                return self._bring(node, facts, is_forced)
            except (DomainError, OSError) as error:
                return _Heard(problem=f"{node.name}: {error}")
            except Exception as error:  # The boundary of one node's thread: the round goes on with the others.
                return _Heard(problem=f"{node.name}: unexpected {type(error).__name__}")

        return visit

    def _bring(self, node: Member, facts: ClusterFacts, is_forced: bool) -> _Heard:
        peer, members = peer_of(node), self._membership.members
        state = self._calls.round(peer, facts)
        if state.members > members.stamp or (state.members[0] == members.term and state.holder != members.holder):
            return self._outdated(node, state)
        rings = RingState(facts.version, facts.digests)
        push = lacking(node.name, members.stamp, rings, state, is_forced=is_forced)
        problem = push.problem
        try:
            if push.members:
                self._calls.push_members(peer, members)
            if push.rings and self._own is not None:
                self._calls.push_rings(peer, self._own, members.term, is_forced=is_forced)
            if push.members or push.rings:
                state = self._calls.round(peer, facts)
        except DomainError as error:
            problem = f"{node.name}: {error}"
        return _Heard(self._monotonic(), state, problem)

    def _outdated(self, node: Member, state: NodeState) -> _Heard:
        """A node knows better: another holder has taken over. This one steps down, or says that it cannot."""
        try:
            self._membership.adopt(self._calls.members(peer_of(node)))
        except (DomainError, ChannelError) as error:
            return _Heard(self._monotonic(), state, str(error))
        return _Heard(self._monotonic(), state)
