"""Sharing work out over nodes without talking."""

import pytest

from objstore.daemon.share import belongs, members_of, myself, rank, rank_on
from tests.support.rings import make_ring

NODES = [f"10.0.0.{number}:6200" for number in range(1, 6)]
KEYS = [str(number) for number in range(1000)]


def test_every_piece_has_exactly_one_first():
    for key in KEYS:
        assert sorted(rank(key, node, NODES) for node in NODES) == [0, 1, 2, 3, 4]


def test_pieces_are_spread_evenly():
    shares = [sum(rank(key, node, NODES) == 0 for key in KEYS) for node in NODES]
    assert min(shares) > 150


def test_a_node_that_goes_leaves_the_order_of_the_others():
    left = NODES[:-1]
    for key in KEYS:
        before = sorted(left, key=lambda node: rank(key, node, NODES))
        assert before == sorted(left, key=lambda node: rank(key, node, left))


def test_who_is_no_member_does_everything():
    assert {rank(key, "10.9.9.9:1", NODES) for key in KEYS} == {0}
    assert rank("x", "", NODES) == 0


@pytest.mark.parametrize("processes", [1, 3, 7])
def test_numbered_daemons_have_every_entry_once(processes):
    for key in KEYS:
        assert [belongs("1795305544", key, process, processes) for process in range(processes)].count(True) == 1


def test_without_numbers_every_entry_is_ours():
    assert belongs("c", "e", 0, 0)


@pytest.mark.parametrize(
    "addresses, port, me",
    [
        ({"10.0.0.2"}, 6200, "10.0.0.2:6200"),
        ({"10.0.0.2"}, 6999, "10.0.0.2:6200"),
        ({"192.168.0.1"}, 6200, ""),
        ({"127.0.0.1"}, 7001, "127.0.0.1:7001"),
        ({"127.0.0.1"}, 9, ""),
        ({"fd00::1"}, 6200, "[fd00::1]:6200"),
    ],
    ids=["address and port", "other port", "elsewhere", "many at one address", "which of many", "IPv6"],
)
def test_a_node_finds_itself_by_address_and_port(addresses, port, me):
    assert myself([*NODES, "127.0.0.1:7000", "127.0.0.1:7001", "[fd00::1]:6200"], addresses, port) == me


def test_ranks_are_those_of_the_ring_of_the_moment():
    ring = make_ring(devices=4)
    port = ring.devices[0].replication_port
    of = rank_on(lambda: ring, ("127.0.0.1", port))
    assert len(members_of(ring)) == 4
    assert [of(key) for key in KEYS] == [rank(key, f"127.0.0.1:{port}", members_of(ring)) for key in KEYS]
