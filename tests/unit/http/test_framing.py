"""http/framing.py: chunked bodies, their trailers and limits."""

import pytest

from objstore.http.framing import (
    LAST_CHUNK,
    ChunkedDecoder,
    ClosedEarly,
    FramingError,
    FramingLimits,
    LengthDecoder,
    UntilCloseDecoder,
    chunk_head,
)

LIMITS = FramingLimits()


def decode(data: bytes, step: int | None = None) -> tuple[bytes, bytes, list[tuple[bytes, bytes]]]:
    """(body, rest, trailers) of a chunked body fed in pieces of step bytes."""
    decoder = ChunkedDecoder(LIMITS)
    body = b""
    step = step or len(data) or 1
    for start in range(0, len(data), step):
        pieces, rest = decoder.feed(data[start : start + step])
        body += b"".join(pieces)
        if decoder.is_done:
            return body, rest + data[start + step :], decoder.trailers
    decoder.end_of_stream()
    raise AssertionError("end_of_stream() let an unfinished body pass")


WHOLE = {
    "empty": (b"0\r\n\r\n", b"", []),
    "one chunk": (b"5\r\nhello\r\n0\r\n\r\n", b"hello", []),
    "two chunks, upper-case size": (b"A\r\n0123456789\r\n1\r\n\r\r\n0\r\n\r\n", b"0123456789\r", []),
    "leading zeros": (b"0005\r\nhello\r\n000\r\n\r\n", b"hello", []),
    "extension": (b'5;name="v;x"\r\nhello\r\n0;a\r\n\r\n', b"hello", []),
    "trailers": (b"0\r\nX-Checksum:  abc \r\nX-B: 2\r\n\r\n", b"", [(b"x-checksum", b"abc"), (b"x-b", b"2")]),
    "body that looks like framing": (b"7\r\n0\r\n\r\nab\r\n0\r\n\r\n", b"0\r\n\r\nab", []),
}


@pytest.mark.parametrize("rest", [b"", b"GET / HTTP/1.1\r\n", b"\r\n"], ids=["alone", "pipelined", "empty line"])
@pytest.mark.parametrize("step", [None, 1, 2, 3])
@pytest.mark.parametrize("data, body, trailers", WHOLE.values(), ids=WHOLE)
def test_whole_bodies_decode_alike_in_any_pieces(data, body, trailers, step, rest):
    assert decode(data + rest, step) == (body, rest, trailers)


@pytest.mark.parametrize("data", [case[0] for case in WHOLE.values()], ids=WHOLE)
def test_truncated_at_every_position_is_an_error(data):
    for end in range(len(data)):
        with pytest.raises(ClosedEarly):
            decode(data[:end])


BROKEN = {
    "no size": b"\r\nhello",
    "sign": b"+5\r\nhello\r\n",
    "prefix": b"0x5\r\nhello\r\n",
    "space before": b" 5\r\nhello\r\n",
    "underscore": b"1_0\r\n",
    "size beyond reason": b"1" + b"0" * 15 + b"\r\n",
    "bare LF after the size": b"5\nhello\r\n",
    "bare CR after the size": b"5\rhello\r\n",
    "bare LF after the chunk": b"5\r\nhello\n0\r\n\r\n",
    "chunk longer than its size": b"5\r\nhelloo\r\n",
    "control character in an extension": b"5;a\x00\r\n",
    "long extension": b"5;" + b"a" * 300 + b"\r\n",
    "endless extension": b"5;" + b"a" * 300,
    "many extensions": (b"1;" + b"a" * 200 + b"\r\nx\r\n") * 100,
    "folded trailer": b"0\r\nX-A: 1\r\n b\r\n\r\n",
    "trailer without a colon": b"0\r\nX-A\r\n\r\n",
    "space before the colon": b"0\r\nX-A : 1\r\n\r\n",
    "many trailers": b"0\r\n" + b"X-A: 1\r\n" * 33 + b"\r\n",
    "large trailers": b"0\r\n" + (b"X-A: " + b"v" * 5000 + b"\r\n") * 2 + b"\r\n",
    "endless trailer": b"0\r\nX-A: " + b"v" * 9000,
    "length as trailer": b"0\r\nContent-Length: 5\r\n\r\n",
    "coding as trailer": b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "token as trailer": b"0\r\nX-Auth-Token: t\r\n\r\n",
    "host as trailer": b"0\r\nhost: h\r\n\r\n",
}


@pytest.mark.parametrize("step", [None, 1])
@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_broken_framing_is_refused(data, step):
    with pytest.raises(FramingError) as caught:
        decode(data, step)
    assert not isinstance(caught.value, ClosedEarly)


def test_raw_bytes_may_go_another_way():
    decoder = ChunkedDecoder(LIMITS)
    assert decoder.feed(chunk_head(1000)) == ([], b"")
    assert decoder.raw == 1000
    decoder.skip(999)
    assert decoder.feed(b"x\r\n" + LAST_CHUNK) == ([b"x"], b"")
    assert decoder.is_done


def test_a_length_leaves_what_follows_alone():
    decoder = LengthDecoder(5)
    assert decoder.feed(b"hel") == ([b"hel"], b"")
    with pytest.raises(ClosedEarly):
        decoder.end_of_stream()
    assert decoder.feed(b"lo next") == ([b"lo"], b" next")
    assert decoder.is_done


def test_a_body_until_close_ends_there():
    decoder = UntilCloseDecoder()
    assert decoder.feed(b"abc") == ([b"abc"], b"")
    assert not decoder.is_done
    decoder.end_of_stream()
    assert decoder.is_done
