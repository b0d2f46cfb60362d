"""http/client.py: pooling, strictness, deadlines, and bodies that never become Python bytes."""

import os
import socket

import pytest

from objstore.http.client import (
    LAST_CHUNK,
    BadResponse,
    ConnectFailed,
    ConnectionPool,
    PeerBroken,
    PeerTimedOut,
    chunk_head,
    request,
)
from objstore.http.sink import ClientSink
from objstore.http.stream import PlainStream
from objstore.runtime import green
from tests.support.http import running_server, wait_until
from tests.support.http_script import scripted_server

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def pool():
    pool = ConnectionPool()
    yield pool
    pool.close()


def get(pool, server, method="GET", **kwargs):
    options = {"connect_timeout_s": 5, "timeout_s": 5, "max_body_bytes": 1 << 20} | kwargs
    return request(pool, server.host, server.port, method, "/a", [("Host", "h")], **options)


def begin(pool, server, headers=(), body=b"", method="GET"):
    connection = pool.connect(server.host, server.port, 5)
    connection.send_request(method, "/a", [("Host", "h"), *headers], body, timeout_s=5)
    return connection


def answers(*replies):
    """A peer that answers each head on a connection with the next of the replies, then closes."""

    def play(peer, index):
        for reply in replies:
            if not peer.read_head():
                return
            peer.send(reply)

    return play


