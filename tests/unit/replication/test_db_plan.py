"""What is sent to a replica, and when a copy may go: tables."""

import pytest

from objstore.db.shards import ShardRange, State
from objstore.replication.db_plan import (
    Fate,
    InSync,
    SendFile,
    SendRows,
    Side,
    may_reclaim,
    may_remove_handoff,
    may_send_rows,
    plan,
)

A, B = "a" * 32, "b" * 32
T = "1700000000.00000"


def planned(local=(20, A), remote=(12, B), point=-1, outgoing=-1, **limits):
    return plan(Side(*local), Side(*remote), point, outgoing, **{"per_diff": 5, "max_diffs": 4, **limits})


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"remote": (3, A)}, InSync()),
        ({"point": 20}, InSync()),
        ({"outgoing": 20}, InSync()),
        ({}, SendRows(-1, 20)),
        ({"point": 7, "outgoing": 9}, SendRows(9, 20)),
        ({"remote": (9, B)}, SendFile()),
        ({"remote": (10, B)}, SendRows(-1, 20)),
        ({"remote": (9, B), "point": 9}, SendFile()),
        ({"local": (6, A), "remote": (2, B)}, SendRows(-1, 20)),
        ({"point": 21}, SendRows(-1, 20)),
        ({"outgoing": 1 << 40, "point": 19}, SendRows(-1, 20)),
        ({"local": (-1, "0" * 32), "remote": (5, B)}, InSync()),
    ],
    ids=[
        "equal hashes",
        "peer has merged all",
        "all was pushed",
        "never synced",
        "from the higher point",
        "far behind",
        "half is not far behind",
        "far behind, though a point is known",
        "few rows are never far behind",
        "a point above our last row is a lie",
        "a pushed point above our last row is from another life",
        "no rows here",
    ],
)
def test_plan(arguments, expected):
    assert planned(**arguments) == expected


def own(state):
    return ShardRange("a/c", T, "", "", 0, 0, T, 0, state, T, T, 0, -1)


@pytest.mark.parametrize(
    ("own_range", "has_others", "expected"),
    [
        (None, True, True),
        (own(State.ACTIVE), True, True),
        (own(State.SHARDING), False, True),
        (own(State.SHARDING), True, False),
        (own(State.SHARDED), True, False),
        (own(State.SHRINKING), True, False),
        (own(State.SHRUNK), True, False),
    ],
)
def test_rows_of_a_sharding_container_stay(own_range, has_others, expected):
    assert may_send_rows(own_range, has_others) is expected


@pytest.mark.parametrize(
    ("fates", "primary_count", "handoff_delete", "expected"),
    [
        ([Fate.CONFIRMED] * 3, 3, 0, True),
        ([Fate.CONFIRMED] * 2 + [Fate.FAILED], 3, 0, False),
        ([Fate.CONFIRMED] * 2 + [Fate.BEHIND], 3, 0, False),
        ([Fate.CONFIRMED] * 2 + [Fate.UNMOUNTED], 3, 0, False),
        ([Fate.CONFIRMED] * 2 + [Fate.ABSENT], 3, 0, False),
        ([Fate.CONFIRMED] * 2, 3, 0, False),
        ([Fate.CONFIRMED] * 2 + [Fate.FAILED], 3, 2, True),
        ([Fate.CONFIRMED] * 2, 2, 5, True),
        ([], 0, 0, False),
    ],
)
def test_a_handoff_goes_only_when_the_primaries_have_it(fates, primary_count, handoff_delete, expected):
    assert may_remove_handoff(fates, primary_count, handoff_delete) is expected


@pytest.mark.parametrize(
    ("fates", "expected"),
    [
        ([Fate.CONFIRMED, Fate.ABSENT], True),
        ([Fate.CONFIRMED, Fate.FAILED], False),
        ([Fate.CONFIRMED, Fate.UNMOUNTED], False),
        ([Fate.CONFIRMED], False),
    ],
)
def test_a_long_deleted_database_goes_only_when_nobody_knows_more(fates, expected):
    assert may_reclaim(fates, 2) is expected
