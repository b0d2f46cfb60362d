"""runtime/sync.py and runtime/green_fs.py: syncs and locks that let other green threads run."""

import errno
import os

import pytest

from objstore.core.errors import LockTimeout
from objstore.runtime import green, sync
from objstore.runtime.green_fs import GreenFs


@pytest.fixture(params=["kernel", "threads"])
def way(request, monkeypatch):
    if request.param == "threads":
        monkeypatch.setattr(sync._Kernel, "_instance", None)
        monkeypatch.setattr(sync._Kernel, "_set_up", lambda self: False)
    return request.param


def test_files_and_directories_are_synced_in_one_call(way, tmp_path):
    fds = [os.open(tmp_path / f"f{n}", os.O_CREAT | os.O_WRONLY) for n in range(20)]
    fds.append(os.open(tmp_path, os.O_RDONLY))
    try:
        sync.sync_all(fds)
        sync.sync_all(fds[:1], data_only=True)
        sync.sync_all([])
    finally:
        for fd in fds:
            os.close(fd)


def test_a_descriptor_that_cannot_be_synced_is_an_error(way):
    read_end, write_end = os.pipe()
    try:
        with pytest.raises(OSError) as caught:
            sync.sync_all([write_end])
        assert caught.value.errno == errno.EINVAL
    finally:
        os.close(read_end)
        os.close(write_end)


def test_many_green_threads_sync_at_once(way, tmp_path):
    def write(number):
        fd = os.open(tmp_path / str(number), os.O_CREAT | os.O_WRONLY)
        try:
            os.write(fd, b"x")
            sync.sync_all([fd])
        finally:
            os.close(fd)
        return number

    tasks = [green.spawn(write, number) for number in range(40)]
    assert [task.join() for task in tasks] == list(range(40))


def test_who_is_killed_while_it_syncs_hurts_nobody(tmp_path):
    def write(name):
        fd = os.open(tmp_path / name, os.O_CREAT | os.O_WRONLY)
        try:
            sync.sync_all([fd])
        finally:
            os.close(fd)

    killed, other = green.spawn(write, "a"), green.spawn(write, "b")
    green.sleep(0)
    killed.kill()
    other.join()


def test_what_is_closed_before_it_was_handed_to_the_kernel_is_left_out(tmp_path):
    """All syncs of one turn of the hub leave together, so one may be given up before."""
    reached = []

    def write(name):
        fd = os.open(tmp_path / name, os.O_CREAT | os.O_WRONLY)
        try:
            sync.sync_all([fd])
            reached.append(name)
        finally:
            os.close(fd)

    tasks = [green.spawn(write, name) for name in "abc"]
    killer = green.spawn(tasks[0].kill)
    for task in (killer, *tasks[1:]):
        task.join()
    assert sorted(reached) == ["b", "c"]


@pytest.mark.parametrize("taken", [0, 1])
def test_what_the_kernel_does_not_take_is_synced_by_threads(tmp_path, monkeypatch, taken):
    begin = sync._Kernel._begin
    monkeypatch.setattr(sync._Kernel, "_begin", lambda self, syncs: begin(self, syncs[:taken]) if taken else 0)
    synced, fds = [], [os.open(tmp_path / f"f{n}", os.O_CREAT | os.O_WRONLY) for n in range(3)]
    monkeypatch.setattr(os, "fsync", synced.append)
    try:
        sync.sync_all(fds)
    finally:
        for fd in fds:
            os.close(fd)
    assert synced == fds[taken:]


def test_green_threads_take_a_lock_in_turn(tmp_path):
    fs, path, seen = GreenFs(), str(tmp_path / ".lock"), []

    def hold(number):
        with fs.lock(path, 5.0):
            seen.append(number)
            green.sleep(0.001)
            seen.append(number)

    for task in [green.spawn(hold, number) for number in range(4)]:
        task.join()
    assert seen == [0, 0, 1, 1, 2, 2, 3, 3]


def test_waiting_for_a_lock_ends_in_time(tmp_path):
    fs, path = GreenFs(), str(tmp_path / ".lock")

    def try_it():
        with fs.lock(path, 0.01):
            raise AssertionError

    with fs.lock(path, 5.0):
        task = green.spawn(try_it)
        with pytest.raises(LockTimeout):
            task.join()
    with fs.lock(path, 0.01):
        pass
