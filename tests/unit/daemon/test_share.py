"""Sharing work out over nodes without talking."""

import socket

import pytest

from objstore.daemon.share import Shares, belongs, can_connect, members_of, myself, those_before
from tests.support.clock import SimClock
from tests.support.rings import make_ring

NODES = [f"10.0.0.{number}:6200" for number in range(1, 6)]
KEYS = [str(number) for number in range(1000)]


def rank(key, me, members):
    return len(those_before(key, me, members))


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


class TestShares:
    def make(self, reachable, clock=None):
        ring = make_ring(devices=4)
        self.asked = []

        def can_reach(ip, port):
            self.asked.append(f"{ip}:{port}")
            return self.asked[-1] in reachable

        self.members = members_of(ring)
        self.me = self.members[0]
        clock = clock or SimClock()
        return Shares(lambda: ring, ("127.0.0.1", int(self.me.rpartition(":")[2])), clock.monotonic, can_reach)

    def test_while_all_are_there_the_order_counts(self):
        shares = self.make(members_of(make_ring(devices=4)))
        assert [shares.rank(key) for key in KEYS] == [rank(key, self.me, self.members) for key in KEYS]

    def test_who_cannot_be_reached_is_stood_in_for_at_once(self):
        shares = self.make([])
        assert {shares.rank(key) for key in KEYS} == {0}

    def test_one_that_is_reached_before_me_is_given_time(self):
        there = members_of(make_ring(devices=4))[2]
        shares = self.make([there])
        for key in KEYS:
            before = those_before(key, self.me, self.members)
            assert shares.rank(key) == (len(before) if there in before else 0)

    def test_nobody_is_asked_again_for_a_while(self):
        clock = SimClock()
        shares = self.make([], clock)
        for key in KEYS:
            shares.rank(key)
        assert len(self.asked) == 3
        clock.advance(11)
        shares.rank(next(key for key in KEYS if rank(key, self.me, self.members) == 3))
        assert len(self.asked) == 6

    def test_a_listener_is_reached_and_a_closed_port_is_not(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            assert can_connect("127.0.0.1", port)
        assert not can_connect("127.0.0.1", port)
