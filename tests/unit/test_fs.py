"""runtime/fs.py on the real file system."""

import fcntl
import os

import pytest

from objstore.core.errors import LockTimeout
from objstore.runtime.fs import Fs


@pytest.fixture
def fs():
    return Fs()


def test_unnamed_file_gets_a_name(fs, tmp_path):
    fd = fs.open_unnamed(str(tmp_path))
    fs.preallocate(fd, 4096)
    fs.write(fd, b"body")
    fs.set_attributes(fd, {"swift.metadata": b"m"})
    fs.sync(fd)
    fs.link(fd, str(tmp_path / "named"))
    os.close(fd)
    assert (tmp_path / "named").read_bytes() == b"body"
    assert fs.get_attribute(str(tmp_path / "named"), "swift.metadata") == b"m"
    assert fs.get_attribute(str(tmp_path / "named"), "swift.metadata1") is None
    assert fs.attribute_names(str(tmp_path / "named")) == ["swift.metadata"]


def test_link_refuses_a_name_that_exists(fs, tmp_path):
    (tmp_path / "named").write_bytes(b"old")
    fd = fs.open_unnamed(str(tmp_path))
    with pytest.raises(FileExistsError):
        fs.link(fd, str(tmp_path / "named"))
    os.close(fd)
    assert (tmp_path / "named").read_bytes() == b"old"


def test_replace_file_leaves_the_old_one_when_writing_fails(fs, tmp_path):
    class Full(Fs):
        def sync(self, fd):
            raise OSError(28, "No space left on device")

    path = tmp_path / "file"
    fs.replace_file(str(path), b"old")
    with pytest.raises(OSError, match="No space"):
        Full().replace_file(str(path), b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_make_directories_makes_each_and_minds_none_that_exist(fs, tmp_path):
    fs.make_directories(str(tmp_path / "a" / "b" / "c"))
    fs.make_directories(str(tmp_path / "a" / "b" / "c"))
    assert (tmp_path / "a" / "b" / "c").is_dir()


def test_a_lock_is_exclusive_and_times_out(tmp_path):
    naps = []
    fs = Fs(sleep=naps.append)
    with fs.lock(str(tmp_path / ".lock"), 1):
        with pytest.raises(LockTimeout), fs.lock(str(tmp_path / ".lock"), 0.1):
            pass
    assert sum(naps) >= 0.1
    with fs.lock(str(tmp_path / ".lock"), 0):
        pass


def test_remove_directory_keeps_one_that_is_not_empty(fs, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").touch()
    assert fs.remove_directory(str(tmp_path / "d")) is False
    assert fs.unlink(str(tmp_path / "d" / "f")) is True
    assert fs.unlink(str(tmp_path / "d" / "f")) is False
    assert fs.remove_directory(str(tmp_path / "d")) is True


@pytest.mark.parametrize("size", [0, 1, (1 << 14) - 1, 1 << 14, (1 << 14) + 1, 100_000])
def test_a_list_is_read_whole_and_appended_to(tmp_path, size):
    path, lines = tmp_path / "list", b"ab\n" * (size // 3) + b"x" * (size % 3)
    path.write_bytes(lines)
    fs = Fs()
    fd, is_new = fs.open_list(str(path))
    try:
        assert (fs.rest(fd), is_new) == (lines, False)
        fs.write(fd, b"end")
    finally:
        os.close(fd)
    assert path.read_bytes() == lines + b"end" == fs.content(str(path))


def test_a_list_is_created_when_missing(tmp_path):
    fd, is_new = Fs().open_list(str(tmp_path / "list"))
    os.close(fd)
    assert is_new and (tmp_path / "list").read_bytes() == b""


def test_a_lock_whose_file_went_away_meanwhile_is_taken_anew(tmp_path):
    path = str(tmp_path / ".lock")
    holder = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(holder, fcntl.LOCK_EX)

    def directory_is_cleared(seconds):
        os.unlink(path)
        os.close(holder)

    with Fs(directory_is_cleared).lock(path, 1):
        with pytest.raises(LockTimeout), Fs().lock(path, 0):
            pass
