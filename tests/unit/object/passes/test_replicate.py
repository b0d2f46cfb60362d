"""object/passes/replicate.py over real object servers on loopback, in-band."""

import os
from typing import ClassVar

import pytest

from objstore.daemon.pass_ import EVERYTHING, PassReport, Scope
from objstore.object.passes.deliver import Small
from objstore.replication.plan import RELIST_EVERY
from objstore.replication.rsync_push import Pushed, RsyncPush
from objstore.ring.model import Ring, RingHeader
from objstore.runtime.fs import Fs
from objstore.storage.layout import DeviceLayout
from objstore.storage.untold import abandoned, boot_id, make_mark
from tests.support.clock import SimClock
from tests.support.replication import RECENT, Copies, make_replicator, run_pass
from tests.support.storage_nodes import StorageNodes

NAME = "/AUTH_r/c/o"


@pytest.fixture
def nodes(tmp_path):
    with StorageNodes(tmp_path, nodes=4) as nodes:
        yield nodes


@pytest.fixture
def copies(nodes):
    return Copies(nodes)


def test_an_object_on_one_primary_comes_to_the_others(nodes, copies):
    first, *others = copies.primaries(NAME)
    copies.put(first, NAME, b"hello", x_object_meta_color="rot")
    counts = run_pass(make_replicator(nodes, first))
    assert counts.get("failures", 0) == 0, counts
    for node in others:
        body, headers = copies.read(node, NAME)
        assert (body, headers["x-object-meta-color"]) == (b"hello", "rot")
        assert copies.names(node, NAME) == copies.names(first, NAME)


def test_a_second_pass_finds_nothing_to_do(nodes, copies):
    first, *others = copies.primaries(NAME)
    copies.put(first, NAME)
    run_pass(make_replicator(nodes, first))
    counts = run_pass(make_replicator(nodes, first))
    assert counts["hashmatch"] == len(others)
    assert counts.get("objects", 0) == 0


def test_posts_and_tombstones_travel(nodes, copies):
    first, *others = copies.primaries(NAME)
    for node in (first, *others):
        copies.put(node, NAME)
        copies.put(node, NAME + "2")
    copies.post(first, NAME, RECENT + 10, x_object_meta_a="1")
    copies.delete(copies.primaries(NAME + "2")[0], NAME + "2", RECENT + 20)
    for node in range(4):
        run_pass(make_replicator(nodes, node))
    for node in others:
        assert copies.names(node, NAME) == [f"{RECENT:.5f}.data", f"{RECENT + 10:.5f}.meta"]
    for node in copies.primaries(NAME + "2"):
        assert copies.names(node, NAME + "2") == [f"{RECENT + 20:.5f}.ts"]


def test_a_handoff_goes_home_and_is_removed(nodes, copies):
    handoff = copies.handoff(NAME)
    copies.put(handoff, NAME)
    counts = run_pass(make_replicator(nodes, handoff))
    assert counts.get("failures", 0) == 0, counts
    assert copies.names(handoff, NAME) == []
    assert not copies.directory(handoff, NAME).parents[1].exists()
    assert all(copies.read(node, NAME) is not None for node in copies.primaries(NAME))


def data(at):
    return f"{at:.5f}.data"


class Meanwhile:
    """A deliverer that has something happen after a node was asked."""

    def __init__(self, deliverer, event):
        self._deliverer = deliverer
        self._event = event

    def __getattr__(self, name):
        return getattr(self._deliverer, name)

    def confirm(self, *args):
        found = self._deliverer.confirm(*args)
        self._event()
        return found


CHANGES = {
    "put": lambda copies, node: copies.put(node, NAME, b"newer", RECENT + 5),
    "post": lambda copies, node: copies.post(node, NAME, RECENT + 5, x_object_meta_a="1"),
    "delete": lambda copies, node: copies.delete(node, NAME, RECENT + 5),
}


def test_a_handoff_whose_row_was_not_told_stays_until_it_is(nodes, copies):
    """Its server was killed: the updater tells the row from this copy."""
    handoff = copies.handoff(NAME)
    layout = DeviceLayout(str(nodes.device_root(handoff) / f"sd{handoff}"))
    copies.put(handoff, NAME)
    make_mark(Fs(), layout, 0, boot_id()).abandon()
    assert run_pass(make_replicator(nodes, handoff))["remove"] == 0
    assert copies.names(handoff, NAME)
    for mark in abandoned(Fs(), layout, boot_id()):
        os.unlink(mark.path)
    assert run_pass(make_replicator(nodes, handoff))["remove"] == 1
    assert not copies.names(handoff, NAME)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_while_a_handoff_goes_home_is_not_lost(nodes, copies, change):
    handoff = copies.handoff(NAME)
    copies.put(handoff, NAME)
    replicator = make_replicator(nodes, handoff)
    replicator.deliverer = Meanwhile(replicator.deliverer, lambda: change(copies, handoff))
    run_pass(replicator)
    assert copies.names(handoff, NAME) != []
    changed = copies.names(handoff, NAME)
    run_pass(make_replicator(nodes, handoff))
    assert copies.names(handoff, NAME) == []
    assert all(copies.names(node, NAME) == changed for node in copies.primaries(NAME))


