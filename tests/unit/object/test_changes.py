"""object/changes.py: what the mark says from before a name is given until its row is safe."""

from contextlib import contextmanager

import pytest

from objstore.core.errors import InsufficientStorage
from objstore.object.changes import LEAVE_AFTER_S, SETTLE_S, OpenChanges
from objstore.runtime import green
from objstore.runtime.device_threads import DeviceThreads
from objstore.storage.memory import MemoryEngine, MemoryMark
from tests.support.clock import SimClock
from tests.support.object_server import ObjectNode

START_S = 1_800_000_000.0
PATH = "/sdb1/5/a/c/o"
CONTAINER = {"x_container_host": "127.0.0.1:1", "x_container_device": "sdb1", "x_container_partition": "3"}


@pytest.fixture
def clock():
    return SimClock(START_S)


@pytest.fixture
def engine(clock):
    return MemoryEngine(("sda", "sdb1"), clock)


@pytest.fixture
def later():
    """(seconds, function) of all that was to be done later."""
    return []


@pytest.fixture
def changes(engine, clock, later):
    return OpenChanges(engine, DeviceThreads(1), clock, lambda *what: later.append(what))


def said(engine, number=-1):
    """The last that a mark said: (seconds since the start, whether nothing is open)."""
    since_ns, is_idle = engine.marks[number].values[-1]
    return since_ns / 1e9 - START_S, is_idle


def settle(later):
    """The mark is moved on, once."""
    (settling,) = [pair for pair in later if pair[0] == SETTLE_S]
    later.remove(settling)
    settling[1]().join()


@contextmanager
def opened(changes, device="sda"):
    with changes.change(device) as change:
        change.begin()
        yield


def test_the_mark_is_there_before_the_first_change_and_idle_a_little_after_it(engine, clock, changes, later):
    with opened(changes):
        assert said(engine) == (0, False)
        clock.advance(1)
    assert said(engine) == (0, False)
    settle(later)
    assert said(engine) == (1, True)
    assert not later


def test_a_change_after_a_pause_is_in_the_mark_before_it_goes_on(engine, clock, changes, later):
    with opened(changes):
        pass
    settle(later)
    clock.advance(5)
    with opened(changes):
        assert said(engine) == (5, False)


def test_the_mark_says_since_when_the_oldest_of_several_is_open(engine, clock, changes, later):
    first, second = opened(changes), opened(changes)
    first.__enter__()
    clock.advance(1)
    second.__enter__()
    assert said(engine) == (0, False)
    clock.advance(1)
    first.__exit__(None, None, None)
    settle(later)
    assert said(engine) == (1, False)
    second.__exit__(None, None, None)
    settle(later)
    assert said(engine) == (2, True)
    assert len(engine.marks) == 1


def test_changes_that_follow_each_other_write_nothing(engine, clock, changes, later):
    for _ in range(3):
        with opened(changes):
            clock.advance(0.1)
    assert len(engine.marks[0].values) == 1


def test_a_change_that_never_began_says_nothing(engine, changes, later):
    with changes.change("sda"):
        pass
    assert engine.marks == later == []


def test_who_begins_while_the_mark_is_being_made_idle_has_it_say_so_again(clock, later):
    """In native threads, as on a slow disk: of two writes at once the wrong one could be the last."""

    class SlowMark(MemoryMark):
        def set(self, since_ns, is_idle):
            if is_idle:
                gate.wait()
            super().set(since_ns, is_idle)

    class Slow(MemoryEngine):
        def mark(self, device, since_ns):
            self.marks.append(SlowMark([(since_ns, False)]))
            return self.marks[-1]

    gate, engine = green.Future(), Slow(("sda",), clock)
    changes = OpenChanges(engine, DeviceThreads(1), clock, lambda *what: later.append(what))
    with opened(changes):
        pass
    (_, begin_settling) = later.pop()
    settling = begin_settling()
    green.sleep(0)
    clock.advance(1)
    named = []

    def change():
        with opened(changes):
            named.append(said(engine))

    task = green.spawn(change)
    green.sleep(0)
    assert named == []
    gate.set()
    settling.join()
    task.join()
    assert named == [(1, False)]


def fail(changes, device="sda"):
    with pytest.raises(InsufficientStorage), opened(changes, device):
        raise InsufficientStorage(device, "full")


def leave(later):
    """What has failed is left to the updater, once."""
    (leaving,) = [pair for pair in later if pair[0] == LEAVE_AFTER_S]
    later.remove(leaving)
    leaving[1]().join()


def test_a_change_that_failed_stays_open_and_is_left_to_the_updater(engine, clock, changes, later):
    fail(changes)
    clock.advance(1)
    with opened(changes):
        pass
    fail(changes)
    settle(later)
    assert said(engine) == (0, False)
    leave(later)
    settle(later)
    assert engine.marks[0].is_abandoned
    assert (said(engine, 0), said(engine, 1)) == ((0, False), (1, True))


def test_what_is_open_while_a_mark_is_left_is_in_the_next(engine, clock, changes, later):
    with opened(changes):
        clock.advance(1)
        fail(changes)
        leave(later)
        assert said(engine, 1) == (0, False)
    settle(later)
    assert said(engine, 1) == (1, True)


def test_two_first_changes_at_once_share_one_mark(engine, changes):
    def change():
        with opened(changes):
            green.sleep(0)

    for task in [green.spawn(change) for _ in range(3)]:
        task.join()
    assert sum(not mark.is_abandoned for mark in engine.marks) == 1


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_a_change_is_open_until_its_row_is_safe(tmp_path, engine, clock, method):
    node = ObjectNode(tmp_path, engine=engine, clock=clock)
    node.put(PATH, b"x", f"{START_S - 5:.5f}")
    open_while_told = []
    deliver = node.delivery.deliver
    node.delivery.deliver = lambda *args, **named: (
        open_while_told.append(not engine.marks[0].values[-1][1]) or deliver(*args, **named)
    )
    headers = {name.replace("_", "-"): value for name, value in CONTAINER.items()}
    headers |= {"x-timestamp": f"{START_S:.5f}", "content-type": "text/x", "content-length": "0"}
    assert node.call(method, PATH, headers).status < 300
    assert open_while_told == [True]


def test_copies_that_a_replicator_brings_are_no_open_changes(tmp_path, engine, clock):
    node = ObjectNode(tmp_path, engine=engine, clock=clock)
    assert node.put(PATH, b"x", f"{START_S:.5f}", x_backend_replication="true").status == 201
    assert engine.marks == []
