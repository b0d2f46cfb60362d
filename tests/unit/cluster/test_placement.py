"""cluster/placement.py: what a change of drives moves, in which steps, and what is refused."""

import json

import pytest

from objstore.cluster.change_plan import ChangePlan, InvalidPlan, Step, Usage, plan_from_json
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
from objstore.cluster.device_changes import ChangeRefused
from objstore.cluster.placement import place
from tests.support.ring_holder import NOW_S, make_builder, node

HOUR_S = 3600


def placed(builder, change, now_s=NOW_S, **usage):
    return place("object", builder, change, now_s, Usage(**usage))


def holders(builder, partition):
    return [builder.device(row[partition]) for row in builder.rows]


def holds(builder, number, drive):
    ip = node(number).ip
    counts = builder.part_counts()
    return sum(counts[d.id] for d in builder.live_devices() if (d.ip, d.device) == (ip, drive))


def test_an_added_drive_gets_its_share_and_the_plan_says_from_whom():
    found = placed(make_builder(), AddDrives(node(5), 5, (NewDrive("d1", 100.0),)), partition_bytes={"object": 1000})
    new = next(drive for drive in found.moves.drives if drive.ip == node(5).ip)
    assert new.gains == holds(found.builder, 5, "d1") == found.moves.moves
    assert sum(drive.gives for drive in found.moves.drives) == new.gains
    assert found.moves.bytes == 1000 * new.gains
    assert found.moves.steps == (Step(new.gains, 0),)


def test_a_plan_leaves_the_builder_alone_and_comes_out_the_same_twice():
    builder = make_builder()
    rows, version = [row[:] for row in builder.rows], builder.version
    results = [placed(builder, DrainNode(node(2))) for _ in range(2)]
    assert (builder.rows, builder.version) == (rows, version)
    assert results[0].builder.rows == results[1].builder.rows != rows


def test_what_moved_within_the_hour_waits_for_the_next_step():
    builder = placed(make_builder(), AddDrives(node(5), 5, (NewDrive("d1", 100.0),))).builder
    found = placed(builder, DrainDrive(node(1), "d1"), NOW_S + 600)
    first, *later = found.moves.steps
    assert first.moves < holds(builder, 1, "d1")
    assert [step.wait_s for step in later] == [HOUR_S]
    assert first.moves + later[0].moves == found.moves.moves >= holds(builder, 1, "d1")
    done = placed(found.builder, Continue(), NOW_S + 600 + HOUR_S)
    assert holds(done.builder, 1, "d1") == 0


def test_drives_take_more_than_their_weight_to_keep_replicas_apart():
    builder = make_builder(nodes=3, drives=2)
    found = placed(builder, DrainDrive(node(1), "d1"))
    assert all(len({d.ip for d in holders(found.builder, p)}) == 3 for p in range(builder.partition_count))
    assert any("overload becomes" in note for note in found.notes)


def test_replicas_that_would_come_together_for_lack_of_room_are_refused():
    builder = make_builder(nodes=3, drives=2)
    room = {(node(1).ip, 6200, "d2"): 5_000}
    with pytest.raises(ChangeRefused) as raised:
        placed(builder, DrainDrive(node(1), "d1"), partition_bytes={"object": 1000}, room=room)
    text = " ".join(raised.value.reasons)
    assert "would come together with another of their partition in one failure domain while others have room" in text
    assert "10.0.0.1:6200/d2 would get" in text and "has room for 5000" in text


def test_a_drive_without_room_for_its_share_is_named():
    room = {(node(5).ip, 6200, "d1"): 5_000}
    add = AddDrives(node(5), 5, (NewDrive("d1", 100.0),))
    _, note = placed(make_builder(), add, partition_bytes={"object": 1000}, room=room).notes
    assert "10.0.0.5:6200/d1 would get" in note and "uploads there will be refused" in note


def test_a_small_node_that_cannot_take_a_whole_copy_may_still_join():
    builder = make_builder(nodes=1, drives=3)
    room = {(node(2).ip, 6200, "d1"): 9_000}
    add = AddDrives(node(2), 2, (NewDrive("d1", 10.0),))
    found = placed(builder, add, partition_bytes={"object": 1000}, room=room)
    assert 0 < holds(found.builder, 2, "d1") < 9
    assert any("stay together in one domain" in note for note in found.notes)


def test_three_nodes_that_join_one_after_the_other_need_not_wait():
    builder = make_builder(nodes=1, hours=24)
    for number in (2, 3):
        builder = placed(builder, AddDrives(node(number), number, (NewDrive("d1", 100.0),))).builder
    assert all(len({d.ip for d in holders(builder, p)}) == 3 for p in range(builder.partition_count))


