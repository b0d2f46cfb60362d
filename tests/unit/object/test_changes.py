"""object/changes.py: what the mark says from before a name is given until its row is safe."""

import pytest

from objstore.core.errors import InsufficientStorage
from objstore.object.changes import LEAVE_AFTER_S, OpenChanges
from objstore.runtime import green
from objstore.runtime.device_threads import DeviceThreads
from objstore.storage.memory import MemoryEngine
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


def test_the_mark_is_there_before_the_first_change_and_idle_after_it(engine, clock, changes):
    with changes.open("sda"):
        assert said(engine) == (0, False)
        clock.advance(1)
    assert said(engine) == (1, True)


def test_the_mark_says_since_when_the_oldest_of_several_is_open(engine, clock, changes):
    first, second = changes.open("sda"), changes.open("sda")
    first.__enter__()
    clock.advance(1)
    second.__enter__()
    assert said(engine) == (0, False)
    clock.advance(1)
    first.__exit__(None, None, None)
    assert said(engine) == (1, False)
    second.__exit__(None, None, None)
    assert said(engine) == (2, True)
    assert len(engine.marks) == 1


def test_what_changes_beside_an_older_change_writes_nothing(engine, clock, changes):
    with changes.open("sda"):
        before = len(engine.marks[0].values)
        for _ in range(3):
            with changes.open("sda"):
                clock.advance(0.1)
        assert len(engine.marks[0].values) == before


def fail(changes, device="sda"):
    with pytest.raises(InsufficientStorage), changes.open(device):
        raise InsufficientStorage(device, "full")


def test_a_change_that_failed_stays_open_and_is_left_to_the_updater(engine, clock, changes, later):
    fail(changes)
    clock.advance(1)
    with changes.open("sda"):
        pass
    fail(changes)
    assert said(engine) == (0, False)
    ((seconds, call),) = later
    assert seconds == LEAVE_AFTER_S
    call().join()
    assert engine.marks[0].is_abandoned
    assert (said(engine, 0), said(engine, 1)) == ((0, False), (1, True))


def test_what_is_open_while_a_mark_is_left_is_in_the_next(engine, clock, changes, later):
    with changes.open("sda"):
        clock.advance(1)
        fail(changes)
        later[0][1]().join()
        assert said(engine, 1) == (0, False)
    assert said(engine, 1) == (1, True)


def test_two_first_changes_at_once_share_one_mark(engine, changes):
    def change():
        with changes.open("sda"):
            green.sleep(0)

    for task in [green.spawn(change) for _ in range(3)]:
        task.join()
    assert sum(not mark.is_abandoned for mark in engine.marks) == 1
    assert all(mark.values[-1][1] for mark in engine.marks)


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
    assert engine.marks[0].values[-1][1]


def test_copies_that_a_replicator_brings_are_no_open_changes(tmp_path, engine, clock):
    node = ObjectNode(tmp_path, engine=engine, clock=clock)
    assert node.put(PATH, b"x", f"{START_S:.5f}", x_backend_replication="true").status == 201
    assert engine.marks == []
