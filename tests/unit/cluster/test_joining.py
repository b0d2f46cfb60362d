"""Agents of several nodes in one process, by real TLS sockets: joining, and what is distributed afterwards."""

import json
import os
import stat
from dataclasses import replace

import pytest

from objstore.cluster import joining, rsyncd
from objstore.cluster.admission import address_of
from objstore.cluster.changes import AddDrives, DrainNode, NewDrive, RemoveNode
from objstore.cluster.channel import ChannelError, WrongCertificate
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.drives import DriveError
from objstore.cluster.holder import Holder, VersionConflict
from objstore.cluster.holder_messages import HolderRefused
from objstore.cluster.joining import JoinError
from objstore.cluster.members import MembersError, read
from objstore.cluster.node_state import differing
from objstore.cluster.peer_gate import rsync_gate
from objstore.cluster.servers import read_servers
from objstore.config.cluster import load_cluster
from objstore.ring.fileformat import load
from objstore.runtime.fs import Fs
from objstore.runtime.listen import is_free
from tests.support.agents import Agents
from tests.support.objects import make_address, make_disk_engine, put


@pytest.fixture
def agents(tmp_path):
    with Agents(tmp_path) as agents:
        yield agents


def test_a_node_that_joins_has_the_clusters_secrets_and_the_same_rings(agents):
    first, second = agents.first(), agents.join("z2")
    assert load_cluster(second.etc).secrets == load_cluster(first.etc).secrets
    assert second.ring() == first.ring() and second.ring("account") == first.ring("account")
    assert read(second.etc) == read(first.etc)
    assert {device.ip for device in load(second.etc / "object.ring.gz").devices} == {"127.0.0.1", "127.0.0.2"}
    servers = read_servers(second.directory)
    assert [(server.role, server.address[0]) for server in servers][-1] == ("proxy-server", "127.0.0.2")
    users = first.directory.proxy_conf.read_text().split("[filter:tempauth]")[1].split("[")[0]
    assert users in second.directory.proxy_conf.read_text()


def test_files_with_keys_are_for_their_owner_only(agents):
    agents.first()
    second = agents.join("z2")
    for name in ("cluster.key", "agent.key", "swift.conf", "proxy-server.conf"):
        assert stat.S_IMODE((second.etc / name).stat().st_mode) == 0o600, name


def test_a_third_node_is_brought_to_the_second_with_the_next_round(agents):
    first, second = agents.first(), agents.join("z2")
    agents.join("z3")
    first.round()
    assert [node.name for node in read(second.etc).nodes] == ["n1", "n2", "n3"]
    assert second.ring() == first.ring()


def test_a_node_that_was_down_has_everything_when_it_is_back(agents):
    first, second = agents.first(), agents.join("z2")
    second.stop()
    agents.join("z3")
    first.round()
    assert second.ring() != first.ring()
    second.start()
    first.round()
    assert second.ring() == first.ring()


def test_a_node_that_comes_back_announces_itself_and_the_holder_makes_a_round_at_once(agents):
    first, second = agents.first(), agents.join("z2")
    woken = []
    first.agent.wake = lambda: woken.append(True)
    agents.blocking(second.agent.announce)
    assert woken
    agents.blocking(first.agent.announce)
    assert len(woken) == 1
    first.stop()
    with pytest.raises(ChannelError, match="refused"):
        agents.blocking(second.agent.announce)


def test_a_node_without_a_proxy_needs_no_file_of_one(agents):
    agents.first()
    second = agents.join("z2", proxy_port=None)
    assert [server.role for server in read_servers(second.directory)] == [
        "object-server",
        "container-server",
        "account-server",
    ]


@pytest.mark.skipif(not is_free(("::1", 0)), reason="no IPv6 on the loopback interface")
def test_the_first_node_may_have_an_address_of_ipv6_and_others_one_of_ipv4(agents):
    first = agents.first(ip="::1")
    assert agents.token.address == f"[::1]:{agents.port}"
    second = agents.join("z2", host="::1")
    first.round()
    assert {node.ip for node in read(second.etc).nodes} == {"::1", "127.0.0.2"}
    assert {device.ip for device in load(second.etc / "object.ring.gz").devices} == {"::1", "127.0.0.2"}
    servers = read_servers(first.directory)
    assert {server.address[0] for server in servers} == {"::1"}
    assert rsyncd.listening(servers, is_of_several=True).ip == "::1"
    assert "::1" in rsync_gate(second.etc, servers).addresses()
    assert str(second.client().holder) == f"[::1]:{agents.port}"