def test_a_replacement_takes_exactly_what_the_old_drive_had():
    builder = make_builder(drives=2)
    before = [row[:] for row in builder.rows]
    found = placed(builder, ReplaceDrive(node(2), "d1", "d9"))
    assert found.builder.rows == before
    assert holds(found.builder, 2, "d9") == holds(builder, 2, "d1") == found.moves.moves
    assert {(drive.device, drive.gains > 0, drive.gives > 0) for drive in found.moves.drives} == {
        ("d1", False, True),
        ("d9", True, False),
    }


def test_a_replacement_waits_for_replicas_on_their_way_unless_the_drive_is_dead():
    builder = placed(make_builder(drives=2), AddDrives(node(5), 5, (NewDrive("d1", 100.0),))).builder
    with pytest.raises(ChangeRefused, match="another replica on its way: wait 60 min"):
        placed(builder, ReplaceDrive(node(2), "d1", "d9"))
    assert placed(builder, ReplaceDrive(node(2), "d1", "d9", is_lost=True)).builder
    assert placed(builder, ReplaceDrive(node(2), "d1", "d9"), NOW_S + HOUR_S).builder


def test_a_lost_drive_leaves_at_once_and_its_partitions_get_other_places():
    builder = make_builder(drives=2)
    lost = holds(builder, 2, "d1")
    found = placed(builder, RemoveDrive(node(2), "d1", is_lost=True))
    assert holds(found.builder, 2, "d1") == 0
    assert found.moves.moves >= lost
    assert all(len({d.ip for d in holders(found.builder, p)}) == 3 for p in range(builder.partition_count))


def test_an_emptied_drive_is_removed_and_nothing_moves():
    builder = placed(make_builder(drives=2), DrainDrive(node(2), "d1")).builder
    found = placed(builder, RemoveDrive(node(2), "d1", left=0), NOW_S + HOUR_S)
    assert found.moves.moves == 0
    assert not [d for d in found.builder.live_devices() if (d.ip, d.device) == (node(2).ip, "d1")]


def single_copies():
    return make_builder(replicas=1)


def drained():
    return placed(make_builder(drives=2), DrainDrive(node(2), "d1")).builder


@pytest.mark.parametrize(
    ("builder", "change", "reason"),
    [
        (make_builder, AddDrives(node(1), 1, (NewDrive("d1", 1.0),)), "n1/d1 is in the rings already"),
        (make_builder, AddDrives(node(9), 9, (NewDrive("a", 1.0), NewDrive("a", 1.0))), "named twice"),
        (make_builder, AddDrives(node(9), 9, (NewDrive("a/b", 1.0),)), "device name is 'a/b'"),
        (lambda: make_builder(nodes=3), DrainDrive(node(1), "d1"), "3 replicas need 3 drives, and 2 would be left"),
        (lambda: make_builder(nodes=3), RemoveNode(node(1), is_lost=True), "3 replicas need 3 drives"),
        (make_builder, RemoveDrive(node(1), "d1", left=0), "still holds 24 partitions of the object ring: drain it"),
        (make_builder, RemoveNode(node(1), left=0), "(objstore node drain)"),
        (drained, RemoveDrive(node(2), "d1"), "nobody has looked whether n2/d1 is empty"),
        (drained, RemoveDrive(node(2), "d1", left=7), "still has 7 partitions on disk"),
        (single_copies, RemoveDrive(node(2), "d1", is_lost=True), "8 partitions have their only copies there"),
        (single_copies, RemoveNode(node(2), is_lost=True), "8 partitions have their only copies there"),
        (single_copies, ReplaceDrive(node(2), "d1", "d2"), "drain d1 instead"),
        (make_builder, ReplaceDrive(node(2), "d1", "d1"), "needs no change of the rings"),
        (lambda: make_builder(drives=2), ReplaceDrive(node(2), "d1", "d2"), "n2/d2 is in the rings already"),
        (make_builder, ReplaceDrive(node(2), "d1", "a b"), "device name is 'a b'"),
    ],
)
def test_a_change_that_would_hurt_is_refused_with_what_to_do(builder, change, reason):
    with pytest.raises(ChangeRefused) as raised:
        placed(builder(), change)
    assert reason in str(raised.value)


def test_a_node_more_than_replicas_is_needed_to_keep_nodes_apart_and_the_plan_says_so():
    found = placed(make_builder(nodes=3, drives=2), DrainNode(node(1)))
    assert "object ring: only 2 nodes will be left, so replicas of a partition share a node" in found.notes


def test_a_plan_is_the_same_after_its_json():
    moves = placed(make_builder(), DrainNode(node(2)), partition_bytes={"object": 5}).moves
    plan = ChangePlan(3, (moves,), (), ("a note",))
    assert plan_from_json(json.loads(json.dumps(plan.to_json()))) == plan
    assert plan.copying_s(1.0) == moves.busiest_bytes > 0


@pytest.mark.parametrize(
    "value", [None, [], {}, {"version": -1, "rings": [], "refusals": [], "notes": []}, {"version": 1, "rings": [1]}]
)
def test_json_that_is_no_plan_is_refused(value):
    with pytest.raises(InvalidPlan):
        plan_from_json(value)
