"""Files on a device: every effect on disk that durability rests on, in one seam.

Engines and brokers call these methods and nothing of `os` that writes, so that a test can record each effect, fail it
with ENOSPC or EIO, or stop between two of them. Paths are str; descriptors are ints. Errors are OSError, as they come.

The rule behind the names: what says `durable` has also synced the directory; a rename alone can vanish at power loss.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

from objstore.core.errors import LockTimeout

_LOCK_POLL_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
_NO_ATTRIBUTE = frozenset({errno.ENODATA})
_libc = ctypes.CDLL(None, use_errno=True)
_KEEP_SIZE = 1
_READ_BYTES = 1 << 14
_LOCK_ATTEMPTS = 10
"""How often a lock is taken again because its file was removed meanwhile."""
_MAKE_ATTEMPTS = 10
"""How often a directory above is made again because a cleaner removed it as empty."""


class Fs:
    """The real file system. sleep: how a lock waits (green inside servers, plain in commands)."""

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        self._sleep = sleep

    # Directories

    def make_directories(self, path: str) -> None:
        """Create a directory and its missing parents, and make each new name durable."""
        missing = []
        while not os.path.isdir(path):
            missing.append(path)
            path = os.path.dirname(path)
        for directory in reversed(missing):
            try:
                os.mkdir(directory)
            except FileExistsError:
                continue
            self.sync_directory(os.path.dirname(directory))

    def create_directories(self, path: str) -> list[str]:
        """As make_directories, without syncing: the directories that got a new entry, innermost first, for the caller
        to sync once everything else it writes is in place."""
        changed: list[str] = []
        parent = path.rpartition("/")[0]
        for _ in range(_MAKE_ATTEMPTS):
            try:
                os.mkdir(path)
            except FileExistsError:
                return changed
            except FileNotFoundError:
                changed = [*self.create_directories(parent), *changed]
            else:
                return [parent, *changed]
        raise FileNotFoundError(errno.ENOENT, "the directory above keeps vanishing", path)

    def sync_directory(self, path: str) -> None:
        """Make the names in a directory durable."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def sync_directories(self, paths: Sequence[str]) -> None:
        """As sync_directory for several, in any order or at once."""
        for path in paths:
            self.sync_directory(path)

    def remove_directory(self, path: str) -> bool:
        """Remove an empty directory; False when it is not empty or not there."""
        try:
            os.rmdir(path)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST):
                return False
            raise
        return True

    # Files

    def open_unnamed(self, directory: str) -> int:
        """A file without a name in `directory`, to be given one by link(). Raises OSError(EOPNOTSUPP or EISDIR) where
        the file system has no O_TMPFILE."""
        return os.open(directory, os.O_TMPFILE | os.O_WRONLY, 0o644)

    def open_append(self, path: str) -> int:
        """A file to append to, created when missing."""
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def open_list(self, path: str) -> tuple[int, bool]:
        """A file to read and append to, created when missing; (descriptor, whether it was created)."""
        try:
            return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC), False
        except FileNotFoundError:
            return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_CREAT, 0o644), True

    def content(self, path: str) -> bytes | None:
        """All of a small file; None when it is not there."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            return self.rest(fd)
        finally:
            os.close(fd)

    def rest(self, fd: int) -> bytes:
        """What a file holds from the descriptor's position on."""
        data = piece = os.read(fd, _READ_BYTES)
        # A short read of a file is its end.
        while len(piece) == _READ_BYTES:
            piece = os.read(fd, _READ_BYTES)
            data += piece
        return data

    def open_read(self, path: str) -> int:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def open_temporary(self, directory: str, prefix: str = "", suffix: str = "") -> tuple[int, str]:
        """A new file of a name nobody else has, mode 0600; (descriptor, path)."""
        return tempfile.mkstemp(dir=directory, prefix=prefix, suffix=suffix)

    def write(self, fd: int, data: bytes | bytearray | memoryview) -> None:
        """All of data at the descriptor's position."""
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]

    def write_at(self, fd: int, data: bytes, offset: int) -> None:
        """A few bytes over others, in one piece for whoever reads them."""
        os.pwrite(fd, data, offset)

    def bypass_cache(self, fd: int, is_on: bool) -> bool:
        """Have writes go straight to the disk (O_DIRECT) or not; False where the file system cannot."""
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        try:
            fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_DIRECT if is_on else flags & ~os.O_DIRECT)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return False
        return True

    def write_past_cache(self, fd: int, data: memoryview) -> int:
        """How much of data one write took; 0 where its address, its size or the position are not what the disk
        needs."""
        try:
            return os.write(fd, data)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return 0
            raise

    def sync(self, fd: int) -> None:
        os.fsync(fd)

    def sync_data(self, fd: int) -> None:
        os.fdatasync(fd)

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def preallocate(self, fd: int, size: int) -> None:
        """Reserve blocks without changing the file's size. Raises OSError(ENOSPC); a file system that cannot is let
        off."""
        if size <= 0:
            return
        if _libc.fallocate(fd, _KEEP_SIZE, ctypes.c_int64(0), ctypes.c_int64(size)) != 0:
            code = ctypes.get_errno()
            if code not in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL):
                raise OSError(code, os.strerror(code))

    def drop_cache(self, fd: int, offset: int, length: int) -> None:
        """Tell the kernel these pages will not be read again soon."""
        os.posix_fadvise(fd, offset, length, os.POSIX_FADV_DONTNEED)

    def link(self, fd: int, path: str) -> None:
        """Give an unnamed file a name. Raises FileExistsError."""
        # Without src_dir_fd (any descriptor will do) Python calls link(), which does not follow /proc/self/fd and
        # fails with EXDEV.
        os.link(f"/proc/self/fd/{fd}", path, src_dir_fd=fd, follow_symlinks=True)

    def link_name(self, source: str, target: str) -> None:
        """A second name for a named file. Raises FileExistsError."""
        os.link(source, target)

    def replace_symlink(self, target: str, path: str) -> None:
        """A symbolic link at `path`, instead of what is there, in one step; not durable. Its directory must exist."""
        temporary = f"{path}.{os.getpid()}-{threading.get_ident()}.tmp"
        self.unlink(temporary)
        os.symlink(target, temporary)
        try:
            self.rename(temporary, path)
        except BaseException:
            self.unlink(temporary)
            raise

    def rename(self, source: str, target: str) -> None:
        """Replace target in one step; not durable until its directory is synced."""
        os.rename(source, target)

    def rename_durable(self, source: str, target: str) -> None:
        os.rename(source, target)
        self.sync_directory(os.path.dirname(target))

    def unlink(self, path: str) -> bool:
        """Remove a name; False when it is not there."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            return False
        return True

    def replace_file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Write a whole file so that a crash leaves the old one or the new one: temporary, fsync, rename, fsync."""
        directory = os.path.dirname(path) or "."
        fd, temporary = self.open_temporary(directory, prefix="." + os.path.basename(path) + ".")
        try:
            try:
                os.fchmod(fd, mode)
                self.write(fd, data)
                self.sync(fd)
            finally:
                os.close(fd)
            self.rename(temporary, path)
        except BaseException:
            self.unlink(temporary)
            raise
        self.sync_directory(directory)

    # Extended attributes, names without the "user." prefix

    def set_attributes(self, target: int | str, attributes: Mapping[str, bytes]) -> None:
        """Raises OSError: ENOSPC or E2BIG when they do not fit, EOPNOTSUPP where there are none."""
        for name, value in attributes.items():
            os.setxattr(target, f"user.{name}", value)

    def get_attribute(self, target: int | str, name: str) -> bytes | None:
        try:
            return os.getxattr(target, f"user.{name}")
        except OSError as error:
            if error.errno in _NO_ATTRIBUTE:
                return None
            raise

    def attribute_names(self, target: int | str) -> list[str]:
        return [name.removeprefix("user.") for name in os.listxattr(target) if name.startswith("user.")]

    def remove_attribute(self, target: int | str, name: str) -> None:
        try:
            os.removexattr(target, f"user.{name}")
        except OSError as error:
            if error.errno not in _NO_ATTRIBUTE:
                raise

    # Space and locks

    def free_space(self, path: str) -> tuple[int, int]:
        """(bytes free for an ordinary user, bytes in all) of the file system of path."""
        status = os.statvfs(path)
        return status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize

    def lock(self, path: str, timeout_s: float) -> AbstractContextManager[None]:
        """Hold flock(LOCK_EX) on a file, created when missing (its directory must exist). Raises LockTimeout.

        Whoever shares the disk locks the same inode (formats 4.10), so the file is never replaced. It may go together
        with its directory: who has waited for a file that has no name any more locks the one that stands there now.
        """
        return _Lock(self, path, timeout_s)

    def acquire(self, fd: int, path: str, timeout_s: float) -> None:
        """flock(LOCK_EX) on an open file; release() or closing it ends that. Raises LockTimeout."""
        waited, attempt = 0.0, 0
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if waited >= timeout_s:
                    raise LockTimeout(path, timeout_s) from None
            pause = _LOCK_POLL_S[min(attempt, len(_LOCK_POLL_S) - 1)]
            self._sleep(pause)
            waited, attempt = waited + pause, attempt + 1

    def hold(self, fd: int) -> bool:
        """Take the lock of an open file without waiting, for as long as it is open: whether nobody else had it. The end
        of the process ends that too."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self, fd: int) -> None:
        """Give up what acquire() took."""
        fcntl.flock(fd, fcntl.LOCK_UN)


class _Lock:
    __slots__ = ("_fs", "_path", "_timeout_s", "_fd")

    def __init__(self, fs: Fs, path: str, timeout_s: float) -> None:
        self._fs = fs
        self._path = path
        self._timeout_s = timeout_s
        self._fd = -1

    def __enter__(self) -> None:
        for _ in range(_LOCK_ATTEMPTS):
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o755)
            try:
                self._fs.acquire(fd, self._path, self._timeout_s)
                if os.fstat(fd).st_nlink:
                    self._fd = fd
                    return
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)
        raise LockTimeout(self._path, self._timeout_s)

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
