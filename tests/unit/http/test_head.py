"""http/head.py: what a head may be, and what is refused with which status."""

import pytest

from objstore.http.head import (
    BACKEND_LIMITS,
    HeadError,
    HeadLimits,
    HeadScanner,
    head_bytes,
    parse_request,
    parse_response,
)

LIMITS = HeadLimits()


def request(*lines: str, first: str = "GET /a HTTP/1.1", host: bool = True) -> bytes:
    headers = ["Host: h", *lines] if host else list(lines)
    return "\r\n".join([first, *headers, "", ""]).encode("latin-1")


def parse(data: bytes):
    return parse_request(data, LIMITS)


def status_of(data: bytes) -> int:
    with pytest.raises(HeadError) as caught:
        scanner = HeadScanner(LIMITS)
        found = scanner.feed(data)
        assert found is not None, "refused neither at once nor as a whole head"
        parse(found[0])
    return caught.value.status


def test_a_head_becomes_environ_keys():
    head = parse(request("Content-Type: text/plain", "X-Object-Meta-Color:  blue\t", "Content-Length: 12"))
    assert (head.method, head.path, head.is_http11, head.content_length) == ("GET", "/a", True, 12)
    assert head.fields == {
        "HTTP_HOST": "h",
        "CONTENT_TYPE": "text/plain",
        "HTTP_X_OBJECT_META_COLOR": "blue",
        "CONTENT_LENGTH": "12",
    }


@pytest.mark.parametrize("method", ["REPLICATE", "SSYNC", "UPDATE", "COPY", "M-SEARCH", "x"])
def test_any_token_is_a_method(method):
    assert parse(request(first=f"{method} / HTTP/1.1")).method == method


def test_names_values_and_paths_keep_their_bytes_from_0x80():
    head = parse(
        request("X-Object-Meta-N\xc3\xa4me: caf\xc3\xa9 \xff", first="GET /v1/\xe2\x98\x83%20x?q=\xc3 HTTP/1.1")
    )
    assert head.fields["HTTP_X_OBJECT_META_N\xc3\xa4ME"] == "caf\xc3\xa9 \xff"
    assert (head.path, head.query) == ("/v1/\xe2\x98\x83 x", "q=\xc3")


def test_a_name_with_an_underscore_reaches_nobody():
    fields = parse(request("X-Object-Meta-Under_score: 1", "X_Auth_Token: 2", "X-Object-Meta-Plain: 3")).fields
    assert {key: value for key, value in fields.items() if key != "HTTP_HOST"} == {"HTTP_X_OBJECT_META_PLAIN": "3"}


def test_a_repeated_header_is_joined_by_a_comma_and_cookies_by_a_semicolon():
    fields = parse(request("X-A: 1", "x-a: 2", "Cookie: a=1", "Cookie: b=2")).fields
    assert fields["HTTP_X_A"] == "1,2"
    assert fields["HTTP_COOKIE"] == "a=1; b=2"


@pytest.mark.parametrize(
    "target, path, query, host",
    [
        ("/", "/", "", "h"),
        ("//double//", "//double//", "", "h"),
        ("/a%2Fb%zz%", "/a/b%zz%", "", "h"),
        ("/o#frag?x", "/o#frag", "x", "h"),
        ("/o?&&", "/o", "&&", "h"),
        ("/o?a%20b=%41", "/o", "a%20b=%41", "h"),
        ("http://elsewhere.example/v1/a?x", "/v1/a", "x", "elsewhere.example"),
        ("HTTPS://[::1]:8080", "/", "", "[::1]:8080"),
        ("http://other:80?q", "/", "q", "other:80"),
    ],
)
def test_targets(target, path, query, host):
    head = parse(request(first=f"GET {target} HTTP/1.1"))
    assert (head.path, head.query, head.fields["HTTP_HOST"], head.target) == (path, query, host, target)


def test_asterisk_form_is_for_options_only():
    assert parse(request(first="OPTIONS * HTTP/1.1")).path == "*"
    assert status_of(request(first="GET * HTTP/1.1")) == 400


