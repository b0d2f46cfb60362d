import pytest

from objstore.proxy.error_limit import ErrorLimiter
from tests.support.clock import SimClock
from tests.support.rings import make_ring


@pytest.fixture
def clock():
    return SimClock()


@pytest.fixture
def limiter(clock):
    return ErrorLimiter(2, 60.0, clock)


NODE = make_ring().primaries(0)[0]
OTHER = make_ring().primaries(0)[1]


def test_node_is_skipped_after_more_errors_than_the_limit(limiter):
    assert [limiter.record(NODE) for _ in range(3)] == [False, False, True]
    assert limiter.is_limited(NODE)
    assert not limiter.is_limited(OTHER)


def test_507_limits_at_once(limiter):
    assert limiter.suppress(NODE)
    assert limiter.is_limited(NODE)
    assert not limiter.suppress(NODE)


def test_node_is_asked_again_after_the_interval(limiter, clock):
    limiter.suppress(NODE)
    clock.advance(60.1)
    assert not limiter.is_limited(NODE)


def test_old_errors_do_not_count(limiter, clock):
    limiter.record(NODE)
    limiter.record(NODE)
    clock.advance(61)
    assert not limiter.record(NODE)
    assert not limiter.is_limited(NODE)
