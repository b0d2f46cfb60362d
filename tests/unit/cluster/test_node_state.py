import json

import pytest

from objstore.cluster.node_state import (
    ClusterFacts,
    NodeFact,
    NodeState,
    Push,
    aged,
    differing,
    facts_body,
    lacking,
    node_state_of,
    parsed_facts,
)
from objstore.cluster.ring_install import RingState
from objstore.cluster.strict_json import BadFields, Fields

A, B, C = "a" * 64, "b" * 64, "c" * 64
OBJECT = "object.ring.gz"
HOLDERS = RingState(7, {OBJECT: A})


def node(version=7, digest=A, foreign=(), members=(1, 4)):
    return NodeState(members, "0" * 16, RingState(version, {OBJECT: digest}, foreign))


@pytest.mark.parametrize(
    ("state", "push"),
    [
        pytest.param(node(), Push(False, False), id="has everything"),
        pytest.param(node(members=(1, 3)), Push(True, False), id="older members"),
        pytest.param(node(6, B), Push(False, True), id="older rings"),
        pytest.param(node(6, A), Push(False, True), id="older manifest of the same rings"),
        pytest.param(node(7, ""), Push(False, True), id="a ring is missing"),
        pytest.param(node(6, A, (OBJECT,)), Push(False, True), id="copied by hand what would be pushed"),
    ],
)
def test_a_node_is_sent_what_it_lacks(state, push):
    assert lacking("n2", (1, 4), HOLDERS, state) == push


def test_what_came_by_hand_is_reported_and_sent_over_only_when_forced():
    state = node(7, C, (OBJECT,))
    push = lacking("n2", (1, 4), HOLDERS, state)
    assert not push.rings and "n2: object.ring.gz was put there by hand and stays" in push.problem
    assert lacking("n2", (1, 4), HOLDERS, state, is_forced=True) == Push(False, True)


def test_newer_rings_than_the_holders_are_never_replaced():
    push = lacking("n2", (1, 4), HOLDERS, node(8, B), is_forced=True)
    assert not push.rings and "n2 has rings of version 8, newer than the holder's 7" in push.problem


FACTS = ClusterFacts(
    "n1",
    7,
    {OBJECT: A},
    (
        NodeFact("n1", "10.0.0.1", 0.0, HOLDERS),
        NodeFact("n2", "10.0.0.2", 3.5, RingState(7, {OBJECT: B}, (OBJECT,)), "by hand"),
        NodeFact("n3", "10.0.0.3", None, RingState(0, {}), "refused"),
    ),
    ("a note",),
)


def test_facts_travel_and_grow_old():
    assert parsed_facts(facts_body(FACTS)) == FACTS
    later = aged(FACTS, 10.0)
    assert [node.age_s for node in later.nodes] == [10.0, 13.5, None] and later.age_s == 10.0


def test_nodes_that_never_answered_are_not_said_to_differ():
    assert list(differing(FACTS)) == [("n2", OBJECT)]


@pytest.mark.parametrize(
    "changes",
    [
        {"members": [1]},
        {"members": "x"},
        {"members": [1, True, 3]},
        {"holder": 5},
        {"rings": None},
        {"rings": {"version": -1, "digests": {}}},
        {"rings": {"version": 1, "digests": {OBJECT: 5}}},
        {"rings": {"version": 1, "digests": {f"object-{i}.ring.gz": A for i in range(500)}}},
    ],
)
def test_a_state_that_lies_about_its_form_is_refused(changes):
    body = json.dumps(node().to_json() | changes).encode()
    with pytest.raises(BadFields):
        node_state_of(Fields.parse(body, "state"))


def test_names_that_are_no_rings_are_left_out_of_a_state():
    state = node().to_json()
    state["rings"]["digests"]["../../etc/passwd"] = A
    assert node_state_of(Fields.parse(json.dumps(state).encode(), "state")).rings.digests == {OBJECT: A}
