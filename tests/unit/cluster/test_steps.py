"""cluster/steps.py and what Holder does for it: a step follows on evidence alone, and only one that was asked for."""

import dataclasses
import hashlib

import pytest

from objstore.cli.at_once import within
from objstore.cli.ring_builder import main as ring_builder
from objstore.cluster.changes import Continue, DrainNode
from objstore.cluster.device_changes import ChangeRefused
from objstore.cluster.holder import Holder
from objstore.cluster.node_state import ClusterFacts, NodeFact, cluster_facts_of
from objstore.cluster.ring_install import RingState
from objstore.cluster.ring_manifest import read_manifest
from objstore.cluster.steps import Steps
from objstore.cluster.strangers import Strangers
from objstore.cluster.strict_json import Fields
from objstore.ring.fileformat import load
from objstore.runtime.fs import Fs
from tests.support.clock import SimClock
from tests.support.members import make_members
from tests.support.ring_holder import make_etc, node

RINGS = ("account", "container", "object")
MEMBERS = make_members(6)


class Cluster:
    """Six nodes of two drives, one of which is drained; 3 replicas of which several may be on its drives."""

    def __init__(self, etc, change=None):
        self.etc = make_etc(etc, RINGS, nodes=6, drives=2, part_power=6)
        self.clock = SimClock()
        self.holder = Holder(self.etc, None, self.clock)
        # Two changes at once, so that the second has partitions to wait for.
        self.holder.apply(DrainNode(node(1)), self.holder.version())
        self.holder.apply(change or DrainNode(node(2)), self.holder.version())
        self.said = {}
        self.steps = self.made(self.holder)

    def made(self, holder):
        """Servers of no member say of their rings what stands in self.said."""
        strangers = Strangers(self.etc, within, self.clock.monotonic, self.said.get)
        return Steps(holder, self.clock, strangers)

    def facts(self, **others):
        """Every node has these rings, and everything is in its place, but for `others`: name → fields of its fact."""
        version = self.holder.version()
        rings = RingState(version, {})
        nodes = [NodeFact(each.name, each.ip, 0.0, rings, "", version) for each in MEMBERS.nodes]
        nodes = [dataclasses.replace(each, **others.get(each.name, {})) for each in nodes]
        return ClusterFacts("n1", version, {}, tuple(nodes))

    def go_on(self, members=MEMBERS, **others):
        return self.steps.go_on(self.facts(**others), members.server_addresses())

    def text(self, members=MEMBERS, **others):
        return self.steps.text(self.facts(**others), members.server_addresses())

    def rows(self):
        return {name: [list(row) for row in load(self.etc / f"{name}.ring.gz").rows] for name in RINGS}

    def held(self, *numbers):
        """Partition replicas on nodes."""
        total = 0
        for name in RINGS:
            ring = load(self.etc / f"{name}.ring.gz")
            ids = {device.id for device in ring.devices if device and device.ip in {node(n).ip for n in numbers}}
            total += sum(row.count(each) for row in ring.rows for each in ids)
        return total


@pytest.fixture
def cluster(tmp_path):
    return Cluster(tmp_path / "etc")


def test_steps_follow_until_the_drained_nodes_are_empty_without_an_hour_passing(cluster):
    assert cluster.held(1, 2) > 0
    count = 0
    while cluster.go_on():
        count += 1
        assert count < 10
    assert cluster.held(1, 2) == 0 and count >= 1
    assert cluster.text() == "" and not read_manifest(cluster.etc, Fs()).has_more
    assert not cluster.go_on()


def test_a_step_moves_one_replica_of_a_partition_at_the_most(cluster):
    before = cluster.rows()
    while cluster.go_on():
        after = cluster.rows()
        for name in RINGS:
            for parts in zip(*before[name], *after[name], strict=True):
                assert len(set(parts[3:]) - set(parts[:3])) <= 1
        before = after


@pytest.mark.parametrize(
    "fact",
    [
        {"settled": 0},
        {"settled": 1},
        {"settled": 99},
        {"rings": RingState(1, {})},
        {"problem": "n3: 10.0.0.3:6199: Connection refused"},
        {"problem": "n3: object.ring.gz was put there by hand and stays"},
    ],
    ids=str,
)
def test_nothing_follows_while_a_node_has_not_said_that_all_is_in_place_however_long_that_is(cluster, fact):
    before = cluster.rows()
    cluster.clock.advance(10 * 24 * 3600)
    assert not cluster.go_on(n3=fact)
    assert cluster.text(n3=fact).endswith("not yet: n3")
    assert cluster.rows() == before
    assert cluster.go_on()


def test_facts_of_rings_that_are_not_these_any_more_are_no_evidence(cluster):
    old = cluster.facts()
    cluster.holder.apply(DrainNode(node(3)), cluster.holder.version())
    assert not cluster.steps.go_on(old, MEMBERS.server_addresses())


STRANGERS = make_members(5)
"""Without n6, whose drives are in the rings all the same."""


