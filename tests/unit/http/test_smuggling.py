"""Request smuggling, over a raw socket: each way to make two readers see two requests is refused, and nothing that
follows on the connection is ever taken for a request. Named after the lines of the threat list."""

import pytest

from tests.support.http import running_server

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"


class Recorder:
    """An application that notes what reached it."""

    def __init__(self):
        self.paths = []
        self.bodies = []
        self.environs = []

    def __call__(self, environ, start_response):
        self.paths.append(environ["PATH_INFO"])
        self.environs.append(environ)
        self.bodies.append(environ["wsgi.input"].read())
        start_response("200 OK", [("Content-Length", "0")])
        return []


@pytest.fixture
def app():
    return Recorder()


@pytest.fixture
def running(app):
    with running_server(app) as running:
        yield running


def refused(running, app, data: bytes, status: int = 400) -> None:
    """The bytes are answered once, with that status, and the connection closes before anything behind them counts."""
    answer = running.exchange(data + SMUGGLED)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"\r\nConnection: close\r\n" in answer
    assert "/smuggled" not in app.paths


def head(*lines: bytes, first: bytes = b"PUT /a HTTP/1.1", host: bytes = b"Host: h") -> bytes:
    return b"\r\n".join([first, *([host] if host else []), *lines, b"", b""])


def test_transfer_encoding_with_content_length(running, app):
    refused(running, app, head(b"Content-Length: 5", b"Transfer-Encoding: chunked") + b"0\r\n\r\n")
    refused(running, app, head(b"Transfer-Encoding: chunked", b"Content-Length: 5") + b"0\r\n\r\n")
    assert app.paths == []


def test_conflicting_content_lengths(running, app):
    refused(running, app, head(b"Content-Length: 5", b"Content-Length: 0") + b"hello")
    assert app.paths == []


def test_repeated_content_length(running, app):
    refused(running, app, head(b"Content-Length: 5", b"Content-Length: 5") + b"hello")
    refused(running, app, head(b"Content-Length: 5, 5") + b"hello")


@pytest.mark.parametrize("value", [b"+5", b"-5", b"0x5", b"5 ;", b"5.0", b"", b"\xb5", b"9" * 30])
def test_content_length_that_is_no_number(running, app, value):
    refused(running, app, head(b"Content-Length: " + value) + b"hello")


def test_obs_fold(running, app):
    refused(running, app, head(b"X-A: 1", b" Transfer-Encoding: chunked"))
    refused(running, app, head(b"Transfer-Encoding:", b"\tchunked"))


def test_bare_lf(running, app):
    refused(running, app, b"PUT /a HTTP/1.1\nHost: h\nContent-Length: 0\n\n")
    refused(running, app, head(b"X-A: 1\nContent-Length: 5"))


def test_bare_cr(running, app):
    refused(running, app, head(b"X-A: 1\rContent-Length: 5"))


def test_nul_in_a_header(running, app):
    refused(running, app, head(b"X-A: a\0b"))
    refused(running, app, head(b"X-A\0: b"))


def test_white_space_before_the_colon(running, app):
    refused(running, app, head(b"Content-Length : 5") + b"hello")
    refused(running, app, head(b"Transfer-Encoding\t: chunked") + b"0\r\n\r\n")


def test_empty_header_name(running, app):
    refused(running, app, head(b": x"))


def test_underscores_that_shadow_dashes(running, app):
    refused(running, app, head(b"Content_Length: 5") + b"hello")
    refused(running, app, head(b"X-Auth-Token: mine", b"X-Auth_Token: yours"))
    refused(running, app, head(b"X_Auth_Token: yours", b"X-Auth-Token: mine"))
    refused(running, app, head(b"Transfer_Encoding: chunked") + b"0\r\n\r\n")


@pytest.mark.parametrize("coding", [b"xchunked", b"chunked, chunked", b"\x0bchunked", b"identity", b"chunked, gzip"])
def test_transfer_encoding_other_than_chunked(running, app, coding):
    refused(running, app, head(b"Transfer-Encoding: " + coding) + b"0\r\n\r\n")


