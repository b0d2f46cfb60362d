"""middleware/versioning/listing.py and names.py: pure."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from objstore.core.errors import BadRequest
from objstore.core.names import quoted
from objstore.core.timestamp import Timestamp
from objstore.middleware.versioning.listing import merged
from objstore.middleware.versioning.names import (
    DELETED_PARAMETER,
    DELETED_TYPE,
    legacy_prefix,
    parse_id,
    parse_version_name,
    version_name,
)

names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=4)
stamps = st.builds(Timestamp, st.integers(1, 999_999_999_999_999))


def test_the_recorded_name_of_a_version():
    assert version_name("o", Timestamp.parse("1795232479.96376")) == "\0o\x008204767520.03623"


@given(names, stamps)
def test_a_version_name_can_be_read(obj, at):
    assert parse_version_name(version_name(obj, at)) == (obj, at.normal)
    assert parse_id(at.normal) == at


@given(names, stamps, stamps)
def test_the_newest_version_sorts_first(obj, one, other):
    if one > other:
        assert version_name(obj, one) < version_name(obj, other)


@pytest.mark.parametrize("name", ["o", "\0o", "\0", "\0o\0", "\0o\0x", ""])
def test_other_names_are_no_versions(name):
    assert parse_version_name(name) is None


@pytest.mark.parametrize("text", ["", "x", "-1", "nan", "inf", "1e9999", "0x10", " 1", "\u0661", "1_"])
def test_texts_that_are_no_id(text):
    with pytest.raises(BadRequest):
        parse_id(text)


@pytest.mark.parametrize(
    ("name", "prefix"), [("o", "001o/"), ("☃/x", "005☃/x/"), ("a" * 4095, "fff" + "a" * 4095 + "/")]
)
def test_legacy_names_count_bytes(name, prefix):
    assert legacy_prefix(name) == prefix


states = st.dictionaries(
    names,
    st.tuples(
        st.lists(st.tuples(st.integers(1, 9), st.booleans()), unique_by=lambda item: item[0], max_size=4),
        st.sampled_from(["link", "null", "none"]),
    ),
    max_size=4,
)


def rows_of(state):
    """(rows of the container, rows of the hidden one). state: name to (versions as (time, is a marker), current)."""
    current, versions = [], []
    for name in sorted(state):
        times, kind = state[name]
        if kind == "link" and not times:
            kind = "none"
        for tick, is_marker in sorted(times, reverse=True):
            type_ = DELETED_TYPE + DELETED_PARAMETER if is_marker else "a/b"
            versions.append(
                {"name": version_name(name, Timestamp(tick)), "content_type": type_, "bytes": 1, "hash": "h"}
            )
        if kind != "none":
            row = {"name": name, "content_type": "a/b", "bytes": 0, "hash": "h", "symlink_path": ""}
            if kind == "link":
                hidden = version_name(name, Timestamp(max(times)[0]))
                row["symlink_path"] = quoted("/v1/a/\0versions\0c/" + hidden)
            current.append(row)
    return current, versions


@given(states, st.booleans(), st.integers(0, 12))
@example({"%00": ([(1, False)], "link")}, False, 0)
def test_everything_is_listed_once_in_order_with_one_latest_a_name(state, reverse, limit):
    current, versions = rows_of(state)
    if reverse:
        current.reverse()
        versions.reverse()
    everything = merged(current, versions, "c", 1000, reverse=reverse, after="")
    assert merged(current, versions, "c", limit, reverse=reverse, after="") == everything[:limit]
    listed = [row["name"] for row in everything]
    assert listed == sorted(listed, reverse=reverse)
    ids = [(row["name"], row["version_id"]) for row in everything]
    assert len(set(ids)) == len(ids)
    for name, (times, kind) in state.items():
        mine = [row for row in everything if row["name"] == name]
        assert len(mine) == len(times) + (kind == "null")
        latest = [row for row in mine if row["is_latest"]]
        assert len(latest) <= 1
        if kind == "null" or (kind == "link" and times):
            assert len(latest) == 1
