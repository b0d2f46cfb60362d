"""What the reconciler decides, by tables."""

import pytest

from objstore.container.passes.reconcile_plan import (
    Copy,
    Entry,
    Step,
    claim_of,
    entry_of,
    moved_headers,
    policy_of,
    queue_container,
    queue_names,
    step_for,
)
from objstore.core.timestamp import ZERO, Timestamp
from tests.support.objects import ts

AT = Timestamp.parse("1795238510.65661")
QUEUE = "1795237200"
WEEK = 604_800.0
ENTRY = Entry(QUEUE, "2:/AUTH_a/c/o", 2, "AUTH_a", "c", "o", AT, AT, is_delete=False)
ROW = {
    "name": "2:/AUTH_a/c/o",
    "hash": "1795238510.65661",
    "content_type": "application/x-put",
    "last_modified": "2026-11-21T05:21:50.656610",
    "bytes": 0,
}


class TestEntries:
    def test_a_recorded_row_is_read(self):
        assert entry_of(QUEUE, ROW) == ENTRY
        assert queue_container(AT) == QUEUE
        assert ENTRY.pop_at.internal == "1795238510.65661_0000000000000002"

    @pytest.mark.parametrize(
        "change, at",
        [
            ({"hash": "1795238510.65661+10+20"}, Timestamp(AT.ticks + 0x30)),
            ({"hash": "1795238510.65661_3"}, Timestamp(AT.ticks, 3)),
            ({"content_type": "application/x-delete"}, AT),
            ({"name": "2:/AUTH_a/c/o/with:/slashes"}, AT),
        ],
    )
    def test_the_newest_of_its_times_counts(self, change, at):
        entry = entry_of(QUEUE, ROW | change)
        assert entry.at == at and entry.recorded_at >= at
        assert entry.is_delete is (change.get("content_type") == "application/x-delete")

    @pytest.mark.parametrize(
        "change",
        [
            {"name": "AUTH_a/c/o"}, {"name": "x:/AUTH_a/c/o"}, {"name": "2:AUTH_a/c/o"}, {"name": "2:/AUTH_a/c"},
            {"name": "2:/AUTH_a//o"}, {"name": "-1:/a/c/o"}, {"name": None}, {"content_type": "text/plain"},
            {"hash": "d41d8cd98f00b204e9800998ecf8427e"}, {"hash": ""}, {"last_modified": "yesterday"},
            {"last_modified": None}, {"name": "9" * 5000 + ":/a/c/o"},
        ],
        ids=str,
    )  # fmt: skip
    def test_what_is_no_entry_is_none(self, change):
        assert entry_of(QUEUE, ROW | change) is None

    def test_this_hour_and_the_last_are_looked_into_though_nobody_lists_them(self):
        assert queue_names(AT, ["1795000000", "junk", QUEUE]) == ["1795000000", "1795233600", QUEUE]


def says(index, status=204, put="1795238400.00000", deleted=ZERO.internal, count="1"):
    return claim_of(
        status,
        {
            "x-backend-storage-policy-index": str(index),
            "x-backend-timestamp": put,
            "x-backend-put-timestamp": put,
            "x-backend-delete-timestamp": deleted,
            "x-backend-status-changed-at": put,
            "x-container-object-count": count,
        },
    )


KNOWS_NOTHING = claim_of(
    404,
    {
        "x-backend-storage-policy-index": "0",
        "x-backend-timestamp": ZERO.internal,
        "x-backend-put-timestamp": ZERO.internal,
        "x-backend-delete-timestamp": ZERO.internal,
        "x-backend-status-changed-at": ZERO.internal,
    },
)
SILENT = claim_of(0, {})


class TestThePolicyOfAContainer:
    @pytest.mark.parametrize(
        "claims, policy",
        [
            ([says(2), says(2), says(2)], 2),
            # Recorded: one database was missing, and its 404 says "policy 0".
            ([says(2), KNOWS_NOTHING, says(2)], 2),
            ([says(0), SILENT, says(0)], 0),
            ([says(0, 404, deleted="1795238500.00000"), says(0), says(0)], 0),
            ([says(0), says(2), says(0)], None),
            ([says(2), SILENT, SILENT], None),
            ([says(2), KNOWS_NOTHING, KNOWS_NOTHING], None),
            ([KNOWS_NOTHING] * 3, None),
            ([says(2), SILENT], None),
            ([says(1)], 1),
            ([], None),
        ],
        ids=[
            "all agree", "one database is missing", "one is silent", "one has it deleted", "they disagree",
            "a minority answers", "most databases are missing", "all are missing", "half of two", "one replica",
            "nobody",
        ],
    )  # fmt: skip
    def test_needs_a_majority_that_agrees(self, claims, policy):
        assert policy_of(claims) == policy

    def test_a_server_error_is_no_claim(self):
        assert says(2, status=503) is None and says(2, status=507) is None and says("x") is None


def there(at, offset=0):
    return Copy(200, Timestamp(at.ticks, offset))


def gone(at=ZERO, offset=0):
    return Copy(404, Timestamp(at.ticks, offset))


OLDER, NEWER = ts(1795238510), ts(1795238511)


@pytest.mark.parametrize(
    "right, wrong, step",
    [
        (gone(), there(AT), Step.MOVE),
        (gone(OLDER), there(AT), Step.MOVE),
        (there(OLDER), there(AT), Step.MOVE),
        (there(AT, 3), there(AT), Step.MOVE),
        (gone(), there(NEWER), Step.MOVE),
        (there(NEWER), there(AT), Step.DELETE_OLD),
        (gone(NEWER), there(AT), Step.DELETE_OLD),
        (there(AT, 3), gone(AT, 1), Step.DELETE_OLD),
        (there(AT, 3), gone(), Step.DELETE_OLD),
        (there(NEWER), gone(), Step.DELETE_OLD),
        (gone(), there(OLDER), Step.LATER),
        (gone(), gone(), Step.LATER),
        (gone(), gone(OLDER), Step.LATER),
        (there(OLDER), gone(), Step.LATER),
        (gone(), gone(NEWER), Step.POP),
        (gone(), gone(AT, 1), Step.POP),
        (Copy(503), there(AT), Step.FAIL),
        (gone(), Copy(503), Step.FAIL),
        (there(NEWER), Copy(503), Step.FAIL),
    ],
    ids=lambda value: value.name if isinstance(value, Step) else f"{value.status}@{value.timestamp.internal[9:]}",
)
def test_a_misplaced_write(right, wrong, step):
    assert step_for(ENTRY, right, wrong, 60, WEEK) is step


@pytest.mark.parametrize("wrong", [gone(), there(OLDER)], ids=["nothing", "an older copy"])
def test_what_is_not_found_is_given_up_after_the_reclaim_age(wrong):
    assert step_for(ENTRY, gone(), wrong, WEEK + 1, WEEK) is Step.DROP


def test_an_answer_without_sense_is_no_answer():
    assert not Copy.of(200, {"x-backend-timestamp": "soon"}).is_an_answer


def test_a_move_takes_what_belongs_to_the_object_and_nothing_of_the_answer():
    headers = {
        "content-type": "a/b", "etag": "x", "x-object-meta-a": "1", "x-object-sysmeta-b": "2", "x-delete-at": "9",
        "content-length": "5", "date": "today", "x-backend-timestamp": "1", "x-timestamp": "1", "last-modified": "x",
    }  # fmt: skip
    assert sorted(moved_headers(headers)) == [
        "content-type", "etag", "x-delete-at", "x-object-meta-a", "x-object-sysmeta-b",
    ]  # fmt: skip
