"""cluster/holder.py and ring_store.py: one change at a time, whole or not at all, and hand-made rings stay."""

import errno
import json
import os
import shutil
import threading

import pytest

from objstore.cluster.changes import AddDrives, DrainDrive, DrainNode, NewDrive, RemoveDrive
from objstore.cluster.device_changes import ChangeRefused
from objstore.cluster.holder import ForeignRing, Holder, VersionConflict
from objstore.cluster.ring_manifest import InvalidManifest, Manifest, digest_of, parsed_manifest, read_manifest
from objstore.ring.builder_file import load_builder, save_builder
from objstore.ring.fileformat import load, save
from objstore.runtime.fs import Fs
from tests.support.clock import SimClock
from tests.support.recording_fs import PowerCut, RecordingFs
from tests.support.ring_holder import RINGS, make_etc, node

ADD = AddDrives(node(5), 5, (NewDrive("d1", 100.0),))


@pytest.fixture
def etc(tmp_path):
    return make_etc(tmp_path / "etc")


def holder(etc, fs=None):
    return Holder(etc, fs, SimClock())


def files(etc):
    return {path.name: path.read_bytes() for path in etc.iterdir() if path.suffix in (".gz", ".builder", ".json")}


def check_whole(etc, rings=RINGS):
    """Every ring is its builder's, and the manifest names what is there."""
    manifest = read_manifest(etc, Fs())
    assert {f"{name}.ring.gz" for name in rings} == set(manifest.rings)
    for name in rings:
        ring, builder = load(etc / f"{name}.ring.gz"), load_builder(etc / f"{name}.builder")
        assert (ring.version, list(ring.rows)) == (builder.version, builder.rows)
        assert manifest.rings[f"{name}.ring.gz"] == digest_of((etc / f"{name}.ring.gz").read_bytes())
        assert manifest.builders[f"{name}.builder"] == digest_of((etc / f"{name}.builder").read_bytes())
    return manifest


def node_counts(etc, rings=RINGS):
    """Nodes in each ring."""
    return {len({d.ip for d in load(etc / f"{name}.ring.gz").devices if d}) for name in rings}


def test_a_first_look_takes_over_what_is_there(etc):
    before = files(etc)
    assert holder(etc).version() == 1
    assert {name: data for name, data in files(etc).items() if name != "rings.json"} == before
    assert check_whole(etc).version == 1
    assert holder(etc).version() == 1


def test_a_plan_changes_nothing(etc):
    held = holder(etc)
    held.version()
    before = files(etc)
    plan = held.plan(ADD)
    assert (plan.version, [ring.ring for ring in plan.rings], plan.refusals) == (1, list(RINGS), ())
    assert files(etc) == before


def test_a_change_is_made_in_all_rings_and_does_what_was_planned(etc):
    held = holder(etc)
    plan = held.plan(ADD)
    rings = held.apply(ADD, plan.version)
    assert (rings.version, held.version()) == (2, 2)
    assert node_counts(etc) == {5}
    for moves in plan.rings:
        counts = load_builder(etc / f"{moves.ring}.builder").part_counts()
        assert counts[4] == moves.moves
    assert {name: (digest_of(data), data) for name, data in files(etc).items() if "ring.gz" in name} == rings.files
    assert check_whole(etc).version == 2
    assert not list(etc.glob(".rings.*"))


def test_a_change_planned_for_another_version_is_a_conflict(etc):
    one, other = holder(etc), holder(etc)
    version = one.plan(ADD).version
    other.apply(ADD, version)
    before = files(etc)
    with pytest.raises(VersionConflict) as raised:
        one.apply(DrainNode(node(1)), version)
    assert (raised.value.expected, raised.value.found) == (1, 2)
    assert files(etc) == before


class InBetween(Fs):
    """Does something just before the lock is taken for the second time."""

    def __init__(self, action):
        super().__init__()
        self._actions = [lambda: None, action]

    def lock(self, path, timeout_s):
        if self._actions:
            self._actions.pop(0)()
        return super().lock(path, timeout_s)