REFUSED = {
    "obs-fold": (request("X-A: 1", " folded"), 400),
    "obs-fold by tab": (request("X-A: 1", "\tfolded"), 400),
    "fold of the first line": (b"GET /a HTTP/1.1\r\n Host: h\r\n\r\n", 400),
    "bare LF": (b"GET /a HTTP/1.1\nHost: h\n\n", 400),
    "bare LF in a value": (request("X-A: 1\nX-B: 2"), 400),
    "bare CR": (request("X-A: 1\rX-B: 2"), 400),
    "NUL": (request("X-A: \0"), 400),
    "DEL": (request("X-A: \x7f"), 400),
    "escape in the target": (request(first="GET /\x1b HTTP/1.1"), 400),
    "space before the colon": (request("X-A : 1"), 400),
    "empty name": (request(": 1"), 400),
    "no colon": (request("Connection"), 400),
    "no colon, known name": (request("Host"), 400),
    "underscore": (request("Content_Length: 5"), 400),
    "brackets in a name": (request("X(A): 5"), 400),
    "two lengths": (request("Content-Length: 5", "Content-Length: 6"), 400),
    "two equal lengths": (request("Content-Length: 5", "content-length: 5"), 400),
    "a list of lengths": (request("Content-Length: 5, 5"), 400),
    "signed length": (request("Content-Length: +5"), 400),
    "negative length": (request("Content-Length: -5"), 400),
    "hexadecimal length": (request("Content-Length: 0x5"), 400),
    "superscript length": (request("Content-Length: \xb2"), 400),
    "empty length": (request("Content-Length:"), 400),
    "endless length": (request("Content-Length: " + "9" * 19), 400),
    "length and coding": (request("Content-Length: 5", "Transfer-Encoding: chunked"), 400),
    "gzip, chunked": (request("Transfer-Encoding: gzip, chunked"), 501),
    "chunked, gzip": (request("Transfer-Encoding: chunked, gzip"), 400),
    "chunked twice": (request("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 400),
    "identity": (request("Transfer-Encoding: identity"), 400),
    "xchunked": (request("Transfer-Encoding: xchunked"), 400),
    "vertical tab before chunked": (request("Transfer-Encoding: \x0bchunked"), 400),
    "empty coding": (request("Transfer-Encoding:"), 400),
    "coding on 1.0": (request("Transfer-Encoding: chunked", first="PUT /a HTTP/1.0"), 400),
    "two Hosts": (request("Host: other"), 400),
    "two equal Hosts": (request("Host: h"), 400),
    "no Host on 1.1": (request(host=False), 400),
    "not a Host": (request("Host: a, b", host=False), 400),
    "user in Host": (request("Host: user@h", host=False), 400),
    "HTTP/0.9": (b"GET /a\r\n\r\n", 400),
    "HTTP/2.0": (request(first="PRI * HTTP/2.0"), 505),
    "HTTP/1.2": (request(first="GET / HTTP/1.2"), 505),
    "http/1.1": (request(first="GET / http/1.1"), 400),
    "HTTP/1.10": (request(first="GET / HTTP/1.10"), 400),
    "two spaces": (request(first="GET  / HTTP/1.1"), 400),
    "tab for space": (request(first="GET\t/ HTTP/1.1"), 400),
    "space in the target": (request(first="GET /a b HTTP/1.1"), 400),
    "method in brackets": (request(first="(GET) / HTTP/1.1"), 400),
    "authority-form": (request(first="CONNECT h:80 HTTP/1.1"), 400),
    "other scheme": (request(first="GET ftp://h/ HTTP/1.1"), 400),
    "user in the target": (request(first="GET http://u@h/ HTTP/1.1"), 400),
    "relative target": (request(first="GET a/b HTTP/1.1"), 400),
    "expectation": (request("Expect: a-pony"), 417),
    "long first line": (request(first="GET /" + "p" * 9000 + " HTTP/1.1"), 414),
    "long line": (request("X-Long: " + "p" * 8192), 400),
    "many headers": (request(*(f"X-N{n}: v" for n in range(200))), 431),
    "large headers": (request(*(f"X-N{n}: {'v' * 8000}" for n in range(9))), 431),
    "empty lines first": (b"\r\n\r\n" + request(), 400),
}


@pytest.mark.parametrize("data, status", REFUSED.values(), ids=REFUSED)
def test_refused(data, status):
    assert status_of(data) == status


@pytest.mark.parametrize("data, status", REFUSED.values(), ids=REFUSED)
def test_refused_byte_by_byte_with_the_same_status(data, status):
    scanner = HeadScanner(LIMITS)
    with pytest.raises(HeadError) as caught:
        for value in data:
            found = scanner.feed(bytes([value]))
            if found is not None:
                parse(found[0])
    assert caught.value.status == status


def test_one_empty_line_before_a_request_is_passed_over():
    assert HeadScanner(LIMITS).feed(b"\r\n" + request() + b"rest") == (request(), b"rest")


def test_a_bare_newline_is_refused_before_the_head_is_whole():
    with pytest.raises(HeadError):
        HeadScanner(LIMITS).feed(b"GET / HTTP/1.1\r\nHost: h\n")


@pytest.mark.parametrize(
    "first, connection, keeps",
    [
        ("GET / HTTP/1.1", None, True),
        ("GET / HTTP/1.1", "Close", False),
        ("GET / HTTP/1.1", "te, close", False),
        ("GET / HTTP/1.0", None, False),
        ("GET / HTTP/1.0", "Keep-Alive", True),
        ("GET / HTTP/1.0", "keep-alive, close", False),
    ],
)
def test_persistence(first, connection, keeps):
    lines = [] if connection is None else [f"Connection: {connection}"]
    assert parse(request(*lines, first=first)).keeps_alive is keeps


def test_expect_counts_on_http11_only():
    assert parse(request("Expect: 100-Continue")).expects_continue
    assert not parse(request("Expect: 100-continue", first="PUT / HTTP/1.0")).expects_continue


def test_names_seen_once_are_checked_again_where_the_memory_is_full(monkeypatch):
    monkeypatch.setattr("objstore.http.head._NAMES_REMEMBERED", 0)
    assert parse(request("X-Never-Seen: 1")).fields["HTTP_X_NEVER_SEEN"] == "1"
    assert status_of(request("X-Never(Seen: 1")) == 400


# Responses


def response(*lines: str, first: str = "HTTP/1.1 200 OK", method: str = "GET"):
    return parse_response("\r\n".join([first, *lines, "", ""]).encode("latin-1"), method)


def test_a_response_head_becomes_lower_case_headers():
    head = response("Content-Length: 5", 'ETag: "x"', "X-Object-Meta-\xc3\x84: \xe2\x98\x83")
    assert (head.status, head.reason, head.length, head.keeps_alive) == (200, "OK", 5, True)
    assert head.headers == {"content-length": "5", "etag": '"x"', "x-object-meta-\xc3\x84": "\xe2\x98\x83"}


def test_an_interim_response_may_carry_headers():
    head = response("X-Obj-Metadata-Footer: yes", first="HTTP/1.1 100 Continue")
    assert (head.status, head.headers, head.length) == (100, {"x-obj-metadata-footer": "yes"}, 0)


@pytest.mark.parametrize(
    "lines, first, method, length, is_chunked",
    [
        (["Content-Length: 7"], "HTTP/1.1 200 OK", "HEAD", 0, False),
        (["Content-Length: 7"], "HTTP/1.1 304 Not Modified", "GET", 0, False),
        (["Content-Length: 0"], "HTTP/1.1 204 No Content", "GET", 0, False),
        (["Transfer-Encoding: Chunked"], "HTTP/1.1 200 OK", "GET", None, True),
        (["Transfer-Encoding: chunked"], "HTTP/1.1 200 OK", "HEAD", 0, False),
        ([], "HTTP/1.0 200", "GET", None, False),
    ],
)
def test_response_framing(lines, first, method, length, is_chunked):
    head = response(*lines, first=first, method=method)
    assert (head.length, head.is_chunked) == (length, is_chunked)


@pytest.mark.parametrize(
    "lines, first",
    [
        (["Content-Length: 5", "Content-Length: 5"], "HTTP/1.1 200 OK"),
        (["Content-Length: 5", "Transfer-Encoding: chunked"], "HTTP/1.1 200 OK"),
        (["Transfer-Encoding: gzip"], "HTTP/1.1 200 OK"),
        (["Content-Length: five"], "HTTP/1.1 200 OK"),
        (["X A: 1"], "HTTP/1.1 200 OK"),
        ([" folded"], "HTTP/1.1 200 OK"),
        ([], "HTTP/1.1 20 OK"),
        ([], "HTTP/2 200"),
        ([], "ICY 200 OK"),
    ],
)
def test_a_response_that_cannot_be_framed_is_refused(lines, first):
    with pytest.raises(HeadError):
        response(*lines, first=first)


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b"])
def test_a_head_we_write_cannot_be_split(value):
    with pytest.raises(ValueError):
        head_bytes("HTTP/1.1 200 OK", [("X-A", value)])
    with pytest.raises(ValueError):
        head_bytes(f"HTTP/1.1 200 {value}", [])


def test_a_backend_takes_what_the_proxy_makes_of_a_clients_largest_head():
    """The proxy adds Referer, with the client's whole URL, and some thirty headers of its own."""
    target = "/v1/" + "a" * 8000
    lines = [f"X-N{n}: v" for n in range(LIMITS.header_count - 1)]
    parse_request(request(*lines, first=f"GET {target} HTTP/1.1"), LIMITS)
    own = [f"X-Backend-{n}: v" for n in range(40)] + [f"Referer: GET http://h{target}"]
    parse_request(request(*lines, *own, first=f"GET /sdb1/1234/{target} HTTP/1.1"), BACKEND_LIMITS)
