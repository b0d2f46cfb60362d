import logging

import pytest

from objstore.core.timestamp import Timestamp
from objstore.peers.exchange import BackendRequest, Caller
from objstore.proxy.fault import FaultLog
from objstore.proxy.nodes import Reading
from objstore.proxy.read import Read, ReadTimes
from objstore.proxy.read_plan import ReadPlan
from objstore.runtime import green
from tests.support.limits import Frozen, limiter
from tests.support.peers import REFUSES, SILENT, Breaks, Says
from tests.support.rings import make_ring

RING = make_ring(devices=5, replicas=3)
PRIMARIES = RING.primaries(0)
HANDOFFS = list(RING.handoffs(0))
TIMES = ReadTimes(answer_s=0.4, concurrency_s=0.03, straggler_s=0.05)
OLD, NEW = Timestamp(1_700_000_000_00000).internal, Timestamp(1_700_000_001_00000).internal


def copy(timestamp=OLD, body=b"data", **more):
    return Says(200, {"x-backend-timestamp": timestamp, "x-backend-data-timestamp": timestamp}, body, **more)


def read_with(peers, voices=1, times=TIMES, nodes=(*PRIMARIES, *HANDOFFS), errors=None, doubtful=()):
    faults = FaultLog(errors or limiter(), logging.getLogger("test"))
    request = BackendRequest("GET", "/0/a/c/o", [])
    read = Read(Caller(peers, 0.1, 0.1), faults, times, request, ReadPlan(3, voices=voices))
    read.run(Reading(iter(nodes), doubtful), voices)
    return read


def test_one_node_is_asked_when_it_answers(peers):
    peers.otherwise(copy())
    read = read_with(peers)
    assert read.status == 200
    assert len(peers.requests) == 1
    assert read.winner.connection.read_all(100, 1) == b"data"


@pytest.mark.parametrize("trouble", [REFUSES, Breaks(), Says(503), Says(507), Says(404)])
def test_the_next_node_is_asked_when_one_has_nothing_to_give(peers, trouble):
    peers.on(PRIMARIES[0], trouble).otherwise(copy())
    assert read_with(peers).winner.node == PRIMARIES[1]


def test_a_node_under_error_limiting_is_asked_when_the_others_cannot_answer(peers):
    peers.on(PRIMARIES[0], copy()).on(PRIMARIES[1], REFUSES).on(PRIMARIES[2], Says(503))
    assert read_with(peers, nodes=PRIMARIES[1:], doubtful=PRIMARIES[:1]).winner.node == PRIMARIES[0]


@pytest.mark.parametrize(("others", "status"), [(copy(), 200), (Says(404), 404)], ids=["found", "absent"])
def test_a_node_under_error_limiting_is_left_alone_when_the_others_answer(peers, others, status):
    peers.on(PRIMARIES[0], copy()).otherwise(others)
    assert read_with(peers, nodes=PRIMARIES[1:], doubtful=PRIMARIES[:1]).status == status
    assert not peers.asked(PRIMARIES[0])


def test_a_frozen_node_costs_the_concurrency_timeout_and_no_more(peers):
    peers.on(PRIMARIES[0], SILENT).otherwise(copy())
    before = green.monotonic()
    assert read_with(peers).winner.node == PRIMARIES[1]
    assert green.monotonic() - before < 0.2


def test_a_node_that_others_had_to_stand_in_for_is_left_alone_by_the_next_read(peers):
    errors = limiter(answers=Frozen())
    peers.on(PRIMARIES[0], SILENT).otherwise(copy())
    read_with(peers, errors=errors)
    assert [errors.is_limited(node) for node in PRIMARIES] == [True, False, False]


def test_a_node_that_answers_in_time_is_not_left_alone(peers):
    errors = limiter(answers=Frozen())
    peers.otherwise(copy()).on(PRIMARIES[0], Says(404, after_s=0.01))
    read_with(peers, errors=errors)
    assert not any(map(errors.is_limited, PRIMARIES))


def test_the_slow_first_node_may_still_win(peers):
    peers.on(PRIMARIES[0], copy(after_s=0.06)).otherwise(SILENT)
    assert read_with(peers).winner.node == PRIMARIES[0]


def test_without_concurrent_gets_a_silent_node_is_waited_for(peers):
    peers.on(PRIMARIES[0], SILENT).otherwise(copy())
    times = ReadTimes(answer_s=0.1, concurrency_s=None, straggler_s=0.05)
    before = green.monotonic()
    assert read_with(peers, times=times).winner.node == PRIMARIES[1]
    assert green.monotonic() - before >= 0.1


def test_a_handoff_serves_what_primaries_lack(peers):
    peers.otherwise(Says(404)).on(HANDOFFS[1], copy())
    assert read_with(peers).winner.node == HANDOFFS[1]


def test_missing_everywhere_is_404(peers):
    peers.otherwise(Says(404))
    assert read_with(peers).status == 404
    assert len(peers.requests) == 5


def test_missing_object_is_404_in_time_although_a_node_is_frozen(peers):
    peers.otherwise(Says(404)).on(PRIMARIES[1], SILENT)
    before = green.monotonic()
    assert read_with(peers).status == 404
    assert green.monotonic() - before < TIMES.answer_s


def test_nobody_reachable_is_503(peers):
    peers.otherwise(REFUSES)
    assert read_with(peers).status == 503


def test_a_copy_that_should_have_been_deleted_is_not_served(peers):
    gone = Says(404, {"x-backend-timestamp": NEW})
    peers.on(PRIMARIES[0], gone).on(PRIMARIES[1], copy(OLD)).on(PRIMARIES[2], gone).otherwise(Says(404))
    assert read_with(peers).status == 404


def test_newest_asks_all_primaries_and_serves_the_newest(peers):
    peers.otherwise(copy(OLD)).on(PRIMARIES[2], copy(NEW, b"newer", after_s=0.02))
    read = read_with(peers, voices=3)
    assert read.winner.node == PRIMARIES[2]
    assert len(peers.requests) == 3


def test_newest_answers_in_time_although_a_primary_is_frozen(peers):
    peers.otherwise(copy(OLD)).on(PRIMARIES[2], SILENT)
    before = green.monotonic()
    assert read_with(peers, voices=3).status == 200
    assert green.monotonic() - before < TIMES.answer_s


def test_two_voices_of_three_are_enough_for_facts(peers):
    peers.otherwise(copy(OLD)).on(PRIMARIES[1], copy(NEW))
    read = read_with(peers, voices=2)
    assert read.winner.node == PRIMARIES[1]


def test_failures_are_counted(peers):
    errors = limiter(0)
    peers.on(PRIMARIES[0], Breaks()).otherwise(copy())
    read_with(peers, errors=errors)
    assert errors.is_limited(PRIMARIES[0])


def test_unfinished_large_reads_leave_no_connection_behind(peers):
    peers.otherwise(copy(body=b"x" * 100_000)).on(PRIMARIES[0], Says(404))
    read = read_with(peers, voices=3)
    read.winner.discard()
    assert peers.open_count == 0