def test_a_change_that_comes_while_another_is_reckoned_makes_it_a_conflict(etc):
    """The lock is not held while a plan is made: what was planned for is checked again before it is written."""
    version = holder(etc).version()
    other = InBetween(lambda: holder(etc).apply(DrainNode(node(1)), version))
    with pytest.raises(VersionConflict):
        holder(etc, other).apply(ADD, version)
    assert check_whole(etc).version == version + 1
    assert node_counts(etc) == {4}


def test_of_many_who_apply_at_once_one_wins(etc):
    version, outcomes = holder(etc).version(), []

    def change(number):
        try:
            outcomes.append(holder(etc).apply(AddDrives(node(number), number, (NewDrive("d1", 1.0),)), version).version)
        except VersionConflict:
            outcomes.append(None)

    threads = [threading.Thread(target=change, args=[number]) for number in range(5, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes, key=str) == [2, None, None, None]
    check_whole(etc)


def test_a_refused_change_changes_nothing(etc):
    held = holder(etc)
    held.version()
    before = files(etc)
    change = RemoveDrive(node(1), "d1", left=0)
    assert len(held.plan(change).refusals) == len(RINGS)
    with pytest.raises(ChangeRefused, match="drain it first"):
        held.apply(change, 1)
    assert files(etc) == before


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (DrainDrive(node(1), "d7"), "n1/d7 is not in the rings; n1 has d1"),
        (DrainNode(node(8)), "n8 (10.0.0.8) has no drive in the rings"),
    ],
)
def test_an_unknown_drive_is_refused_by_name(etc, change, reason):
    assert reason in holder(etc).plan(change).refusals[0]


def test_a_change_concerns_only_the_rings_that_have_the_drive(etc):
    held = holder(etc)
    builder = load_builder(etc / "object-1.builder")
    builder.remove_device(3)
    builder.rebalance(now_s=0, seed=1)
    save_builder(builder, etc / "object-1.builder")
    save(builder.to_ring(), etc / "object-1.ring.gz")
    change = RemoveDrive(node(4), "d1", is_lost=True)
    plan = held.plan(change)
    assert [ring.ring for ring in plan.rings] == ["account", "container", "object"]
    held.apply(change, plan.version)
    assert node_counts(etc) == {3}


# Crashes

TWO = ("account", "object")


def events_of_a_change(etc):
    """(how many effects come before it, all effects)."""
    fs = RecordingFs()
    held = Holder(make_etc(etc, TWO), fs, SimClock())
    held.version()
    first = len(fs.events)
    held.apply(ADD, 1)
    return first, fs.events


def cut_at(etc, point, template):
    """A directory whose power was cut before an effect of the change."""
    shutil.copytree(template, etc)
    held = Holder(etc, RecordingFs(stop_after=point), SimClock())
    held.version()
    with pytest.raises(PowerCut):
        held.apply(ADD, 1)
    return etc


def test_a_crash_at_any_point_leaves_the_old_rings_or_the_new_ones(tmp_path):
    first, events = events_of_a_change(tmp_path / "whole")
    template, seen = make_etc(tmp_path / "template", TWO), []
    for point in range(first, len(events)):
        etc = cut_at(tmp_path / str(point), point, template)
        version = holder(etc).version()
        assert check_whole(etc, TWO).version == version
        assert node_counts(etc, TWO) == {4 if version == 1 else 5}
        assert not list(etc.glob(".rings.*"))
        seen.append(version)
    assert (seen[0], seen[-1], seen) == (1, 2, sorted(seen))


def test_a_crash_in_the_repair_is_repaired_too(tmp_path):
    _, events = events_of_a_change(tmp_path / "whole")
    decided = max(index for index, event in enumerate(events) if event[0] == "rename" and event[2].endswith(".pending"))
    left = len(events) - decided - 1
    template = make_etc(tmp_path / "template", TWO)
    for point in range(left):
        etc = cut_at(tmp_path / str(point), decided + 1, template)
        with pytest.raises(PowerCut):
            Holder(etc, RecordingFs(stop_after=point), SimClock()).version()
        assert holder(etc).version() == 2
        check_whole(etc, TWO)