# Weights


def weights(node):
    return {device.ip: device.weight for device in load(node.etc / "object.ring.gz").devices}


def test_drives_that_join_weigh_as_the_cluster_weighs_its_own_or_as_they_are_told_to(agents):
    first = agents.first()
    by_size = weights(first)["127.0.0.1"]
    agents.join("z2")
    third = agents.join("z3", weight=7)
    assert weights(third) == {"127.0.0.1": by_size, "127.0.0.2": by_size, "127.0.0.3": 7}


def test_a_cluster_that_was_laid_out_before_drives_were_weighed_goes_on_so(agents):
    first = agents.first(weight=100)
    first.agent.membership.change(lambda now: replace(now, version=now.version + 1, weights_by_size=False))
    assert weights(agents.join("z2")) == {"127.0.0.1": 100, "127.0.0.2": 100}


# Tokens


def test_a_stolen_used_token_is_refused(agents):
    agents.first()
    token = agents.token
    agents.join("z2")
    with pytest.raises(JoinError, match="this join token was used .* ago; get another with: objstore node token"):
        agents.blocking(joining.join, ClusterDirectory(agents.root / "c3"), agents.plan(3, "z3"), token, Fs(), print)


def test_a_token_is_shown_to_the_node_that_made_it_and_to_nobody_else(agents):
    agents.first()
    token = agents.token
    other = agents.join("z2")
    plan = agents.plan(3, "z3", host=other.ip)
    with pytest.raises(WrongCertificate, match="it is not the node that was meant; nothing was sent"):
        agents.blocking(joining.join, ClusterDirectory(agents.root / "c3"), plan, token, Fs(), print)
    assert not (agents.root / "c3" / ".join").exists()


def values(path, *names):
    pairs = [line.partition(" = ") for line in path.read_text().splitlines()]
    return [value.split()[0] for key, _, value in pairs if key.startswith(names)]


def test_no_secret_is_in_any_log(agents):
    first, token = agents.first(), agents.token
    second = agents.join("z2")
    with pytest.raises(JoinError):
        agents.blocking(joining.join, ClusterDirectory(agents.root / "c3"), agents.plan(3, "z3"), token, Fs(), print)
    first.round()
    text = "\n".join(agents.log.lines)
    assert "node joined name=n2" in text and "join token refused" in text
    planted = [token.secret, token.text(), (first.etc / "cluster.key").read_text().strip()]
    planted += values(first.directory.proxy_conf, "fernet_keys", "user_") + values(
        second.etc / "swift.conf", "swift_hash"
    )
    assert len(planted) == 7
    assert not [secret for secret in planted if secret in text]


# Joins that break off


class Cut(Fs):
    """Fails when DIR/.join is to become DIR/etc."""

    def rename_durable(self, source, target):
        raise OSError(5, os.strerror(5), target)


def test_a_join_that_breaks_off_goes_on_without_its_token_and_nothing_is_done_twice(agents):
    first = agents.first()
    with pytest.raises(OSError, match="Input/output error"):
        agents.join("z2", fs=Cut())
    before = read(first.etc), first.ring()
    directory = ClusterDirectory(agents.root / "c2")
    assert not directory.exists
    assert stat.S_IMODE((directory.root / ".join").stat().st_mode) in (0o700, 0o755)
    said = []
    agents.blocking(joining.join, directory, agents.plan(2, "z2"), None, Fs(), said.append)
    assert said[0].startswith("going on with the join that broke off")
    assert (read(first.etc), first.ring()) == before
    assert (directory.etc / "object.ring.gz").read_bytes() == first.ring()
    assert not (directory.etc / "join.json").exists()


def test_without_a_token_and_nothing_to_go_on_with_the_way_to_one_is_said(agents):
    agents.first()
    with pytest.raises(JoinError, match="--token is missing: get one .* with: objstore node token"):
        agents.blocking(joining.join, ClusterDirectory(agents.root / "c2"), agents.plan(2, "z2"), None, Fs(), print)


