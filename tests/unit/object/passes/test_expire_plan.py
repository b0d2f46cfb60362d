"""What the expirer makes of entries and answers: tables."""

import pytest

from objstore.object.passes.expire_plan import Task, Verdict, delete_verdict, look_verdict, task_of
from objstore.object.passes.expire_settings import delays_of
from tests.support.objects import ts

WEEK = 604_800.0
TASK = Task("1795318588-AUTH_a/c/o", ts(1795318588), "AUTH_a", "c", "o")
BEFORE, AFTER = "1795318000.00000", "1795318600.00000"


@pytest.mark.parametrize(
    "entry, content_type, task",
    [
        ("1795318588-AUTH_a/c/o", "text/plain;swift_expirer_bytes=10", TASK),
        ("0000000001-a/c/o-1/x-2/", "", Task("0000000001-a/c/o-1/x-2/", ts(1), "a", "c", "o-1/x-2/")),
        (
            "1795238402.00001-a/c/o",
            "application/async-deleted",
            Task("1795238402.00001-a/c/o", ts(1795238402.00001), "a", "c", "o", True),
        ),
        (
            "1795238402-a/c/o",
            "application/async-deleted;x=y",
            Task("1795238402-a/c/o", ts(1795238402), "a", "c", "o", True),
        ),
        ("1795318588", "", None),
        ("-a/c/o", "", None),
        ("soon-a/c/o", "", None),
        ("17953185880-a/c/o", "", None),
        ("1795318588-a/c", "", None),
        ("1795318588-a//o", "", None),
        ("1795318588-/c/o", "", None),
        ("1795318588-a/c/", "", None),
        ("1795318588.-a/c/o", "", None),
        ("1795318588.1.2-a/c/o", "", None),
        ("１７９５３１８５８８-a/c/o", "", None),
        ("", "", None),
    ],
)  # fmt: skip
def test_an_entry_names_its_object_or_is_left_alone(entry, content_type, task):
    assert task_of(entry, content_type) == task


@pytest.mark.parametrize(
    "status, headers, verdict",
    [
        (200, {"x-delete-at": "1795318588", "x-backend-data-timestamp": BEFORE}, Verdict.DELETE),
        (200, {"x-delete-at": "1795318588"}, Verdict.DELETE),
        (200, {"x-delete-at": "1895318588", "x-backend-data-timestamp": BEFORE}, Verdict.LATER),
        (200, {"x-backend-data-timestamp": BEFORE}, Verdict.LATER),
        (200, {"x-backend-data-timestamp": AFTER}, Verdict.DONE),
        (200, {"x-delete-at": "1895318588", "x-backend-data-timestamp": AFTER}, Verdict.DONE),
        (404, {"x-backend-timestamp": TASK.at.internal}, Verdict.DONE),
        (404, {"x-backend-timestamp": AFTER}, Verdict.DONE),
        (404, {"x-backend-timestamp": BEFORE}, Verdict.LATER),
        (404, {"x-backend-timestamp": "nonsense"}, Verdict.LATER),
        (404, {}, Verdict.LATER),
        (503, {}, Verdict.FAILED),
        (500, {}, Verdict.FAILED),
        (412, {}, Verdict.FAILED),
    ],
)
def test_the_newest_replica_decides_whether_anything_is_deleted(status, headers, verdict):
    assert look_verdict(TASK, status, headers, 60, WEEK) is verdict


@pytest.mark.parametrize("status, headers", [(404, {}), (200, {"x-backend-data-timestamp": BEFORE})])
def test_an_entry_that_leads_nowhere_is_dropped_when_it_is_old(status, headers):
    assert look_verdict(TASK, status, headers, WEEK + 1, WEEK) is Verdict.DROPPED


def test_an_asynchronous_delete_asks_for_no_expiry():
    task = Task("e", ts(1795318588), "a", "c", "o", is_unconditional=True)
    assert look_verdict(task, 200, {"x-backend-data-timestamp": BEFORE}, 60, WEEK) is Verdict.DELETE


@pytest.mark.parametrize(
    "status, age_s, verdict",
    [
        (204, 1, Verdict.DONE), (200, 1, Verdict.DONE), (409, 1, Verdict.DONE),
        (404, 1, Verdict.LATER), (412, 1, Verdict.LATER),
        (404, WEEK + 1, Verdict.DROPPED), (412, WEEK + 1, Verdict.DROPPED),
        (503, WEEK + 1, Verdict.FAILED), (401, 1, Verdict.FAILED), (500, 1, Verdict.FAILED),
    ],
)  # fmt: skip
def test_an_entry_goes_only_when_the_delete_is_confirmed(status, age_s, verdict):
    assert delete_verdict(status, age_s, WEEK) is verdict


def test_delays_are_read_with_names_quoted_as_in_urls():
    found, problems = delays_of({"delay_reaping_AUTH_a": "60", "delay_reaping_AUTH_%C3%A9/my%20c": "0.5"})
    assert found == {("AUTH_a", ""): 60.0, ("AUTH_é", "my c"): 0.5} and not problems


@pytest.mark.parametrize(
    "key, value", [("AUTH_a", "soon"), ("AUTH_a", "-1"), ("", "1"), ("AUTH_a/", "1"), ("a", "inf")]
)
def test_a_delay_that_makes_no_sense_is_a_problem(key, value):
    found, problems = delays_of({f"delay_reaping_{key}": value})
    assert not found and f"delay_reaping_{key}" in problems[0]
