"""ring/sampling.py: exact targets and exact bounds in one pass."""

from collections import Counter
from random import Random

import pytest

from objstore.ring.plan import Plan, whole_targets
from objstore.ring.sampling import Sampler
from tests.support.rings import make_device

PARTITIONS = 256


@pytest.mark.parametrize("replicas", [1, 2, 3, 5, 3.5])
@pytest.mark.parametrize("seed", range(5))
def test_targets_are_met_and_every_tier_gets_its_share_rounded(replicas, seed):
    random = Random(seed)
    devices = [
        make_device(n, region=n % 2 + 1, zone=n % 3, ip=f"h{n % 7}", weight=random.choice([1.0, 3.0, 10.0]))
        for n in range(40)
    ]
    plan = Plan(devices, replicas)
    targets = whole_targets(plan, PARTITIONS, int(replicas * PARTITIONS), lambda number: 0)
    totals = Counter()
    for sample in Sampler(plan, targets, random).samples(PARTITIONS):
        counts = Counter(number for device in sample for number in plan.paths[device])
        for number in range(1, len(targets)):
            assert targets[number] // PARTITIONS <= counts[number] <= -(-targets[number] // PARTITIONS)
        totals.update(counts)
    assert [totals[number] for number in range(1, len(targets))] == targets[1:]
