"""ring/builder.py and ring/rebalance.py: the rules of placement one by one; tests/property/test_rings.py mixes them."""

from collections import Counter

import pytest

from objstore.ring.builder import BuilderError, RingBuilder
from objstore.ring.new_device import NewDevice

HOUR_S = 3600
NOW_S = 1_800_000_000


def device(number, *, region=1, zone=1, host=None, weight=100.0):
    return NewDevice(zone, f"10.{region}.{zone}.{host or number + 1}", 6200, f"sd{number}", weight, region=region)


def built(devices, *, replicas=3, part_power=7, min_part_hours=0, overload=0.0, seed=1):
    builder = RingBuilder.create(part_power, replicas, min_part_hours)
    builder.set_overload(overload)
    for new in devices:
        builder.add_device(new)
    builder.rebalance(now_s=NOW_S, seed=seed)
    return builder


def holders(builder, partition):
    return [row[partition] for row in builder.rows if partition < len(row)]


def most_in_a_tier(builder, tier):
    """Replicas of one partition in one tier, at most. tier: device -> key."""
    return max(
        max(Counter(tier(builder.device(held)) for held in holders(builder, partition)).values())
        for partition in range(builder.partition_count)
    )


def moved(before, after):
    """Replicas that have another device, by partition."""
    counts = Counter()
    for old, new in zip(before, after, strict=True):
        counts.update(p for p, (was, now) in enumerate(zip(old, new, strict=True)) if was != now)
    return counts


def table(builder):
    return [row[:] for row in builder.rows]


def test_a_first_rebalance_gives_every_device_its_share():
    builder = built(
        [device(n, zone=n % 4, weight=weight) for n, weight in enumerate([50, 100, 150, 200, 100, 80, 70, 250])]
    )
    counts = builder.part_counts()
    for held in builder.live_devices():
        assert abs(counts[held.id] - held.weight * builder.parts_per_weight()) < 1


def test_replicas_are_in_different_regions_zones_hosts_and_devices():
    builder = built([device(n, region=n % 3, zone=n % 2) for n in range(12)])
    assert most_in_a_tier(builder, lambda held: held.region) == 1
    builder = built([device(n, region=1, zone=n % 4) for n in range(12)])
    assert most_in_a_tier(builder, lambda held: held.zone) == 1
    builder = built([device(n, host=n % 4 + 1) for n in range(12)])
    assert most_in_a_tier(builder, lambda held: held.ip) == 1
    builder = built([device(n, host=1) for n in range(4)])
    assert most_in_a_tier(builder, lambda held: held.id) == 1


