"""runtime/green.py: waits, deadlines, thread pools."""

import os
import socket
import threading

import pytest

from objstore.runtime import green


@pytest.fixture
def pair():
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    yield left, right
    left.close()
    right.close()


def test_wait_any_wakes_on_one_of_many(pair):
    left, right = pair
    other, silent = socket.socketpair()
    green.spawn(right.send, b"x")
    assert green.wait_any([left.fileno(), other.fileno()], timeout_s=5)
    assert left.recv(1) == b"x"
    other.close()
    silent.close()


def test_wait_any_wakes_once_when_two_are_ready_at_the_same_moment(pair):
    left, right = pair
    other, feeder = socket.socketpair()
    seen = []

    def waiter():
        seen.append(green.wait_any([left.fileno(), other.fileno()], timeout_s=5))
        seen.append(green.park())

    task = green.spawn(waiter)
    green.sleep(0)
    right.send(b"x")
    feeder.send(b"x")
    green.sleep(0.01)
    assert seen == [True], "the second event of the same poll must not wake whatever the thread waits for next"
    task.kill()
    other.close()
    feeder.close()


def test_wait_any_says_when_time_is_up(pair):
    assert green.wait_any([pair[0].fileno()], timeout_s=0.01) is False
    green.spawn(pair[1].send, b"x")
    assert green.wait_any([pair[0].fileno()], timeout_s=5) is True


def test_wait_readable_raises_after_its_deadline(pair):
    with pytest.raises(green.TimedOut):
        green.wait_readable(pair[0].fileno(), 0.01)


def test_deadline_interrupts_a_wait_and_nothing_after_it():
    with pytest.raises(green.TimedOut), green.deadline(0.01):
        green.sleep(5)
    with green.deadline(0.01):
        pass
    green.sleep(0.03)


def test_thread_pool_runs_elsewhere_and_returns():
    pool = green.ThreadPool(2)
    assert pool.run(threading.get_ident) != threading.get_ident()
    with pytest.raises(FileNotFoundError):
        pool.run(os.stat, "/no/such/file")


def test_thread_pool_lets_green_threads_run_meanwhile():
    pool, gate, order = green.ThreadPool(1), threading.Event(), []
    task = green.spawn(lambda: order.append(pool.run(gate.wait, 5)))
    green.sleep(0)
    order.append("meanwhile")
    gate.set()
    task.join()
    assert order == ["meanwhile", True]


def test_a_killed_waiter_does_not_disturb_the_pool():
    pool, gate = green.ThreadPool(1), threading.Event()
    task = green.spawn(pool.run, gate.wait, 5)
    green.sleep(0)
    task.kill()
    gate.set()
    assert pool.run(len, "abc") == 3


def test_future_carries_a_value_or_an_error():
    value, failure = green.Future(), green.Future()
    green.spawn(value.set, 7)
    assert value.wait(5) == 7
    failure.fail(KeyError("k"))
    with pytest.raises(KeyError):
        failure.wait()
    with pytest.raises(green.TimedOut):
        green.Future().wait(0.01)


def test_a_task_that_fails_in_a_pool_leaves_the_pool_working():
    """The hub drops a descriptor whose callback raises: that must never be the pool's own."""

    def fail():
        raise ValueError("on purpose")

    pool = green.ThreadPool(1)
    task = green.spawn(pool.run, fail)
    with pytest.raises(ValueError, match="on purpose"):
        task.join()
    with green.deadline(5):
        assert pool.run(lambda: 7) == 7
