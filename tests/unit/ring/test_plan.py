"""ring/plan.py: what every tier ought to hold."""

import pytest

from objstore.ring.plan import ROOT, Plan, whole_targets
from tests.support.rings import make_device


def plan_of(weights, *, replicas=3, overload=0.0, zones=None, regions=None):
    devices = [
        make_device(
            n, ip=f"10.0.0.{n}", weight=weight, zone=zones[n] if zones else n, region=regions[n] if regions else 1
        )
        for n, weight in enumerate(weights)
    ]
    return Plan(devices, replicas, overload)


def device_shares(plan):
    return [round(plan.share[plan.paths[device][-1]], 6) for device in sorted(plan.paths)]


def zone_shares(plan):
    return {plan.names[n][1]: round(plan.share[n], 6) for n, level in enumerate(plan.levels) if level == 2}


@pytest.mark.parametrize(
    ("weights", "replicas", "shares"),
    [
        ([1, 1, 1, 1], 3, [0.75] * 4),
        ([1, 2, 3, 6], 1.2, [0.1, 0.2, 0.3, 0.6]),
        ([1, 1, 1, 97], 3, [0.666667, 0.666667, 0.666667, 1]),
        ([1, 10, 100, 1000], 3, [0.090909, 0.909091, 1, 1]),
        ([5], 3, [3]),
        ([1, 100], 3, [1.5, 1.5]),
        ([1, 2, 0], 2, [1, 1, 0]),
    ],
    ids=["equal", "by weight", "one capped", "two capped", "one device", "fewer than replicas", "zero weight"],
)
def test_shares_of_devices(weights, replicas, shares):
    plan = plan_of([float(weight) for weight in weights], replicas=replicas)
    assert device_shares(plan) == shares
    assert plan.share[ROOT] == pytest.approx(replicas)


def test_no_weight_at_all_is_refused():
    with pytest.raises(ValueError, match="no device has a weight"):
        plan_of([0.0, 0.0])


@pytest.mark.parametrize(
    ("overload", "shares"),
    [(0.0, {1: 1.5, 2: 0.75, 3: 0.75}), (1.0, {1: 1, 2: 1, 3: 1}), (1 / 6, {1: 1.25, 2: 0.875, 3: 0.875})],
    ids=["by weight", "dispersed", "half way"],
)
def test_overload_goes_from_weighted_to_dispersed(overload, shares):
    plan = plan_of([1.0] * 4, zones=[1, 1, 2, 3], overload=overload)
    assert plan.required_overload == pytest.approx(1 / 3)
    assert zone_shares(plan) == shares


def test_an_even_spread_fills_what_small_tiers_leave():
    plan = plan_of([1.0] * 6, replicas=5, regions=[1, 1, 1, 1, 1, 2])
    spread = {plan.names[n]: plan.spread[n] for n, level in enumerate(plan.levels) if level == 1}
    assert spread == {(1,): 4, (2,): 1}


def test_whole_targets_add_up_and_leave_odd_ones_where_they_are():
    plan = plan_of([1.0] * 7, zones=[1, 1, 1, 2, 2, 3, 3])
    holding = plan.paths[6][-1]
    targets = whole_targets(plan, 16, 48, lambda number: 7 if number == holding else 0)
    for number, children in enumerate(plan.children):
        assert not children or targets[number] == sum(targets[child] for child in children)
        assert abs(targets[number] - plan.share[number] * 16) < 1
    assert targets[holding] == 7  # its share is 6.86
