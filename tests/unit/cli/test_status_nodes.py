"""What status says of other nodes: from this node's own agent."""

import pytest

from objstore.cli import status_nodes
from objstore.cli.status_nodes import of_other_nodes
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.verdict import Facts, reasons
from tests.support.agents import Agents
from tests.support.cluster import objstore


@pytest.fixture
def agents(tmp_path, monkeypatch):
    # The machine of the test may be busy; on an operator's, two seconds are promised.
    monkeypatch.setattr(status_nodes, "ASK_S", 20.0)
    with Agents(tmp_path) as agents:
        yield agents


def asked(agents, node):
    (name,) = node.directory.node_names()
    return agents.blocking(of_other_nodes, node.directory, [name])


def test_a_directory_of_one_machine_has_no_others(tmp_path):
    objstore("init", tmp_path / "c", "--port", 0, "--nodes", 1)
    assert of_other_nodes(ClusterDirectory(tmp_path / "c"), ["n1"]) == status_nodes.OtherNodes()


def test_nodes_with_the_same_rings_are_nothing_to_say(agents):
    first, second = agents.first(), agents.join("z2")
    first.round()
    first.round()
    for node, other in ((first, "n2"), (second, "n1")):
        found = asked(agents, node)
        assert found.unknown == ()
        assert found.digests[other]["object.ring.gz"]


def test_a_node_whose_ring_differs_is_a_reason(agents):
    first, second = agents.first(), agents.join("z2")
    (second.etc / "object.ring.gz").write_bytes(second.ring("account"))
    first.round()
    found = asked(agents, first)
    mine = {name: digest for name, digest in agents.blocking(first.client().facts).digests.items()}
    by_ring = {ring: {"n1": digest, "n2": found.digests["n2"][ring]} for ring, digest in mine.items()}
    texts = [reason.text for reason in reasons(Facts(digests=by_ring, unknown=found.unknown), 0)]
    assert any("its object.ring.gz differs" in text for text in texts)
    assert any("n2: object.ring.gz was put there by hand" in text for text in texts)


def test_a_node_that_does_not_answer_is_named(agents):
    first, second = agents.first(), agents.join("z2")
    first.round()
    second.stop()
    first.round()
    (unknown,) = asked(agents, first).unknown
    assert unknown[0] == "n2" and "Connection refused (it answered" in unknown[1]


def test_a_holder_that_was_never_heard_of_is_named(agents):
    agents.first()
    second = agents.join("z2")
    (unknown,) = asked(agents, second).unknown
    assert unknown[0] == "n1" and "has not been heard of yet" in unknown[1]


def test_an_agent_that_is_down_is_said(agents):
    first = agents.first()
    first.stop()
    (unknown,) = asked(agents, first).unknown
    assert "the agent of this node does not answer" in unknown[1]