def test_a_new_object_in_a_partition_that_goes_home_stays_until_it_was_brought(nodes, copies):
    handoff = copies.handoff(NAME)
    copies.put(handoff, NAME)
    other = next(
        name for name in (f"/AUTH_r/c/{n}" for n in range(1000)) if copies.partition(name) == copies.partition(NAME)
    )
    replicator = make_replicator(nodes, handoff)
    replicator.deliverer = Meanwhile(replicator.deliverer, lambda: copies.put(handoff, other))
    run_pass(replicator)
    assert copies.names(handoff, NAME) == []
    assert copies.read(handoff, other) is not None


def test_a_stale_handoff_does_not_bring_back_what_was_deleted(nodes, copies):
    handoff = copies.handoff(NAME)
    copies.put(handoff, NAME)
    for node in copies.primaries(NAME):
        copies.delete(node, NAME, RECENT + 10)
    for node in range(4):
        run_pass(make_replicator(nodes, node))
    assert copies.names(handoff, NAME) == []
    assert all(copies.names(node, NAME) == [f"{RECENT + 10:.5f}.ts"] for node in copies.primaries(NAME))


def test_a_damaged_copy_does_not_count_as_a_confirmation(nodes, copies):
    handoff = copies.handoff(NAME)
    damaged, *others = copies.primaries(NAME)
    for node in (handoff, damaged, *others):
        copies.put(node, NAME)
    (copies.directory(damaged, NAME) / data(RECENT)).write_bytes(b"hel")
    counts = run_pass(make_replicator(nodes, handoff))
    assert counts["remove"] == 1
    assert all(copies.read(node, NAME)[0] == b"hello" for node in (damaged, *others))


def test_a_damaged_body_is_set_aside_and_never_spread(nodes, copies):
    first, *others = copies.primaries(NAME)
    copies.put(first, NAME)
    (copies.directory(first, NAME) / data(RECENT)).write_bytes(b"jello")
    counts = run_pass(make_replicator(nodes, first))
    assert counts["failures"] >= 1
    assert copies.names(first, NAME) == []
    assert all(copies.names(node, NAME) == [] for node in others)
    assert list((nodes.device_root(first) / f"sd{first}" / "quarantined" / "objects").iterdir())


def test_large_metadata_travels_whole(nodes, copies):
    first, *others = copies.primaries(NAME)
    copies.put(first, NAME, **{f"x_object_meta_n{number}": f"{number}" * 100 for number in range(90)})
    run_pass(make_replicator(nodes, first))
    for node in others:
        body, headers = copies.read(node, NAME)
        assert headers == copies.read(first, NAME)[1]


def test_a_handoff_stands_in_for_a_disk_that_is_away(nodes, copies):
    first, away, third = copies.primaries(NAME)
    copies.put(first, NAME)
    nodes.unplug(away)
    run_pass(make_replicator(nodes, first))
    assert copies.read(copies.handoff(NAME), NAME) is not None
    assert copies.read(third, NAME) is not None


def test_an_operator_may_let_handoffs_go_after_fewer_confirmations(nodes, copies):
    handoff = copies.handoff(NAME)
    away = copies.primaries(NAME)[0]
    copies.put(handoff, NAME)
    nodes.unplug(away)
    assert run_pass(make_replicator(nodes, handoff)).get("remove", 0) == 0
    assert copies.read(handoff, NAME) is not None
    assert run_pass(make_replicator(nodes, handoff, handoff_delete=2))["remove"] == 1


def test_handoffs_can_go_first(nodes, copies):
    handoff = copies.handoff(NAME)
    names = [f"/AUTH_r/c/{number}" for number in range(40)]
    for name in names:
        copies.put(handoff, name)
    replicator = make_replicator(nodes, handoff, handoffs_first=True)
    kinds = [handoff in copies.primaries_of(int(job.partition)) for job in replicator.jobs(EVERYTHING)]
    assert kinds == sorted(kinds) and True in kinds and False in kinds


