"""Another key for a cluster of three agents, over their real sockets, with nodes and the holder away in the middle."""

import json
import shutil

import pytest

from objstore.cluster import joining
from objstore.cluster.admission import Admission
from objstore.cluster.channel import exchange
from objstore.cluster.cluster_key import KeyRing, Phase, key_body
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.drives import DriveError
from objstore.cluster.holder_messages import HolderRefused
from objstore.cluster.join_draft import DRAFT, resumed
from objstore.cluster.joining import JoinError
from objstore.cluster.signature import signed
from objstore.runtime.fs import Fs
from tests.support.agents import Agents
from tests.support.clock import SimClock
from tests.support.cluster import objstore
from tests.support.objects import make_address, make_disk_engine, put


@pytest.fixture
def agents(tmp_path):
    with Agents(tmp_path) as agents:
        agents.first(), agents.join("z2"), agents.join("z3")
        agents.nodes[0].round()
        yield agents


def key_of(node):
    return KeyRing(node.etc, Fs()).current


def phases(agents):
    return [key_of(node).phase for node in agents.nodes]


def rotate(agents, number=3):
    return agents.blocking(agents.nodes[number - 1].client().rotate_key)


def is_heard_with(agents, key, node):
    """Whether a node answers a request that is signed with a key."""
    headers = signed(key, node.peer.fingerprint, "0" * 16, "GET", "/v1/members", b"", node.calls.now_ms())
    answer = agents.blocking(lambda: exchange(node.peer, "GET", "/v1/members", headers, b"", timeout_s=20))
    assert answer.status in (200, 403)
    return answer.status == 200


def test_all_nodes_sign_with_another_key_and_the_old_one_opens_nothing(agents):
    old = key_of(agents.nodes[0]).signing
    code, output, error = agents.blocking(objstore, "node", "rotate-key", agents.nodes[2].directory.root)
    assert (code, error) == (0, "") and "generation 1" in output
    keys = {key_of(node).signing for node in agents.nodes}
    assert len(keys) == 1 and old not in keys and phases(agents) == [Phase.SETTLED] * 3
    assert not [node for node in agents.nodes if is_heard_with(agents, old, node)]
    agents.nodes[0].round()
    assert not agents.nodes[0].agent._distribution.silent()
    text = output + "".join(agents.log.lines)
    assert not [key for key in (old, *keys) if key.hex() in text]
    agents.join("z4")
    assert "generation 2" in rotate(agents)
    assert phases(agents) == [Phase.SETTLED] * 4


def test_with_a_node_away_no_rotation_begins(agents):
    agents.nodes[1].stop()
    before = [key_of(node) for node in agents.nodes]
    with pytest.raises(HolderRefused, match="start it, or take it out with"):
        rotate(agents)
    assert [key_of(node) for node in agents.nodes] == before


def test_a_node_that_goes_away_in_the_middle_holds_it_up_and_it_ends_when_it_is_back(agents):
    first, second, third = agents.nodes
    old = key_of(first).signing
    first.agent._rotation.begin(first.agent._distribution.key_stamps())
    second.stop()
    for _ in range(3):
        first.round()
    assert phases(agents) == [Phase.ANNOUNCED, Phase.SETTLED, Phase.ANNOUNCED]
    # Everybody is heard meanwhile, also commands of a node that knows the old key only.
    assert is_heard_with(agents, old, first) and is_heard_with(agents, old, third)
    assert "n2 has not confirmed it yet: the old one is good until then" in rotate(agents)
    second.start()
    for _ in range(4):
        first.round()
    assert phases(agents) == [Phase.SETTLED] * 3
    assert not is_heard_with(agents, old, second)


def test_agents_that_start_again_in_the_middle_go_on(agents):
    first = agents.nodes[0]
    first.agent._rotation.begin(first.agent._distribution.key_stamps())
    for _ in range(6):
        for node in agents.nodes:
            node.stop()
        for node in agents.nodes:
            node.start()
        first.round()
    assert phases(agents) == [Phase.SETTLED] * 3


def test_a_holder_that_took_over_in_the_middle_ends_it(agents):
    first, second, third = agents.nodes
    first.agent._rotation.begin(first.agent._distribution.key_stamps())
    first.round()
    assert key_of(second).phase is Phase.ANNOUNCED
    first.stop()
    agents.blocking(lambda: second.client().take_over(is_lost=True))
    first.start()
    for _ in range(5):
        second.round()
    assert phases(agents) == [Phase.SETTLED] * 3
    assert len({key_of(node).signing for node in agents.nodes}) == 1


def test_a_node_that_joins_in_the_middle_has_both_keys(agents):
    first = agents.nodes[0]
    first.agent._rotation.begin(first.agent._distribution.key_stamps())
    fourth = agents.join("z4")
    assert key_of(fourth) == key_of(first)
    for _ in range(4):
        first.round()
    assert phases(agents) == [Phase.SETTLED] * 4


