"""Whose turn it is to reap a container."""

import pytest

from objstore.account.passes.reap_plan import SHARED_FOR_S, is_ours, shared_out

NAMES = [f"c{number}" for number in range(50)]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_container_is_exactly_one_nodes(count):
    for name in NAMES:
        assert sum(is_ours(name, index, count, 0) for index in range(count)) == 1


def test_after_a_while_every_node_takes_everything():
    assert all(is_ours(name, index, 3, SHARED_FOR_S) for name in NAMES for index in range(3))


@pytest.mark.parametrize(
    ("targets", "place_count", "expected"),
    [
        ("abc", 3, ["a", "b", "c"]),
        ("abc", 2, ["ac", "b"]),
        ("ab", 3, ["a", "b", "a"]),
        ("abc", 1, ["abc"]),
    ],
)
def test_together_all_are_told(targets, place_count, expected):
    assert ["".join(shared_out(targets, place, place_count)) for place in range(place_count)] == expected
