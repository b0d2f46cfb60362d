"""http/pace.py: a request body may be slow, but not for ever."""

import pytest

from objstore.http.server import ServerLimits
from objstore.runtime import green
from tests.support.http import running_server

PUT = b"PUT /a HTTP/1.1\r\nHost: h\r\n"
FRAMINGS = {
    "content-length": b"Content-Length: 1000000\r\n\r\n",
    "chunked": b"Transfer-Encoding: chunked\r\n\r\nf4240\r\n",
}


def reads(environ, start_response):
    environ["wsgi.input"].read(1_000_000)
    start_response("200 OK", [])
    return [b"read"]


def reads_into(environ, start_response):
    block = memoryview(bytearray(1 << 20))
    while environ["wsgi.input"].readinto(block):
        pass
    start_response("200 OK", [])
    return [b"read"]


def dribble(client, until):
    """A byte every few milliseconds, until the server says something or `until` (monotonic) has come."""
    said = []
    green.spawn(lambda: said.append(client.read_to_end(10)))
    while not said and green.monotonic() < until:
        client.send(b"x")
        green.sleep(0.01)
    return said


@pytest.mark.parametrize("app", [reads, reads_into])
@pytest.mark.parametrize("head", FRAMINGS.values(), ids=FRAMINGS)
def test_a_client_that_dribbles_is_given_up(app, head):
    limits = ServerLimits(client_timeout_s=0.3, body_bytes_per_s=10_000)
    with running_server(app, limits) as running, running.connect() as client:
        client.send(PUT + head)
        (answer,) = dribble(client, green.monotonic() + 10)
        assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_fast_beginning_does_not_pay_for_a_slow_end():
    limits = ServerLimits(client_timeout_s=0.3, body_bytes_per_s=10_000)
    with running_server(reads_into, limits) as running, running.connect() as client:
        client.send(PUT + FRAMINGS["content-length"] + bytes(900_000))
        (answer,) = dribble(client, green.monotonic() + 10)
        assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("rate", [0, 1], ids=["no limit", "a rate that is kept"])
def test_a_client_that_is_slow_but_fast_enough_is_served(rate):
    limits = ServerLimits(client_timeout_s=10, body_bytes_per_s=rate)
    with running_server(reads, limits) as running, running.connect() as client:
        client.send(PUT + b"Content-Length: 50\r\n\r\n")
        for _ in range(50):
            client.send(b"x")
            green.sleep(0.01)
        assert client.read_until(b"read")


def test_time_in_which_nobody_reads_is_not_the_clients():
    def slow(environ, start_response):
        for _ in range(5):
            environ["wsgi.input"].read(10)
            green.sleep(0.1)
        start_response("200 OK", [])
        return [b"read"]

    limits = ServerLimits(client_timeout_s=0.2, body_bytes_per_s=10_000)
    with running_server(slow, limits) as running, running.connect() as client:
        client.send(PUT + b"Content-Length: 50\r\n\r\n" + bytes(50))
        assert client.read_until(b"read")


def test_a_client_that_waits_for_its_100_gets_it():
    limits = ServerLimits(client_timeout_s=5, body_bytes_per_s=1)
    with running_server(reads, limits) as running, running.connect() as client:
        client.send(PUT + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert client.read_until(b"100 Continue\r\n\r\n")
        client.send(b"hello")
        assert client.read_until(b"read")
