"""middleware/slo/manifest.py: stored manifests, and what of them makes up a range."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core.ranges import Span
from objstore.middleware.slo.manifest import BrokenManifest, Manifest, Segment

STORED = json.dumps(
    [
        {"name": "/c/1", "bytes": 5, "hash": "e1", "content_type": "a/b", "last_modified": "t"},
        {"name": "/c/2", "bytes": 9, "hash": "e2", "content_type": "a/b", "last_modified": "t", "range": "3-5"},
        {"name": "/c/3", "bytes": 7, "hash": "e3", "content_type": "a/b", "last_modified": "t", "sub_slo": True},
        {"data": "YWI="},
    ]
)


def test_what_is_stored_comes_back():
    manifest = Manifest.load(STORED.encode())
    assert manifest.dump() == STORED.encode()
    assert manifest.size == 5 + 3 + 7 + 2
    assert [segment.is_manifest for segment in manifest.segments] == [False, False, True, False]


def test_the_etag_is_that_of_the_recorded_example():
    parts = ("594f803b380a41396ed63dca39503542", "a21075a36eeddd084e17611a238c7101", "67c762276bced09ee4df0ed537d164ea")
    assert Manifest([Segment(f"/s/{n}", etag, 5) for n, etag in enumerate(parts)]).etag == (
        "b35613678ca66b491e2404a538c78cbb"
    )
    assert Manifest([Segment(data=b"head"), Segment("/s/1", parts[0], 5), Segment(data=b"tail")]).etag == (
        "998e9489094ecaf7afb57696dfa39789"
    )


segments = st.lists(
    st.builds(
        lambda size, cut: (size, None if cut is None else tuple(sorted((cut[0] % size, cut[1] % size)))),
        st.integers(1, 12),
        st.none() | st.tuples(st.integers(0, 11), st.integers(0, 11)),
    ),
    min_size=1,
    max_size=8,
)


@given(segments, st.integers(0, 99), st.integers(1, 99))
def test_a_cut_is_that_part_of_the_joined_data(shapes, first, length):
    objects = [bytes(range(index * 16, index * 16 + size)) for index, (size, _) in enumerate(shapes)]
    made = [
        Segment(f"/c/{index}", "e", size, range=None if cut is None else Span(cut[0], cut[1] + 1))
        for index, (size, cut) in enumerate(shapes)
    ]
    manifest = Manifest(made)
    whole = b"".join(data[segment.used.start : segment.used.stop] for data, segment in zip(objects, made, strict=True))
    assert manifest.size == len(whole)
    span = Span(first % len(whole), min(len(whole), first % len(whole) + length))
    pieces = list(manifest.cut(span))
    assert all(part.size > 0 for _, part in pieces)
    joined = b"".join(objects[int(segment.name[3:])][part.start : part.stop] for segment, part in pieces)
    assert joined == whole[span.start : span.stop]


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"null", b"5", b"[1]", b"[[]]", b"[{}]", b'[{"name": "/c/o"}]', b'[{"data": "?"}]',
        b'[{"name": "/c/o", "bytes": -1, "hash": "e"}]', b'[{"name": "/c/o", "bytes": "5", "hash": "e"}]',
        b'[{"name": "/c/o", "bytes": 5, "hash": "e", "range": "4-5"}]',
        b'[{"name": "/c/o", "bytes": 5, "hash": "e", "range": "x"}]', b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_stored_manifest_that_is_none_is_said_to_be(text):
    with pytest.raises(BrokenManifest):
        Manifest.load(text)


@given(st.binary(max_size=50))
def test_any_bytes_are_a_manifest_or_broken(text):
    try:
        Manifest.load(text)
    except BrokenManifest:
        pass


def test_parts_are_counted_from_one():
    manifest = Manifest.load(STORED.encode())
    assert [manifest.part(number) for number in (1, 2, 4, 5)] == [Span(0, 5), Span(5, 8), Span(15, 17), None]
