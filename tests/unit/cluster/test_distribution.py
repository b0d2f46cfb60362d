"""The holder's rounds, with nodes that are scripts: what is asked of whom, and how many threads it takes."""

import json
import os

import pytest

from objstore.cluster import distribution
from objstore.cluster.calls import Calls
from objstore.cluster.channel import Answer, ChannelError
from objstore.cluster.distribution import Distribution
from objstore.cluster.holder import Holder
from objstore.cluster.members import read
from objstore.cluster.membership import Membership, NotHolder
from objstore.cluster.node_state import NodeState
from objstore.cluster.ring_install import InstalledRings, RingState
from objstore.ring.builder import RingBuilder
from objstore.ring.builder_file import save_builder
from objstore.ring.fileformat import save
from objstore.runtime.fs import Fs
from tests.support.clock import SimClock
from tests.support.members import make_member, make_members
from tests.support.rings import make_ring

HOLDER = make_member(1).id


class Nodes:
    """What every node has, and what it was asked. down: addresses that do not answer."""

    def __init__(self, etc):
        self.etc = etc
        self.installed = InstalledRings(etc, Fs())
        self.state = {}
        self.asked = []
        self.down = set()

    def exchange(self, peer, method, target, headers, body, **_):
        self.asked.append((peer.ip, method, target))
        if peer.ip in self.down:
            raise ChannelError(f"{peer}: Connection refused")
        state = self.state.setdefault(peer.ip, NodeState((1, 0), HOLDER, RingState(0, {})))
        if (method, target) == ("PUT", "/v1/members"):
            state = NodeState((1, json.loads(body)["version"]), HOLDER, state.rings)
        elif target.startswith("/v1/rings"):
            state = NodeState(state.members, HOLDER, self.installed.state())
        self.state[peer.ip] = state
        return Answer(200, json.dumps(state.to_json()).encode(), "127.0.0.1")


@pytest.fixture
def nodes(tmp_path):
    builder = RingBuilder.from_ring(make_ring(), 1)
    save_builder(builder, tmp_path / "object.builder")
    save(builder.to_ring(), tmp_path / "object.ring.gz")
    return Nodes(tmp_path)


def made(nodes, count, at_once=None):
    clock = SimClock()
    membership = Membership(nodes.etc, HOLDER, Fs(), make_members(count))
    calls = Calls(lambda: bytes(32), HOLDER, nodes.exchange)
    run = at_once or (lambda asked, _: [call() for call in asked.values()])
    found = Distribution(membership, Holder(nodes.etc), InstalledRings(nodes.etc, Fs()), calls, run, clock.monotonic)
    return found, clock


def test_a_node_is_brought_members_and_rings_once(nodes):
    found, _ = made(nodes, 2)
    found.round()
    assert [target for _, _, target in nodes.asked] == ["/v1/round", "/v1/members", "/v1/rings", "/v1/round"]
    nodes.asked.clear()
    found.round()
    assert [target for _, _, target in nodes.asked] == ["/v1/round"]


def test_a_node_that_is_down_costs_its_own_answer_only(nodes):
    found, clock = made(nodes, 4)
    found.round()
    nodes.down.add("10.0.0.3")
    clock.advance(30)
    facts = found.round()
    assert [(node.name, node.age_s) for node in facts.nodes] == [("n1", 0), ("n2", 0), ("n3", 30), ("n4", 0)]
    assert "Connection refused" in facts.nodes[2].problem


def test_a_node_that_answers_nonsense_is_a_problem_of_that_node(nodes):
    found, _ = made(nodes, 2)
    nodes.exchange = lambda *_, **__: Answer(200, b"[" * 10_000, "")
    found, _ = made(nodes, 3)
    facts = found.round()
    assert all("expected JSON" in node.problem for node in facts.nodes[1:])


def test_many_nodes_take_a_bounded_number_of_threads(nodes):
    groups = []

    def at_once(asked, _):
        groups.append(len(asked))
        for call in asked.values():
            call()

    found, _ = made(nodes, 250, at_once)
    facts = found.round()
    assert groups == [distribution.AT_ONCE]
    assert len({ip for ip, _, _ in nodes.asked}) == 249
    assert not [node for node in facts.nodes if node.age_s is None]


def test_rings_that_no_builder_here_has_made_are_not_sent(nodes):
    found, _ = made(nodes, 2)
    save(make_ring(devices=8), nodes.etc / "object.ring.gz")
    os.unlink(nodes.etc / "object.builder")
    facts = found.round()
    assert "was not made from a builder here" in facts.foreign[0]
    assert ("10.0.0.2", "PUT", "/v1/rings") not in nodes.asked
    # Others have those of before, and nothing is wrong with them for that.
    nodes.state["10.0.0.2"] = NodeState((1, 1), HOLDER, RingState(7, {"object.ring.gz": "0" * 64}))
    assert [node.problem for node in found.round().nodes] == ["", ""]


def test_who_is_not_the_holder_asks_nobody(nodes):
    found, _ = made(nodes, 2)
    found._membership.adopt(make_members(2, term=2, version=2, holder=2))
    with pytest.raises(NotHolder):
        found.round()
    assert nodes.asked == []
    assert read(nodes.etc).holding.name == "n2"
