"""Row rules, case by case (formats 5.5, 3.2)."""

import pytest

from objstore.core.timestamp import InvalidTimestamp
from objstore.db.merge import (
    ContainerRow,
    ObjectRow,
    encoded_times,
    merge_container,
    merge_object,
    merge_objects,
    split_bytes,
)

T = "17000000{:02d}.00000".format


def row(created_at, size=1, kind="a/b", etag="e", deleted=0, policy=0, name="o"):
    return ObjectRow(name, created_at, size, kind, etag, deleted, policy)


def test_newer_row_replaces_and_older_loses():
    old, new = row(T(1), etag="old"), row(T(2), etag="new")
    assert merge_object(old, new) == new
    assert merge_object(new, old) is None


def test_equal_timestamp_is_what_we_have():
    assert merge_object(row(T(1), etag="ours"), row(T(1), etag="theirs")) is None


def test_post_of_a_content_type_keeps_the_data():
    posted = row(encoded_times(T(1), T(5), T(6)), kind="new/type", size=99, etag="other")
    result = merge_object(row(T(3), size=7, kind="old/type", etag="kept"), posted)
    assert (result.size, result.etag, result.content_type) == (7, "kept", "new/type")
    assert result.created_at == encoded_times(T(3), T(5), T(6))


def test_tombstone_between_data_and_content_type():
    live = row(encoded_times(T(1), T(9), T(9)), kind="posted/type")
    gone = row(T(5), 0, "application/deleted", "noetag", 1)
    result = merge_object(live, gone)
    assert (result.deleted, result.size, result.etag) == (1, 0, "noetag")
    assert merge_object(gone, live)._replace(content_type="") == result._replace(content_type="")


def test_swift_bytes_goes_with_the_data_not_with_the_content_type():
    stored = row(T(1), kind="text/plain;swift_bytes=4096")
    result = merge_object(stored, row(encoded_times(T(0), T(2), T(2)), kind="image/png;swift_bytes=1"))
    assert result.content_type == "image/png;swift_bytes=4096"


def test_new_data_without_swift_bytes_drops_it():
    stored = row(encoded_times(T(1), T(8), T(8)), kind="posted/type;swift_bytes=4096")
    assert merge_object(stored, row(T(5), kind="x/y")).content_type == "posted/type"


def test_offsets_of_reconciler_moves_decide():
    plain, moved = row(T(1)), row(f"{T(1)}_0000000000000003", etag="moved")
    assert merge_object(plain, moved).etag == "moved"
    assert merge_object(moved, plain) is None


def test_batch_keeps_one_row_per_name_and_policy():
    rows = [row(T(1)), row(T(3), etag="last"), row(T(2)), row(T(1), policy=1)]
    assert list(merge_objects(rows).values()) == [row(T(3), etag="last"), row(T(1), policy=1)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a/b", ("a/b", None)),
        ("a/b; swift_bytes=5", ("a/b", "5")),
        ("a/b;swift_bytes=5;charset=x", ("a/b;charset=x", "5")),
        ('a/b; note="swift_bytes=5"', ('a/b; note="swift_bytes=5"', None)),
        ('a/b; note="x;swift_bytes=5"; swift_bytes="7"', ('a/b; note="x;swift_bytes=5"', "7")),
    ],
)
def test_split_bytes(text, expected):
    assert split_bytes(text) == expected


def test_bad_times_are_refused():
    with pytest.raises(InvalidTimestamp):
        encoded_times(T(1), "yesterday", None)


def test_account_row_takes_the_newest_times_and_the_last_counts():
    stored = ContainerRow("c", T(5), T(1), 10, 100, 0, 1)
    result = merge_container(stored, ContainerRow("c", T(3), T(2), 4, 40, 0, 1))
    assert result == ContainerRow("c", T(5), T(2), 4, 40, 0, 1)


def test_unknown_counts_keep_what_is_stored():
    stored = ContainerRow("c", T(5), "0", 10, 100, 0, 2)
    assert merge_container(stored, ContainerRow("c", None, None, None, None, 0, None)) == stored


@pytest.mark.parametrize(("count", "deleted"), [(0, 1), (3, 0)])
def test_account_row_is_deleted_only_when_empty(count, deleted):
    assert merge_container(None, ContainerRow("c", T(1), T(2), count, 0, 0, 0)).deleted == deleted


def test_never_deleted_sorts_below_every_timestamp():
    assert merge_container(None, ContainerRow("c", T(1), "0", 0, 0, 0, 0)).deleted == 0
