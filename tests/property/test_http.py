"""The sans-IO readers of http/: however the bytes are cut into pieces, the same events; truncated, never whole."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.http.framing import ChunkedDecoder, ClosedEarly, FramingError, FramingLimits, chunk_head
from objstore.http.head import HeadError, HeadLimits, HeadScanner, head_bytes, parse_request, parse_response
from tests.support import bounds

HEADS = HeadLimits()
FRAMING = FramingLimits()

names = st.text(string.ascii_letters + string.digits + "-!#$%&'*+.^`|~\xe4\xff", min_size=1, max_size=20).filter(
    lambda name: name.lower() not in ("host", "content-length", "transfer-encoding", "expect", "connection", "cookie")
)
values = st.text([chr(c) for c in range(0x20, 0x100) if c != 0x7F], max_size=40).map(lambda text: text.strip(" \t"))
headers = st.lists(st.tuples(names, values), max_size=10)
bodies = st.lists(st.binary(min_size=1, max_size=60), max_size=6)


def cut(data: bytes, positions: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(position % (len(data) + 1) for position in positions)})
    return [data[a:b] for a, b in zip(edges, edges[1:], strict=False)]


cuts = st.lists(st.integers(0, 10_000), max_size=8)


def scanned(pieces: list[bytes]) -> tuple[bytes, bytes] | int | None:
    """(head, everything after it), the status it was refused with, or None when there was no whole head."""
    scanner = HeadScanner(HEADS)
    for index, piece in enumerate(pieces):
        try:
            found = scanner.feed(piece)
            if found is not None:
                parse_request(found[0], HEADS)
                return found[0], found[1] + b"".join(pieces[index + 1 :])
        except HeadError as error:
            return error.status
    return None


@given(headers, cuts, st.binary(max_size=20))
@bounds.each_within_a_second
def test_a_head_reads_alike_in_any_pieces(pairs, positions, rest):
    head = head_bytes("PUT /v1/a/c/o HTTP/1.1", [("Host", "h"), *pairs])
    assert scanned(cut(head + rest, positions)) == (head, rest)
    fields = parse_request(head, HEADS).fields
    expected: dict[str, list[str]] = {"HOST": ["h"]}
    for name, value in pairs:
        upper = "".join(c.upper() if c.isascii() else c for c in name)
        expected.setdefault(upper.replace("-", "_"), []).append(value)
    found = {key.removeprefix("HTTP_"): value for key, value in fields.items()}
    assert found == {key: ",".join(several) for key, several in expected.items()}


@given(headers, st.integers(0, 1000))
@bounds.each_within_a_second
def test_a_truncated_head_is_never_a_head(pairs, position):
    head = head_bytes("PUT /v1/a/c/o HTTP/1.1", [("Host", "h"), *pairs])
    assert scanned([head[: position % len(head)]]) is None


@given(st.binary(max_size=200), cuts)
@bounds.each_within_a_second
def test_any_bytes_are_a_head_or_refused_and_nothing_else_is_raised(data, positions):
    whole = data + b"\r\n\r\n"
    first, second = scanned([whole]), scanned(cut(whole, positions))
    assert isinstance(first, int) == isinstance(second, int)
    try:
        parse_response(whole, "GET")
    except HeadError:
        pass


@given(
    st.lists(
        st.sampled_from([b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b"a", b"Host: h", b"GET / HTTP/1.1"]), max_size=14
    )
)
@bounds.each_within_a_second
def test_line_ends_of_any_kind_are_judged_alike_in_any_pieces(parts):
    data = b"GET / HTTP/1.1\r\nHost: h\r\n" + b"".join(parts) + b"\r\n\r\n"
    whole = scanned([data])
    byte_by_byte = scanned([bytes([value]) for value in data])
    assert whole == byte_by_byte


def chunked(pieces: list[bytes], trailer: bool) -> bytes:
    body = b"".join(chunk_head(len(piece)) + piece + b"\r\n" for piece in pieces)
    return body + (b"0\r\nX-T: 1\r\n\r\n" if trailer else b"0\r\n\r\n")


def decoded(pieces: list[bytes]) -> tuple[bytes, bytes, int]:
    """(body, everything after it, trailers). Raises FramingError."""
    decoder, body = ChunkedDecoder(FRAMING), b""
    for index, piece in enumerate(pieces):
        found, rest = decoder.feed(piece)
        body += b"".join(found)
        if decoder.is_done:
            return body, rest + b"".join(pieces[index + 1 :]), len(decoder.trailers)
    decoder.end_of_stream()
    raise AssertionError("an unfinished body passed")


@given(bodies, st.booleans(), cuts, st.binary(max_size=20))
@bounds.each_within_a_second
def test_a_chunked_body_decodes_alike_in_any_pieces(pieces, trailer, positions, rest):
    data = chunked(pieces, trailer)
    assert decoded(cut(data + rest, positions)) == (b"".join(pieces), rest, int(trailer))


@given(bodies, st.booleans(), st.integers(0, 1000), cuts)
@bounds.each_within_a_second
def test_a_truncated_chunked_body_is_an_error_at_every_position(pieces, trailer, position, positions):
    data = chunked(pieces, trailer)
    with pytest.raises(ClosedEarly):
        decoded(cut(data[: position % len(data)], positions))


@given(
    st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b"0", b"1", b"a", b";", b" ", b"x", b"X: 1"]), max_size=16), cuts
)
@bounds.each_within_a_second
def test_any_bytes_of_chunked_framing_are_judged_alike_in_any_pieces(parts, positions):
    def outcome(pieces):
        try:
            return decoded(pieces)
        except ClosedEarly:
            return "unfinished"
        except FramingError:
            return "broken"

    data = b"".join(parts)
    whole = outcome([data])
    assert outcome(cut(data, positions)) == whole
    assert outcome([bytes([value]) for value in data]) == whole