def echo(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


# Requests


def test_a_request_is_what_the_caller_gave_and_nothing_else(pool):
    heads = []

    def play(peer, index):
        heads.append(peer.read_until(b"body"))
        peer.send(OK)

    with scripted_server(play) as server:
        connection = begin(pool, server, [("X-Object-Meta-\xc3\xa4", "\xe2\x98\x83")], b"body", "PUT")
        connection.read_head(5)
        connection.close()
    assert heads == [b"PUT /a HTTP/1.1\r\nHost: h\r\nX-Object-Meta-\xc3\xa4: \xe2\x98\x83\r\n\r\nbody"]


@pytest.mark.parametrize(
    "method, target, value", [("G ET\r\n", "/", "v"), ("GET", "/\r\nX: 1", "v"), ("GET", "/", "v\nw")]
)
def test_a_request_cannot_be_split(pool, method, target, value):
    with scripted_server(answers()) as server:
        connection = pool.connect(server.host, server.port, 5)
        with pytest.raises(ValueError):
            connection.send_request(method, target, [("X-A", value)], timeout_s=5)
        connection.close()


# Pooling


def test_a_finished_exchange_leaves_its_connection_to_the_next(pool):
    with scripted_server(answers(OK, OK)) as server:
        assert get(pool, server)[1] == b"ok"
        assert pool.idle_count == 1
        assert get(pool, server)[1] == b"ok"
        assert server.connection_count == 1


NOT_KEPT = {
    "close": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "more than its length": OK + b"HTTP/1.1 200 OK\r\n",
}


@pytest.mark.parametrize("reply", NOT_KEPT.values(), ids=NOT_KEPT)
def test_a_connection_that_cannot_be_trusted_again_is_closed(pool, reply):
    with scripted_server(answers(reply)) as server:
        assert get(pool, server)[1] == b"ok"
        assert pool.idle_count == 0


def test_a_body_until_close_is_read_and_not_kept(pool):
    with scripted_server(answers(b"HTTP/1.1 200 OK\r\n\r\nto the end")) as server:
        head, body = get(pool, server)
    assert (head.length, body, pool.idle_count) == (None, b"to the end", 0)


def test_an_unread_body_closes_the_connection(pool):
    with scripted_server(answers(OK)) as server:
        connection = begin(pool, server)
        connection.read_head(5)
        connection.release()
    assert pool.idle_count == 0


@pytest.mark.parametrize("marks", [True, False])
def test_a_chunked_request_counts_as_whole_only_when_the_caller_says_so(pool, marks):
    with running_server(echo) as server:
        connection = begin(pool, server, [("Transfer-Encoding", "chunked")], method="PUT")
        connection.send(chunk_head(5) + b"hello\r\n" + LAST_CHUNK, 5)
        if marks:
            connection.mark_request_whole()
        connection.read_head(5)
        assert connection.read_all(100, 5) == b"hello"
        connection.release()
        assert pool.idle_count == int(marks)


def test_an_answer_before_the_request_is_whole_closes_the_connection(pool):
    with scripted_server(answers(OK)) as server:
        connection = begin(pool, server, [("Content-Length", "10")], b"half", "PUT")
        connection.read_head(5)
        connection.read_all(10, 5)
        connection.release()
    assert pool.idle_count == 0


def test_a_stale_connection_is_dropped_as_soon_as_its_peer_closes(pool):
    with scripted_server(answers(OK)) as server:
        get(pool, server)
        wait_until(lambda: pool.idle_count == 0)


def test_an_idle_connection_survives_the_edge_of_an_answer_that_was_read_already(pool):
    """The hub tells of several answers at once; by then a green thread may have read the later ones and let them go."""

    leaves = green.Future()

    def stays(peer, index):
        peer.read_head()
        peer.send(OK)
        leaves.wait(5)

    with scripted_server(stays) as server:
        connection = begin(pool, server)
        assert connection.read_head(5).status == 200
        connection.read_all(10, 5)
        watch = connection._stream.watch
        connection.release()
        watch.reader.switch()
        assert pool.idle_count == 1
        # It is still listened to.
        leaves.set()
        wait_until(lambda: pool.idle_count == 0)


def test_a_reused_connection_that_dies_before_any_answer_is_tried_once_more(pool):
    """The peer closes at the very moment the next request is sent."""

    def play(peer, index):
        peer.read_head()
        peer.send(OK)
        if index == 0:
            peer.read_head()

    with scripted_server(play) as server:
        get(pool, server)
        assert get(pool, server)[1] == b"ok"
        assert server.connection_count == 2


def test_a_new_connection_that_dies_is_not_tried_again(pool):
    with scripted_server(lambda peer, index: peer.read_head()) as server:
        with pytest.raises(PeerBroken, match=f"{server.host}:{server.port}"):
            get(pool, server)
        assert server.connection_count == 1


def test_a_connection_that_breaks_within_its_answer_is_not_tried_again(pool):
    def play(peer, index):
        peer.read_head()
        peer.send(OK)
        peer.read_head()
        peer.send(b"HTTP/1.1 2")

    with scripted_server(play) as server:
        get(pool, server)
        with pytest.raises(PeerBroken):
            get(pool, server)
        assert server.connection_count == 1


def test_idle_connections_are_bounded_in_number_and_time():
    pool = ConnectionPool(idle_per_address=2, idle_s=0.05)
    with running_server(echo) as server:
        connections = [begin(pool, server) for _ in range(4)]
        for connection in connections:
            connection.read_head(5)
            connection.release()
        assert pool.idle_count == 2
        wait_until(lambda: pool.idle_count == 0)


# Failing


def test_a_refused_connection_says_where():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectFailed, match=f"127.0.0.1:{port}: Connection refused"):
        ConnectionPool().connect("127.0.0.1", port, 5)


def test_a_connect_that_hangs_ends_in_time():
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    port = listener.getsockname()[1]
    fillers = []
    try:
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        with pytest.raises(ConnectFailed, match="no connection within 0.05 s"):
            ConnectionPool().connect("127.0.0.1", port, 0.05)
    finally:
        for filler in fillers:
            filler.close()
        listener.close()


def test_names_are_resolved(pool):
    with running_server(echo) as server:
        connection = pool.connect("localhost", server.port, 5)
        connection.close()
    with pytest.raises(ConnectFailed):
        pool.connect("no-such-host.invalid", 80, 5)


def test_a_frozen_peer_is_found_by_the_deadline(pool):
    with scripted_server(lambda peer, index: peer.read_to_end(10)) as server:
        connection = begin(pool, server)
        with pytest.raises(PeerTimedOut, match="no response head within 0.05 s"):
            connection.read_head(0.05)
        connection.close()


