"""The order of effects that crash safety rests on. Every crash point itself: tests/crash."""

import errno
import os

import pytest

from objstore.core.errors import InsufficientStorage
from objstore.runtime.fs import Fs
from objstore.storage.engine import Absent
from tests.support.objects import directory_of, make_address, make_disk_engine, names_of, put, ts
from tests.support.recording_fs import RecordingFs

ADDRESS = make_address()
OLD, NEW = 1_700_000_000.0, 1_700_000_001.0
BIG = {f"x_object_meta_{n:02}": "v" * 200 for n in range(40)}


def effects_of(tmp_path, action):
    fs = RecordingFs()
    action(make_disk_engine(tmp_path, fs=fs))
    return fs


def state(tmp_path):
    stored = make_disk_engine(tmp_path).open(ADDRESS)
    if isinstance(stored, Absent):
        return None
    with stored:
        return stored.body.pread(100, 0), dict(stored.headers)


def test_threat_crashmonkey_nothing_is_visible_before_it_is_durable(tmp_path):
    """OSDI'14: most crash bugs are missing or misplaced syncs."""
    fs = effects_of(tmp_path, lambda engine: put(engine, ADDRESS, b"new", NEW))
    name = "1700000001.00000.data"
    link = fs.index("link", name)
    syncs = [index for index, event in enumerate(fs.events) if event[0] == "sync"]
    writes = [index for index, event in enumerate(fs.events) if event[0] in ("write", "set attributes")]
    body_sync = max(index for index in syncs if index < link)
    assert all(index < body_sync for index in writes if fs.events[index][1] != "hashes.invalid")
    directory = str(directory_of(tmp_path, ADDRESS))
    parents = [directory, os.path.dirname(directory), os.path.dirname(os.path.dirname(directory))]
    for path in parents:
        assert fs.index("sync directory", path) > link


def test_the_suffix_is_durably_listed_before_the_name_appears(tmp_path):
    """Else a power cut leaves a stale digest that is never compared again (design.md, Facts)."""
    engine = make_disk_engine(tmp_path)
    put(engine, make_address("other"))
    engine.hashes("sda", 0, "5")
    fs = effects_of(tmp_path, lambda engine: put(engine, ADDRESS, b"new", NEW))
    assert fs.index("write", "hashes.invalid") < fs.index("sync", "hashes.invalid") < fs.index("link", ".data")


def test_a_suffix_that_is_listed_is_not_listed_again(tmp_path):
    engine = make_disk_engine(tmp_path)
    engine.hashes("sda", 0, "5")
    put(engine, ADDRESS, b"old", OLD)
    fs = effects_of(tmp_path, lambda engine: put(engine, ADDRESS, b"new", NEW))
    assert ("write", "hashes.invalid") not in fs.events


def test_threat_minio_17416_a_name_that_is_taken_is_replaced_never_unlinked(tmp_path):
    put(make_disk_engine(tmp_path), ADDRESS, b"old", OLD)
    fs = effects_of(tmp_path, lambda engine: put(engine, ADDRESS, b"new", OLD))
    assert not [event for event in fs.events if event[0] == "unlink" and event[1].endswith(".data")]
    assert fs.index("rename", "1700000000.00000.data")
    assert names_of(tmp_path, ADDRESS) == ["1700000000.00000.data"]


def test_what_is_superseded_goes_only_after_the_new_is_durable(tmp_path):
    put(make_disk_engine(tmp_path), ADDRESS, b"old", OLD)
    fs = effects_of(tmp_path, lambda engine: put(engine, ADDRESS, b"new", NEW))
    assert fs.index("sync directory", ADDRESS.hash_hex) < fs.index("unlink", "1700000000.00000.data")


def test_a_deferred_row_is_synced_with_its_directories(tmp_path):
    from objstore.storage.pending import DeferredUpdate

    update = DeferredUpdate("PUT", "a", "c", "o", {"x-size": "1"})
    fs = effects_of(tmp_path, lambda engine: engine.defer("sda", 0, "0" * 29 + "abc", ts(NEW), update))
    rename = fs.index("rename", "-1700000001.00000")
    assert any(event[0] == "sync" for event in fs.events[:rename])
    for ending in ("/abc", "/async_pending", "/sda"):
        assert fs.index("sync directory", ending) > rename


@pytest.mark.parametrize("effect", ["open unnamed", "preallocate", "write", "set attributes", "sync", "link"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO], ids=errno.errorcode.get)
def test_a_full_or_failing_disk_is_insufficient_storage_and_leaves_the_old(tmp_path, effect, code):
    put(make_disk_engine(tmp_path), ADDRESS, b"old", OLD)
    fs = RecordingFs(fail={effect: OSError(code, os.strerror(code))})
    with pytest.raises(InsufficientStorage):
        put(make_disk_engine(tmp_path, fs=fs), ADDRESS, b"n" * 100_000, NEW)
    assert state(tmp_path)[0] == b"old"
    assert names_of(tmp_path, ADDRESS) == ["1700000000.00000.data"]


class _NoUnnamedFiles(Fs):
    def open_unnamed(self, directory):
        raise OSError(errno.EOPNOTSUPP, "no O_TMPFILE here")


def test_without_unnamed_files_a_temporary_is_renamed(tmp_path):
    engine = make_disk_engine(tmp_path, fs=_NoUnnamedFiles())
    put(engine, ADDRESS, b"old", OLD)
    put(engine, ADDRESS, b"new", OLD, **BIG)
    with engine.create(ADDRESS, 1) as writer:
        writer.write(b"x")
    assert state(tmp_path)[0] == b"new"
    assert list((tmp_path / "sda" / "tmp").iterdir()) == []


def test_a_directory_that_a_cleaner_removed_is_made_again(tmp_path):
    engine = make_disk_engine(tmp_path)
    with engine.create(ADDRESS, 3) as writer:
        writer.write(b"new")
        directory_of(tmp_path, ADDRESS).rmdir()
        directory_of(tmp_path, ADDRESS).parent.rmdir()
        writer.commit(ts(NEW), {"etag": "x"})
    assert state(tmp_path)[0] == b"new"
