"""A holder that follows another, broken off at every one of its effects on disk: asked again, it is the holder."""

import json

import pytest

from objstore.cluster.cluster_key import KeyRing
from objstore.cluster.holder import Holder
from objstore.cluster.members import read
from objstore.runtime.fs import Fs
from tests.support.agents import Agents
from tests.support.recording_fs import PowerCut, RecordingFs

EFFECTS_AT_MOST = 80
every = pytest.mark.parametrize("stride", [6, pytest.param(1, marks=pytest.mark.long)])
"""Effects from one cut to the next; all of them with --all."""


@pytest.fixture
def agents(tmp_path):
    with Agents(tmp_path) as agents:
        agents.first(), agents.join("z2")
        agents.nodes[0].round()
        yield agents


def take_over(agents, node, *, is_lost):
    body = json.dumps({"is_lost": is_lost}).encode()
    return agents.blocking(node.agent.take_over, body)


def is_cut(agents, node, after, *, is_lost):
    """Start over with a disk that is gone after so many effects; whether that came before the end."""
    node.stop()
    node.start(RecordingFs(after))
    try:
        take_over(agents, node, is_lost=is_lost)
    except PowerCut:
        return True
    return False


def check(agents, holder, follower):
    """One holder, whom both know, whose rings belong to builders, and are at the other, too."""
    holder.round()
    assert read(holder.etc).holder == read(follower.etc).holder == holder.id
    assert Holder(holder.etc).foreign() == []
    assert follower.ring() == holder.ring()
    assert not [node.problem for node in holder.agent._distribution.facts().nodes if node.problem]
    assert KeyRing(holder.etc, Fs()).current == KeyRing(follower.etc, Fs()).current


@every
def test_a_hand_over_that_is_cut_off_anywhere_is_ended_by_asking_again(agents, stride):
    first, second = agents.nodes
    for after in range(0, EFFECTS_AT_MOST, stride):
        is_over = not is_cut(agents, second, after, is_lost=False)
        second.stop()
        second.start()
        # There are never two: the first one has stepped down before it gave anything away.
        assert not (first.agent.membership.is_holder and second.agent.membership.is_holder)
        assert "builders" in take_over(agents, second, is_lost=False).decode()
        check(agents, second, first)
        if is_over:
            assert after > 5
            return
        take_over(agents, first, is_lost=False)
        check(agents, first, second)
    raise AssertionError("more effects than that")


@every
def test_taking_over_from_a_lost_holder_that_is_cut_off_anywhere_is_ended_by_asking_again(agents, stride):
    first, second = agents.nodes
    for after in range(0, EFFECTS_AT_MOST, stride):
        first.stop()
        before = second.ring()
        is_over = not is_cut(agents, second, after, is_lost=True)
        second.stop()
        second.start()
        assert second.ring() == before or is_over or Holder(second.etc).foreign() == []
        take_over(agents, second, is_lost=True)
        first.start()
        check(agents, second, first)
        if is_over:
            assert after > 5
            return
        take_over(agents, first, is_lost=False)
        check(agents, first, second)
    raise AssertionError("more effects than that")