def test_a_peer_that_stops_in_mid_body_is_found_by_the_deadline(pool):
    def play(peer, index):
        peer.read_head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        peer.read_to_end(10)

    with scripted_server(play) as server:
        connection = begin(pool, server)
        connection.read_head(5)
        with pytest.raises(PeerTimedOut):
            connection.read(10, 0.05)
        connection.close()


def test_a_peer_that_takes_nothing_is_found_by_the_deadline(pool):
    def play(peer, index):
        wait_until(lambda: done, 10)

    done = []
    with scripted_server(play) as server:
        connection = begin(pool, server, [("Content-Length", "100000000")])
        with pytest.raises(PeerTimedOut):
            connection.send(bytes(100_000_000), 0.05)
        done.append(1)
        connection.close()


BAD = {
    "no HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "endless head": b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 300_000,
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "length and coding": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "broken chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "switches protocols": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "endless interim": b"HTTP/1.1 102 Processing\r\n\r\n" * 20,
    "too large": b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + bytes(2_000_000),
}


@pytest.mark.parametrize("reply", BAD.values(), ids=BAD)
def test_what_is_no_proper_response_is_refused(pool, reply):
    with scripted_server(answers(reply)) as server:
        with pytest.raises(BadResponse):
            get(pool, server)
        assert pool.idle_count == 0