def test_two_regions_share_three_replicas_as_two_and_one():
    builder = built([device(n, region=n % 2, zone=n // 2 % 2) for n in range(8)])
    assert most_in_a_tier(builder, lambda held: held.region) == 2
    assert most_in_a_tier(builder, lambda held: (held.region, held.zone)) == 1


def test_replicas_beyond_the_devices_repeat_them():
    builder = built([device(0)])
    assert [node.id for node in builder.to_ring().primaries(5)] == [0]
    assert builder.to_ring().replica_count == 3
    builder.add_device(device(1, zone=2))
    builder.rebalance(now_s=NOW_S)
    assert {frozenset(holders(builder, p)) for p in range(128)} == {frozenset({0, 1})}


def test_fractional_replicas_give_the_first_partitions_one_more():
    builder = built([device(n, zone=n) for n in range(5)], replicas=2.25)
    ring = builder.to_ring()
    assert [len(row) for row in ring.rows] == [128, 128, 32]
    assert [len(ring.primaries(p)) for p in (0, 31, 32, 127)] == [3, 3, 2, 2]
    assert max(builder.part_counts()) - min(builder.part_counts()) <= 1


def test_weight_zero_gets_nothing_and_is_drained():
    builder = built([device(n, zone=n, weight=0.0 if n == 4 else 100.0) for n in range(5)])
    assert builder.part_counts()[4] == 0
    builder.change_device(3, weight=0.0)
    builder.change_device(4, weight=100.0)
    builder.rebalance(now_s=NOW_S)
    assert builder.part_counts()[3] == 0


def test_the_same_seed_gives_the_same_ring():
    devices = [device(n, zone=n % 3) for n in range(9)]
    assert built(devices, seed="s").rows == built(devices, seed="s").rows
    assert built(devices, seed="s").rows != built(devices, seed="t").rows


def test_nothing_moves_when_nothing_has_changed():
    builder = built([device(n, zone=n % 4) for n in range(8)])
    before, version = table(builder), builder.version
    report = builder.rebalance(now_s=NOW_S)
    assert builder.rows == before
    assert (report.changed_partitions, builder.version) == (0, version)


def test_a_new_device_takes_its_share_and_nothing_else_moves():
    builder = built([device(n, zone=n % 4) for n in range(40)], part_power=10)
    before = table(builder)
    builder.add_device(device(40, zone=0))
    report = builder.rebalance(now_s=NOW_S)
    share = 3 * 1024 / 41
    assert share - 1 < report.moved_count < share * 1.1
    assert all(
        now == was or now == 40
        for old, new in zip(before, builder.rows, strict=True)
        for was, now in zip(old, new, strict=True)
    )


def test_one_replica_of_a_partition_moves_at_a_time():
    builder = built([device(n, zone=n) for n in range(3)])
    before = table(builder)
    for number in range(3, 9):
        builder.add_device(device(number, zone=number))
    builder.rebalance(now_s=NOW_S)
    assert set(moved(before, builder.rows).values()) == {1}


def test_a_moved_partition_stays_for_min_part_hours():
    builder = built([device(n, zone=n) for n in range(4)], min_part_hours=2)
    for number in range(4, 8):
        builder.add_device(device(number, zone=number))
    assert builder.rebalance(now_s=NOW_S + 2 * HOUR_S - 1).changed_partitions == 0
    assert builder.seconds_until_moves(NOW_S + 2 * HOUR_S - 1) == 1
    first = table(builder)
    assert builder.rebalance(now_s=NOW_S + 2 * HOUR_S).changed_partitions == 128
    second = table(builder)
    # Each partition has moved just now: none may again, though the new devices still lack replicas.
    report = builder.rebalance(now_s=NOW_S + 3 * HOUR_S)
    assert report.changed_partitions == 0 and report.surplus_count > 0
    assert set(moved(first, second).values()) == {1}
    builder.pretend_min_part_hours_passed()
    assert builder.rebalance(now_s=NOW_S + 3 * HOUR_S).changed_partitions > 0


def test_replicas_that_share_a_host_leave_it_at_once_one_at_a_time():
    builder = built([device(n, host=1) for n in range(3)], min_part_hours=24)
    for number in (3, 4):
        before = table(builder)
        builder.add_device(device(number, weight=300.0, zone=number))
        builder.set_overload(10.0)
        builder.rebalance(now_s=NOW_S, seed=number)
        assert set(moved(before, builder.rows).values()) == {1}
        assert len(moved(before, builder.rows)) == builder.partition_count
    assert most_in_a_tier(builder, lambda held: held.machine) == 1


def test_replicas_that_share_a_device_leave_it_at_once_one_at_a_time():
    builder = built([device(0)], min_part_hours=24)
    for number in (1, 2):
        builder.add_device(device(number))
        builder.rebalance(now_s=NOW_S, seed=number)
    assert most_in_a_tier(builder, lambda held: held.id) == 1


def test_min_part_hours_holds_back_what_would_share_a_host_again():
    builder = built([device(n, host=1) for n in range(4)], min_part_hours=24)
    before = table(builder)
    builder.add_device(device(4, host=1))
    builder.rebalance(now_s=NOW_S, seed=2)
    assert builder.rows == before


def test_a_replaced_device_hands_its_partitions_on_and_they_stay():
    builder = built([device(n, zone=n) for n in range(4)], min_part_hours=2)
    before, now_s = table(builder), NOW_S + 3 * HOUR_S
    builder.replace_device(1, "new", now_s=now_s)
    assert (builder.device(1).device, builder.rows) == ("new", before)
    builder.add_device(device(7, zone=7))
    builder.rebalance(now_s=now_s, seed=2)
    assert builder.part_counts()[1] == sum(row.count(1) for row in before)
    assert not [p for p in moved(before, builder.rows) if any(row[p] == 1 for row in before)]


def test_lost_replicas_are_placed_even_when_their_partitions_may_not_move():
    builder = built([device(n, zone=n) for n in range(6)], min_part_hours=24)
    before = table(builder)
    builder.remove_device(0)
    builder.remove_device(1)
    report = builder.rebalance(now_s=NOW_S)
    assert report.removed_devices == (0, 1)
    assert builder.devices[:2] == [None, None]
    assert not {0, 1} & {held for row in builder.rows for held in row}
    for old, new in zip(before, builder.rows, strict=True):
        assert all(was == now for was, now in zip(old, new, strict=True) if was not in (0, 1))


def test_a_new_replica_is_added_and_the_others_stay():
    builder = built([device(n, zone=n) for n in range(6)], min_part_hours=24)
    before = table(builder)
    builder.set_replicas(4)
    builder.rebalance(now_s=NOW_S)
    assert builder.rows[:3] == before
    assert most_in_a_tier(builder, lambda held: held.id) == 1
    builder.set_replicas(2)
    builder.rebalance(now_s=NOW_S)
    assert builder.rows == before[:2]


def test_a_new_zone_cures_dispersion_one_replica_at_a_time():
    builder = built([device(n, zone=n % 2) for n in range(8)])
    assert most_in_a_tier(builder, lambda held: held.zone) == 2
    for number in range(8, 12):
        builder.add_device(device(number, zone=2))
    builder.rebalance(now_s=NOW_S)
    assert most_in_a_tier(builder, lambda held: held.zone) == 1
    assert builder.dispersion == 0


def test_overload_trades_weight_for_dispersion():
    devices = [device(n, zone=min(n, 2), weight=100.0) for n in range(4)]  # zone 2 has twice the weight
    plain = built(devices)
    assert most_in_a_tier(plain, lambda held: held.zone) == 2
    assert plain.dispersion > 0
    assert plain.plan().required_overload == pytest.approx(1 / 3)
    overloaded = built(devices, overload=0.34)
    assert most_in_a_tier(overloaded, lambda held: held.zone) == 1
    assert overloaded.dispersion == 0
    some = built(devices, overload=0.1)
    assert 0 < some.dispersion < plain.dispersion
    assert max(some.part_counts()) <= 1.1 * 96 + 1


@pytest.mark.parametrize("weights", [[], [0.0, 0.0]], ids=["no device", "no weight"])
def test_a_ring_without_weight_is_refused_and_left_alone(weights):
    builder = RingBuilder.create(4, 3, 0)
    for number, weight in enumerate(weights):
        builder.add_device(device(number, weight=weight))
    with pytest.raises(BuilderError, match="no device has a weight above 0"):
        builder.rebalance(now_s=NOW_S)
    assert builder.rows is None
    with pytest.raises(BuilderError, match="rebalance it first"):
        builder.to_ring()


def test_every_change_counts_up_the_version():
    builder = RingBuilder.create(4, 3, 1)
    steps = [
        lambda: builder.add_device(device(0)),
        lambda: builder.add_device(device(1)),
        lambda: builder.change_device(0, weight=5.0),
        lambda: builder.set_replicas(2),
        lambda: builder.set_overload(0.1),
        lambda: builder.set_min_part_hours(3),
        builder.pretend_min_part_hours_passed,
        lambda: builder.rebalance(now_s=NOW_S),
        lambda: builder.remove_device(0),
        lambda: builder.rebalance(now_s=NOW_S),
    ]
    for number, step in enumerate(steps, start=1):
        step()
        assert builder.version == number


def test_a_free_id_is_used_again():
    builder = built([device(n) for n in range(4)])
    builder.remove_device(1)
    with pytest.raises(BuilderError, match="marked for removal"):
        builder.change_device(1, weight=3.0)
    builder.rebalance(now_s=NOW_S)
    assert builder.add_device(device(9)).id == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda b: b.add_device(device(0)), "device 0 is at 10.1.1.1:6200/sd0 already"),
        (lambda b: b.change_device(1, ip="10.1.1.1", device="sd0"), "device 0 is at"),
        (lambda b: b.change_device(0, port=0), "port is 0: expected 1 to 65535"),
        (lambda b: b.change_device(0, device="a/b"), "device name is 'a/b'"),
        (lambda b: b.change_device(0, device=".."), "device name is '..'"),
        (lambda b: b.change_device(0, ip="10.0.0.300"), "ip is '10.0.0.300'"),
        (lambda b: b.change_device(0, weight=-1.0), "weight is -1"),
        (lambda b: b.change_device(7, weight=1.0), "there is no device with id 7"),
        (lambda b: b.remove_device(-1), "there is no device with id -1"),
        (lambda b: b.set_replicas(0.5), "replica count is 0.5"),
        (lambda b: b.set_overload(float("nan")), "overload is nan"),
        (lambda b: b.set_min_part_hours(256), "min_part_hours is 256"),
        (lambda b: RingBuilder.create(33, 3, 1), "partition power is 33"),
    ],
)
def test_changes_that_make_no_sense_are_refused(change, reason):
    builder = RingBuilder.create(4, 3, 1)
    builder.add_device(device(0))
    builder.add_device(device(1))
    version = builder.version
    with pytest.raises(BuilderError) as caught:
        change(builder)
    assert reason in str(caught.value)
    assert builder.version == version


