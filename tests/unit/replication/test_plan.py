"""replication/plan.py: who brings what to whom, and what may be removed."""

import pytest

from objstore.core.timestamp import Timestamp
from objstore.replication.plan import batches, confirmations_needed, differing, is_relisted, removable, role_of
from objstore.ring.model import Node
from objstore.storage.replica import Replica, Times
from tests.support.rings import make_device

NODES = tuple(Node(make_device(number), index=number) for number in range(3))
A, B = "a" * 32, "b" * 32


def replica(hash_hex):
    return Replica(hash_hex, Times(Timestamp(1)), ("0000000000.00001.data",))


@pytest.mark.parametrize(
    "local, remote, expected",
    [
        ({}, {}, ()),
        ({"abc": "1"}, {"abc": "1"}, ()),
        ({"abc": "1"}, {"abc": "2"}, ("abc",)),
        ({"abc": "1"}, {}, ("abc",)),
        ({}, {"abc": "1"}, ()),
        ({"bbb": "1", "aaa": "1", "ccc": "3"}, {"ccc": "3", "ddd": "4"}, ("aaa", "bbb")),
    ],
)
def test_suffixes_that_differ_are_ours_to_bring(local, remote, expected):
    assert differing(local, remote) == expected


def test_a_primary_brings_to_the_other_primaries():
    role = role_of(NODES, lambda node: node.id == 1)
    assert not role.is_handoff
    assert [node.id for node in role.peers] == [0, 2]


def test_a_device_the_ring_does_not_name_is_a_handoff_of_all_primaries():
    role = role_of(NODES, lambda node: False)
    assert role.is_handoff
    assert role.peers == NODES


def test_the_only_primary_is_no_handoff():
    assert not role_of(NODES[:1], lambda node: True).is_handoff


def test_a_partition_is_relisted_once_in_ten_rounds():
    for partition in (0, 7, 1023):
        assert sum(is_relisted(partition, round_index) for round_index in range(10)) == 1


@pytest.mark.parametrize("setting, needed", [(0, 3), (1, 1), (2, 2), (3, 3), (9, 3)])
def test_all_primaries_must_confirm_unless_the_operator_says_otherwise(setting, needed):
    assert confirmations_needed(3, setting) == needed


def test_only_what_enough_primaries_confirmed_is_removable():
    confirmed = [{A, B}, {A}, {A, B}]
    assert removable([replica(A), replica(B)], confirmed, 3) == {"aaa": [replica(A)]}
    assert removable([replica(A), replica(B)], confirmed, 2) == {"aaa": [replica(A)], "bbb": [replica(B)]}
    assert removable([replica(A)], [], 3) == {}


def test_nothing_is_removable_without_a_confirmation():
    with pytest.raises(AssertionError):
        removable([replica(A)], [set()], 0)


def test_batches_hold_whole_suffixes():
    a, b = replica(A), replica(B)
    found = list(batches([("aaa", [a, a]), ("bbb", []), ("ccc", [b]), ("ddd", [b])], most=2))
    assert found == [[a, a], [b, b]]
