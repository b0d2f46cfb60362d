"""middleware/slo/wanted.py: what a client may PUT as a manifest."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core.ranges import RangeSpec
from objstore.middleware.slo.wanted import BadEntries, NotAManifest, TooManySegments, WantedSegment, parse

KNOWN = (NotAManifest, BadEntries, TooManySegments)


def test_every_form_of_a_segment():
    body = json.dumps(
        [
            {"path": "/c/o"},
            {"path": "c/o/p", "etag": '"e"', "size_bytes": "5", "range": "1-2"},
            {"path": "//c/☃", "etag": None, "size_bytes": None, "range": None},
            {"data": "YWI="},
        ]
    ).encode()
    assert parse(body, "/c/m", 10) == [
        WantedSegment("/c/o"),
        WantedSegment("/c/o/p", "e", 5, RangeSpec(1, 2)),
        WantedSegment("/c/☃"),
        WantedSegment(data=b"ab"),
    ]


def test_every_bad_entry_is_told_with_its_place():
    with pytest.raises(BadEntries) as error:
        parse(b'[{"path": "/c/o"}, 1, {"path": "/c"}, {"path": "/c/m"}]', "/c/m", 10)
    assert [problem.partition(":")[0] for problem in error.value.problems] == ["Index 1", "Index 2", "Index 3"]


def test_data_alone_is_no_manifest_and_does_not_count():
    with pytest.raises(BadEntries):
        parse(b'[{"data": "YQ=="}]', "/c/m", 10)
    with pytest.raises(TooManySegments):
        parse(b'[{"path": "/c/1"}, {"path": "/c/2"}]', "/c/m", 1)
    assert len(parse(b'[{"path": "/c/1"}, {"data": "YQ=="}]', "/c/m", 1)) == 2


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["/c/o", "1-2", "YQ=="]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["path", "etag", "size_bytes", "range", "data", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.lists(values, max_size=4) | values)
def test_any_json_is_a_manifest_or_a_clear_refusal(value):
    try:
        wanted = parse(json.dumps(value).encode("utf-8", "surrogatepass"), "/c/m", 3)
    except KNOWN as error:
        assert str(error)
    else:
        assert wanted and all(segment.data or segment.name.count("/") >= 2 for segment in wanted)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_clear_refusal(body):
    with pytest.raises(KNOWN):
        parse(body, "/c/m", 3)
