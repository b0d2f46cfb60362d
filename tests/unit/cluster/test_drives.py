import errno
import os

import pytest

from objstore.cluster.drives import DriveError, check_data, found
from objstore.core.hashing import HashSecrets
from objstore.runtime.fs import Fs
from tests.support.databases import account_databases, make_account
from tests.support.objects import LARGE_METADATA, SECRETS, make_address, make_disk_engine, put

OTHERS = HashSecrets(b"of", b"others")


def test_drives_are_made_and_lie_in_one_directory(tmp_path):
    drives = found([tmp_path / "d1", tmp_path / "d2"], Fs())
    assert (drives.root, drives.names, drives.is_mounted) == (tmp_path, ("d1", "d2"), False)
    assert all(path.is_dir() for path in drives.paths)


def test_a_drive_under_a_linked_directory_has_its_real_path(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert found([tmp_path / "link" / "d1"], Fs()).root == tmp_path / "real"


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        pytest.param([], "0 drives: expected 1 to 1000", id="none"),
        pytest.param(["a/d1", "b/d2"], "expected all drives of a node in one directory", id="apart"),
        pytest.param(["d1", "d1"], "a drive is named twice", id="twice"),
        pytest.param(["d 1"], "expected letters, digits and any of", id="a blank"),
        pytest.param(["50%/d1"], "expected a path without %", id="a percent sign"),
        pytest.param(["file/d1"], "not a directory that can be written", id="in a file"),
        pytest.param(["link"], "is a link, which rsync does not follow; name .*/elsewhere instead", id="a link"),
    ],
)
def test_drives_that_cannot_be_used_are_said_one_by_one(tmp_path, names, reason):
    (tmp_path / "file").write_text("")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DriveError, match=reason):
        found([tmp_path / name for name in names], Fs())


def test_a_drive_without_attributes_is_refused(tmp_path):
    class NoAttributes(Fs):
        def set_attributes(self, target, attributes):
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    with pytest.raises(DriveError, match="keeps no extended attributes"):
        found([tmp_path / "d1"], NoAttributes())


def test_an_empty_drive_belongs_to_nobody(tmp_path):
    check_data(found([tmp_path / "d1"], Fs()), OTHERS)


@pytest.mark.parametrize("policy_index", [0, 1], ids=["first policy", "second policy"])
def test_objects_tell_whose_drive_it_is(tmp_path, policy_index):
    drives = found([tmp_path / "d1"], Fs())
    put(make_disk_engine(tmp_path), make_address(device="d1", policy_index=policy_index))
    check_data(drives, SECRETS)
    with pytest.raises(DriveError, match="d1: holds data of another cluster .* empty it, or name another drive"):
        check_data(drives, OTHERS)


def test_an_object_whose_name_cannot_be_read_proves_nothing(tmp_path):
    drives = found([tmp_path / "d1"], Fs())
    put(make_disk_engine(tmp_path), make_address(device="d1"))
    (data,) = tmp_path.glob("d1/objects/*/*/*/*.data")
    os.removexattr(data, "user.swift.metadata")
    check_data(drives, OTHERS)


def test_databases_tell_whose_drive_it_is(tmp_path):
    broker = make_account(tmp_path, databases=account_databases())
    assert broker is not None
    drives = found([tmp_path / "sda1"], Fs())
    with pytest.raises(DriveError, match=r"sda1: holds data of another cluster \(accounts/"):
        check_data(drives, OTHERS)


def test_large_metadata_does_not_hide_a_name(tmp_path):
    drives = found([tmp_path / "d1"], Fs())
    put(make_disk_engine(tmp_path), make_address(device="d1"), **LARGE_METADATA)
    check_data(drives, SECRETS)
