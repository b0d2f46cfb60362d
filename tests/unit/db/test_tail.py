"""Appending through descriptors that stay open: order of effects, failures, directories that are replaced."""

import errno
import os
import shutil

import pytest

from objstore.core.errors import InsufficientStorage, LockTimeout, NotFound
from objstore.db import pending
from objstore.db.tail import Tail, Tails
from objstore.runtime.fs import Fs
from tests.support.databases import container_databases, make_container, row
from tests.support.recording_fs import RecordingFs

RECORD = pending.object_record(row("o"))


def location_of(tmp_path, name="c"):
    return make_container(tmp_path, name).database.location


def test_append_syncs_once_for_many_records_and_the_directory_when_opened(tmp_path):
    fs, location = RecordingFs(), location_of(tmp_path)
    tail = Tail.open(fs, location)
    assert tail.append(fs, [b":a", b":b"], 1) == 4
    assert tail.append(fs, [b":c"], 1) == 6
    assert [effect for effect, _ in fs.events] == ["sync directory", "write", "sync", "write", "sync"]
    assert pending.read(location.pending_path) == b":a:b:c"


def test_name_of_a_file_that_was_there_already_is_made_durable_too(tmp_path):
    """Whoever made it may have been killed before the directory was synced."""
    fs, location = RecordingFs(), location_of(tmp_path)
    open(location.pending_path, "wb").close()
    Tail.open(fs, location)
    assert fs.events == [("sync directory", location.directory)]


@pytest.mark.parametrize("code, kind", [(errno.ENOSPC, InsufficientStorage), (errno.EIO, OSError)])
def test_write_that_fails_half_way_leaves_the_file_as_it_was(tmp_path, code, kind):
    class Failing(Fs):
        def write(self, fd, data):
            os.write(fd, bytes(data)[:2])
            raise OSError(code, os.strerror(code))

    location = location_of(tmp_path)
    tail = Tail.open(Fs(), location)
    tail.append(Fs(), [b":whole"], 1)
    with pytest.raises(kind):
        tail.append(Failing(), [b":torn"], 1)
    assert pending.read(location.pending_path) == b":whole"


def test_lock_that_another_holds_is_waited_for_and_given_up(tmp_path):
    location = location_of(tmp_path)
    tail = Tail.open(Fs(), location)
    with Fs().lock(location.lock_path, 1), pytest.raises(LockTimeout):
        tail.append(Fs(), [RECORD], 0.01)
    assert tail.append(Fs(), [RECORD], 1) == len(RECORD)


def test_lock_is_free_after_every_append(tmp_path):
    location = location_of(tmp_path)
    tail = Tail.open(Fs(), location)
    tail.append(Fs(), [RECORD], 1)
    with Fs().lock(location.lock_path, 0):
        pass


def remade(location):
    shutil.copytree(location.directory, f"{location.directory}.copy")
    os.rename(location.directory, f"{location.directory}.away")
    os.rename(f"{location.directory}.copy", location.directory)


def pending_remade(location):
    os.rename(location.pending_path, f"{location.pending_path}.away")
    open(location.pending_path, "wb").close()


def database_renamed(location):
    os.rename(location.new_path, f"{location.directory}/{location.hash}_1700000000.00000.db")


@pytest.mark.parametrize("replace", [remade, pending_remade, database_renamed])
def test_replaced_files_are_noticed_before_anything_is_written(tmp_path, replace):
    location = location_of(tmp_path)
    tail = Tail.open(Fs(), location)
    tail.append(Fs(), [RECORD], 1)
    before = os.stat(location.pending_path).st_ino
    replace(location)
    length = os.stat(location.pending_path).st_size
    assert tail.append(Fs(), [RECORD], 1) is None
    assert os.stat(location.pending_path).st_size == length
    assert replace is database_renamed or os.stat(location.pending_path).st_ino != before


@pytest.mark.parametrize("replace", [remade, pending_remade, database_renamed])
def test_row_goes_to_the_files_that_have_the_names_now(tmp_path, replace):
    broker = make_container(tmp_path)
    broker.add(row("before"))
    broker.database.flush()
    replace(broker.database.location)
    broker.add(row("after"))
    assert broker.info().object_count == 2


@pytest.mark.parametrize("gone", ["directory", "database"])
def test_row_for_a_database_that_has_gone_is_not_found(tmp_path, gone):
    broker = make_container(tmp_path)
    location = broker.database.location
    broker.add(row("before"))
    if gone == "directory":
        shutil.rmtree(location.directory)
    else:
        os.unlink(location.new_path)
    with pytest.raises(NotFound):
        broker.add(row("after"))


def test_only_so_many_tails_stay_open(tmp_path):
    tails = Tails(limit=2)
    locations = [location_of(tmp_path, name) for name in "abc"]
    for location in locations:
        tails.give(Tail.open(Fs(), location))
    assert [tails.take(location) is not None for location in locations] == [False, True, True]


def test_descriptors_of_dropped_tails_are_closed(tmp_path):
    databases = container_databases()
    databases.tails = Tails(limit=1)
    for name in "abcd":
        make_container(tmp_path, name, databases=databases).add(row("o"))
    held = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if fd_is_open(fd)]
    assert sum(path.startswith(str(tmp_path)) and path.endswith(".pending") for path in held) == 1


def fd_is_open(fd):
    return os.path.lexists(f"/proc/self/fd/{fd}")
