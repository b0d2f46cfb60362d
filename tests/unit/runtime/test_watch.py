"""runtime/watch.py: edges, deadlines and closing."""

import random
import socket

import pytest

from objstore.runtime import green
from objstore.runtime.watch import Watch, compact, wait_any_readable
from tests.support.http import wait_until


@pytest.fixture
def pair():
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    watch = Watch(left.fileno())
    yield left, right, watch
    watch.close()
    left.close()
    right.close()


def soon(seconds: float = 0.02) -> float:
    return green.monotonic() + seconds


def later() -> float:
    return green.monotonic() + 5


def receive(sock, watch):
    """Try first, wait for what would block, try again: wake-ups may be false."""
    while True:
        try:
            return sock.recv(100)
        except BlockingIOError:
            watch.wait_readable(later())


def test_a_reader_is_woken_by_each_arrival(pair):
    left, right, watch = pair
    for data in (b"a", b"b", b"c"):
        green.spawn(right.send, data)
        assert receive(left, watch) == data


def test_a_table_that_was_made_small_still_wakes_its_readers(pair):
    left, right, watch = pair
    green.call_after(0, compact)
    green.call_after(0.01, lambda: right.send(b"a"))
    assert receive(left, watch) == b"a"


def test_an_edge_that_nobody_waited_for_ends_the_next_wait(pair):
    left, right, watch = pair
    right.send(b"x")
    green.sleep(0.01)
    watch.wait_readable(soon())
    assert left.recv(1) == b"x"


def test_a_reader_and_a_writer_wait_on_one_socket(pair):
    left, right, watch = pair
    while True:
        try:
            left.send(bytes(65536))
        except BlockingIOError:
            break
    woken = []

    def write():
        while True:
            try:
                left.send(b"w")
                break
            except BlockingIOError:
                watch.wait_writable(later())
        woken.append("writer")

    def read():
        receive(left, watch)
        woken.append("reader")

    tasks = [green.spawn(write), green.spawn(read)]
    green.sleep(0.01)
    assert woken == []
    right.send(b"x")
    tasks[1].join()
    assert woken == ["reader"]
    while not tasks[0].is_done:
        try:
            right.recv(1 << 20)
        except BlockingIOError:
            green.sleep(0)
    assert woken == ["reader", "writer"]


def test_each_direction_has_its_own_deadline(pair):
    left, _, watch = pair
    with pytest.raises(green.TimedOut):
        watch.wait_readable(soon())
    watch.is_writable = False
    with pytest.raises(green.TimedOut):
        while True:
            watch.wait_writable(soon())


def test_an_earlier_deadline_than_the_one_the_sweep_is_due_for_is_kept(pair):
    left, _, watch = pair
    other_left, other_right = socket.socketpair()
    other = Watch(other_left.fileno())
    patient = green.spawn(other.wait_readable, later())
    green.sleep(0)
    start = green.monotonic()
    with pytest.raises(green.TimedOut):
        watch.wait_readable(soon())
    assert green.monotonic() - start < 2
    other_right.send(b"x")
    patient.join()
    other.close()
    other_left.close()
    other_right.close()


def test_the_end_of_the_peer_wakes_and_is_remembered(pair):
    left, right, watch = pair
    task = green.spawn(receive, left, watch)
    green.sleep(0.01)
    right.close()
    assert task.join() == b""
    assert watch.has_hung_up


def test_a_killed_waiter_leaves_the_watch_free(pair):
    left, right, watch = pair
    task = green.spawn(watch.wait_readable, later())
    green.sleep(0.01)
    task.kill()
    green.spawn(right.send, b"x")
    assert receive(left, watch) == b"x"


def test_closing_wakes_who_waits():
    left, right = socket.socketpair()
    watch = Watch(left.fileno())
    task = green.spawn(watch.wait_readable, later())
    green.sleep(0.01)
    watch.close()
    task.join()
    left.close()
    right.close()


