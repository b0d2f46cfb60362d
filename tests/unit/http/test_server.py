"""http/server.py with connection, exchange and sink: what goes over the wire, and how connections end."""

import contextlib
import errno
import io
import os
import tempfile

import pytest

from objstore.core.errors import BadRequest, ClientDisconnected, ClientTooSlow
from objstore.http.environ import on_finish
from objstore.http.server import ServerLimits
from objstore.runtime import green
from tests.support.http import running_server, wait_until

GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
HEAD = b"HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n"


def answering(status="200 OK", headers=(), body=()):
    def app(environ, start_response):
        start_response(status, list(headers))
        return body

    return app


def answer_of(app, data=GET, **kwargs):
    with running_server(app, **kwargs) as running:
        return running.exchange(data)


class Body:
    """An iterable that knows whether it was closed."""

    def __init__(self, pieces, error=None):
        self.pieces = pieces
        self.error = error
        self.is_closed = False

    def __iter__(self):
        yield from self.pieces
        if self.error is not None:
            raise self.error

    def close(self):
        self.is_closed = True


def test_a_request_after_an_edge_without_bytes_is_answered():
    """The connection looked, found nothing, waited, was woken by the request, and thought it had looked already."""

    def app(environ, start_response):
        for connection in running.server._connections:
            # What comes when the first request arrived in two pieces and was read in one.
            connection._stream.watch.is_readable = True
        start_response("200 OK", [])
        return [b"hello"]

    with running_server(app) as running, running.connect() as client:
        for _ in range(2):
            client.send(GET)
            assert client.read_until(b"hello", timeout_s=5)


# Framing of responses


def test_a_bytes_body_gets_its_length_and_a_date():
    answer = answer_of(answering(headers=[("X-A", "1")], body=[b"hel", b"lo"]))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 5\r\nDate: ")
    assert answer.endswith(b" GMT\r\n\r\nhello")


def test_a_body_of_unknown_length_is_chunked():
    answer = answer_of(answering(body=iter([b"hello", b"", b"x" * 16])))
    assert b"\r\nTransfer-Encoding: chunked\r\n" in answer
    assert answer.endswith(b"\r\n\r\n5\r\nhello\r\n10\r\n" + b"x" * 16 + b"\r\n0\r\n\r\n")


def test_a_body_of_unknown_length_ends_with_the_connection_on_http10():
    answer = answer_of(answering(body=iter([b"hello", b"!"])), b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert b"Transfer-Encoding" not in answer
    assert b"\r\nConnection: close\r\n" in answer
    assert answer.endswith(b"\r\n\r\nhello!")


@pytest.mark.parametrize(
    "data, connection",
    [
        (GET, None),
        (b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", b"close"),
        (b"GET /a HTTP/1.0\r\n\r\n", b"close"),
        (b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", b"keep-alive"),
    ],
)
def test_the_connection_header_tells_what_happens(data, connection):
    answer = answer_of(answering(body=[b"x"]), data + data)
    assert answer.count(b"HTTP/1.1 200") == (1 if connection == b"close" else 2)
    if connection is None:
        assert b"\r\nConnection:" not in answer
    else:
        assert b"\r\nConnection: " + connection + b"\r\n" in answer


@pytest.mark.parametrize(
    "app, data",
    [
        (answering(headers=[("Content-Length", "5")], body=[b"hello"]), HEAD),
        (answering(headers=[("Content-Length", "5")], body=iter([b"hello"])), HEAD),
        (answering(body=iter([b"hello"])), HEAD),
        (answering("304 Not Modified", [("Content-Length", "5")], [b"hello"]), GET),
        (answering("204 No Content", [("Content-Length", "0")], [b"hello"]), GET),
        (answering("204 No Content", [], iter([b"hello"])), GET),
    ],
)
def test_head_204_and_304_have_no_body(app, data):
    answer = answer_of(app, data + data)
    assert answer.count(b"HTTP/1.1 ") == 2, "the connection goes on"
    assert b"hello" not in answer
    assert b"Transfer-Encoding" not in answer


def test_an_empty_answer_to_get_says_so():
    assert b"\r\nContent-Length: 0\r\n" in answer_of(answering())


def test_hop_by_hop_headers_of_an_application_are_not_passed_on():
    headers = [("Transfer-Encoding", "gzip"), ("Keep-Alive", "x"), ("Connection", "Close")]
    answer = answer_of(answering(headers=headers, body=[b"x"]), GET + GET)
    assert answer.count(b"HTTP/1.1") == 1
    assert b"gzip" not in answer and b"Keep-Alive" not in answer
    assert answer.count(b"Connection: close") == 1


def test_head_and_small_body_leave_in_one_send():
    with running_server(answering(body=[b"x" * 4096])) as running, running.connect() as client:
        client.send(GET)
        assert client.read().endswith(b"x" * 4096)


def test_a_generator_may_call_start_response_late():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "2")])
        yield b"a"
        yield b"b"

    assert answer_of(app).endswith(b"\r\n\r\nab")


