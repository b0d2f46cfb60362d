"""peers/collected: what COLLECT asks and answers."""

import json

import pytest

from objstore.core.errors import BadRequest
from objstore.peers.collected import (
    OBJECT_BYTES,
    OBJECTS_AT_MOST,
    QUESTION_BYTES,
    Wanted,
    are_here,
    here,
    is_plain,
    parse_question,
    question,
)
from objstore.peers.collected import split as split_

ROW = ["5", "/AUTH_a/c/o", "e", 3]
WANTED = [Wanted("5", f"/AUTH_a/c/{name}", "e", size) for name, size in (("a", 3), ("b", 0), ("c", 2))]


def test_a_question_is_read_as_it_was_asked():
    wanted = [Wanted("5", "/AUTH_a/c/ü\n\x00", "e", 65536), Wanted("7", "/AUTH_a/c/o", "f", 0)]
    assert parse_question(question(wanted)) == wanted


def test_the_longest_names_fit():
    name = "/" + "\x01" * 256 + "/" + "\x01" * 256 + "/" + "\x01" * 1024
    assert len(question([Wanted("1" * 10, name, "0" * 32, 65536)] * OBJECTS_AT_MOST)) < QUESTION_BYTES


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"3",
        b"[3]",
        b"\xff",
        b"[" * 100_000,
        json.dumps([ROW[:3]]).encode(),
        json.dumps([[*ROW, 1]]).encode(),
        json.dumps([["5", "/a/c/o", "e", "3"]]).encode(),
        json.dumps([["5", "/a/c/o", "e", True]]).encode(),
        json.dumps([["5", 7, "e", 3]]).encode(),
        json.dumps([["5", "/a/c/o", None, 3]]).encode(),
        json.dumps([["5", "/a/c/o", "e", -1]]).encode(),
        json.dumps([["5", "/a/c/o", "e", OBJECT_BYTES + 1]]).encode(),
        json.dumps([ROW] * (OBJECTS_AT_MOST + 1)).encode(),
    ],
)
def test_what_is_no_question_is_refused(body):
    with pytest.raises(BadRequest):
        parse_question(body)


@pytest.mark.parametrize(
    ("told", "data", "expected"),
    [
        ("111", b"abcde", [b"abc", b"", b"de"]),
        ("101", b"abcde", [b"abc", None, b"de"]),
        ("001", b"de", [None, None, b"de"]),
        ("000", b"", [None, None, None]),
    ],
)
def test_an_answer_is_divided_among_those_that_are_here(told, data, expected):
    found = are_here(told, len(data), WANTED)
    assert split_(memoryview(data), WANTED, found) == expected
    assert here(found) == told


@pytest.mark.parametrize(
    ("told", "data"),
    [
        ("", b""),
        ("11", b"abc"),
        ("1111", b"abcde"),
        ("1x1", b"abcde"),
        ("111", b"abcd"),
        ("111", b"abcdef"),
        ("000", b"a"),
    ],
)
def test_an_answer_that_does_not_add_up_is_a_lie(told, data):
    with pytest.raises(ValueError):
        are_here(told, len(data), WANTED)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("content-type", True),
        ("x-object-meta-colour", True),
        ("x-delete-at", True),
        ("x-object-sysmeta-own", True),
        ("x-object-manifest", False),
        ("x-static-large-object", False),
        ("x-object-sysmeta-symlink-target", False),
        ("x-object-sysmeta-crypto-body-meta", False),
        ("x-object-transient-sysmeta-crypto-meta", False),
    ],
)
def test_what_a_filter_reads_otherwise_is_not_plain(name, expected):
    assert is_plain({"etag": "e", name: "v"}, "x-object-sysmeta-own") is expected
