"""Plans under any sequence of changes of drives: what moves, what stays together, and that a plan is only a plan."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.cluster.change_plan import Usage
from objstore.cluster.changes import (
    AddDrives,
    Continue,
    DrainDrive,
    DrainNode,
    NewDrive,
    RemoveDrive,
    RemoveNode,
    ReplaceDrive,
)
from objstore.cluster.device_changes import ChangeRefused, concerned
from objstore.cluster.placement import place
from objstore.ring.builder_file import state_of
from tests.support.ring_holder import NOW_S, make_builder, node

HOUR_S = 3600

nodes = st.integers(1, 6).map(node)
names = st.sampled_from(["d1", "d2", "d3"])
weights = st.sampled_from([10.0, 100.0, 100.0, 400.0])
lost = st.booleans()
changes = st.one_of(
    st.builds(lambda at, name, weight: AddDrives(at, int(at.ip[-1]), (NewDrive(name, weight),)), nodes, names, weights),
    st.builds(DrainDrive, nodes, names),
    st.builds(ReplaceDrive, nodes, names, names, lost),
    st.builds(RemoveDrive, nodes, names, st.just(0), lost),
    st.builds(DrainNode, nodes),
    st.builds(RemoveNode, nodes, st.just(0), lost),
    st.just(Continue()),
)
histories = st.lists(st.tuples(changes, st.integers(0, 2)), min_size=1, max_size=12)


def is_alive(change):
    return not getattr(change, "is_lost", False)


def check_step(before, after, change):
    """One replica of a partition moves, lost ones apart; a drive that was not said to be lost keeps what it had until
    somebody else has it."""
    going = {device.id for device in concerned("object", before, change)}
    places = {device.id: (device.ip, device.device) for device in after.live_devices()}
    for partition in range(before.partition_count):
        pairs = [(old[partition], new[partition]) for old, new in zip(before.rows, after.rows, strict=True)]
        moved = [old for old, new in pairs if old != new]
        assert all(new in places for _, new in pairs)
        assert len(moved) - sum(old in going for old in moved if not is_alive(change)) <= 1
        if isinstance(change, RemoveDrive | RemoveNode):
            assert is_alive(change) <= (not going & {old for old, _ in pairs})
            assert {old for old, _ in pairs} - going, "the last copy was given up"


def host_count(builder, partition):
    return len({builder.device(row[partition]).machine for row in builder.rows})


@settings(max_examples=80, deadline=None)
@given(st.sampled_from([(4, 1, 3), (3, 2, 3), (1, 2, 3), (5, 1, 2), (4, 2, 1)]), histories)
def test_no_plan_moves_two_replicas_or_brings_them_together(shape, history):
    node_count, drives, replicas = shape
    builder, now_s = make_builder(nodes=node_count, drives=drives, replicas=replicas, part_power=4), NOW_S
    for change, hours in history:
        now_s += hours * HOUR_S
        if not isinstance(change, AddDrives | Continue) and not concerned("object", builder, change):
            continue
        before = state_of(builder)
        try:
            placed = place("object", builder, change, now_s, Usage())
        except ChangeRefused:
            assert state_of(builder) == before
            continue
        assert state_of(builder) == before
        check_step(builder, placed.builder, change)
        counts = Counter(placed.builder.part_counts())
        assert sum(number * times for number, times in counts.items()) == sum(map(len, builder.rows))
        builder = placed.builder


@settings(max_examples=40, deadline=None)
@given(histories)
def test_changes_followed_to_their_end_leave_replicas_on_as_many_nodes_as_there_are(history):
    builder, now_s = make_builder(nodes=4, drives=2, part_power=4), NOW_S
    for change, _ in history:
        if not isinstance(change, AddDrives | Continue) and not concerned("object", builder, change):
            continue
        try:
            placed = place("object", builder, change, now_s, Usage())
        except ChangeRefused:
            continue
        builder = placed.builder
        while len(placed.moves.steps) > 1:
            now_s += placed.moves.steps[1].wait_s
            placed = place("object", builder, Continue(), now_s, Usage())
            builder = placed.builder
    hosts = {device.machine for device in builder.live_devices() if device.weight > 0}
    for partition in range(builder.partition_count):
        assert host_count(builder, partition) == min(3, len(hosts))
