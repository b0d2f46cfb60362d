"""runtime/generations.py: what one worker changes, all workers see."""

import os

import pytest

from objstore.runtime.generations import Generations


def test_a_bump_changes_the_stamp_of_the_name():
    generations = Generations(64)
    before = generations.stamp("/a/c")
    generations.bump("/a/c")
    assert generations.stamp("/a/c") != before


def test_two_bumps_never_give_the_same_stamp():
    generations = Generations(64)
    seen = set()
    for _ in range(1000):
        generations.bump("/a/c")
        seen.add(generations.stamp("/a/c"))
    assert len(seen) == 1000


# Other tests of this process have imported the hub; the child here only bumps and ends.
@pytest.mark.filterwarnings("ignore:Using fork:DeprecationWarning")
def test_a_forked_worker_sees_the_bump_of_another():
    generations = Generations(64)
    before = generations.stamp("/a/c")
    pid = os.fork()
    if pid == 0:
        generations.bump("/a/c")
        os._exit(0)
    os.waitpid(pid, 0)
    assert generations.stamp("/a/c") != before
