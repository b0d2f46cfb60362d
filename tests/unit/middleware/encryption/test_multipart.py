import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core import ranges
from objstore.core.ranges import Span
from objstore.middleware.encryption.crypto import KeyStream
from objstore.middleware.encryption.crypto_meta import Undecipherable
from objstore.middleware.encryption.multipart import HEAD_BYTES_MAX, MultipartStream, boundary_of

KEY, IV = bytes(range(32)), bytes(16)
PLAIN = bytes(index % 251 for index in range(500)) + b"\r\n\r\n--x\r\n" * 20
SEALED = KeyStream(KEY, IV).update(PLAIN)


def stream_at(offset):
    return KeyStream(KEY, IV, offset)


def framed(body, spans):
    framing = ranges.multipart(spans, len(body), "text/plain", "x")
    return b"".join(head + body[span.start : span.stop] for head, span in framing.parts) + framing.tail


SPANS = st.lists(
    st.tuples(st.integers(0, len(PLAIN) - 1), st.integers(1, 100)).map(
        lambda pair: Span(pair[0], min(sum(pair), len(PLAIN)))
    ),
    min_size=2,
    max_size=6,
)


@given(SPANS, st.lists(st.integers(1, 300)))
def test_parts_are_decrypted_wherever_the_body_is_cut(spans, sizes):
    body = framed(SEALED, spans)
    stream = MultipartStream("x", stream_at)
    found = b""
    for size in [*sizes, len(body)]:
        found += stream.update(body[:size])
        body = body[size:]
    assert found == framed(PLAIN, spans)


@pytest.mark.parametrize(
    "body",
    [
        b"--x\r\nContent-Type: text/plain\r\n\r\nabc",
        b"--y\r\nContent-Range: bytes 0-1/9\r\n\r\nab",
        b"--x\r\nContent-Range: bytes 5-1/9\r\n\r\nab",
        b"x" * (HEAD_BYTES_MAX + 1),
        b"x" * (HEAD_BYTES_MAX * 3),
    ],
    ids=["no range", "another boundary", "an empty range", "a long head", "a longer head"],
)
def test_what_is_not_framed_goes_no_further(body):
    with pytest.raises(Undecipherable):
        MultipartStream("x", stream_at).update(body)


@pytest.mark.parametrize(
    "content_type, boundary",
    [
        ("multipart/byteranges;boundary=abc", "abc"),
        ('Multipart/Byteranges; boundary="a c"', "a c"),
        ("multipart/byteranges", None),
        ("text/plain;boundary=abc", None),
        ("", None),
    ],
)
def test_the_boundary_stands_in_the_content_type(content_type, boundary):
    assert boundary_of(content_type) == boundary