def test_a_callback_takes_the_place_of_a_green_thread(pair):
    left, right, watch = pair
    heard = []

    class Waiter:
        def switch(self):
            heard.append("switch")

        def throw(self, error):
            heard.append(type(error))

    watch.when_readable(Waiter(), later())
    right.send(b"x")
    green.sleep(0.02)
    assert heard == ["switch"], "once"
    left.recv(10)
    watch.when_readable(Waiter(), soon())
    wait_until(lambda: len(heard) == 2)
    assert heard == ["switch", green.TimedOut]
    watch.when_readable(Waiter(), later())
    watch.forget_reader()
    right.send(b"x")
    green.sleep(0.02)
    assert len(heard) == 2


def test_a_descriptor_number_that_is_used_again_belongs_to_its_new_watch(pair):
    for _ in range(5):
        left, right = socket.socketpair()
        left.setblocking(False)
        watch = Watch(left.fileno())
        green.spawn(right.send, b"x")
        assert receive(left, watch) == b"x"
        watch.close()
        left.close()
        right.close()


def test_a_green_thread_that_dies_does_not_cost_the_others_their_edges():
    pairs = [socket.socketpair() for _ in range(5)]
    watches = [Watch(left.fileno()) for left, _ in pairs]
    seen = []

    def fails(watch, index):
        watch.wait_readable(later())
        seen.append(index)
        raise ValueError("broken")

    for index, watch in enumerate(watches):
        green.spawn(fails, watch, index)
    green.sleep(0.01)
    for _, right in pairs:
        right.send(b"x")
    wait_until(lambda: sorted(seen) == [0, 1, 2, 3, 4])
    for watch, (left, right) in zip(watches, pairs, strict=True):
        watch.close()
        left.close()
        right.close()


# green.wait_any over watched descriptors


@pytest.fixture
def three():
    pairs = [socket.socketpair() for _ in range(3)]
    for left, right in pairs:
        left.setblocking(False)
        right.setblocking(False)
    watches = [Watch(left.fileno()) for left, _ in pairs]
    yield [left for left, _ in pairs], [right for _, right in pairs], watches
    for watch, (left, right) in zip(watches, pairs, strict=True):
        watch.close()
        left.close()
        right.close()


def fds(sockets):
    return [sock.fileno() for sock in sockets]


def test_wait_any_is_woken_by_any_of_its_watched_descriptors(three):
    lefts, rights, watches = three
    for right, left in zip(rights, lefts, strict=True):
        green.spawn(right.send, b"x")
        assert green.wait_any(fds(lefts), timeout_s=5) is True
        assert left.recv(1) == b"x"
        assert all(watch.reader is None for watch in watches)


def test_wait_any_sees_what_was_ready_before_it_though_nobody_drained_it(three):
    lefts, rights, _ = three
    rights[1].send(b"xy")
    green.sleep(0.01)
    for _ in range(3):
        assert green.wait_any(fds(lefts), timeout_s=5) is True
    assert lefts[1].recv(1) == b"x"
    assert green.wait_any(fds(lefts), timeout_s=5) is True, "a byte is left"
    assert green.wait_any((), fds(lefts), timeout_s=5) is True, "all are writable"


def test_wait_any_over_watches_keeps_its_deadline_and_leaves_nothing_behind(three):
    lefts, rights, watches = three
    assert green.wait_any(fds(lefts), timeout_s=0.3) is False
    assert all(watch.reader is None and watch.read_deadline > 1e300 for watch in watches)
    green.spawn(rights[2].send, b"x")
    assert green.wait_any(fds(lefts)) is True


def test_wait_any_for_room_and_for_answers_at_once(three):
    lefts, rights, watches = three
    full = lefts[0]
    while True:
        try:
            full.send(bytes(65536))
        except BlockingIOError:
            break
    green.spawn(rights[1].send, b"answer")
    assert green.wait_any(fds(lefts), [full.fileno()], timeout_s=5) is True
    assert lefts[1].recv(100) == b"answer"
    assert green.wait_any(fds(lefts), [full.fileno()], timeout_s=0.25) is False

    def drain():
        while True:
            try:
                rights[0].recv(1 << 20)
            except BlockingIOError:
                return

    green.spawn(drain)
    assert green.wait_any(fds(lefts), [full.fileno()], timeout_s=5) is True
    assert full.send(b"x") == 1
    assert all(watch.writer is None for watch in watches)


