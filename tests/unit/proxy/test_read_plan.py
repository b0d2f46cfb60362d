import pytest

from objstore.core.timestamp import ZERO, Timestamp
from objstore.proxy.read_plan import Answer, ReadPlan

OLD, NEW = Timestamp(1_700_000_000_00000), Timestamp(1_700_000_001_00000)


def found(timestamp=OLD, status=200, handoff=False):
    return Answer(status, timestamp, handoff, True)


def missing(timestamp=ZERO, handoff=False):
    return Answer(404, timestamp, handoff, False)


def plan_of(*answers, **options):
    plan = ReadPlan(3, **options)
    for answer in answers:
        plan.consider(answer)
    return plan


def test_first_copy_wins():
    plan = plan_of(missing(), found())
    assert plan.is_over
    assert plan.best == 1


def test_copy_older_than_a_tombstone_is_discarded():
    plan = plan_of(missing(NEW), found(OLD))
    assert not plan.is_over
    assert plan.best is None


def test_copy_newer_than_a_tombstone_wins():
    assert plan_of(missing(OLD), found(NEW)).is_over


def test_newest_waits_for_every_primary_and_takes_the_newest():
    plan = plan_of(found(OLD), found(NEW), voices=3)
    assert not plan.is_over
    plan.consider(missing())
    assert plan.is_over
    assert plan.best == 1


def test_newest_takes_a_tombstone_over_an_older_copy():
    plan = plan_of(found(OLD), missing(NEW), missing(), voices=3)
    assert plan.best is None
    assert plan.final() == 404


def test_newest_goes_on_when_a_primary_fails():
    plan = plan_of(found(OLD), found(OLD), voices=3)
    plan.fail(is_handoff=False)
    assert plan.is_over


@pytest.mark.parametrize(
    ("answers", "forgiven", "status"),
    [
        ([missing(), missing(), missing()], 0, 404),
        ([missing(), missing()], 0, 404),
        ([missing()], 0, 503),
        ([missing(), missing(handoff=True), missing(handoff=True)], 0, 503),
        ([missing(), missing(NEW, handoff=True)], 0, 404),
        ([missing(), missing()], 1, 503),
        ([missing(), missing(), missing()], 1, 404),
        ([missing(NEW), missing(NEW)], 1, 404),
        ([], 0, 503),
    ],
)
def test_absence_needs_a_quorum(answers, forgiven, status):
    assert plan_of(*answers, forgiven=forgiven).final() == status


def test_a_412_of_a_replica_without_a_copy_is_only_a_vote():
    silent = Answer.of(412, {}, False)
    plan = plan_of(silent, silent)
    assert plan.best is None
    assert plan.final() == 412


@pytest.mark.parametrize("status", [200, 206, 304, 412, 416])
def test_answers_of_a_replica_that_has_it_are_definite(status):
    answer = Answer.of(status, {"etag": '"x"', "x-backend-timestamp": OLD.internal}, False)
    assert answer.has_copy
    assert answer.timestamp == OLD


def test_data_timestamp_counts_before_metadata():
    headers = {"x-backend-timestamp": NEW.internal, "x-backend-data-timestamp": OLD.internal}
    assert Answer.of(200, headers, False).timestamp == OLD


def test_newest_prefers_newer_data_to_newer_metadata_and_breaks_ties_by_metadata():
    rewritten = Answer(200, NEW, False, True, NEW)
    posted = Answer(200, OLD, False, True, Timestamp(1_700_000_009_00000))
    posted_too = Answer(200, NEW, False, True, Timestamp(1_700_000_002_00000))
    assert plan_of(posted, rewritten, posted_too, voices=3).best == 2
