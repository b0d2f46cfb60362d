"""ring/reload.py: a server follows its ring file, and survives every bad one."""

import logging
import os

import pytest

from objstore.ring.fileformat import RingFileError, save
from objstore.ring.reload import ReloadingRing
from tests.support.clock import SimClock
from tests.support.rings import make_ring


@pytest.fixture
def clock():
    return SimClock()


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "object.ring.gz"
    save(make_ring(version=1), path)
    return path


def test_a_changed_file_is_read_again_after_the_interval(path, clock):
    ring = ReloadingRing(path, 15.0, clock)
    assert ring.current.version == 1
    save(make_ring(version=2), path)
    clock.advance(14.9)
    assert ring.current.version == 1
    clock.advance(0.1)
    assert ring.current.version == 2


def test_an_unchanged_file_is_not_read_again(path, clock):
    ring = ReloadingRing(path, 15.0, clock)
    first = ring.current
    clock.advance(60)
    assert ring.current is first


def test_a_file_that_is_put_back_in_time_is_read_again(path, clock):
    ring = ReloadingRing(path, 15.0, clock)
    assert ring.current.version == 1
    save(make_ring(version=0), path)
    os.utime(path, (1, 1))
    clock.advance(15)
    assert ring.current.version == 0


@pytest.mark.parametrize("damage", ["cut", "flipped", "future", "gone"])
def test_a_bad_file_is_reported_once_and_the_ring_kept(path, clock, caplog, damage):
    ring = ReloadingRing(path, 15.0, clock)
    good = ring.current
    data = path.read_bytes()
    path.unlink()
    if damage != "gone":
        bad = {
            "cut": data[:-9],
            "flipped": data[:-5] + bytes([data[-5] ^ 1]) + data[-4:],
            "future": data.replace(b"R1NG\0\1", b"R1NG\0\7"),
        }
        path.write_bytes(bad[damage])
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            clock.advance(15)
            assert ring.current is good
    assert [str(path) in record.getMessage() for record in caplog.records] == [True]

    save(make_ring(version=5), path)
    clock.advance(15)
    assert ring.current.version == 5


def test_without_a_first_ring_the_error_is_raised_each_time_until_there_is_one(tmp_path, clock):
    path = tmp_path / "object.ring.gz"
    ring = ReloadingRing(path, 15.0, clock)
    for _ in range(2):
        with pytest.raises(RingFileError, match="No such file"):
            _ = ring.current
    save(make_ring(version=1), path)
    assert ring.current.version == 1