def test_two_waits_that_expire_together_do_not_expire_what_follows_them(three):
    lefts, rights, watches = three
    expired = []

    def twice(watch):
        with pytest.raises(green.TimedOut):
            watch.wait_readable(end)
        expired.append(watch)
        watch.wait_readable(later())

    end = soon(0.05)
    tasks = [green.spawn(twice, watch) for watch in watches]
    wait_until(lambda: len(expired) == 3)
    for right in rights:
        right.send(b"x")
    for task in tasks:
        task.join()


class NoException(BaseException):
    """What eventlet's Timeout and GreenletExit are: nothing that `except Exception` stops."""


def test_whatever_a_green_thread_dies_of_the_others_get_their_edges():
    """The hub drops a listener that raises: the one descriptor behind which all watches are must never be it."""
    lefts, rights = zip(*[socket.socketpair() for _ in range(3)], strict=True)
    for sock in (*lefts, *rights):
        sock.setblocking(False)
    watches = [Watch(left.fileno()) for left in lefts]

    class Dies:
        def switch(self):
            raise NoException

        def throw(self, error):
            raise NoException

    watches[0].when_readable(Dies(), later())
    watches[1].when_readable(Dies(), soon(0.01))
    rights[0].send(b"x")
    green.sleep(0.05)
    task = green.spawn(receive, lefts[2], watches[2])
    green.sleep(0)
    rights[2].send(b"y")
    assert task.join() == b"y"
    for watch in watches:
        watch.close()
    for sock in (*lefts, *rights):
        sock.close()


def test_no_wake_up_is_lost_between_many_that_talk_at_once():
    """Every byte of many conversations arrives, however reads, waits, edges and reused descriptors fall together."""
    rng = random.Random(4)

    def converse(seed):
        choice = random.Random(seed)
        for _ in range(4):
            left, right = socket.socketpair()
            for sock in (left, right):
                sock.setblocking(False)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            ends = (left, Watch(left.fileno())), (right, Watch(right.fileno()))
            size = choice.randrange(1, 60_000)
            writer = green.spawn(write, *ends[0], size, choice)
            assert read(*ends[1], size, choice) == size
            writer.join()
            for sock, watch in ends:
                watch.close()
                sock.close()

    def write(sock, watch, size, choice):
        while size:
            piece = min(size, choice.choice((1, 100, 5000, 20_000)))
            try:
                size -= sock.send(bytes(piece))
            except BlockingIOError:
                watch.wait_writable(later())
            if choice.random() < 0.3:
                green.sleep(0)

    def read(sock, watch, size, choice):
        got = 0
        while got < size:
            try:
                got += len(sock.recv(choice.choice((1, 100, 5000))))
            except BlockingIOError:
                if choice.random() < 0.5:
                    watch.wait_readable(later())
                else:
                    assert green.wait_any([sock.fileno()], (), 5)
            if choice.random() < 0.1:
                green.sleep(0)
        return got

    for task in [green.spawn(converse, rng.random()) for _ in range(30)]:
        task.join()


# wait_any_readable


def test_the_first_of_many_watches_wakes_its_reader_and_says_which(three):
    _, rights, watches = three
    green.spawn(rights[1].send, b"x")
    assert wait_any_readable(watches, green.monotonic() + 5)
    assert [watch.is_readable for watch in watches] == [False, True, False]
    assert wait_any_readable(watches, green.monotonic() + 5), "the edge is kept until somebody reads"
    watches[1].is_readable = False
    assert not wait_any_readable(watches, green.monotonic() + 0.05), "and wakes nobody a second time"
    assert all(watch.reader is None and watch.read_deadline > 1e300 for watch in watches)


def test_bytes_that_came_before_the_wait_end_it(three):
    _, rights, watches = three
    rights[2].send(b"x")
    green.sleep(0.01)
    assert wait_any_readable(watches, green.monotonic() + 5)


def test_a_peer_that_closes_ends_the_wait_for_any(three):
    _, rights, watches = three
    green.spawn(rights[0].close)
    assert wait_any_readable(watches, green.monotonic() + 5)
    assert not watches[0].is_quiet