CUT = {
    "head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
    "chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal",
    "last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("reply", CUT.values(), ids=CUT)
def test_an_answer_cut_short_is_never_taken_for_a_whole_one(pool, reply):
    with scripted_server(answers(reply)) as server:
        with pytest.raises(PeerBroken):
            get(pool, server)


# Answers


def test_head_has_no_body_whatever_its_length_says(pool):
    with scripted_server(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", OK)) as server:
        head, body = get(pool, server, "HEAD")
        assert (head.headers["content-length"], head.length, body) == ("99", 0, b"")
        assert get(pool, server)[1] == b"ok"
        assert server.connection_count == 1


def test_interim_responses_are_given_with_their_headers(pool):
    """formats.md 6.6: 100 Continue carries what the object server offers."""
    reply = b"HTTP/1.1 100 Continue\r\nX-Obj-Metadata-Footer: yes\r\n\r\n" * 2 + OK
    with scripted_server(answers(reply)) as server:
        connection = begin(pool, server)
        for _ in range(2):
            head = connection.read_head(5)
            assert (head.status, head.headers) == (100, {"x-obj-metadata-footer": "yes"})
        assert connection.read_head(5).status == 200
        assert connection.read(10, 5) == b"ok"
        connection.close()


def test_a_response_arrives_byte_by_byte(pool):
    reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n"

    def play(peer, index):
        peer.read_head()
        for value in reply:
            peer.send(bytes([value]))
            green.sleep(0)
        peer.read_head()

    with scripted_server(play) as server:
        assert get(pool, server)[1] == b"hello"
        assert pool.idle_count == 1


def test_one_green_thread_reads_many_peers_without_waiting_for_any(pool):
    gates = [green.Future() for _ in range(3)]

    def play(peer, index):
        peer.read_head()
        gates[index].wait(5)
        peer.send(b"HTTP/1.1 %d OK\r\nContent-Length: 0\r\n\r\n" % (200 + index))
        peer.read_head()

    with scripted_server(play) as server:
        connections = {connection.fd: connection for connection in (begin(pool, server) for _ in range(3))}
        assert all(connection.try_read_head() is None for connection in connections.values())
        order = []
        for index in (2, 0, 1):
            gates[index].set()
            found = None
            while found is None:
                assert green.wait_any(connections, timeout_s=5)
                found = next((h for c in connections.values() if (h := c.try_read_head())), None)
            order.append(found.status)
        assert order == [202, 200, 201]
        for connection in connections.values():
            connection.close()


def test_try_send_takes_what_fits_and_says_when_nothing_does(pool):
    def play(peer, index):
        gate.wait(5)
        received.append(len(peer.read_to_end()))

    gate, received, data = green.Future(), [], memoryview(bytes(20_000_000))
    with scripted_server(play) as server:
        connection = begin(pool, server, [("Content-Length", str(len(data)))], method="PUT")
        sent = 0
        while taken := connection.try_send(data[sent:]):
            sent += taken
        assert 0 < sent < len(data)
        gate.set()
        while sent < len(data):
            assert green.wait_any((), [connection.fd], timeout_s=5)
            sent += connection.try_send(data[sent:])
        connection.close()
        wait_until(lambda: received)
    assert received[0] > len(data)


@pytest.mark.parametrize("ends", ["close", "abort"])
def test_what_is_aborted_does_not_arrive_later(pool, ends):
    """A peer that comes back to its socket after we gave up finds a broken connection, not a request."""

    def play(peer, index):
        gate.wait(5)
        try:
            received.append(len(peer.read_to_end()))
        except ConnectionResetError:
            received.append(0)

    gate, received, data = green.Future(), [], memoryview(bytes(20_000_000))
    with scripted_server(play) as server:
        connection = begin(pool, server, [("Content-Length", str(len(data)))], method="PUT")
        sent = 0
        while taken := connection.try_send(data[sent:]):
            sent += taken
        getattr(connection, ends)()
        gate.set()
        wait_until(lambda: received)
    assert (received[0] > sent) == (ends == "close")


def test_try_send_to_a_peer_that_is_gone_is_broken(pool):
    with scripted_server(lambda peer, index: None) as server:
        connection = begin(pool, server, [("Content-Length", "100")])
        with pytest.raises(PeerBroken):
            for _ in range(100):
                connection.try_send(b"x")
                green.sleep(0.01)
        connection.close()


# Splicing


@pytest.fixture
def pair():
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    stream = PlainStream(left)
    yield stream, right
    stream.close()
    right.close()


def drained(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        try:
            data += sock.recv(1 << 20)
        except BlockingIOError:
            green.wait_readable(sock.fileno(), 5)
    return data


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_goes_from_peer_to_client_through_a_pipe(pool, pair, framing):
    stream, far = pair
    body = os.urandom(3_000_000)

    def app(environ, start_response):
        headers = [("Content-Length", str(len(body)))] if framing == "length" else []
        start_response("200 OK", headers)
        return iter([body[:100], body[100:2_000_000], body[2_000_000:]])

    with running_server(app) as server:
        connection = begin(pool, server)
        connection.read_head(5)
        sink = ClientSink(stream, 5)
        start = connection.read(50, 5)
        task = green.spawn(connection.transfer, sink, len(body) - 50, 5)
        assert start + drained(far, len(body) - 50) == body
        task.join()
        assert connection.read(1, 5) == b""
        connection.release()
        assert pool.idle_count == 1


def test_a_transfer_from_a_peer_that_breaks_says_so(pool, pair):
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
    with scripted_server(answers(reply)) as server:
        connection = begin(pool, server)
        connection.read_head(5)
        with pytest.raises(PeerBroken):
            connection.transfer(ClientSink(pair[0], 5), 100, 5)
        connection.close()


def test_a_transfer_to_a_client_that_is_gone_leaks_no_pipe(pool, pair):
    from objstore.core.errors import ClientDisconnected

    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "3000000")])
        return [bytes(3_000_000)]

    with running_server(app) as server:
        before = None
        pair[1].close()
        for _ in range(5):
            connection = begin(pool, server)
            connection.read_head(5)
            with pytest.raises(ClientDisconnected):
                connection.transfer(ClientSink(pair[0], 5), 3_000_000, 5)
            connection.close()
            wait_until(lambda: server.server.connection_count == 0)
            before = before or len(os.listdir("/proc/self/fd"))
        assert len(os.listdir("/proc/self/fd")) == before
