"""The names of samples for the dispersion tools: which fall on partitions that no other does. Pure.

Samples are containers dispersion_0, dispersion_1, …, and objects of the same kind in one container per policy. Numbers
count up from where the caller says; names whose partition has a sample already are passed over. So a second populate
makes the same names, and nothing new.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from itertools import count

from objstore.core.policy import Policies, Policy

PREFIX = "dispersion_"
OBJECTS = "dispersion_objects"
"""The container of objects of the default policy; others have the policy's name behind it."""


def wanted_count(partition_count: int, coverage_percent: float) -> int:
    """How many partitions get a sample: at least one, unless none are wanted."""
    return max(1, int(partition_count * coverage_percent / 100)) if coverage_percent else 0


def sample_names(
    partition_of: Callable[[str], int], wanted: int, start: int = 0, taken: Collection[int] = ()
) -> Iterator[str]:
    """`wanted` names on different partitions, none of them in `taken`. start: the first number. Tries many: all
    partitions of a ring take about their number times its logarithm."""
    covered = set(taken)
    for number in count(start):
        if wanted <= 0:
            return
        name = f"{PREFIX}{number}"
        partition = partition_of(name)
        if partition not in covered:
            covered.add(partition)
            wanted -= 1
            yield name


def object_container(policy: Policy, policies: Policies) -> str:
    return OBJECTS if policy is policies.default else f"{OBJECTS}_{policy.name}"


def is_container_sample(name: str) -> bool:
    return name.startswith(PREFIX) and name.removeprefix(PREFIX).isdecimal()
