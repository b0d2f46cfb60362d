"""Pages out of the index are what a naive listing of sorted names gives."""

import sqlite3

from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.core.listing import Selection
from objstore.db.walk import walk

NAME = st.text(alphabet="a/b-\ud7ff\U0010ffff", min_size=1, max_size=6)
MARK = st.text(alphabet="a/b-\U0010ffff", max_size=3)


def naive(names, chosen):
    """The definition, without any index."""
    prefix, delimiter = chosen.prefix, chosen.delimiter
    if chosen.path is not None:
        prefix, delimiter = (chosen.path.rstrip("/") + "/" if chosen.path else ""), "/"
    first, last = chosen.marker, chosen.end_marker
    low, high = (last, first) if chosen.reverse else (first, last)
    result = []
    for name in sorted(names, reverse=chosen.reverse):
        if not name.startswith(prefix) or (low and name <= low) or (high and name >= high):
            continue
        at = name.find(delimiter, len(prefix)) if delimiter else -1
        subdir = name[: at + len(delimiter)]
        if at < 0:
            entry = (name,)
        elif chosen.path is not None:
            entry = (name,) if subdir == name else None
        else:
            entry = None if subdir in (first, last) else subdir
        if chosen.path is not None and name == prefix:
            entry = None
        if entry is not None and (not result or result[-1] != entry):
            result.append(entry)
    return result[: chosen.limit]


@settings(max_examples=400, deadline=None)
@given(
    st.sets(NAME, max_size=40),
    st.builds(
        Selection,
        limit=st.integers(0, 12),
        marker=MARK,
        end_marker=MARK,
        prefix=st.sampled_from(("", "a", "a/", "/", "b-")),
        delimiter=st.sampled_from(("", "/", "-", "a/", "//")),
        path=st.sampled_from((None, None, "", "a", "a/", "b")),
        reverse=st.booleans(),
    ),
)
def test_page_is_that_of_the_naive_listing(names, chosen):
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE object (name TEXT, deleted INTEGER)")
    connection.execute("CREATE INDEX ix ON object (deleted, name)")
    connection.executemany("INSERT INTO object VALUES (?, 0)", [(name,) for name in names])
    connection.execute("INSERT INTO object VALUES ('a/deleted', 1), (char(0) || 'reserved', 0)")
    try:
        assert walk(connection, "SELECT name FROM object", "", (), chosen) == naive(names, chosen)
    finally:
        connection.close()
