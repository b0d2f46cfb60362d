"""Many connections at once: what they hold while they do nothing, and that it all comes back."""

import gc
import os

from greenlet import greenlet

from objstore.http.server import ServerLimits
from objstore.runtime import green
from tests.support.http import RawClient, running_server, wait_until

CROWD = 500
GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"


def app(environ, start_response):
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


def descriptors() -> int:
    gc.collect()  # What earlier tests have left open is theirs, and may go at any time.
    return len(os.listdir("/proc/self/fd"))


def greenlets() -> int:
    gc.collect()
    return sum(isinstance(thing, greenlet) and not thing.dead for thing in gc.get_objects())


def crowd(running, data: bytes) -> list[RawClient]:
    clients = []
    for _ in range(CROWD):
        clients.append(running.connect())
        clients[-1].send(data)
    return clients


def test_idle_and_half_sent_connections_hold_no_green_thread_and_give_all_back():
    with running_server(app) as running:
        assert running.exchange(GET).endswith(b"ok")
        wait_until(lambda: running.server.connection_count == 0)
        before = descriptors(), greenlets()
        clients = crowd(running, GET)
        for client in clients:
            assert client.read().endswith(b"ok")
        clients += crowd(running, GET[:20])
        wait_until(lambda: len(running.server.parked) == 2 * CROWD)
        assert greenlets() < before[1] + 200, "parked connections have no green thread, only the workers kept"
        with running.connect() as other:
            other.send(GET)
            assert other.read().endswith(b"ok")
        for client in clients:
            client.socket.close()
        wait_until(lambda: running.server.connection_count == 0)
        assert descriptors() <= before[0]
        assert greenlets() < before[1] + 200


def test_half_sent_heads_and_bodies_are_all_ended_by_their_deadlines():
    limits = ServerLimits(head_timeout_s=1, client_timeout_s=1, keepalive_timeout_s=1, linger_s=1)
    with running_server(app, limits) as running:
        before, greenlets_before = descriptors(), greenlets()
        heads = crowd(running, GET[:-2])
        bodies = crowd(running, b"PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf")
        for client in heads + bodies:
            assert client.read_to_end().startswith(b"HTTP/1.1 408 ")
            client.socket.close()
        wait_until(lambda: running.server.connection_count == 0)
        assert descriptors() <= before
        assert greenlets() < greenlets_before + 200


def refusing(environ, start_response):
    """Answers without reading the body."""
    start_response("401 Unauthorized", [("Content-Length", "2")])
    return [b"no"]


def test_bodies_that_nobody_wants_hold_no_green_thread():
    with running_server(refusing) as running:
        before = greenlets()
        clients = crowd(running, b"PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf")
        for client in clients:
            assert client.read().endswith(b"no")
        wait_until(lambda: len(running.server.parked) == CROWD)
        assert greenlets() < before + 200
        for client in clients:
            client.send(b"better" + GET)
            assert client.read().endswith(b"no")
            client.socket.close()


def test_clients_that_stay_after_a_refusal_hold_no_green_thread():
    with running_server(app, ServerLimits(linger_s=600)) as running:
        before = greenlets()
        clients = crowd(running, b"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n")
        for client in clients:
            assert client.read_to_end().startswith(b"HTTP/1.1 400 ")
        wait_until(lambda: len(running.server.parked) == CROWD)
        assert greenlets() < before + 200
        for client in clients:
            client.socket.close()
        wait_until(lambda: running.server.connection_count == 0)


def test_one_sweep_serves_all_deadlines():
    """A timer per wait would leave a cancelled one in the hub for each."""
    hub = green.eventlet.hubs.get_hub()
    with running_server(app) as running:
        clients = crowd(running, GET[:20])
        wait_until(lambda: len(running.server.parked) == CROWD)
        assert sum(not timer.called for _, timer in hub.timers + hub.next_timers) < 10
        for client in clients:
            client.socket.close()