def test_a_drive_with_data_of_another_cluster_is_refused_and_rings_and_members_stay(agents):
    first = agents.first()
    before = read(first.etc), first.ring()
    agents.plan(2, "z2")
    put(make_disk_engine(agents.root / "m2"), make_address(device="d1"))
    with pytest.raises(DriveError, match=r"m2/d1: holds data of another cluster \(objects/.* empty it"):
        agents.join("z2")
    assert (read(first.etc), first.ring()) == before


def test_an_address_that_is_taken_costs_no_token(agents):
    agents.first()
    token = agents.token
    with pytest.raises(JoinError, match="127.0.0.1.*somebody else listens there"):
        agents.blocking(
            joining.join, ClusterDirectory(agents.root / "c2"), agents.plan(2, "z2", ip="127.0.0.1"), token, Fs(), print
        )
    agents.join("z2")


def test_two_machines_cannot_have_one_name(agents):
    agents.first()
    with pytest.raises(HolderRefused, match="there is a node n1 already"):
        agents.join("z2", name="n1")


# Changes from anywhere


def test_a_change_asked_on_another_node_is_done_by_the_holder_and_reaches_all(agents):
    first, second = agents.first(), agents.join("z2")
    third = agents.join("z3")
    first.round()
    client = third.client()
    change = AddDrives(address_of(client.members.named("n2")), 2, (NewDrive("d2", 100.0),))
    plan = agents.blocking(client.plan, change)
    assert plan.version == agents.blocking(client.version)
    rings = agents.blocking(client.apply, change, plan.version)
    assert rings.version == plan.version + 1
    first.round()
    assert first.ring() == second.ring() == third.ring() == rings.files["object.ring.gz"][1]


def test_a_change_that_was_planned_for_older_rings_is_refused_over_the_network_too(agents):
    agents.first()
    second = agents.join("z2")
    client = second.client()
    with pytest.raises(VersionConflict, match="plan again"):
        agents.blocking(client.apply, DrainNode(address_of(client.members.named("n2"))), 1)


def test_rings_copied_by_hand_are_reported_and_stay_until_somebody_pushes(agents):
    first, second = agents.first(), agents.join("z2")
    foreign = (second.etc / "account.ring.gz").read_bytes()
    (second.etc / "object.ring.gz").write_bytes(foreign)
    first.round()
    facts = agents.blocking(second.client().facts)
    assert list(differing(facts)) == [("n2", "object.ring.gz")]
    assert "was put there by hand and stays" in facts.nodes[1].problem
    assert second.ring() == foreign
    facts = agents.blocking(lambda: second.client().push(is_forced=False))
    assert list(differing(facts)) == [("n2", "object.ring.gz")] and second.ring() == foreign
    facts = agents.blocking(lambda: second.client().push(is_forced=True))
    assert list(differing(facts)) == [] and second.ring() == first.ring()


def test_a_ring_that_was_cut_or_lost_is_brought_again(agents):
    first, second = agents.first(), agents.join("z2")
    (second.etc / "object.ring.gz").write_bytes(first.ring()[:100])
    (second.etc / "account.ring.gz").unlink()
    first.round()
    assert second.ring() == first.ring() and second.ring("account") == first.ring("account")


def test_a_round_says_whether_there_is_news_for_those_it_asked_first(agents):
    first, second = agents.first(), agents.join("z2")
    first.round()
    assert agents.blocking(first.agent.round) is False
    second.stop()
    assert [agents.blocking(first.agent.round) for _ in range(2)] == [True, False]
    second.start()
    assert [agents.blocking(first.agent.round) for _ in range(2)] == [True, False]


def test_every_node_hears_how_the_others_are(agents):
    first, second = agents.first(), agents.join("z2")
    third = agents.join("z3")
    third.stop()
    first.round()
    first.round()
    facts = agents.blocking(second.client().local_facts, 20.0)
    assert [node.name for node in facts.nodes] == ["n1", "n2", "n3"]
    assert "Connection refused" in facts.nodes[2].problem


