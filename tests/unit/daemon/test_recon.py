import fcntl
import json
import os
import threading

import pytest

from objstore.daemon import recon
from objstore.daemon.recon import merge, read, recon_file


@pytest.fixture
def path(tmp_path):
    return recon_file(tmp_path / "cache", "object")


def test_keys_are_merged_into_what_is_there(path):
    merge(path, {"a": 1, "b": {"x": 1}})
    merge(path, {"b": {"y": 2}, "c": None})
    assert read(path) == {"a": 1, "b": {"y": 2}, "c": None}
    assert path.name == "object.recon"


def test_an_empty_object_deletes_its_key(path):
    merge(path, {"a": 1, "b": 2})
    merge(path, {"a": {}, "never-there": {}})
    assert read(path) == {"b": 2}


def test_it_is_one_object_on_one_line(path):
    merge(path, {"a": "x\ny"})
    assert path.read_bytes().count(b"\n") == 1
    assert json.loads(path.read_bytes()) == {"a": "x\ny"}


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000], ids=range(5))
def test_a_damaged_file_is_replaced(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    assert read(path) == {}
    merge(path, {"a": 1})
    assert read(path) == {"a": 1}


def test_a_file_that_is_not_there_says_nothing(path):
    assert read(path) == {}


def test_writers_take_turns(path):
    threads = [threading.Thread(target=merge, args=(path, {str(number): number})) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(read(path).values()) == list(range(8))
    assert [each.name for each in path.parent.iterdir()] == [path.name], "temporaries left"


def test_whoever_holds_the_lock_for_ever_stops_nobody_for_ever(path, monkeypatch):
    monkeypatch.setattr(recon, "LOCK_TIMEOUT_S", 0.05)
    merge(path, {"a": 1})
    fd = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="locked"):
            merge(path, {"a": 2})
    finally:
        os.close(fd)
    merge(path, {"a": 3})
    assert read(path) == {"a": 3}
