"""runtime/several.py"""

import pytest

from objstore.runtime import green
from objstore.runtime.several import several


def test_results_stand_in_the_order_of_the_items_and_few_run_at_once():
    running, most = [0], [0]

    def work(item):
        running[0] += 1
        most[0] = max(most[0], running[0])
        green.sleep(0)
        running[0] -= 1
        return item * 2

    assert several(3, work, list(range(20))) == [item * 2 for item in range(20)]
    assert most[0] == 3


def test_nothing_is_nothing():
    assert several(3, lambda item: item, []) == []


def test_the_first_error_is_raised_and_the_rest_not_begun():
    begun = []

    def work(item):
        begun.append(item)
        green.sleep(0)
        if item == 1:
            raise ValueError("one")

    with pytest.raises(ValueError, match="one"):
        several(2, work, list(range(50)))
    assert len(begun) < 6


def test_who_is_killed_leaves_nobody_working():
    ended = []

    def work(item):
        try:
            green.sleep(60)
        finally:
            ended.append(item)

    task = green.spawn(several, 2, work, [1, 2, 3])
    green.sleep(0)
    green.sleep(0)
    task.kill()
    green.sleep(0)
    assert sorted(ended) == [1, 2]
