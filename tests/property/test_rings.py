"""Rings under any sequence of changes: what a rebalance promises, and what several of them reach."""

from __future__ import annotations

import io
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.ring.builder import RingBuilder
from objstore.ring.builder_file import builder_of, state_of
from objstore.ring.fileformat import read, written
from objstore.ring.new_device import NewDevice

HOUR_S = 3600
REBALANCES_MAX = 16  # Far more than any sequence has ever needed to come to rest.

weights = st.sampled_from([0.0, 1.0, 50.0, 100.0, 100.0, 100.0, 333.3, 1000.0])
additions = st.tuples(st.just("add"), st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), weights))
changes = st.one_of(
    additions,
    additions,
    st.tuples(st.just("remove"), st.integers(0, 30)),
    st.tuples(st.just("weight"), st.tuples(st.integers(0, 30), weights)),
    st.tuples(st.just("overload"), st.sampled_from([0.0, 0.1, 1.0])),
    st.tuples(st.just("replicas"), st.sampled_from([1.0, 2.0, 2.5, 3.0, 3.25, 4.0])),
    st.tuples(st.just("rebalance"), st.integers(0, 3)),
)
histories = st.lists(changes, min_size=1, max_size=25)
part_powers = st.sampled_from([0, 2, 5, 6])


def apply(builder, kind, value, serial):
    """One change, left out where it makes no sense for the builder as it is."""
    live = [device for device in builder.live_devices() if device.id not in builder.removed]
    if kind == "add":
        region, zone, host, weight = value
        builder.add_device(NewDevice(zone, f"10.{region}.{zone}.{host}", 6200, f"d{serial}", weight, region=region))
    elif kind == "overload":
        builder.set_overload(value)
    elif kind == "replicas":
        builder.set_replicas(value)
    elif live and kind == "remove":
        builder.remove_device(live[value % len(live)].id)
    elif live and kind == "weight":
        builder.change_device(live[value[0] % len(live)].id, weight=value[1])


def has_weight(builder):
    return any(device.weight > 0 for device in builder.live_devices())


def table(builder):
    return None if builder.rows is None else [row[:] for row in builder.rows]


def check_moves(before, builder, removed, may_move):
    """At most one replica of a partition has moved, none where replicas were lost; and of those that may not move yet
    only one that has left the host of another replica, for a host without any."""
    hosts = {device.id: device.machine for device in builder.live_devices()}
    for partition in range(builder.partition_count):
        pairs = [
            (old[partition], new[partition])
            for old, new in zip(before, builder.rows, strict=False)
            if partition < len(old) and partition < len(new)
        ]
        lost = sum(old in removed for old, _ in pairs)
        moved = [(old, new) for old, new in pairs if old != new and old not in removed]
        assert len(moved) <= (0 if lost else 1)
        for old, new in moved:
            if not may_move(partition):
                assert [hosts[was] for was, _ in pairs].count(hosts[old]) > 1
                assert [hosts[now] for _, now in pairs].count(hosts[new]) == 1


def check_table(builder):
    """Every replica is on a device that is there."""
    ids = {device.id for device in builder.live_devices()}
    assert [len(row) for row in builder.rows] == builder.row_lengths()
    assert all(set(row) <= ids for row in builder.rows)


def rest(builder, now_s):
    """Rebalance until nothing moves any more."""
    for number in range(REBALANCES_MAX):
        now_s += 256 * HOUR_S
        if not builder.rebalance(now_s=now_s, seed=number).changed_partitions:
            return
    raise AssertionError(f"still moving after {REBALANCES_MAX} rebalances")


def check_rest(builder):
    """Balance within a partition, and no tier with more of a partition, or fewer, than its share rounded."""
    plan, counts, partition_count = builder.plan(), builder.part_counts(), builder.partition_count
    for device in builder.live_devices():
        assert abs(counts[device.id] - plan.share[plan.paths[device.id][-1]] * partition_count) < 1 + 1e-6
    for partition in range(partition_count):
        held = Counter()
        for row in builder.rows:
            if partition < len(row):
                held.update(plan.paths[row[partition]])
        for tier, count in held.items():
            # A tier's share is rounded to whole partitions, so its bounds may be a hair beyond the share's.
            assert count <= plan.share[tier] + 1 / partition_count + 1
        for tier, share in enumerate(plan.share):
            if tier:
                assert held[tier] >= int(share - 1 / partition_count)


@settings(max_examples=150, deadline=None)
@given(part_powers, histories)
def test_any_history_keeps_the_rules_of_moving_and_comes_to_rest(part_power, history):
    builder, now_s = RingBuilder.create(part_power, 3, 2), 10**9
    for serial, (kind, value) in enumerate(history):
        if kind != "rebalance":
            apply(builder, kind, value, serial)
            continue
        now_s += value * HOUR_S
        if not has_weight(builder):
            continue
        before, removed = table(builder), set(builder.removed)
        moves, elapsed = builder.last_moves, (now_s - builder.last_moves_epoch_s) // HOUR_S
        builder.rebalance(now_s=now_s, seed=serial)
        check_table(builder)
        if before is not None:
            check_moves(before, builder, removed, lambda p, m=moves, e=elapsed: m is None or m[p] + e >= 2)
    if has_weight(builder):
        rest(builder, now_s)
        check_table(builder)
        check_rest(builder)


@settings(max_examples=25, deadline=None)
@given(part_powers, histories, st.integers())
def test_the_same_history_and_seed_give_the_same_files(part_power, history, seed):
    results = []
    for _ in range(2):
        builder = RingBuilder.create(part_power, 3, 0)
        builder.id = "same"
        for serial, (kind, value) in enumerate([*history, ("rebalance", 0)]):
            if kind != "rebalance":
                apply(builder, kind, value, serial)
            elif has_weight(builder):
                builder.rebalance(now_s=10**9, seed=seed)
        results.append(state_of(builder))
        assert builder_of(state_of(builder)) == builder
    assert results[0] == results[1]


@settings(max_examples=25, deadline=None)
@given(part_powers, histories, st.sampled_from([(1, 2), (2, 2), (2, 4)]))
def test_every_ring_survives_its_file(part_power, history, form):
    builder = RingBuilder.create(part_power, 3, 0)
    for serial, (kind, value) in enumerate(history):
        apply(builder, kind, value, serial)
    if not has_weight(builder):
        return
    builder.rebalance(now_s=10**9, seed=1)
    ring = builder.to_ring()
    version, id_bytes = form
    loaded = read(io.BytesIO(written(ring, "object.ring.gz", version, id_bytes=id_bytes)))
    assert (loaded.header, loaded.devices) == (ring.header, ring.devices)
    assert [list(row) for row in loaded.rows] == [list(row) for row in ring.rows]
    for partition in range(ring.partition_count):
        primaries = [node.id for node in ring.primaries(partition)]
        handoffs = [node.id for node in ring.handoffs(partition)]
        # Together they are all devices that hold anything, each once.
        assert sorted(primaries + handoffs) == sorted({held for row in ring.rows for held in row})
