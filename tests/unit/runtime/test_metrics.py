"""runtime/metrics.py: what a StatsD server hears, and that nobody waits for it."""

import itertools

import pytest

from objstore.runtime.metrics import DATAGRAM_BYTES_MAX, CannotResolve, Statsd, counted, name_part, timed
from tests.support.statsd import statsd_server


@pytest.fixture
def server():
    with statsd_server() as found:
        yield found


def test_an_event_is_one_datagram(server):
    Statsd("127.0.0.1", server.port).event(counted("a.b"), counted("bytes", 10**12), timed("t", 0.0123456))
    assert server.event() == {"a.b": "1|c", "bytes": "1000000000000|c", "t": "12.3456|ms"}


def test_a_prefix_stands_before_every_name(server):
    Statsd("127.0.0.1", server.port, "node-1").event(counted("a"), counted("b"))
    assert set(server.event()) == {"node-1.a", "node-1.b"}


def test_of_sampled_events_the_server_is_told_the_rate(server):
    chances = itertools.cycle([0.9, 0.2])
    statsd = Statsd("127.0.0.1", server.port, rate=0.25, chance=lambda: next(chances))
    for number in range(4):
        statsd.event(counted(f"n{number}"))
    assert [server.event(), server.event()] == [{"n1": "1|c|@0.25"}, {"n3": "1|c|@0.25"}]


def test_nothing_is_sent_at_a_rate_of_0(server):
    Statsd("127.0.0.1", server.port, rate=0.0, chance=lambda: 0.0).event(counted("a"))
    Statsd("127.0.0.1", server.port).event(counted("b"))
    assert server.event() == {"b": "1|c"}


def test_much_for_one_event_is_several_datagrams(server):
    metrics = [counted(f"{'x' * 50}.{number}") for number in range(60)]
    Statsd("127.0.0.1", server.port).event(*metrics)
    heard = [server.event() for _ in range(3)]
    assert sum(map(len, heard)) == 60
    assert all(
        sum(len(f"{name}:{value}\n") for name, value in each.items()) <= DATAGRAM_BYTES_MAX + 1 for each in heard
    )


def test_where_nobody_listens_any_more_nothing_happens(server):
    statsd = Statsd("127.0.0.1", server.port)
    server.close()
    for _ in range(5):
        statsd.event(counted("a"))


def test_a_name_without_an_address_is_said():
    with pytest.raises(CannotResolve, match="log_statsd_host = 'xxx"):
        Statsd("x" * 64, 8125)  # No label of a name is that long: nobody has to be asked.


@pytest.mark.parametrize(
    "text, part", [("sdb1", "sdb1"), ("a.b:1|c\n", "a_b_1_c_"), ("\u00fc", "_"), ("x" * 300, "x" * 100)]
)
def test_text_from_outside_is_one_part_of_a_name(text, part):
    assert name_part(text) == part
