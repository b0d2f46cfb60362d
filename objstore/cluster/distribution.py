"""The holder's rounds: every few seconds each node is asked how it is, and brought what it lacks.

A round follows every change at once. A node that is down costs its own answer only, and has everything with the first
round after it is back. What a node got by hand is reported, not replaced.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, TypeVar

from objstore.cluster.calls import PUSH_S, Calls, peer_of
from objstore.cluster.channel import ChannelError
from objstore.cluster.cluster_key import ClusterKey, KeyStamp, key_body
from objstore.cluster.holder import ForeignRing, Holder
from objstore.cluster.members import Member, Members
from objstore.cluster.membership import Membership
from objstore.cluster.node_state import ClusterFacts, NodeFact, NodeState, Push, facts_body, lacking
from objstore.cluster.ring_install import InstalledRings, RingState
from objstore.cluster.ring_manifest import RingSet
from objstore.cluster.ring_pack import packed
from objstore.core.errors import DomainError
from objstore.runtime.listen import Address

ROUND_EVERY_S = 8.0
"""A change by hand on any node is known to the holder after this and a little, to everybody one round later."""
AT_ONCE = 64
"""Threads of a round. With more nodes than that some share one, and wait there for those before them."""
_log = logging.getLogger("objstore.agent")
T = TypeVar("T")


class AtOnce(Protocol):
    """Several calls at the same time; the answers that came within the deadline, by key."""

    def __call__(self, asked: Mapping[str, Callable[[], T]], deadline_s: float, /) -> dict[str, T]: ...


@dataclass(frozen=True, slots=True)
class _Heard:
    """What a round brought of one node. at_s: by the monotonic clock, when it answered last. is_silent: not in this
    round."""

    at_s: float | None = None
    state: NodeState | None = None
    problem: str = ""
    is_silent: bool = False


@dataclass
class _Sent:
    """What a round has for everybody: each body is made once, the rings' only when somebody lacks them."""

    facts: ClusterFacts
    members: Members
    own: RingSet | None
    is_forced: bool
    key: ClusterKey | None

    @cached_property
    def facts_body(self) -> bytes:
        return facts_body(self.facts)

    @cached_property
    def members_body(self) -> bytes:
        return self.members.to_json()

    @cached_property
    def rings_body(self) -> bytes:
        assert self.own is not None
        return packed(self.own, self.members.term)


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
        settled: Callable[[], int] = lambda: 0,
        steps: Callable[[ClusterFacts, frozenset[Address]], str] = lambda facts, known: "",
        key: Callable[[], ClusterKey] | None = None,
    ) -> None:
        """settled: at which version of the rings this node is (settled.py). steps: what the next one waits for.
        key: of the cluster, as every node should have it; None brings nobody any."""
        self._membership = membership
        self._holder = holder
        self._settled = settled
        self._installed = installed
        self._calls = calls
        self._at_once = at_once
        self._monotonic = monotonic
        self._find_steps = steps
        self._steps = ""
        self._key = key
        self._heard: dict[str, _Heard] = {}
        self._one_at_a_time = threading.Lock()
        self._own: RingSet | None = None
        self._foreign: tuple[str, ...] = ()

    def round(self, *, is_forced: bool = False) -> ClusterFacts:
        """Ask every node, bring each what it lacks; what is known afterwards. is_forced: rings that came by hand are
        replaced too. Raises OSError or DomainError of the holder's own files."""
        with self._one_at_a_time:
            self._read_own()
            key = None if self._key is None else self._key()
            sent = _Sent(self.facts(), self._membership.members, self._own, is_forced, key)
            others = [node for node in sent.members.nodes if node.id != self._membership.node_id]
            came: dict[str, _Heard] = {}
            groups = [others[start::AT_ONCE] for start in range(min(AT_ONCE, len(others)))]
            visits = {group[0].id: self._visits(group, sent, came) for group in groups}
            self._at_once(visits, 3 * self._calls.round_s + PUSH_S)
            self._heard = {node.id: self._heard.get(node.id, _Heard()) for node in others}
            for node in others:
                heard = came.get(node.id) or _Heard(problem=f"{node.name} does not answer in time")
                before = self._heard[node.id]
                if heard.problem and heard.problem != before.problem:
                    _log.warning("node=%s problem=%s", node.name, heard.problem)
                if heard.at_s is None:
                    heard = replace(heard, at_s=before.at_s, state=before.state, is_silent=True)
                self._heard[node.id] = heard
            self._steps = "" if self._own is None else self._find_steps(self.facts(), sent.members.server_addresses())
            return self.facts()

    def problems(self) -> dict[str, str]:
        """Node id → why it has not what it should have, as of the last round."""
        return {node_id: heard.problem for node_id, heard in self._heard.items()}

    def silent(self) -> list[str]:
        """Why nodes have not answered in the last round, one sentence each."""
        return [heard.problem for heard in self._heard.values() if heard.is_silent]

    def key_stamps(self) -> dict[str, KeyStamp]:
        """Node id → which of the cluster's keys it said last that it has; who never answered is missing."""
        return {node_id: heard.state.key for node_id, heard in self._heard.items() if heard.state is not None}

    def facts(self) -> ClusterFacts:
        """As of the last round; the holder's own files as they are now."""
        members = self._membership.members
        version, digests = 0, {}
        if self._own is not None:
            version, digests = self._own.version, {name: digest for name, (digest, _) in self._own.files.items()}
        nodes = tuple(map(self._fact, members.nodes))
        return ClusterFacts(members.holding.name, version, digests, nodes, self._foreign, steps=self._steps)

    def _read_own(self) -> None:
        self._membership.require_holder()
        try:
            self._own, self._foreign = self._holder.rings(), ()
        except ForeignRing as error:
            # Whose they are is not known: nothing is sent until a person has decided.
            self._own, self._foreign = None, error.reasons

    def _fact(self, node: Member) -> NodeFact:
        if node.id == self._membership.node_id:
            return NodeFact(node.name, node.ip, 0.0, self._installed.state(), settled=self._settled())
        heard = self._heard.get(node.id, _Heard())
        state = heard.state or NodeState((0, 0), "", RingState(0, {}))
        age_s = None if heard.at_s is None else max(0.0, self._monotonic() - heard.at_s)
        return NodeFact(node.name, node.ip, age_s, state.rings, heard.problem, state.settled)

    def _visits(self, group: Sequence[Member], sent: _Sent, came: dict[str, _Heard]) -> Callable[[], None]:
        """For a thread of its own: one node after the other, what they say goes into `came`; raises nothing."""

        def visit() -> None:
            for node in group:
                came[node.id] = self._visit(node, sent)

        return visit

    def _visit(self, node: Member, sent: _Sent) -> _Heard:
        try:
            return self._bring(node, sent)
        except (DomainError, OSError) as error:
            return _Heard(problem=f"{node.name}: {error}")
        except Exception as error:  # The boundary of one node: the round goes on with the others.
            return _Heard(problem=f"{node.name}: unexpected {type(error).__name__}")

    def _bring(self, node: Member, sent: _Sent) -> _Heard:
        peer, members = peer_of(node), sent.members
        state = self._calls.round(peer, sent.facts_body)
        if state.members > members.stamp or (state.members[0] == members.term and state.holder != members.holder):
            return self._outdated(node, state)
        if sent.own is None:  # Whose rings the holder has is not known: others' are none of its business.
            push = Push(state.members < members.stamp, False)
        else:
            rings = RingState(sent.facts.version, sent.facts.digests)
            push = lacking(node.name, members.stamp, rings, state, is_forced=sent.is_forced)
        problem = push.problem
        try:
            if push.members:
                self._calls.push_members(peer, sent.members_body)
            if push.rings and sent.own is not None:
                self._calls.push_rings(peer, sent.rings_body, is_forced=sent.is_forced)
            lacks_key = sent.key is not None and state.key < sent.key.stamp
            if lacks_key and sent.key is not None:
                self._calls.push_key(peer, key_body(sent.key, members.term))
            if push.members or push.rings or lacks_key:
                state = self._calls.round(peer, sent.facts_body)
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