def test_a_token_that_was_given_out_before_buys_nothing_afterwards(agents):
    token = agents.new_token()
    rotate(agents)
    agents.token = token
    with pytest.raises(JoinError, match="expired"):
        agents.join("z4")


def test_only_the_holder_of_this_term_brings_keys(agents):
    first, second, third = agents.nodes
    body = key_body(key_of(first).announcing(bytes(32), 9), 0)
    with pytest.raises(HolderRefused, match="of term 0 is refused"):
        agents.blocking(lambda: third.calls.push_key(second.peer, body))
    with pytest.raises(HolderRefused, match="is refused"):
        agents.blocking(lambda: third.calls.push_key(first.peer, key_body(key_of(first).announcing(bytes(32), 9), 1)))
    assert phases(agents) == [Phase.SETTLED] * 3


# Machines that have shown their token before, and ask to be nodes only now


class Joining:
    """The machine that will be n4: its first attempt bought the secrets, then its drive was refused."""

    def __init__(self, agents):
        self.agents = agents
        self.directory = ClusterDirectory(agents.root / "c4")
        self.plan = agents.plan(4, "z4")
        put(make_disk_engine(agents.root / "m4"), make_address(device="d1"))
        with pytest.raises(DriveError, match="holds data of another cluster"):
            self.run(agents.new_token())
        for path in (agents.root / "m4" / "d1").iterdir():
            shutil.rmtree(path)

    def run(self, token=None):
        """Returns what it said."""
        said = []
        self.agents.blocking(joining.join, self.directory, self.plan, token, Fs(), said.append)
        return " ".join(said)

    def start(self):
        return self.agents._node(self.directory, self.plan.ip)


def test_the_old_key_stays_good_for_a_machine_that_is_about_to_join(agents):
    fourth = Joining(agents)
    expected = agents.nodes[0].agent._admission._expected
    expected |= dict.fromkeys(expected, float("inf"))  # However long this test takes.
    assert "a machine that joins has not confirmed it yet: the old one is good until then" in rotate(agents)
    agents.nodes[0].round()
    assert phases(agents) == [Phase.REPLACED] * 3
    assert "going on with the join that broke off" in fourth.run()
    fourth.start()
    for _ in range(3):
        agents.nodes[0].round()
    assert phases(agents) == [Phase.SETTLED] * 4
    assert len({key_of(node).signing for node in agents.nodes}) == 1
    assert not agents.nodes[0].agent._distribution.silent()


def test_a_machine_is_expected_for_a_minute_and_no_longer():
    clock = SimClock()
    admission = Admission(None, None, None, None, clock)
    assert not admission.is_expecting
    admission.expect("ab" * 8)
    clock.advance(59)
    assert admission.is_expecting
    clock.advance(1)
    assert not admission.is_expecting


def test_a_machine_that_comes_too_late_is_told_to_get_another_token_and_goes_on_as_the_same_node(agents):
    fourth = Joining(agents)
    agents.nodes[0].agent._admission._expected.clear()  # As if a minute had passed.
    assert "the old one is forgotten" in rotate(agents)
    node_id = resumed(fourth.directory.root / DRAFT).node_id
    with pytest.raises(JoinError, match="the cluster's key was replaced .* get another with objstore node token DIR"):
        fourth.run()
    assert "its secrets have arrived anew" in fourth.run(agents.new_token())
    assert fourth.start().id == node_id
    agents.nodes[0].round()
    assert key_of(agents.nodes[3]) == key_of(agents.nodes[0])


def test_a_token_that_was_not_needed_is_not_used_up(agents):
    fourth, token = Joining(agents), agents.new_token()
    assert "its token is not needed again" in fourth.run(token)
    fourth.start()
    agents.token = token
    agents.join("z5")


def test_who_has_bought_both_keys_is_not_waited_for_and_joins_afterwards(agents):
    first = agents.nodes[0]
    first.agent._rotation.begin(first.agent._distribution.key_stamps())
    fourth = Joining(agents)
    for _ in range(4):
        first.round()
    assert phases(agents) == [Phase.SETTLED] * 3
    fourth.run()
    fourth.start()
    first.round()
    assert phases(agents) == [Phase.SETTLED] * 4


def test_a_wrong_token_has_nobody_waited_for(agents):
    body = json.dumps({"id": "0" * 8, "secret": "0" * 32, "node": "0" * 16}).encode()
    answer = agents.blocking(lambda: exchange(agents.nodes[0].peer, "POST", "/v1/join", {}, body, timeout_s=20))
    assert answer.status == 403
    assert "the old one is forgotten" in rotate(agents)