def test_drives_of_no_member_hold_a_step_up_for_min_part_hours_and_are_named(cluster):
    before = cluster.rows()
    for passed_s in (0, 1800, 1799):
        cluster.clock.advance(passed_s)
        assert not cluster.go_on(STRANGERS)
    assert "follows in 1 min" in cluster.text(STRANGERS) and "10.0.0.6:6200" in cluster.text(STRANGERS)
    assert cluster.rows() == before
    cluster.clock.advance(1)
    assert cluster.text(STRANGERS) == "the next step follows now"
    assert cluster.go_on(STRANGERS)
    assert not cluster.go_on(STRANGERS)


def digests_of(etc):
    return {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in etc.glob("*.ring.gz")}


def test_who_says_that_it_has_other_rings_is_waited_for_and_time_counts_from_when_it_has_these(cluster):
    address = ("10.0.0.6", 6200)
    cluster.said[address] = {**digests_of(cluster.etc), "object.ring.gz": "0" * 32}
    for _ in range(3):
        cluster.clock.advance(24 * 3600)
        assert not cluster.go_on(STRANGERS)
    assert cluster.text(STRANGERS).endswith("not yet: 10.0.0.6:6200 (has other rings)")
    cluster.said[address] = digests_of(cluster.etc)
    cluster.clock.advance(61)
    assert not cluster.go_on(STRANGERS)
    assert "follows in 59 min" in cluster.text(STRANGERS)
    cluster.clock.advance(3600)
    assert cluster.go_on(STRANGERS)


def test_however_long_ago_it_was_members_must_have_said_that_all_is_in_place(cluster):
    cluster.clock.advance(10 * 24 * 3600)
    assert not cluster.go_on(STRANGERS, n3={"settled": 0})
    assert "not yet: n3" in cluster.text(STRANGERS, n3={"settled": 0})
    assert cluster.go_on(STRANGERS)


@pytest.mark.parametrize(("hours", "wait_s"), [(0, 3600), (1, 3600), (5, 5 * 3600)])
def test_without_anybodys_word_a_step_waits_for_an_hour_at_least(tmp_path, hours, wait_s):
    etc = make_etc(tmp_path / "etc", RINGS, nodes=6, hours=hours)
    clock = SimClock()
    holder = Holder(etc, None, clock)
    assert holder.unproven_wait_s() == 0
    holder.apply(DrainNode(node(1)), holder.version())
    assert holder.unproven_wait_s() == wait_s
    clock.advance(wait_s - 1)
    assert Holder(etc, None, clock).unproven_wait_s() == 1
    clock.advance(7)
    assert holder.unproven_wait_s() == 0


def test_paused_steps_wait_until_resumed_whatever_else_changes(cluster):
    cluster.holder.pause(True)
    assert not cluster.go_on()
    assert "objstore ring resume" in cluster.text()
    again = Holder(cluster.etc, None, cluster.clock)
    again.apply(DrainNode(node(3)), again.version())
    assert read_manifest(cluster.etc, Fs()).is_paused and not cluster.go_on()
    cluster.holder.pause(False)
    assert cluster.go_on()


def test_work_by_hand_ends_what_would_have_followed(cluster):
    path = str(cluster.etc / "object.builder")
    assert ring_builder([path, "set_weight", "d8", "50"]) == 0
    before = cluster.rows()
    assert not cluster.go_on()
    assert (cluster.text(), cluster.rows()) == ("", before)


def test_a_ring_that_came_by_hand_ends_it_as_well(cluster):
    before = (cluster.etc / "object.ring.gz").read_bytes()
    (cluster.etc / "object.ring.gz").write_bytes((cluster.etc / "account.ring.gz").read_bytes())
    assert not cluster.go_on()
    (cluster.etc / "object.ring.gz").write_bytes(before)
    assert not cluster.go_on()


def test_a_change_of_one_step_has_nothing_that_follows(tmp_path):
    etc = make_etc(tmp_path / "etc", RINGS)
    holder = Holder(etc, None, SimClock())
    holder.apply(Continue(), holder.version())
    assert not holder.following().has_more


def test_after_a_hand_over_the_new_holder_goes_on_and_a_rebuilt_one_does_not(cluster):
    assert Holder(cluster.etc, None, cluster.clock).following().has_more
    for path in cluster.etc.glob("*.builder"):
        path.unlink()
    again = Holder(cluster.etc, None, cluster.clock)
    again.rebuild_from_rings()
    assert not again.following().has_more


def test_who_only_looks_says_that_the_step_would_be_refused_and_changes_nothing(cluster):
    class Refusing(Holder):
        def foresee(self, expected_version):
            raise ChangeRefused("n4/d1 has no room")

    steps = cluster.made(Refusing(cluster.etc, None, cluster.clock))
    before, known = cluster.rows(), MEMBERS.server_addresses()
    assert "not yet: n3" in steps.foreseen(cluster.facts(n3={"settled": 0}), known)
    assert steps.foreseen(cluster.facts(), known).startswith("stopped: n4/d1 has no room")
    assert cluster.steps.foreseen(cluster.facts(), known) == "the next step follows now"
    assert cluster.rows() == before


def test_what_it_waits_for_travels_to_all_nodes(cluster):
    facts = dataclasses.replace(cluster.facts(), steps="the next step follows now")
    assert cluster_facts_of(Fields(facts.to_json(), "facts")) == facts
    older = {name: value for name, value in facts.to_json().items() if name != "steps"}
    assert cluster_facts_of(Fields(older, "facts")).steps == ""
