"""Gates: alone by key, in order of arrival, with a deadline, whoever is killed."""

import pytest

from objstore.core.errors import LockTimeout
from objstore.runtime import green
from objstore.runtime.gates import Gates


def test_green_threads_pass_one_after_the_other_in_order():
    gates, passed = Gates(), []

    def go(name):
        with gates.held("key", 5):
            passed.append(name)
            green.sleep(0)
            passed.append(name)

    tasks = [green.spawn(go, name) for name in "abc"]
    for task in tasks:
        task.join()
    assert "".join(passed) == "aabbcc"
    assert len(gates) == 0


def test_other_keys_do_not_wait():
    gates = Gates()
    with gates.held("one", 5), gates.held("two", 0):
        pass


def test_wait_ends_at_its_deadline_and_the_gate_opens_for_others():
    gates = Gates()
    with gates.held("key", 5):
        with pytest.raises(LockTimeout):
            gates.enter("key", 0.001)
    with gates.held("key", 0):
        pass


def test_gate_that_is_left_by_an_error_is_open():
    gates = Gates()
    with pytest.raises(ValueError), gates.held("key", 5):
        raise ValueError
    with gates.held("key", 0):
        pass


@pytest.mark.parametrize("is_let_in", [False, True], ids=["in line", "just let in"])
def test_killed_waiter_leaves_the_gate_to_the_next(is_let_in):
    gates, passed = Gates(), []

    def go(name):
        with gates.held("key", 5):
            passed.append(name)

    gates.enter("key", 5)
    first, second = green.spawn(go, "first"), green.spawn(go, "second")
    green.sleep(0)
    if is_let_in:
        gates.leave("key")
        first.kill()
    else:
        first.kill()
        gates.leave("key")
    second.join()
    assert passed == ["second"]