def test_the_write_callable_of_old_applications():
    def app(environ, start_response):
        write = start_response("200 OK", [("Content-Length", "4")])
        write(b"ab")
        return [b"cd"]

    assert answer_of(app).endswith(b"\r\n\r\nabcd")


def test_header_names_and_values_may_hold_any_bytes_from_0x80():
    answer = answer_of(answering(headers=[("X-Object-Meta-\xc3\xa4", "\xe2\x98\x83")]))
    assert b"\r\nX-Object-Meta-\xc3\xa4: \xe2\x98\x83\r\n" in answer


@pytest.mark.parametrize("header", [("X A", "1"), ("X-A:", "1"), ("", "1"), ("X-A", "a\nb"), ("X-A", "\u2603")])
def test_a_header_that_is_none_is_our_own_error(header):
    with running_server(answering(headers=[header])) as running:
        assert running.exchange(GET).startswith(b"HTTP/1.1 500 ")
        assert any("the application failed" in line for line in running.log.lines)


# Failing applications


def test_an_exception_before_the_head_is_500_and_closes():
    def app(environ, start_response):
        raise ValueError("broken")

    with running_server(app) as running:
        answer = running.exchange(GET + GET)
        assert answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
        assert answer.count(b"HTTP/1.1") == 1
        assert len(running.log.lines) == 1


def test_an_exception_in_the_body_cuts_the_answer_short_and_closes_the_iterable():
    body = Body([b"hello"], ValueError("disk on fire"))
    answer = answer_of(answering(headers=[("Content-Length", "10")], body=body), GET + GET)
    assert answer.endswith(b"\r\n\r\nhello")
    assert body.is_closed
    body = Body([b"hello"], ValueError("disk on fire"))
    assert answer_of(answering(body=body), GET + GET).endswith(b"5\r\nhello\r\n"), "no last chunk"


@pytest.mark.parametrize("pieces", [[b"hel"], [b"hello", b"!"]], ids=["short", "long"])
def test_a_body_that_is_not_its_content_length_closes_the_connection(pieces):
    body = Body(pieces)
    with running_server(answering(headers=[("Content-Length", "5")], body=body)) as running:
        answer = running.exchange(GET + GET)
        assert answer.count(b"HTTP/1.1") == 1
        assert answer.partition(b"\r\n\r\n")[2] in (b"hel", b"hello")
        assert body.is_closed
        assert any("the application failed" in line for line in running.log.lines)


def test_start_response_again_with_exc_info_replaces_the_head():
    def app(environ, start_response):
        start_response("200 OK", [])
        try:
            raise ValueError("late")
        except ValueError as error:
            start_response("500 Oops", [("Content-Length", "0")], (ValueError, error, error.__traceback__))
        return []

    assert answer_of(app).startswith(b"HTTP/1.1 500 Oops\r\n")


def test_an_application_that_never_calls_start_response_is_500():
    assert answer_of(lambda environ, start_response: []).startswith(b"HTTP/1.1 500 ")


# The environ


