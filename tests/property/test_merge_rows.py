"""Row merging is commutative, associative and idempotent, so that replicas agree whatever order rows arrive in."""

from functools import reduce
from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.core.timestamp import Timestamp, encode
from objstore.db.merge import ContainerRow, ObjectRow, merge_container, merge_object, split_bytes
from objstore.db.metadata import merged
from objstore.db.shards import ShardRange, merge_shard

TICKS = st.integers(170_000_000_000_000, 170_000_000_000_006)


@st.composite
def object_rows(draw):
    """Rows of one name whose parts are functions of their timestamps, as real writers make them."""
    data, content_type, meta = draw(TICKS), draw(TICKS), draw(TICKS)
    deleted = data % 3 == 0
    kind = f"type/{content_type}"
    if not deleted and data % 2:
        kind += f";swift_bytes={data}"
    created_at = encode(Timestamp(data), Timestamp(content_type), Timestamp(meta))
    return ObjectRow("o", created_at, 0 if deleted else data, kind, f"etag{data}", int(deleted), 0)


def fold(rows):
    return reduce(lambda stored, row: merge_object(stored, row) or stored, rows, None)


def settled(row):
    """Parameters of a content type have no order."""
    plain, size = split_bytes(row.content_type)
    return row._replace(content_type=(plain, size))


@settings(max_examples=300)
@given(st.lists(object_rows(), min_size=1, max_size=4))
def test_order_of_arrival_does_not_matter(rows):
    results = {settled(fold(order)) for order in permutations(rows)}
    assert len(results) == 1


@given(st.lists(object_rows(), min_size=1, max_size=4))
def test_merging_again_changes_nothing(rows):
    result = fold(rows)
    assert all(merge_object(result, row) is None for row in rows)


@given(object_rows(), object_rows(), object_rows())
def test_merging_is_associative(one, two, three):
    left = fold([fold([one, two]), three])
    right = fold([one, fold([two, three])])
    assert settled(left) == settled(right)


def times():
    return st.integers(0, 4).map(lambda tick: "0" if not tick else f"17000000{tick:02d}.00000")


@given(st.lists(st.tuples(times(), times()), min_size=1, max_size=4), st.randoms())
def test_timestamps_of_account_rows_do_not_depend_on_order(pairs, random):
    def result(order):
        row = None
        for put, delete in order:
            row = merge_container(row, ContainerRow("c", put, delete, 0, 0, 0, 0))
        return row

    shuffled = list(pairs)
    random.shuffle(shuffled)
    assert result(pairs) == result(shuffled)


@st.composite
def shard_ranges(draw):
    base, counts, state = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    number = draw(st.sampled_from((20, 30, 40)))
    text = "170000000{}.00000".format
    return ShardRange(
        name="a/c",
        timestamp=text(base),
        lower=str(base),
        upper="z",
        object_count=counts,
        bytes_used=counts,
        meta_timestamp=text(counts),
        deleted=int(base == 2),
        state=number,
        state_timestamp=text(state),
        epoch=f"{text(state)}" if number == 40 else None,
        reported=draw(st.integers(0, 1)),
        tombstones=counts,
    )


@settings(max_examples=300)
@given(st.lists(shard_ranges(), min_size=1, max_size=3))
def test_shard_ranges_merge_alike_in_any_order(ranges):
    results = {reduce(merge_shard, order, None)._replace(reported=0) for order in permutations(ranges)}
    assert len(results) == 1


@given(
    st.lists(
        st.dictionaries(st.sampled_from("abc"), times().map(lambda at: [f"value {at}", at]), max_size=3), max_size=4
    )
)
def test_metadata_merges_alike_in_any_order(updates):
    results = [reduce(merged, order, {}) for order in permutations(updates)]
    assert all(result == results[0] for result in results)