def test_a_start_finishes_what_a_crash_interrupted_and_touches_nothing_else(tmp_path):
    _, events = events_of_a_change(tmp_path / "whole")
    decided = max(index for index, event in enumerate(events) if event[0] == "rename" and event[2].endswith(".pending"))
    etc = cut_at(tmp_path / "cut", decided + 1, make_etc(tmp_path / "template", TWO))
    holder(etc).repair()
    assert check_whole(etc, TWO).version == 2
    fresh = make_etc(tmp_path / "fresh", TWO)
    before = sorted(fresh.iterdir())
    holder(fresh).repair()
    assert sorted(fresh.iterdir()) == before


def test_a_move_that_a_power_cut_left_with_two_names_is_repaired(etc):
    """Renaming one name of a file over another name of the same file does nothing and says it was done."""
    held = holder(etc)
    held.version()
    pending = etc / ".rings.pending"
    pending.mkdir()
    os.link(etc / "object.builder", pending / "object.builder")
    assert holder(etc).version() == 1
    assert not pending.exists()
    check_whole(etc)


def test_rings_are_durable_before_the_manifest_names_them(tmp_path):
    _, events = events_of_a_change(tmp_path)
    moves = [
        (index, event[2]) for index, event in enumerate(events) if event[0] == "rename" and ".pending/" in event[1]
    ]
    last = moves[-1]
    assert last[1].endswith("rings.json")
    assert events[last[0] - 1] == ("sync directory", str(tmp_path))
    order = ["builder" if path.endswith(".builder") else "ring" for _, path in moves[:-1]][-2 * len(TWO) :]
    assert order == ["builder"] * len(TWO) + ["ring"] * len(TWO)


@pytest.mark.parametrize("effect", ["write", "sync", "rename"])
def test_a_full_disk_leaves_the_old_rings(etc, effect):
    holder(etc).version()
    before = files(etc)
    held = Holder(etc, RecordingFs(fail={effect: OSError(errno.ENOSPC, "No space left on device")}), SimClock())
    with pytest.raises(OSError, match="No space left"):
        held.apply(ADD, 1)
    assert holder(etc).version() == 1
    assert files(etc) == before


# By hand


def test_work_with_the_ring_builder_is_taken_over_under_a_new_version(etc):
    held = holder(etc)
    version = held.version()
    builder = load_builder(etc / "object.builder")
    builder.change_device(0, weight=50.0)
    builder.rebalance(now_s=0, seed=1)
    save_builder(builder, etc / "object.builder")
    save(builder.to_ring(), etc / "object.ring.gz")
    with pytest.raises(VersionConflict):
        held.apply(ADD, version)
    assert held.version() == version + 1
    check_whole(etc)
    assert held.apply(ADD, version + 1).version == version + 2
    assert load_builder(etc / "object.builder").device(0).weight == 50.0


def foreign_ring(etc):
    """A newer ring, made elsewhere, copied over ours."""
    builder = load_builder(etc / "object.builder")
    builder.change_device(0, weight=50.0)
    builder.rebalance(now_s=0, seed=1)
    save(builder.to_ring(), etc / "object.ring.gz")


def test_a_ring_that_no_builder_here_made_is_reported_and_not_overwritten(etc):
    held = holder(etc)
    held.version()
    foreign_ring(etc)
    before = (etc / "object.ring.gz").read_bytes()
    (reason,) = held.foreign()
    assert "object.ring.gz was not made from a builder here" in reason and "objstore ring rebuild" in reason
    assert held.plan(ADD).refusals == (reason,)
    with pytest.raises(ChangeRefused):
        held.apply(ADD, held.version())
    with pytest.raises(ForeignRing):
        held.rings()
    assert (etc / "object.ring.gz").read_bytes() == before


def test_an_older_ring_of_another_table_is_foreign_too(etc):
    held = holder(etc)
    old = (etc / "object.ring.gz").read_bytes()
    held.apply(ADD, held.version())
    (etc / "object.ring.gz").write_bytes(old)
    assert len(held.foreign()) == 1
    assert (etc / "object.ring.gz").read_bytes() == old


