"""proxy/arriving: bodies that follow each other in one answer."""

import pytest

from objstore.http.body import BodyInterrupted
from objstore.http.client import PeerBroken
from objstore.proxy.arriving import Arrivals


class FakeConnection:
    """Gives what it has, then breaks off."""

    def __init__(self, data):
        self.data = data
        self.is_released = self.is_closed = False

    def transfer(self, sink, count, timeout_s):
        piece, self.data = self.data[:count], self.data[count:]
        sink.send(piece)
        if len(piece) < count:
            raise PeerBroken("gone")

    def read_some(self, size, timeout_s):
        piece, self.data = self.data[:size], self.data[size:]
        return piece

    def release(self):
        self.is_released = True

    def close(self):
        self.is_closed = True


class FakeExchange:
    node = "n"

    def __init__(self, data):
        self.connection = FakeConnection(data)
        self.failure = None

    def fail(self, error):
        self.failure = error


class FakeFaults(list):
    def failed(self, node, error):
        self.append(node)


class ListSink(list):
    send = list.append


def drain(body, way):
    """What came, and whether it broke off."""
    sink = ListSink()
    try:
        body.transfer(sink) if way == "transfer" else sink.extend(body)
    except BodyInterrupted as broken:
        assert broken.sent_bytes == len(b"".join(sink))
        return b"".join(sink), True
    finally:
        body.close()
    return b"".join(sink), False


@pytest.mark.parametrize("way", ["iterate", "transfer"])
def test_when_all_have_been_used_the_connection_is_kept(way):
    exchange = FakeExchange(b"aabbbc")
    bodies = Arrivals(exchange, [2, 3, 1], 60, FakeFaults()).bodies
    assert [drain(body, way) for body in bodies] == [(b"aa", False), (b"bbb", False), (b"c", False)]
    assert exchange.connection.is_released and not exchange.connection.is_closed


def test_an_answer_that_brings_nothing_is_over():
    exchange = FakeExchange(b"")
    assert Arrivals(exchange, [], 60, FakeFaults()).bodies == [] and exchange.connection.is_released


@pytest.mark.parametrize("way", ["iterate", "transfer"])
@pytest.mark.parametrize(("stall_s", "blamed"), [(60, ["n"]), (0, [])])
def test_where_it_breaks_off_those_after_have_nothing_and_who_was_kept_waiting_is_not_blamed(way, stall_s, blamed):
    faults = FakeFaults()
    bodies = Arrivals(FakeExchange(b"aab"), [2, 3, 1], stall_s, faults).bodies
    assert [drain(body, way) for body in bodies] == [(b"aa", False), (b"b", True), (b"", True)]
    assert faults == blamed


def test_one_that_is_not_used_gives_up_the_others():
    exchange = FakeExchange(b"aabbbc")
    first, second, third = Arrivals(exchange, [2, 3, 1], 60, FakeFaults()).bodies
    assert drain(first, "iterate") == (b"aa", False)
    second.close()
    assert exchange.connection.is_closed and not exchange.connection.is_released
    assert drain(third, "iterate") == (b"", True)
