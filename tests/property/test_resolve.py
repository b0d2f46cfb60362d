"""Properties of storage/resolve.py that every replica relies on."""

from hypothesis import given
from hypothesis import strategies as st

from objstore.core.timestamp import Timestamp
from objstore.storage.hashes import hash_parts
from objstore.storage.resolve import data_name, meta_name, resolve, tombstone_name

moments = st.builds(Timestamp, st.integers(170_000_000_000_000, 170_000_000_000_009), st.integers(0, 2))
whole_moments = st.builds(Timestamp, st.integers(170_000_000_000_000, 170_000_000_000_009))
names = st.one_of(
    moments.map(data_name),
    moments.map(tombstone_name),
    st.builds(meta_name, moments, st.none() | whole_moments),
    st.text(max_size=12),
    moments.map(lambda moment: f".{data_name(moment)}.{'0' * 32}"),
)
directories = st.sets(names, max_size=10)


def verdict(files):
    found = resolve(files)
    return set(found.names), set(found.obsolete), set(found.unexpected), found.content_type, hash_parts(found)


@given(directories, st.randoms())
def test_the_order_of_names_does_not_matter(files, random):
    shuffled = list(files)
    random.shuffle(shuffled)
    assert verdict(shuffled) == verdict(sorted(files))


@given(directories)
def test_every_name_has_exactly_one_fate(files):
    found = resolve(files)
    overflow_kept = {name for name in files if name.endswith("0" * 32)} - set(found.obsolete) - set(found.unexpected)
    fates = [*found.names, *found.obsolete, *found.unexpected, *overflow_kept]
    assert sorted(fates) == sorted(files)


@given(directories)
def test_removing_what_is_obsolete_changes_nothing(files):
    found = resolve(files)
    again = resolve(files - set(found.obsolete))
    assert again.obsolete == ()
    assert (again.names, again.content_type) == (found.names, found.content_type)


@given(directories, directories)
def test_two_replicas_that_exchange_what_they_keep_agree(one, other):
    """Cleaning before sending loses nothing that the union would have kept."""
    together = resolve(one | other)
    kept = {*resolve(one).names, *resolve(other).names}
    assert set(resolve(kept).names) == set(together.names)
    assert hash_parts(resolve(kept)) == hash_parts(together)


@given(directories)
def test_a_tombstone_and_data_are_never_both_in_effect(files):
    found = resolve(files)
    assert found.data is None or found.tombstone is None
    newest = max(
        (file for file in (found.data, found.tombstone) if file), key=lambda file: file.timestamp, default=None
    )
    if newest is not None and found.meta is not None:
        assert found.meta.timestamp > newest.timestamp
