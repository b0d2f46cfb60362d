"""tests/soak/history.py: what may be there by what clients were told, and that the checker can fail."""

import pytest

from tests.soak.history import NO_END, Fate, Kind, Read, Write, allowed_at_end, allowed_meta, wrong_reads
from tests.support.final_check import ABSENT

DONE, OPEN = Fate.DONE, Fate.OPEN


def put(content, start, end, fate=DONE, meta=""):
    return Write(Kind.PUT, frozenset(content.split("|")), start, end, fate, meta=meta)


def delete(start, end, fate=DONE):
    return Write(Kind.DELETE, frozenset(), start, end, fate)


def post(meta, start, end, fate=DONE):
    return Write(Kind.POST, frozenset(), start, end, fate, meta=meta)


@pytest.mark.parametrize(
    ("writes", "allowed"),
    [
        ([], {ABSENT}),
        ([put("a", 0, 1)], {"a"}),
        ([put("a", 0, 1), put("b", 2, 3)], {"b"}),
        ([put("b", 2, 3), put("a", 0, 1)], {"b"}),
        ([put("a", 0, 1), put("b", 0.5, 3)], {"a", "b"}),
        ([put("a", 0, 1, OPEN)], {"a", ABSENT}),
        ([put("a", 0, 1), put("b", 2, 3, OPEN)], {"a", "b"}),
        ([put("a", 0, 1, OPEN), put("b", 2, 3)], {"b"}),
        ([put("a", 0, 1), delete(2, 3)], {ABSENT}),
        ([put("a", 0, 1), delete(0.5, 3)], {"a", ABSENT}),
        ([put("a", 0, 1), delete(2, 3, OPEN)], {"a", ABSENT}),
        ([put("a", 0, 1), delete(2, 3), put("b", 4, 5)], {"b"}),
        ([put("a", 0, 1), delete(2, 3), put("b", 4, 5, OPEN)], {"b", ABSENT}),
        ([put("a", 0, NO_END, OPEN), put("b", 2, 3), put("c", 8, 9)], {"a", "c"}),
        ([put("a", 0, 1), post("m", 2, 3)], {"a"}),
        ([put("a|b", 0, 1, OPEN)], {"a", "b", ABSENT}),
        # Overtaken by one that is itself overtaken: the order is certain all the same.
        ([put("a", 0, 1), put("b", 2, 5), put("c", 4, 6)], {"b", "c"}),
    ],
)
def test_what_may_be_there_at_the_end(writes, allowed):
    assert allowed_at_end(writes) == allowed


@pytest.mark.parametrize(
    ("found", "writes"),
    [
        (ABSENT, [put("a", 0, 1)]),  # lost
        ("a", [put("a", 0, 1), put("b", 2, 3)]),  # an overwrite undone
        ("a", [put("a", 0, 1), delete(2, 3)]),  # come back
        ("torn", [put("a", 0, 1), put("b", 0, 1)]),  # neither of two
        ("a", [put("a", 0, 1, OPEN), put("b", 2, 3), delete(4, 5)]),
    ],
    ids=["lost", "overwrite undone", "resurrected", "torn", "not acknowledged and overtaken"],
)
def test_losses_are_found(found, writes):
    assert found not in allowed_at_end(writes)


@pytest.mark.parametrize(
    ("writes", "allowed"),
    [
        ([put("a", 0, 1, meta="p")], {"p"}),
        ([put("a", 0, 1, meta="p"), post("m", 2, 3)], {"m"}),
        ([put("a", 0, 1, meta="p"), post("m", 2, 3, OPEN)], {"p", "m"}),
        ([put("a", 0, 1, meta="p"), post("m", 0.5, 3)], {"p", "m"}),
        ([post("m", 0, 1), put("a", 2, 3, meta="p")], {"p"}),
        ([put("a", 0, 1, meta="p"), post("m", 2, 3), post("n", 4, 5)], {"n"}),
        ([put("a", 0, 1, meta="p"), post("m", 2, 5), post("n", 4, 6)], {"m", "n"}),
        ([put("a", 0, 1, meta="p"), put("a", 0, 2, meta="q")], {"p", "q"}),
    ],
)
def test_what_metadata_may_be_there_at_the_end(writes, allowed):
    assert allowed_meta(writes, "a") == allowed


@pytest.mark.parametrize(
    ("read", "is_wrong"),
    [
        (Read("a", 0, 2), False),
        (Read("a", 6, 7), False),  # Old, but whole: what is eventual is not wrong.
        (Read("b", 4, 5), True),  # Not yet begun.
        (Read("b", 9.5, 10.5), False),  # Begun while it was read.
        (Read("other", 20, 21), True),
        (Read(ABSENT, 6, 7), False),
    ],
)
def test_reads_are_of_what_was_written_to_the_name(read, is_wrong):
    assert wrong_reads([put("a", 1, 2), put("b", 10, 11)], [read]) == ([read] if is_wrong else [])