def test_the_environ_says_all_that_came():
    seen = {}

    def app(environ, start_response):
        seen.update(environ)
        start_response("204 No Content", [])
        return []

    answer_of(app, b"COPY /v1/a%20b?x=%20y HTTP/1.1\r\nHost: h:1\r\nX-Auth-Token: t\r\n\r\n")
    assert seen["REQUEST_METHOD"] == "COPY"
    assert seen["PATH_INFO"] == "/v1/a b"
    assert seen["QUERY_STRING"] == "x=%20y"
    assert seen["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert seen["HTTP_HOST"] == "h:1"
    assert seen["HTTP_X_AUTH_TOKEN"] == "t"
    assert seen["REMOTE_ADDR"] == "127.0.0.1"
    assert seen["REMOTE_PORT"].isdigit()
    assert seen["wsgi.url_scheme"] == "http"
    assert seen["objstore.raw_target"] == "/v1/a%20b?x=%20y"
    assert "CONTENT_TYPE" not in seen and "CONTENT_LENGTH" not in seen


def test_finish_callbacks_hear_the_outcome():
    outcomes = []

    def app(environ, start_response):
        on_finish(environ, outcomes.append)
        on_finish(environ, lambda outcome: 1 / 0)
        environ["wsgi.input"].read()
        start_response("201 Created", [("Content-Length", "5")])
        return Body([b"hel", b"lo"] if environ["PATH_INFO"] == "/whole" else [b"hel"])

    with running_server(app) as running:
        for path in (b"/whole", b"/short"):
            running.exchange(b"PUT " + path + b" HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
        whole, short = outcomes
        assert (whole.status, whole.bytes_received, whole.bytes_sent, whole.is_complete) == (201, 3, 5, True)
        assert (short.status, short.bytes_sent, short.is_complete) == (201, 3, False)
        assert 0 <= whole.first_byte_s <= whole.elapsed_s < 5
        assert sum("finish callback" in line for line in running.log.lines) == 2


# Request bodies


def reading(read):
    """An application that answers with what read(input) gives."""

    def app(environ, start_response):
        body = read(environ["wsgi.input"])
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    return app


def put(body: bytes, *lines: bytes) -> bytes:
    return b"\r\n".join([b"PUT /a HTTP/1.1", b"Host: h", *lines, b"", body])


@pytest.mark.parametrize(
    "data",
    [
        put(b"hello\nworld", b"Content-Length: 11"),
        put(b"6\r\nhello\n\r\n5\r\nworld\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"),
    ],
    ids=["length", "chunked"],
)
@pytest.mark.parametrize(
    "read, expected",
    [
        (lambda body: body.read(), b"hello\nworld"),
        (lambda body: body.read(100), b"hello\nworld"),
        (lambda body: body.read(8) + b"|" + body.read(8), b"hello\nwo|rld"),
        (lambda body: body.read(0) + body.readline() + b"|" + body.readline(2), b"hello\n|wo"),
        (lambda body: b"|".join(body), b"hello\n|world"),
        (lambda body: b"|".join(body.readlines()), b"hello\n|world"),
        (lambda body: b"%d" % body.readinto(memoryview(bytearray(3))) + body.read(), b"3lo\nworld"),
    ],
    ids=["read", "read 100", "read 8", "readline", "iter", "readlines", "readinto"],
)
def test_a_request_body_is_a_file(data, read, expected):
    assert answer_of(reading(read), data).endswith(b"\r\n\r\n" + expected)


def test_a_large_body_sent_slowly_arrives_whole():
    body = os.urandom(700_001)
    with running_server(reading(lambda stream: b"".join(iter(lambda: stream.read(10_000), b"")))) as running:
        with running.connect() as client:
            client.send(b"PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 700001\r\n\r\n")
            for start in range(0, len(body), 50_000):
                client.send(body[start : start + 50_000])
                green.sleep(0)
            client.finish()
            assert client.read_to_end().endswith(body)


def test_100_continue_is_sent_at_the_first_read_and_once():
    data = b"PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    with running_server(reading(lambda body: body.read(2) + body.read())) as running, running.connect() as client:
        client.send(data)
        assert client.read() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"hello")
        assert client.read_until(b"hello").startswith(b"HTTP/1.1 200 OK\r\n")
        client.send(GET)
        assert b"100" not in client.read(), "the connection goes on, and nothing waits for a 100 any more"


def test_100_continue_is_not_sent_for_a_body_that_nobody_reads():
    answer = answer_of(answering("409 Conflict"), put(b"", b"Content-Length: 5", b"Expect: 100-continue"))
    assert answer.startswith(b"HTTP/1.1 409 Conflict\r\n")


def test_100_continue_may_carry_headers_and_a_second_chunk_sequence_follows():
    """formats.md 6.6: two-phase commit speaks two 100s and two chunked bodies in one request."""

    def app(environ, start_response):
        body = environ["wsgi.input"]
        body.continue_with([("X-Obj-Metadata-Footer", "yes")])
        first = body.read()
        body.begin_next_sequence([("X-Obj-Multiphase-Commit", "yes")])
        answer = first + b"|" + body.read()
        start_response("201 Created", [("Content-Length", str(len(answer)))])
        return [answer]

    with running_server(app) as running, running.connect() as client:
        client.send(b"PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
        assert client.read() == b"HTTP/1.1 100 Continue\r\nX-Obj-Metadata-Footer: yes\r\n\r\n"
        client.send(b"5\r\nhello\r\n0\r\n\r\n")
        assert client.read() == b"HTTP/1.1 100 Continue\r\nX-Obj-Multiphase-Commit: yes\r\n\r\n"
        client.send(b"6\r\ncommit\r\n0\r\n\r\n" + GET)
        answer = client.read_until(b"hello|commit")
        assert answer.startswith(b"HTTP/1.1 201 Created\r\n")


def test_an_unread_small_body_is_passed_over():
    data = put(b"hello", b"Content-Length: 5") + put(b"2\r\nhi\r\n0\r\n\r\n", b"Transfer-Encoding: chunked") + GET
    assert answer_of(answering(), data).count(b"HTTP/1.1 200") == 3


def test_the_rest_of_an_unread_body_is_never_taken_for_a_request():
    with running_server(answering()) as running, running.connect() as client:
        client.send(put(b"", b"Content-Length: %d" % (2 * len(GET) + 3)) + b"abc")
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        client.send(GET)
        client.send(GET[:5])
        client.send(GET[5:] + b"HEAD /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert client.read_to_end().count(b"HTTP/1.1 ") == 1


def test_an_unread_body_that_does_not_come_ends_the_connection_without_another_answer():
    limits = ServerLimits(client_timeout_s=0.05)
    with running_server(answering(), limits) as running, running.connect() as client:
        client.send(put(b"", b"Content-Length: 5"))
        assert client.read_to_end().count(b"HTTP/1.1 ") == 1


def test_who_keeps_sending_after_a_refusal_is_cut_at_a_bound():
    limits = ServerLimits(linger_s=600, linger_most_s=0.2)
    with running_server(answering(), limits) as running, running.connect() as client:
        client.send(b"no request\r\n\r\n")
        assert client.read_to_end().startswith(b"HTTP/1.1 400 ")
        with contextlib.suppress(OSError):
            while running.server.connection_count:
                client.send(b"x" * 10_000)
                green.sleep(0)
        wait_until(lambda: running.server.connection_count == 0)


@pytest.mark.parametrize("framing", [b"Content-Length: 50000000", b"Transfer-Encoding: chunked"])
def test_who_sends_all_of_a_large_body_before_it_reads_still_gets_the_answer(framing):
    with running_server(answering("413 Too Large", body=[b"no"])) as running, running.connect() as client:
        client.send(b"PUT /a HTTP/1.1\r\nHost: h\r\n" + framing + b"\r\n\r\n")
        for _ in range(500):
            client.send(b"186a0\r\n" + b"x" * 99_993)
        answer = client.read_to_end()
    assert answer.startswith(b"HTTP/1.1 413 ") and answer.endswith(b"no")


def test_an_unread_large_body_closes_the_connection_but_the_answer_arrives():
    with running_server(answering("413 Too Large", body=[b"no"])) as running, running.connect() as client:
        client.send(b"PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 500_000)
        answer = client.read_to_end()
    assert answer.startswith(b"HTTP/1.1 413 ") and answer.endswith(b"no")
    assert b"\r\nConnection: close\r\n" in answer


def test_an_unread_chunked_body_without_end_closes_the_connection():
    limits = ServerLimits(discard_bytes=1000, linger_s=0.2)
    with running_server(answering(), limits) as running, running.connect() as client:
        client.send(b"PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 2000)
        assert client.read_to_end().count(b"HTTP/1.1") == 1


def test_response_and_request_body_may_flow_at_the_same_time():
    """SSYNC answers while it is still being told."""

    def app(environ, start_response):
        start_response("200 OK", [])
        for line in environ["wsgi.input"]:
            yield b"got " + line

    with running_server(app) as running, running.connect() as client:
        client.send(b"SSYNC /d/1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\none\r\n\r\n")
        assert b"got one\r\n" in client.read_until(b"one\r\n")
        client.send(b"5\r\ntwo\r\n\r\n0\r\n\r\n")
        assert client.read_until(b"0\r\n\r\n").endswith(b"9\r\ngot two\r\n\r\n0\r\n\r\n")


# Deadlines

IMPATIENT = ServerLimits(head_timeout_s=0.05, keepalive_timeout_s=0.05, client_timeout_s=0.05, linger_s=0.05)


def test_a_head_that_does_not_come_in_time_is_408():
    with running_server(answering(), IMPATIENT) as running, running.connect() as client:
        client.send(b"GET /a HTTP/1.1\r\nHo")
        assert client.read_to_end().startswith(b"HTTP/1.1 408 ")


def test_trickling_bytes_do_not_extend_the_head_deadline():
    limits = ServerLimits(head_timeout_s=0.3)
    with running_server(answering(), limits) as running, running.connect() as client:
        answers = []
        reader = green.spawn(lambda: answers.append(client.read_to_end()))
        start = green.monotonic()
        while not answers and green.monotonic() - start < 5:
            try:
                client.send(b"X")
            except OSError:
                break
            green.sleep(0.02)
        reader.join()
        assert answers[0].startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("data", [b"", GET], ids=["new", "kept alive"])
def test_an_idle_connection_is_closed_without_a_word(data):
    with running_server(answering(), IMPATIENT) as running, running.connect() as client:
        client.send(data)
        assert client.read_to_end().count(b"HTTP/1.1") == bool(data)
        wait_until(lambda: running.server.connection_count == 0)


def test_a_body_that_stops_is_408():
    data = b"PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello"
    errors = []

    def app(environ, start_response):
        try:
            environ["wsgi.input"].read()
        except ClientTooSlow as error:
            errors.append(error)
            raise

    with running_server(app, IMPATIENT) as running, running.connect() as client:
        client.send(data)
        assert client.read_to_end().startswith(b"HTTP/1.1 408 ")
    assert len(errors) == 1


def test_a_client_that_does_not_read_is_given_up():
    outcomes = []
    body = Body([b"x" * 65536] * 1000)

    def app(environ, start_response):
        on_finish(environ, outcomes.append)
        start_response("200 OK", [("Content-Length", str(65536 * 1000))])
        return body

    with running_server(app, IMPATIENT) as running, running.connect() as client:
        client.send(GET)
        wait_until(lambda: outcomes)
        assert not outcomes[0].is_complete
        assert body.is_closed
        wait_until(lambda: running.server.connection_count == 0)


def test_a_client_that_goes_away_in_mid_body_is_noticed():
    """CVE-2016-0737, CVE-2016-0738: unfinished reads of large objects leaked sockets and green threads."""
    bodies = []

    def app(environ, start_response):
        bodies.append(Body([b"x" * 65536] * 1000))
        start_response("200 OK", [("Content-Length", str(65536 * 1000))])
        return bodies[-1]

    before = len(os.listdir("/proc/self/fd"))
    with running_server(app) as running:
        for _ in range(20):
            with running.connect() as client:
                client.send(GET)
                client.read()
        wait_until(lambda: running.server.connection_count == 0)
        assert len(bodies) == 20 and all(body.is_closed for body in bodies)
    assert len(os.listdir("/proc/self/fd")) <= before + 2


@pytest.mark.parametrize(
    "data, error",
    [
        (b"Content-Length: 10\r\n\r\nhello", ClientDisconnected),
        (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel", ClientDisconnected),
        (b"Transfer-Encoding: chunked\r\n\r\nz\r\nhel", BadRequest),
    ],
)
def test_reads_of_a_broken_body_raise_and_go_on_raising(data, error):
    errors = []

    def app(environ, start_response):
        for _ in range(2):
            try:
                environ["wsgi.input"].read()
            except Exception as caught:
                errors.append(type(caught))
        start_response("499 Gone", [("Content-Length", "0")])
        return []

    answer_of(app, b"PUT /a HTTP/1.1\r\nHost: h\r\n" + data)
    assert errors == [error, error]


# Many connections


def test_the_longest_waiting_connection_makes_room_for_a_new_one():
    """CVE-2022-31028: connections kept alive for nothing shut others out."""
    with running_server(answering(), ServerLimits(max_connections=3)) as running:
        clients = [running.connect() for _ in range(5)]
        for client in clients[2:]:
            client.send(GET)
            assert client.read().startswith(b"HTTP/1.1 200")
        assert clients[0].read_to_end() == clients[1].read_to_end() == b""
        assert running.server.connection_count == 3
        for client in clients:
            client.socket.close()


def test_when_all_connections_are_busy_a_new_one_waits():
    gate = green.Future()

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/slow":
            gate.wait(5)
        start_response("200 OK", [("Content-Length", "0")])
        return []

    with running_server(app, ServerLimits(max_connections=1)) as running, running.connect() as slow:
        slow.send(b"GET /slow HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        wait_until(lambda: not running.server.parked and running.server.connection_count == 1)
        with running.connect() as other:
            other.send(GET)
            green.sleep(0.02)
            gate.set()
            assert other.read().startswith(b"HTTP/1.1 200")


def test_running_out_of_descriptors_backs_off_and_goes_on(monkeypatch):
    monkeypatch.setattr("objstore.http.server._ACCEPT_PAUSE_S", 0.01)
    calls = []
    with running_server(answering()) as running:
        listener = running.server._listener

        class Failing:
            def __getattr__(self, name):
                return getattr(listener, name)

            def _accept(self):
                calls.append(1)
                if len(calls) < 3:
                    raise OSError(errno.EMFILE, "Too many open files")
                return listener._accept()

        running.server._listener = Failing()
        assert running.exchange(GET).startswith(b"HTTP/1.1 200")
        assert len(calls) <= 5, "no busy loop"
        assert sum("Too many open files" in line for line in running.log.lines) == 2


def test_a_pipelining_client_does_not_starve_others():
    order = []

    def app(environ, start_response):
        order.append(environ["PATH_INFO"])
        start_response("200 OK", [("Content-Length", "0")])
        return []

    with running_server(app) as running, running.connect() as greedy, running.connect() as modest:
        greedy.send(GET * 1000)
        modest.send(GET.replace(b"/a", b"/b"))
        modest.read()
        wait_until(lambda: len(order) == 1001)
    assert order.index("/b") < 500


# Ending


def test_drain_ends_idle_connections_and_lets_running_exchanges_finish():
    gate = green.Future()

    def app(environ, start_response):
        gate.wait(5)
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    with running_server(app) as running, running.connect() as idle, running.connect() as busy:
        busy.send(GET + GET)
        wait_until(lambda: running.server.connection_count == 2 and len(running.server.parked) == 1)
        running.server.drain(5)
        assert idle.read_to_end() == b""
        gate.set()
        answer = busy.read_to_end()
        assert answer.count(b"HTTP/1.1 200 OK") == 1 and answer.endswith(b"ok")
        assert b"Connection: close" in answer
        wait_until(lambda: running.server.connection_count == 0)


def test_drain_answers_a_connection_whose_first_request_is_on_the_way():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    with running_server(app) as running, running.connect() as fresh:
        wait_until(lambda: running.server.connection_count == 1)
        running.server.drain(5)
        fresh.send(GET)
        assert fresh.read_to_end().startswith(b"HTTP/1.1 200 OK")
        wait_until(lambda: running.server.connection_count == 0)


def test_drain_cuts_what_does_not_end_in_time():
    def app(environ, start_response):
        environ["wsgi.input"].read()

    with running_server(app) as running, running.connect() as client:
        client.send(b"PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n")
        wait_until(lambda: running.server.connection_count == 1 and not running.server.parked)
        running.server.drain(0.01)
        assert client.read_to_end().startswith((b"", b"HTTP/1.1 400"))
        wait_until(lambda: running.server.connection_count == 0)


# Bodies that send themselves


class FileBody:
    def __init__(self, file, size, error=None):
        self.file, self.size, self.error = file, size, error
        self.is_closed = self.was_transferred = False

    def transfer(self, sink):
        self.was_transferred = True
        sink.sendfile(self.file.fileno(), 0, self.size)
        if self.error:
            raise self.error

    def __iter__(self):
        self.file.seek(0)
        yield self.file.read(self.size)

    def close(self):
        self.is_closed = True


@pytest.fixture
def file():
    with tempfile.TemporaryFile() as file:
        file.write(os.urandom(3_000_000))
        file.flush()
        yield file


def content(file) -> bytes:
    return os.pread(file.fileno(), 10_000_000, 0)


def test_a_file_goes_out_by_sendfile(file):
    body = FileBody(file, 3_000_000)
    answer = answer_of(answering(headers=[("Content-Length", "3000000")], body=body), GET)
    assert answer.partition(b"\r\n\r\n")[2] == content(file)
    assert body.was_transferred and body.is_closed


def test_a_transfer_body_of_unknown_length_is_iterated(file):
    body = FileBody(file, 100)
    answer = answer_of(answering(body=body))
    assert answer.endswith(b"\r\n\r\n64\r\n" + content(file)[:100] + b"\r\n0\r\n\r\n")
    assert not body.was_transferred and body.is_closed


def test_head_never_transfers(file):
    body = FileBody(file, 100)
    answer = answer_of(answering(headers=[("Content-Length", "100")], body=body), HEAD)
    assert answer.endswith(b"\r\n\r\n")
    assert not body.was_transferred and body.is_closed


@pytest.mark.parametrize("announced, size", [(200, 100), (100, 200)], ids=["short", "long"])
def test_a_transfer_that_is_not_its_content_length_closes(file, announced, size):
    body = FileBody(file, size)
    with running_server(answering(headers=[("Content-Length", str(announced))], body=body)) as running:
        answer = running.exchange(GET + GET)
        assert answer.count(b"HTTP/1.1") <= 1
        assert len(answer.partition(b"\r\n\r\n")[2]) < 200
        assert body.is_closed


def test_a_file_that_is_shorter_than_its_body_cuts_the_answer(file):
    body = FileBody(file, 4_000_000)
    answer = answer_of(answering(headers=[("Content-Length", "4000000")], body=body), GET + GET)
    assert answer.partition(b"\r\n\r\n")[2] == content(file)


def test_a_transfer_that_fails_cuts_the_answer(file):
    body = FileBody(file, 100, ValueError("checksum"))
    answer = answer_of(answering(headers=[("Content-Length", "200")], body=body), GET + GET)
    assert answer.partition(b"\r\n\r\n")[2] == content(file)[:100]


def test_a_plain_file_object_is_an_iterable_like_any_other():
    answer = answer_of(answering(headers=[("Content-Length", "4")], body=io.BytesIO(b"a\nb\n")))
    assert answer.endswith(b"\r\n\r\na\nb\n")


# The HTTP layer's own answers


@pytest.mark.parametrize(
    "data, status, is_bare",
    [
        (b"GET /" + b"p" * 9000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 414, True),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX-Long: " + b"p" * 8192 + b"\r\n\r\n", 400, True),
        (b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X-A: v\r\n" * 200 + b"\r\n", 431, False),
        (b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501, False),
        (b"GET / HTTP/3.0\r\nHost: h\r\n\r\n", 505, False),
        (b"GET / HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n", 417, False),
    ],
)
def test_refusals_look_as_recorded(data, status, is_bare):
    """http_edges.jsonl, edge-long-line: 400 and 414 have no Date and no body, 431 has both."""
    answer = answer_of(answering(), data)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nConnection: close" in head
    assert (b"\r\nDate: " not in head) is is_bare
    assert (body == b"") is is_bare
    if not is_bare:
        assert b"\r\nContent-Type: text/html;charset=utf-8" in head
        assert b"\r\nContent-Length: %d" % len(body) in head


def test_a_peer_that_is_not_admitted_is_closed_before_a_byte_is_read():
    asked = []

    def admits(peer):
        asked.append(peer)
        return len(asked) > 1

    with running_server(answering(body=[b"hello"]), admits=admits) as running:
        with running.connect() as client:
            assert client.read() == b""
        assert running.exchange(GET).endswith(b"hello")
        assert running.server.connection_count <= 1
    assert asked == ["127.0.0.1", "127.0.0.1"]