# Another holder


def test_the_builders_are_handed_over_and_the_old_holder_refuses_changes(agents):
    first, second = agents.first(), agents.join("z2")
    text = agents.blocking(lambda: second.client().take_over(is_lost=False))
    assert text == "the ring builders came from n1"
    assert read(second.etc).holding.name == read(first.etc).holding.name == "n2"
    assert (second.etc / "object.builder").read_bytes() == (first.etc / "object.builder").read_bytes()
    with pytest.raises(HolderRefused, match="the ring builders are held by n2"):
        agents.blocking(lambda: first.calls.new_token(first.peer))
    agents.nodes.reverse()
    third = agents.join("z3", host=second.ip)
    second.round()
    assert first.ring() == second.ring() == third.ring()


def test_a_holder_that_does_not_answer_is_not_replaced_unless_it_is_said_to_be_lost(agents):
    first, second = agents.first(), agents.join("z2")
    with pytest.raises(HolderRefused, match="n1 answers: have it hand over, without --lost"):
        agents.blocking(lambda: second.client().take_over(is_lost=True))
    first.stop()
    with pytest.raises(HolderRefused, match="n1 did not hand over .*refused.*: start it .* holder DIR --lost"):
        agents.blocking(lambda: second.client().take_over(is_lost=False))
    assert read(second.etc).holding.name == "n1"


def test_a_lost_holder_is_rebuilt_from_the_newest_rings_and_steps_down_when_it_is_back(agents):
    first, second = agents.first(), agents.join("z2")
    third = agents.join("z3")
    first.stop()
    # n2 has not heard of n3 yet, whose rings are newer.
    assert second.ring() != third.ring()
    agents.blocking(lambda: third.client().take_over(is_lost=True))
    assert read(third.etc).holding.name == "n3"
    third.round()
    assert second.ring() == third.ring()
    first.start()
    first.round()
    assert read(first.etc).holding.name == "n3"
    third.round()
    assert first.ring() == third.ring()
    assert (third.etc / "object.builder").exists()


def test_a_second_holder_of_the_same_term_is_not_believed(agents):
    first, second = agents.first(), agents.join("z2")
    third = agents.join("z3")
    first.round()
    first.stop()
    for node in (second, third):
        other = third if node is second else second
        other.stop()
        agents.blocking(lambda node=node: node.client().take_over(is_lost=True))
        other.start()
    second.round()
    facts = agents.blocking(second.client().facts)
    assert "two nodes hold the ring builders in term 2" in facts.nodes[2].problem
    assert read(second.etc).holding.name == "n2" and read(third.etc).holding.name == "n3"
    # Somebody decides for one of them.
    text = agents.blocking(lambda: second.client().take_over(is_lost=True))
    assert text == "this node holds the ring builders, now in term 3: who said the same steps down"
    second.round()
    assert read(third.etc).holding.name == "n2"
    assert third.ring() == second.ring()


def test_a_removal_that_broke_off_between_rings_and_members_is_finished_by_asking_again(agents):
    first = agents.first()
    for zone in ("z2", "z3", "z4"):
        last = agents.join(zone)
    client = first.client()
    change = RemoveNode(address_of(client.members.named("n4")), is_lost=True)
    # As the agent does it, but for its second half.
    agents.blocking(lambda: Holder(first.etc).apply(change, client.version()))
    assert last.ip not in {device.ip for device in load(first.etc / "object.ring.gz").devices if device is not None}
    plan = agents.blocking(client.plan, change)
    assert plan.notes == ("it has no drives in the rings, and is taken out of the members",) and not plan.refusals
    rings = agents.blocking(client.apply, change, plan.version)
    assert rings.version == plan.version
    assert [node.name for node in read(first.etc).nodes] == ["n1", "n2", "n3"]


def test_a_removed_node_says_so_when_it_starts(agents, tmp_path):
    first = agents.first()
    members = read(first.etc)
    path = first.etc / "cluster.json"
    value = json.loads(members.to_json())
    value["nodes"][0]["fingerprint"] = "00" * 32
    path.write_text(json.dumps(value))
    with pytest.raises(MembersError, match="this node is not .* among the members; to have it join again"):
        first.client()
