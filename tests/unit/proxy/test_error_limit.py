import logging
from dataclasses import replace

import pytest

from objstore.proxy.fault import FaultLog
from objstore.ring.model import Node
from tests.support.clock import SimClock
from tests.support.limits import Frozen, limiter, settle
from tests.support.rings import make_ring


@pytest.fixture
def clock():
    return SimClock()


@pytest.fixture
def errors(clock):
    return limiter(2, 60.0, clock)


NODE = make_ring().primaries(0)[0]
OTHER = make_ring().primaries(0)[1]


def test_node_is_skipped_after_more_errors_than_the_limit(errors):
    assert [errors.record(NODE) for _ in range(3)] == [False, False, True]
    assert errors.is_limited(NODE)
    assert not errors.is_limited(OTHER)


def test_507_limits_at_once(errors):
    assert errors.suppress(NODE)
    assert errors.is_limited(NODE)
    assert not errors.suppress(NODE)


def test_node_is_asked_again_after_the_interval(errors, clock):
    errors.suppress(NODE)
    clock.advance(60.1)
    assert not errors.is_limited(NODE)


def test_old_errors_do_not_count(errors, clock):
    errors.record(NODE)
    errors.record(NODE)
    clock.advance(61)
    assert not errors.record(NODE)
    assert not errors.is_limited(NODE)


def test_a_node_that_lets_a_deadline_pass_is_left_alone_until_it_answers(clock):
    frozen = Frozen()
    errors = limiter(2, 60.0, clock, frozen)
    assert errors.heard_nothing(NODE)
    settle()
    clock.advance(1000)
    assert errors.is_limited(NODE)
    assert frozen.asked == [NODE.address]
    frozen.thaw()
    assert not errors.is_limited(NODE)


def test_other_servers_of_a_frozen_machine_are_left_alone_and_those_of_others_are_not(clock):
    same = Node(replace(NODE.device, id=99, port=NODE.device.port + 1000))
    errors = limiter(2, 60.0, clock, Frozen())
    errors.heard_nothing(NODE)
    assert errors.is_limited(same)
    assert not errors.is_limited(OTHER)


def test_a_server_that_is_asked_too_much_is_not_at_fault(errors, caplog):
    faults = FaultLog(errors, logging.getLogger("test"))
    for _ in range(100):
        faults.refused(NODE, 529)
    assert not errors.is_limited(NODE) and not caplog.records
