import os
from collections import namedtuple

import pytest

from objstore.cluster import drive_weights

Status = namedtuple("Status", "f_blocks f_frsize")


@pytest.fixture
def sizes(tmp_path, monkeypatch):
    """Name of a drive → bytes of its file system."""
    found = {}
    monkeypatch.setattr(os, "statvfs", lambda path: Status(found[path.name] // 4096, 4096))
    return found


def drive(tmp_path, name):
    (tmp_path / name).mkdir()
    return tmp_path / name


@pytest.mark.parametrize(
    ("size", "weight"),
    [(0, 1), (300 * 10**6, 1), (4 * 10**12, 4000), (480 * 10**9, 480), (10**19, drive_weights.WEIGHT_MAX)],
)
def test_a_drive_weighs_a_gigabyte_each(tmp_path, sizes, size, weight):
    sizes["d1"] = size
    assert drive_weights.of([drive(tmp_path, "d1")], None) == {"d1": weight}


def test_drives_of_one_file_system_share_its_weight(tmp_path, sizes):
    sizes |= {"d1": 10**12, "d2": 10**12}
    assert drive_weights.of([drive(tmp_path, "d1"), drive(tmp_path, "d2")], None) == {"d1": 500, "d2": 500}


def test_what_the_operator_says_goes_before_the_size(tmp_path):
    assert drive_weights.of([drive(tmp_path, "d1")], 7) == {"d1": 7}


def test_a_cluster_that_has_not_weighed_its_drives_goes_on_so(tmp_path):
    assert drive_weights.of([drive(tmp_path, "d1")], None, is_by_size=False) == {"d1": 100}


def test_a_directory_beside_others_or_that_is_missing_has_no_weight_of_its_own(tmp_path):
    assert drive_weights.of_own_file_system(drive(tmp_path, "d1")) is None
    assert drive_weights.of_own_file_system(tmp_path / "d2") is None