def test_a_ring_of_other_servers_is_foreign_though_it_has_the_same_table(etc):
    held = holder(etc)
    assert held.foreign() == []
    other = load_builder(etc / "object.builder")
    for device in list(other.live_devices()):
        other.change_device(device.id, port=device.port + 1)
    other.version = 1
    save(other.to_ring(), etc / "object.ring.gz")
    (reason,) = held.foreign()
    assert "object.ring.gz was not made from a builder here" in reason


def test_a_builder_that_was_changed_and_not_rebalanced_is_taken_over(etc):
    held = holder(etc)
    version = held.version()
    builder = load_builder(etc / "object.builder")
    builder.change_device(0, weight=50.0)
    save_builder(builder, etc / "object.builder")
    assert (held.version(), held.foreign()) == (version + 1, [])


def test_a_foreign_ring_is_taken_as_it_is_when_asked_to(etc):
    held = holder(etc)
    version = held.version()
    foreign_ring(etc)
    wanted = list(load(etc / "object.ring.gz").rows)
    rings = held.rebuild_from_rings()
    assert rings.version > version
    assert list(load(etc / "object.ring.gz").rows) == wanted
    assert len(list((etc / "backups").glob("*.object.builder"))) == 1
    check_whole(etc)
    assert held.apply(ADD, rings.version)


def test_a_missing_ring_is_written_from_its_builder(etc):
    held = holder(etc)
    held.version()
    before = (etc / "object.ring.gz").read_bytes()
    (etc / "object.ring.gz").unlink()
    assert held.version() == 2
    assert (etc / "object.ring.gz").read_bytes() == before


# A lost holder


def test_builders_are_made_again_from_the_rings_and_nothing_moves_for_an_hour(etc):
    version = holder(etc).version()
    before = {name: list(load(etc / f"{name}.ring.gz").rows) for name in RINGS}
    for name in RINGS:
        (etc / f"{name}.builder").unlink()
    clock = SimClock()
    held = Holder(etc, None, clock)
    assert "was not made from a builder here" in held.plan(ADD).refusals[0]
    rings = held.rebuild_from_rings(min_part_hours=1)
    assert rings.version > version
    assert {name: list(load(etc / f"{name}.ring.gz").rows) for name in RINGS} == before
    check_whole(etc)
    assert {ring.steps[0].moves for ring in held.plan(DrainNode(node(1))).rings} == {0}
    clock.advance(3600)
    assert {ring.steps[0].moves for ring in held.plan(DrainNode(node(1))).rings} == {24}


# The manifest


def test_a_manifest_is_the_same_after_its_bytes():
    manifest = Manifest(7, {"object.ring.gz": "0" * 64}, {"object-12.builder": "f" * 64})
    assert parsed_manifest(manifest.to_bytes(), "here") == manifest


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "expected JSON"),
        (b"[" * 100_000, "expected JSON"),
        (b"[]", "expected a JSON object"),
        ({"version": "1", "rings": {}}, "version is '1'"),
        ({"version": -1, "rings": {}}, "version is -1"),
        ({"version": True, "rings": {}}, "version is True"),
        ({"version": 1}, "rings: expected a JSON object"),
        ({"version": 1, "rings": {"../object.ring.gz": "0" * 64}}, "is no name of a file"),
        ({"version": 1, "rings": {"object.ring.gz\n": "0" * 64}}, "is no name of a file"),
        ({"version": 1, "rings": {"object-0.ring.gz": "0" * 64}}, "is no name of a file"),
        ({"version": 1, "rings": {"object.ring.gz": "0"}}, "expected a SHA-256"),
        ({"version": 1, "rings": {"object.ring.gz": None}}, "expected a SHA-256"),
        ({"version": 1, "rings": {}, "builders": {"x.builder": "0" * 64}}, "is no name of a file"),
    ],
)
def test_bytes_that_are_no_manifest_are_refused(value, reason):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    with pytest.raises(InvalidManifest) as raised:
        parsed_manifest(data, "here")
    assert str(raised.value).startswith("here: ") and reason in str(raised.value)


def test_a_broken_manifest_is_not_overwritten(etc):
    (etc / "rings.json").write_bytes(b"{")
    with pytest.raises(InvalidManifest, match="rings.json"):
        holder(etc).version()
    assert (etc / "rings.json").read_bytes() == b"{"