def test_partners_of_a_device_are_many():
    """So that a lost one is rebuilt from all sides."""
    builder = built([device(n, zone=n % 6) for n in range(24)], part_power=10)
    partners = {n: set() for n in range(24)}
    for partition in range(1024):
        held = holders(builder, partition)
        for one in held:
            partners[one].update(held)
    assert min(len(others) for others in partners.values()) >= 20


def test_a_table_that_no_server_would_read_is_not_made():
    builder = RingBuilder.create(32, 3, 0)
    builder.add_device(device(0))
    with pytest.raises(BuilderError, match="no server reads such a ring"):
        builder.rebalance(now_s=NOW_S)


def test_ids_grow_wider_when_they_must():
    builder = built([device(0)], part_power=1)
    builder.add_device(NewDevice(1, "10.0.0.1", 6200, "far", 100.0, id=70_000))
    builder.rebalance(now_s=NOW_S)
    assert builder.id_bytes == builder.rows[0].itemsize == 4
    assert set(builder.rows[0]) | set(builder.rows[1]) | set(builder.rows[2]) == {0, 70_000}


@pytest.mark.parametrize("seed", range(3))
def test_region_shares_around_one_are_met_exactly(seed):
    """The hard case of adding devices: a handful of partitions are the only way into a region."""
    weights = [60.0, 80.0, 100.0, 120.0, 160.0]
    devices = [device(n, region=n % 3, zone=n // 3 % 4, weight=weights[(n * 7 + seed) % 5]) for n in range(120)]
    builder = built(devices, part_power=11, seed=seed)
    before = table(builder)
    for number in range(120, 124):
        builder.add_device(device(number, region=number % 3, zone=number // 3 % 4))
    report = builder.rebalance(now_s=NOW_S, seed=seed)
    assert (report.misplaced_count, report.surplus_count) == (0, 0)
    least = 400 * builder.parts_per_weight()
    assert sum(moved(before, builder.rows).values()) < 1.3 * least
    counts, per_weight = builder.part_counts(), builder.parts_per_weight()
    assert all(abs(counts[held.id] - held.weight * per_weight) < 1 for held in builder.live_devices())
