"""storage/removal.py: what a handoff takes away, and what it must not."""

import os
import threading
import time

import pytest

from objstore.runtime.fs import Fs
from objstore.storage.hashes import PartitionHashes
from objstore.storage.removal import remove_confirmed, remove_partition
from objstore.storage.replica import inventory, removal_order
from tests.support.objects import LARGE_METADATA, directory_of, make_address, make_disk_engine, names_of, put, ts
from tests.support.recording_fs import PowerCut, RecordingFs

NOW = 1_700_000_000.0
ADDRESS = make_address()


@pytest.fixture
def engine(tmp_path):
    return make_disk_engine(tmp_path)


def place(tmp_path):
    return str(tmp_path / "sda" / "objects" / "5")


def remove(tmp_path, confirmed, fs=None):
    return remove_confirmed(fs or Fs(), place(tmp_path), ADDRESS.suffix, confirmed)


def test_what_was_confirmed_goes_with_its_directories(tmp_path, engine):
    put(engine, ADDRESS, at=NOW)
    engine.post(ADDRESS, ts(NOW + 1), {"x-object-meta-a": "1"}, None)
    assert remove(tmp_path, inventory(place(tmp_path), ADDRESS.suffix)) == 1
    assert not (tmp_path / "sda" / "objects" / "5" / ADDRESS.suffix).exists()
    assert engine.hashes("sda", 0, "5") == {}
    assert remove_partition(Fs(), place(tmp_path))
    assert not (tmp_path / "sda" / "objects" / "5").exists()


@pytest.mark.parametrize("change", ["put", "post", "delete"])
def test_an_object_that_changed_meanwhile_stays(tmp_path, engine, change):
    put(engine, ADDRESS, at=NOW)
    confirmed = inventory(place(tmp_path), ADDRESS.suffix)
    if change == "put":
        put(engine, ADDRESS, b"newer", NOW + 1)
    elif change == "post":
        engine.post(ADDRESS, ts(NOW + 1), {"x-object-meta-a": "1"}, None)
    else:
        engine.delete(ADDRESS, ts(NOW + 1))
    before = names_of(tmp_path, ADDRESS)
    assert remove(tmp_path, confirmed) == 0
    assert names_of(tmp_path, ADDRESS) == before
    assert not remove_partition(Fs(), place(tmp_path))


def test_what_was_named_since_its_row_may_be_unsafe_stays(tmp_path, engine):
    put(engine, ADDRESS, at=NOW)
    confirmed = inventory(place(tmp_path), ADDRESS.suffix)
    named_ns = os.stat(directory_of(tmp_path, ADDRESS)).st_ctime_ns
    assert remove_confirmed(Fs(), place(tmp_path), ADDRESS.suffix, confirmed, named_ns) == 0
    assert remove_confirmed(Fs(), place(tmp_path), ADDRESS.suffix, confirmed, named_ns + 1) == 1


def test_a_name_that_nobody_knows_keeps_its_directory(tmp_path, engine):
    put(engine, ADDRESS, at=NOW)
    stranger = tmp_path / "sda" / "objects" / "5" / ADDRESS.suffix / ADDRESS.hash_hex / "notes.txt"
    stranger.touch()
    assert remove(tmp_path, inventory(place(tmp_path), ADDRESS.suffix)) == 0
    assert stranger.exists()


def test_a_partition_with_anything_unknown_in_it_stays(tmp_path, engine):
    put(engine, ADDRESS, at=NOW)
    remove(tmp_path, inventory(place(tmp_path), ADDRESS.suffix))
    (tmp_path / "sda" / "objects" / "5" / "what").touch()
    assert not remove_partition(Fs(), place(tmp_path))


def test_data_goes_before_its_post_and_side_files_last():
    data, meta = "1700000000.00000.data", "1700000001.00000.meta"
    side = f".{data}.{'a' * 32}"
    assert removal_order([side, meta, data]) == [data, meta, side]


def test_large_metadata_goes_with_its_owner(tmp_path, engine):
    put(engine, ADDRESS, at=NOW, **LARGE_METADATA)
    assert remove(tmp_path, inventory(place(tmp_path), ADDRESS.suffix)) == 1
    assert names_of(tmp_path, ADDRESS) == []


def test_a_crash_between_two_steps_leaves_an_object_whole_or_gone(tmp_path):
    for stop_after in range(1, 12):
        root = tmp_path / str(stop_after)
        engine = make_disk_engine(root)
        put(engine, ADDRESS, at=NOW)
        engine.post(ADDRESS, ts(NOW + 1), {"x-object-meta-a": "1"}, None)
        try:
            remove(root, inventory(place(root), ADDRESS.suffix), RecordingFs(stop_after))
            remove_partition(RecordingFs(), place(root))
        except PowerCut:
            pass
        found = engine.open(ADDRESS)
        if hasattr(found, "body"):
            found.close()
            assert found.headers["x-object-meta-a"] == "1"
        # Whatever was left can be taken away by the next pass, or written to.
        put(engine, ADDRESS, b"again", NOW + 5)
        assert ADDRESS.suffix in engine.hashes("sda", 0, "5")


def test_who_waits_for_the_lock_of_a_removed_partition_locks_the_new_one(tmp_path, engine):
    """Otherwise a change would be listed under a lock that nobody else holds, and lost by a hasher."""
    put(engine, ADDRESS, at=NOW)
    remove(tmp_path, inventory(place(tmp_path), ADDRESS.suffix))
    waits = threading.Event()

    def pause(seconds):
        waits.set()
        time.sleep(seconds)

    done = []

    def write():
        other = make_disk_engine(tmp_path, fs=Fs(pause))
        put(other, ADDRESS, b"newer", NOW + 1)
        done.append(True)

    writer = threading.Thread(target=write)

    class SlowFs(Fs):
        def unlink(self, path):
            if path.endswith("/.lock"):
                writer.start()
                assert waits.wait(10)
            return super().unlink(path)

    assert not remove_partition(SlowFs(), place(tmp_path))
    writer.join(10)
    assert done
    assert engine.open(ADDRESS).data_timestamp == ts(NOW + 1)
    assert ADDRESS.suffix in engine.hashes("sda", 0, "5")


def test_removal_is_listed_as_a_change(tmp_path, engine):
    put(engine, ADDRESS, at=NOW)
    assert engine.hashes("sda", 0, "5")
    remove(tmp_path, inventory(place(tmp_path), ADDRESS.suffix))
    assert PartitionHashes(Fs(), place(tmp_path))  # the directory is still there
    assert engine.hashes("sda", 0, "5") == {}
