"""What the holder and a node tell each other in a round, and what the holder knows of every node afterwards. Pure.

Every few seconds the holder sends each node what it knows of all (so that every node can tell people), and the node
answers with the state of its members file and rings. Ages are seconds by the sender's clock: clocks may differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from objstore.cluster.cluster_key import OLDEST, KeyStamp
from objstore.cluster.members import NODES_MAX, Stamp
from objstore.cluster.ring_install import RingState, state_of
from objstore.cluster.strict_json import BadFields, Fields


@dataclass(frozen=True, slots=True)
class NodeState:
    """Of a node, by itself. holder: whom it takes for the holder in its term. settled: version of the rings by which
    everything is in its place, as far as the node can tell (settled.py). key: of the cluster's key there."""

    members: Stamp
    holder: str
    rings: RingState
    settled: int = 0
    key: KeyStamp = OLDEST

    def to_json(self) -> dict[str, Any]:
        """Any: what JSON has."""
        return {
            "members": list(self.members),
            "holder": self.holder,
            "rings": self.rings.to_json(),
            "settled": self.settled,
            "key": list(self.key),
        }


@dataclass(frozen=True, slots=True)
class NodeFact:
    """A node, by the holder. age_s: since it answered, None when it never has. problem: why it has not what it should
    have, "" when it has. settled: as it said last."""

    name: str
    ip: str
    age_s: float | None
    rings: RingState
    problem: str = ""
    settled: int = 0

    def to_json(self) -> dict[str, Any]:
        """Any: what JSON has."""
        return {
            "name": self.name,
            "ip": self.ip,
            "age_ms": None if self.age_s is None else int(self.age_s * 1000),
            "rings": self.rings.to_json(),
            "problem": self.problem,
            "settled": self.settled,
        }


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """holder: its name. version: of the rings every node should have; digests: of those. age_s: since the holder said
    so. foreign: sentences about rings on the holder that its builders have not made. steps: what the next step of a
    change waits for, "" when there is none."""

    holder: str
    version: int
    digests: dict[str, str]
    nodes: tuple[NodeFact, ...]
    foreign: tuple[str, ...] = ()
    age_s: float = 0.0
    steps: str = ""

    def to_json(self) -> dict[str, Any]:
        """Any: what JSON has."""
        return {
            "holder": self.holder,
            "rings": RingState(self.version, self.digests).to_json(),
            "nodes": [node.to_json() for node in self.nodes],
            "notes": [{"text": text} for text in self.foreign],
            "age_ms": int(self.age_s * 1000),
            "steps": self.steps,
        }


@dataclass(frozen=True, slots=True)
class Push:
    """What a node lacks. problem: what it has that must not be replaced."""

    members: bool
    rings: bool
    problem: str = ""


def lacking(name: str, own: Stamp, rings: RingState, theirs: NodeState, *, is_forced: bool = False) -> Push:
    """What to send to a node. own, rings: the holder's. A file that came there by hand stays, unless is_forced."""
    different = sorted(ring for ring, digest in rings.digests.items() if theirs.rings.digests.get(ring) != digest)
    foreign = [ring for ring in different if ring in theirs.rings.foreign]
    has_older_members = theirs.members < own
    if theirs.rings.version > rings.version:
        problem = (
            f"{name} has rings of version {theirs.rings.version}, newer than the holder's {rings.version}: was there "
            "another holder? To keep the holder's: objstore node holder DIR --lost, there"
        )
        return Push(has_older_members, False, problem)
    if foreign and not is_forced:
        problem = (
            f"{name}: {', '.join(foreign)} was put there by hand and stays; to have it replaced: objstore ring push DIR"
        )
        return Push(has_older_members, False, problem)
    return Push(has_older_members, bool(different) or theirs.rings.version < rings.version)


def node_state_of(fields: Fields) -> NodeState:
    """Raises BadFields."""
    match fields.plain().get("members"):
        case [int() as term, int() as version]:
            rings = state_of(fields.object("rings"))
            return NodeState((term, version), fields.text("holder", 16), rings, _settled(fields), _key_stamp(fields))
    raise BadFields("state: members: expected a term and a version")


def cluster_facts_of(fields: Fields) -> ClusterFacts:
    """Raises BadFields."""
    rings = state_of(fields.object("rings"))
    return ClusterFacts(
        holder=fields.text("holder", 64),
        version=rings.version,
        digests=dict(rings.digests),
        nodes=tuple(_node_fact(each) for each in fields.objects("nodes", NODES_MAX)),
        foreign=tuple(each.text("text", 4096) for each in fields.objects("notes", NODES_MAX)),
        age_s=fields.number("age_ms") / 1000,
        steps=fields.text("steps", 4096) if "steps" in fields else "",
    )


def parsed_facts(body: bytes) -> ClusterFacts:
    """Raises BadFields."""
    return cluster_facts_of(Fields.parse(body, "facts"))


def facts_body(facts: ClusterFacts) -> bytes:
    return json.dumps(facts.to_json()).encode()


def aged(facts: ClusterFacts, seconds: float) -> ClusterFacts:
    """The same, so much later."""
    nodes = (node if node.age_s is None else replace(node, age_s=node.age_s + seconds) for node in facts.nodes)
    return replace(facts, nodes=tuple(nodes), age_s=facts.age_s + seconds)


def differing(facts: ClusterFacts) -> Iterable[tuple[str, str]]:
    """(node, ring) of every ring that is not the holder's."""
    return (
        (node.name, ring)
        for node in facts.nodes
        if node.age_s is not None
        for ring, digest in facts.digests.items()
        if node.rings.digests.get(ring) != digest
    )


def _node_fact(fields: Fields) -> NodeFact:
    is_known = fields.plain().get("age_ms") is not None
    return NodeFact(
        fields.text("name", 64),
        fields.text("ip", 64),
        fields.number("age_ms") / 1000 if is_known else None,
        state_of(fields.object("rings")),
        fields.text("problem", 4096),
        _settled(fields),
    )


def _key_stamp(fields: Fields) -> KeyStamp:
    """The first one of a node of an older release: it knows no other."""
    match fields.plain().get("key", list(OLDEST)):
        case [int() as generation, int() as phase] if generation >= 0 and phase >= 0:
            return generation, phase
    raise BadFields("state: key: expected a generation and a phase")


def _settled(fields: Fields) -> int:
    """0 of a node of an older release: it does not say."""
    return fields.number("settled") if "settled" in fields else 0
