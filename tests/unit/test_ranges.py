"""core/ranges.py: tables after vectors/http/ranges.jsonl and RFC 9110, section 14."""

import pytest

from objstore.core.ranges import RangeSpec, Span, multipart, parse, resolve, unsatisfied


@pytest.mark.parametrize(
    ("header", "specs"),
    [
        ("bytes=0-0", ((0, 0),)),
        ("bytes=20-", ((20, None),)),
        ("bytes=-5", ((None, 5),)),
        ("bytes=0001-0003", ((1, 3),)),
        ("BYTES=0-1", ((0, 1),)),
        ("bytes = 0-1", ((0, 1),)),
        ("bytes=0-1, 4-5", ((0, 1), (4, 5))),
        ("bytes=0-0,-1", ((0, 0), (None, 1))),
    ],
)
def test_understood(header, specs):
    assert parse(header) == tuple(RangeSpec(*spec) for spec in specs)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes=",
        "bytes=-",
        "bytes=--5",
        "bytes=9-5",
        "bytes=0-1,",
        "bytes=,0-1",
        "bytes=0-1,zz",
        "bytes=0-1,9-5",
        "items=0-1",
        "bytes 0-1",
        "bytes=0-1=2",
        "bytes=0 - 1",
        "bytes=٠-١",
        "bytes=" + "9" * 5000 + "-",
    ],
)
def test_ignored(header):
    assert parse(header) is None


@pytest.mark.parametrize(
    ("header", "spans"),
    [
        ("bytes=0-0", [(0, 1)]),
        ("bytes=5-9", [(5, 10)]),
        ("bytes=20-", [(20, 26)]),
        ("bytes=-5", [(21, 26)]),
        ("bytes=-100", [(0, 26)]),
        ("bytes=20-100", [(20, 26)]),
        ("bytes=0-99999999999999999999", [(0, 26)]),
        ("bytes=0-1,50-60", [(0, 2)]),
        ("bytes=0-5,3-8", [(0, 6), (3, 9)]),
        ("bytes=0-1,0-1,0-1", [(0, 2)] * 3),
        ("bytes=10-11,5-6,0-1", [(10, 12), (5, 7), (0, 2)]),
        ("bytes=-0", []),
        ("bytes=26-", []),
        ("bytes=50-60,70-80", []),
        ("bytes=0-5,3-8,4-9", []),
        ("bytes=0-9,1-8,2-7,3-6", []),
        ("bytes=16-16,14-14,12-12,10-10,8-8,6-6,4-4,2-2,0-0", []),
        ("bytes=14-14,12-12,10-10,8-8,6-6,4-4,2-2,0-0", [(n, n + 1) for n in range(14, -1, -2)]),
    ],
)
def test_resolved_against_26_bytes(header, spans):
    assert resolve(parse(header), 26) == tuple(Span(*span) for span in spans)


def test_fifty_pieces_are_served_and_fifty_one_refused():
    header = "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 102, 2))
    specs = parse(header)
    assert len(resolve(specs[:50], 200)) == 50
    assert resolve(specs, 200) == ()


@pytest.mark.parametrize(
    ("header", "expected"),
    [("bytes=0-0", ()), ("bytes=0-", ()), ("bytes=-1", None), ("bytes=-0", ()), ("bytes=0-1,2-3", ())],
)
def test_of_an_empty_body(header, expected):
    assert resolve(parse(header), 0) == expected


def test_content_range():
    assert Span(5, 10).content_range(26) == "bytes 5-9/26"
    assert unsatisfied(26) == "bytes */26"


def test_multipart_frames_each_span_and_counts_every_byte():
    body = b"abcdefghijklmnopqrstuvwxyz"
    framed = multipart((Span(0, 2), Span(4, 6)), 26, "text/x-al", "0" * 32)
    whole = b"".join(head + body[span.start : span.stop] for head, span in framed.parts) + framed.tail
    assert whole == (
        b"--" + b"0" * 32 + b"\r\nContent-Type: text/x-al\r\nContent-Range: bytes 0-1/26\r\n\r\nab\r\n"
        b"--" + b"0" * 32 + b"\r\nContent-Type: text/x-al\r\nContent-Range: bytes 4-5/26\r\n\r\nef\r\n"
        b"--" + b"0" * 32 + b"--"
    )
    assert framed.content_length == len(whole) == 228
    assert framed.content_type == "multipart/byteranges;boundary=" + "0" * 32