def test_old_tombstones_go_though_nothing_changes_beside_them(nodes, copies):
    for node in copies.primaries(NAME):
        copies.delete(node, NAME, RECENT)
        run_pass(make_replicator(nodes, node))
    late = SimClock(RECENT + 700_000)
    first = copies.primaries(NAME)[0]
    replicator = make_replicator(nodes, first, clock=late)
    for _ in range(RELIST_EVERY):
        run_pass(replicator)
        replicator.round_index += 1
    assert copies.names(first, NAME) == []


def test_a_growing_ring_moves_nothing(nodes, copies):
    first = copies.primaries(NAME)[0]
    copies.put(first, NAME)
    replicator = make_replicator(nodes, first)
    ring = replicator.rings.seen[0]
    replicator.rings.seen[0] = Ring(RingHeader(ring.part_shift, None, ring.part_power + 1), ring.rows, ring.devices)
    assert list(replicator.jobs(EVERYTHING)) == []


@pytest.mark.parametrize(
    "scope, expected",
    [
        (Scope(devices=frozenset({"other"})), 0),
        (Scope(policies=frozenset({2})), 0),
        (Scope(partitions=frozenset({99})), 0),
        (EVERYTHING, 1),
    ],
)
def test_a_scope_narrows_a_pass(nodes, copies, scope, expected):
    first = copies.primaries(NAME)[0]
    copies.put(first, NAME)
    assert len(list(make_replicator(nodes, first).jobs(scope))) == expected


def test_a_whole_pass_reports_itself_to_recon(nodes, copies):
    replicator = make_replicator(nodes, 0)
    report = PassReport(started_s=1000.0, elapsed_s=120.0, job_count=3, counts={"success": 2, "failures": 1})
    run_pass(replicator)
    found = replicator.finished(report)
    assert found["object_replication_last"] == 1120.0 and found["replication_time"] == 2.0
    none = dict.fromkeys(("attempted", "hashmatch", "remove", "rsync", "suffix_sync"), 0)
    assert found["replication_stats"] == {**none, "success": 2, "failure": 1, "start": 1000.0}
    run_pass(replicator, Scope(devices=frozenset({"sd0"})))
    assert replicator.finished(report) == {}


def test_bodies_in_band_keep_to_the_bandwidth(nodes, copies):
    first, *_ = copies.primaries(NAME)
    copies.put(first, NAME, body=b"x" * (64 << 10))
    clock = SimClock(RECENT)
    started, slept = clock.monotonic(), []

    def sleep(seconds):
        slept.append(seconds)
        clock.advance(seconds)

    replicator = make_replicator(nodes, first)
    deliverer = replicator.deliverer
    deliverer.bandwidth_kb_s, deliverer.clock, deliverer.sleep = 16, clock, sleep
    run_pass(replicator)
    # 64 KiB to each of two nodes at 16 KiB a second, but for what a conversation may do at once; never a long silence.
    assert 2 * (4 - 1.5) <= clock.monotonic() - started <= 2 * 4
    assert max(slept) <= 1.0
    assert all(copies.read(node, NAME)[0] == b"x" * (64 << 10) for node in copies.primaries(NAME))


class CountingPush(RsyncPush):
    """rsync that says that nobody serves a module, so that everything travels in-band after all."""

    asked: ClassVar[list[str]] = []

    def run(self, command, partition_path):
        self.asked.append(partition_path)
        return Pushed(failure="nobody there", has_no_daemon=True)


SIZES = {
    "one small object": (1, Small(), 0),
    "more objects than are small": (3, Small(objects=2), 1),
    "more bytes than are small": (1, Small(bytes=4), 1),
    "just as much": (1, Small(bytes=5, objects=1), 0),
}


@pytest.mark.parametrize("count, small, expected", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("is_handoff", [False, True])
def test_rsync_is_for_what_is_not_small(nodes, copies, count, small, expected, is_handoff):
    names = [f"/AUTH_r/c/{number}" for number in range(200)]
    names = [name for name in names if copies.partition(name) == copies.partition(names[0])][:count]
    start = copies.handoff(names[0]) if is_handoff else copies.primaries(names[0])[0]
    for name in names:
        copies.put(start, name)
    CountingPush.asked.clear()
    replicator = make_replicator(nodes, start, rsync=CountingPush("{ip}::object"))
    replicator.deliverer.small = small
    counts = run_pass(replicator)
    assert not counts.get("failures"), counts
    # Asked once for each node, and not again in the same pass.
    assert len(CountingPush.asked) == expected * (3 if is_handoff else 2)
    assert all(copies.read(node, name) for name in names for node in copies.primaries(name))
