import pytest

from objstore.daemon.pace import BURST_S, Pace


def test_without_a_limit_nothing_waits():
    pace = Pace(0)
    pace.charge(10.0, 1000)
    assert pace.is_unlimited
    assert (pace.wait_s(10.0), pace.allowance(10.0)) == (0.0, None)


@pytest.mark.parametrize("per_second", [0.5, 3, 100, 12345])
def test_over_a_minute_no_more_go_than_the_rate_allows(per_second):
    pace, now, gone = Pace(per_second), 1000.0, 0
    while now < 1060:
        now += pace.wait_s(now)
        pace.charge(now)
        gone += 1
    assert gone == pytest.approx(per_second * 60, rel=0.02, abs=2 + per_second * BURST_S)


def test_what_was_not_used_is_made_good_for_a_moment_only():
    pace, now, at_once = Pace(10), 5000.0, 0
    pace.charge(now - 1000)
    while pace.wait_s(now) == 0:
        pace.charge(now)
        at_once += 1
    assert 1 <= at_once <= 10 * BURST_S + 1


def test_amounts_count_like_as_many_single_ones():
    pace = Pace(100)
    pace.charge(1.0, 200)
    assert pace.wait_s(1.0) == pytest.approx(2.0 - BURST_S)


def test_an_allowance_keeps_the_rate_too():
    pace, now, gone = Pace(20), 0.0, 0
    while now < 30:
        count = pace.allowance(now)
        pace.charge(now, count)
        gone += count
        now += 0.1
    assert gone == pytest.approx(600, rel=0.05)