def test_transfer_encoding_that_is_not_implemented(running, app):
    refused(running, app, head(b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n", 501)


def test_transfer_encoding_twice(running, app):
    refused(running, app, head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity") + b"0\r\n\r\n")


def test_transfer_encoding_on_http10(running, app):
    refused(running, app, head(b"Transfer-Encoding: chunked", first=b"PUT /a HTTP/1.0") + b"0\r\n\r\n")


def test_two_hosts(running, app):
    refused(running, app, head(b"Host: other"))


def test_no_host_on_http11(running, app):
    refused(running, app, head(host=b""))


def test_no_host_is_fine_on_http10(running, app):
    assert running.exchange(head(first=b"GET /old HTTP/1.0", host=b"")).startswith(b"HTTP/1.1 200 ")
    assert app.paths == ["/old"]


def test_http09(running, app):
    refused(running, app, b"GET /a\r\n\r\n")
    refused(running, app, b"GET /a\r\n")


@pytest.mark.parametrize("version", [b"HTTP/2.0", b"HTTP/1.2", b"HTTP/0.9", b"HTTP/3.0"])
def test_other_versions(running, app, version):
    refused(running, app, head(first=b"GET /a " + version), 505)


def test_oversized_chunk_extension(running, app):
    refused(running, app, head(b"Transfer-Encoding: chunked") + b"1;" + b"x" * 20_000 + b"\r\na\r\n0\r\n\r\n")


def test_many_chunk_extensions(running, app):
    refused(running, app, head(b"Transfer-Encoding: chunked") + (b"1;" + b"x" * 200 + b"\r\na\r\n") * 200)


def test_chunk_size_with_prefix_or_sign(running, app):
    for size in (b"0x5", b"+5", b"-5", b" 5", b"5_0", b""):
        refused(running, app, head(b"Transfer-Encoding: chunked") + size + b"\r\nhello\r\n0\r\n\r\n")


def test_chunk_that_does_not_end_where_it_says(running, app):
    refused(running, app, head(b"Transfer-Encoding: chunked") + b"3\r\nhello\r\n0\r\n\r\n")
    refused(running, app, head(b"Transfer-Encoding: chunked") + b"5\r\nhello0\r\n\r\n")


def test_chunk_lines_that_end_in_a_bare_lf(running, app):
    refused(running, app, head(b"Transfer-Encoding: chunked") + b"5\nhello\n0\n\n")


def test_truncated_chunks_are_an_error_and_never_loop(running, app):
    """CVE-2026-49017: a truncated chunked body looped for ever in a worker."""
    body = b"5\r\nhello\r\n0\r\n\r\n"
    for end in range(len(body)):
        answer = running.exchange(head(b"Transfer-Encoding: chunked") + body[:end])
        assert b"200 OK" not in answer
    assert app.bodies == []
    assert running.exchange(head(b"Transfer-Encoding: chunked") + body).startswith(b"HTTP/1.1 200 ")
    assert app.bodies == [b"hello"]


def test_truncated_content_length_body_never_reaches_the_application_whole(running, app):
    assert b"200 OK" not in running.exchange(head(b"Content-Length: 6") + b"hello")
    assert app.bodies == []


@pytest.mark.parametrize(
    "trailer", [b"Content-Length: 5", b"Transfer-Encoding: chunked", b"X-Auth-Token: t", b"Host: evil", b"Cookie: c"]
)
def test_trailers_that_act_as_headers(running, app, trailer):
    """eventlet 0.40.3: trailers became part of the next request."""
    refused(running, app, head(b"Transfer-Encoding: chunked") + b"0\r\n" + trailer + b"\r\n\r\n")


def test_trailers_never_become_headers(running, app):
    data = head(b"Transfer-Encoding: chunked") + b"0\r\nX-Backend-Thing: yes\r\n\r\n" + SMUGGLED
    assert running.exchange(data).count(b"HTTP/1.1 200 ") == 2
    assert all("HTTP_X_BACKEND_THING" not in environ for environ in app.environs)


def test_pipelined_requests_are_told_apart(running, app):
    data = (
        head(b"Content-Length: 5") + b"hello" + head(b"Transfer-Encoding: chunked") + b"2\r\nhi\r\n0\r\n\r\n" + SMUGGLED
    )
    assert running.exchange(data).count(b"HTTP/1.1 200 ") == 3
    assert app.bodies == [b"hello", b"hi", b""]


def test_a_body_sent_without_its_100_is_not_taken_for_a_request():
    """The final answer came instead of the 100: whether the client still sends the body, nobody can know."""

    def refuses(environ, start_response):
        start_response("409 Conflict", [("Content-Length", "0")])
        return []

    with running_server(refuses) as running:
        data = head(b"Content-Length: %d" % len(SMUGGLED), b"Expect: 100-continue")
        answer = running.exchange(data + SMUGGLED)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"\r\nConnection: close\r\n" in answer


def test_a_response_header_cannot_split_the_response():
    def splits(environ, start_response):
        start_response("200 OK", [("Content-Length", "0"), ("X-A", environ["PATH_INFO"])])
        return []

    with running_server(splits) as running:
        answer = running.exchange(head(first=b"GET /a%0d%0aSet-Cookie:%20evil HTTP/1.1"))
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"Set-Cookie" not in answer
