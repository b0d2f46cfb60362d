"""cache/memcached.py and cache/placement.py against a server of a page: formats 7."""

import hashlib
import os
import pickle
import socket

import pytest

from objstore.cache.connection import address_of
from objstore.cache.memcached import MemcachedCache, MemcachedLimits
from objstore.cache.placement import Circle, wire_key
from tests.support.clock import SimClock
from tests.support.memcached import FakeMemcached

QUICK = MemcachedLimits(connect_timeout_s=0.5, io_timeout_s=0.1, pool_timeout_s=0.1, error_limit=3)


@pytest.fixture
def server():
    with FakeMemcached() as fake:
        yield fake


@pytest.fixture
def connect():
    """Makes caches, and closes them at the end."""
    caches = []

    def make(*arguments, **options):
        caches.append(MemcachedCache(*arguments, **options))
        return caches[-1]

    yield make
    for cache in caches:
        cache.close()


def test_keys_are_md5_and_values_json_with_flags_2(server, connect):
    cache = connect([server.name])
    cache.set("account/AUTH_t\u2603", {"a": [1, None, "\u2603"]}, 60)
    key = hashlib.md5("account/AUTH_t\u2603".encode()).hexdigest()
    assert server.entries == {key: ("2", b'{"a":[1,null,"\\u2603"]}')} and server.ttls[key] == 60
    assert cache.get("account/AUTH_t\u2603") == {"a": [1, None, "\u2603"]}
    cache.delete("account/AUTH_t\u2603")
    assert cache.get("account/AUTH_t\u2603") is None and server.connections == 1


def test_cve_2012_4406_pickles_in_memcached_are_never_decoded(server, connect, tmp_path):
    class Exploit:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    server.entries[wire_key("k")] = ("1", pickle.dumps(Exploit()))
    assert connect([server.name]).get("k") is None and not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("flags", "data", "value"),
    [
        ("0", b"12", 12),
        ("0", b"7 ", 7),
        ("0", b"text", "text"),
        ("2", b"not json", None),
        ("2", b"[" * 5000, None),
        ("9", b"1", None),
        ("0", b"\xff", None),
        ("2", b"", None),
    ],
)
def test_values_of_others(server, connect, flags, data, value):
    server.entries[wire_key("k")] = (flags, data)
    assert connect([server.name]).get("k") == value


def test_counters(server, connect):
    cache = connect([server.name])
    assert [cache.incr("n", 5, 10), cache.incr("n"), cache.incr("n", -9)] == [5, 6, 0]
    assert server.entries[wire_key("n")][0] == "0" and cache.get("n") == 0


@pytest.mark.parametrize(
    ("ttl", "sent"), [(0, 0), (0.5, 1), (2_592_000, 2_592_000), (2_592_001, 1_800_000_000 + 2_592_001)]
)
def test_long_lives_become_dates(server, connect, ttl, sent):
    connect([server.name], now=SimClock().monotonic).set("k", 1, ttl)
    assert server.ttls[wire_key("k")] == sent


def test_a_connection_the_server_closed_is_replaced(server, connect):
    cache = connect([server.name])
    cache.set("k", 1)
    server.drop_connections()
    assert cache.get("k") == 1 and server.connections == 2


@pytest.mark.parametrize("mode", ["silent", "garbage", "close"])
def test_a_misbehaving_server_is_a_miss_and_its_connection_is_not_used_again(server, connect, mode):
    cache = connect([server.name], QUICK)
    cache.set("k", 1)
    server.mode = mode
    assert cache.get("k") is None
    server.mode = "ok"
    assert cache.get("k") == 1 and server.connections == 2


def test_a_server_that_fails_often_is_left_alone_for_a_while(server, connect):
    clock = SimClock()
    cache = connect([server.name], QUICK, now=clock.monotonic)
    server.mode = "close"
    for _ in range(3):
        cache.get("k")
    connections = server.connections
    server.mode = "ok"
    cache.set("k", 1)
    assert server.connections == connections
    clock.advance(61)
    cache.set("k", 1)
    assert cache.get("k") == 1


def test_the_next_server_of_the_circle_takes_over(server, connect):
    with socket.socket() as refused:
        refused.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{refused.getsockname()[1]}"
        cache = connect([dead, server.name], QUICK)
        for number in range(8):
            cache.set(f"key{number}", number)
        assert [cache.get(f"key{number}") for number in range(8)] == list(range(8))


def test_placement_follows_the_circle_of_md5_points():
    servers = ["10.0.0.1:11211", "10.0.0.2:11211", "10.0.0.3:11211"]
    points = sorted(
        (hashlib.md5(f"{server}-{index}".encode()).hexdigest(), server) for server in servers for index in range(50)
    )
    circle = Circle(servers)
    for number in range(200):
        hashed = wire_key(f"key {number}")
        expected = next((server for point, server in points if point >= hashed), points[0][1])
        order = list(circle.holders(hashed))
        assert order[0] == expected and sorted(order) == servers


@pytest.mark.parametrize(
    ("text", "address"),
    [("a:1", ("a", 1)), ("a", ("a", 11211)), ("[::1]:5", ("::1", 5)), ("[::1]", ("::1", 11211))],
)
def test_addresses(text, address):
    assert address_of(text) == address


@pytest.mark.parametrize("text", ["", ":1", "a:x"])
def test_bad_addresses(text):
    with pytest.raises(ValueError):
        address_of(text)
