"""Places, names of objects and paths of files: client/place.py, file_names.py, joined.py, large.py. Pure."""

import hashlib
import json
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.client.errors import ClientError
from objstore.client.file_names import NoFileName, name_of, parts_of
from objstore.client.joined import joined
from objstore.client.large import Piece, cut, manifest_etag, read_manifest, segments_prefix
from objstore.client.place import Place, is_remote, parse, segments_container

names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
wild = st.text(st.characters(codec="utf-8"), max_size=60)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("objstore:", Place()),
        ("objstore:c", Place("c")),
        ("c/", Place("c")),
        ("objstore:c/o", Place("c", "o")),
        ("c//o/", Place("c", "/o/")),
        ("objstore:objstore:c/a:b", Place("objstore:c", "a:b")),
        ("c/../ü %41?#", Place("c", "../ü %41?#")),
    ],
)
def test_a_place(text, place):
    assert parse(text) == place and parse(str(place)) == place


@pytest.mark.parametrize("text", ["/c", "objstore:/c/o", "x" * 257, "c/\0", "c/\udcff"])
def test_what_is_no_place(text):
    with pytest.raises(ValueError):
        parse(text)


def test_only_a_word_in_front_makes_a_place():
    assert is_remote("objstore:c") and not is_remote("./objstore:c") and not is_remote("C:/x")


@pytest.mark.parametrize(
    ("place", "below", "child"),
    [
        (Place("c"), "", "x/y"),
        (Place("c", "dir"), "dir/", "dir/x/y"),
        (Place("c", "dir/"), "dir/", "dir/x/y"),
    ],
)
def test_what_is_below_a_place(place, below, child):
    assert (place.below, place.child("x/y").name) == (below, child)


def test_a_segments_container_has_a_name_that_a_container_may_have():
    assert segments_container("c") == "c_segments"
    assert len(segments_container("x" * 256)) == 256


@given(wild)
def test_path_tricks_no_name_leads_out_of_where_it_goes(name):
    try:
        parts = parts_of(name)
    except NoFileName:
        return
    path = PurePosixPath("/root").joinpath(*parts)
    assert ".." not in path.parts and path.parts[:2] == ("/", "root") and len(path.parts) == 2 + len(parts)
    assert name_of("/".join(parts)) == name


@pytest.mark.parametrize(
    "name", ["", "..", "a/..", "./a", "/a", "a//b", "a/", "a\0b", "é" * 128, "a/" + "x" * 256, "\udc80"]
)
def test_names_that_no_file_can_have(name):
    with pytest.raises(NoFileName):
        parts_of(name)


@given(st.sets(names, max_size=20), st.sets(names, max_size=20))
def test_two_sorted_streams_are_joined_as_a_dictionary_would(left, right):
    found = list(joined(sorted(left), sorted(right), str, str))
    assert found == [(name, name if name in right else None) for name in sorted(left)]


@given(st.lists(names, max_size=10), st.lists(names, max_size=10))
def test_streams_that_are_not_sorted_find_nobody_wrong(left, right):
    assert all(other in (None, name) for name, other in joined(left, right, str, str))


@given(st.integers(1, 10**9), st.integers(1, 10**6), st.integers(1, 1000), st.integers(1, 10**7))
def test_a_file_is_cut_without_a_gap(size, wished, count_max, size_max):
    place = Place("c", "o")
    if size > count_max * size_max:
        with pytest.raises(ClientError):
            cut(place, size, "v", wished, count_max, size_max)
        return
    plan = cut(place, size, "v", wished, count_max, size_max)
    assert len(plan.starts) <= count_max and plan.segment_bytes <= size_max
    last = plan.starts[-1]
    assert last + plan.size_at(last) == size and plan.size_at(last) > 0
    assert plan.name_at(last) == f"{plan.prefix}{len(plan.starts) - 1:08d}"


def test_segments_of_a_long_name_have_a_name_that_fits_and_sorts():
    long = segments_prefix("x" * 1024)
    assert len(long) + 60 < 1024 and long != segments_prefix("x" * 1023)
    assert segments_prefix("a/b") == "a/b/objstore/"


def test_a_manifest_is_read_with_all_that_can_be_in_it():
    stored = [
        {"name": "/s/1", "bytes": 10, "hash": "a" * 32},
        {"name": "/s/1", "bytes": 10, "hash": "a" * 32, "range": "2-4"},
        {"name": "/s/2", "bytes": 7, "hash": "b" * 32, "sub_slo": True},
        {"data": "aGk="},
    ]
    parts = read_manifest(json.dumps(stored).encode())
    assert [(part.start, part.size_bytes, bool(part.etag)) for part in parts] == [
        (0, 10, True),
        (10, 3, False),
        (13, 7, False),
        (20, 2, True),
    ]
    assert parts[1].entry == {"path": "/s/1", "etag": "a" * 32, "size_bytes": 10, "range": "2-4"}


@pytest.mark.parametrize(
    "body",
    [b"", b"{}x", b"[1]", b"[[]]", b'[{"name": "x", "bytes": 1}]', b'[{"name": "/x", "bytes": -1}]', b"[" * 100_000]
    + [b'[{"name": "/x", "bytes": 5, "range": "x"}]', b'[{"name": "/x", "bytes": "y"}]', b'[{"data": 3}]'],
)
def test_a_manifest_that_is_none_is_said(body):
    with pytest.raises(ClientError, match="manifest"):
        read_manifest(body)


def test_the_etag_of_a_large_object_is_that_of_its_segments_etags():
    parts = [Piece(0, 1, "a" * 32), Piece(1, 1, "b" * 32)]
    assert manifest_etag(parts) == hashlib.md5(b"a" * 32 + b"b" * 32).hexdigest()
