"""Where downloads land: files below one directory, and nowhere else.

Every directory on the way is opened by its name in the one above, links not followed, so that neither a name nor a
link that lies there leads out. Until it is whole, a file has a name of its own, .objstore-<name>-<etag>.part, so
that a download that was cut off goes on, and one of another version does not take its bytes.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from objstore.client.errors import ClientError

PART_NAME = re.compile(r"\.objstore-[0-9a-f]{16}-[0-9A-Za-z]*\.part")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Part:
    """A file that is being written. It stays when its block ends, unless commit() or discard() is called."""

    def __init__(self, directory: int, name: str, descriptor: int, final: str) -> None:
        self._directory = directory
        self._name = name
        self._final = final
        self.descriptor = descriptor

    @property
    def size_bytes(self) -> int:
        return os.fstat(self.descriptor).st_size

    def write(self, data: bytes, position: int) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self.descriptor, view, position)
            view, position = view[written:], position + written

    def restart(self) -> None:
        """Forget what is in it."""
        os.ftruncate(self.descriptor, 0)

    def commit(self, size_bytes: int, mtime_ns: int | None) -> None:
        """Give it its name, durable before: what had that name is replaced whole or not at all. What stands behind
        size_bytes was left by somebody else."""
        os.ftruncate(self.descriptor, size_bytes)
        if mtime_ns is not None:
            os.utime(self.descriptor, ns=(mtime_ns, mtime_ns))
        os.fsync(self.descriptor)
        os.rename(self._name, self._final, src_dir_fd=self._directory, dst_dir_fd=self._directory)

    def discard(self) -> None:
        os.unlink(self._name, dir_fd=self._directory)


class Landing:
    """root: made when it is missing, with the directories above it."""

    def __init__(self, root: str) -> None:
        self._root = root

    def shown(self, parts: Sequence[str]) -> str:
        return str(Path(self._root, *parts))

    @contextmanager
    def existing(self, parts: Sequence[str]) -> Iterator[int | None]:
        """A descriptor for reading the file that is there; None when there is none, or something else."""
        try:
            with self._directory(parts[:-1], makes=False) as directory:
                descriptor = os.open(
                    parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=directory
                )
        except OSError:
            yield None
            return
        try:
            yield descriptor if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
        finally:
            os.close(descriptor)

    def make_directory(self, parts: Sequence[str]) -> None:
        """Raises OSError."""
        with self._directory(parts, makes=True):
            pass

    @contextmanager
    def part(self, parts: Sequence[str], etag: str) -> Iterator[Part]:
        """Raises ClientError when another process has it, OSError."""
        digest = hashlib.sha256("/".join(parts[-1:]).encode()).hexdigest()[:16]
        name = f".objstore-{digest}-{_plain(etag)}.part"
        with self._directory(parts[:-1], makes=True) as directory:
            _check_free(directory, parts[-1], self.shown(parts))
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(name, flags, 0o666, dir_fd=directory)
            try:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise ClientError(f"{self.shown(parts)}: another copy to it is under way") from None
                if not _is_named(descriptor, name, directory):
                    raise ClientError(f"{self.shown(parts)}: another copy to it has just ended; do it again")
                yield Part(directory, name, descriptor, parts[-1])
            finally:
                os.close(descriptor)

    @contextmanager
    def _directory(self, parts: Sequence[str], *, makes: bool) -> Iterator[int]:
        if makes:
            os.makedirs(self._root, exist_ok=True)
        # The root itself may be a link: whoever gave the command has named it.
        descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for index, part in enumerate(parts):
                below = _opened(descriptor, part, makes, self.shown(parts[: index + 1]))
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)


def _opened(directory: int, name: str, makes: bool, shown: str) -> int:
    if makes:
        try:
            os.mkdir(name, dir_fd=directory)
        except FileExistsError:
            pass
    try:
        return os.open(name, _DIRECTORY, dir_fd=directory)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise OSError(error.errno, "a link or a file stands where a directory is needed", shown) from None
        raise


def _check_free(directory: int, name: str, shown: str) -> None:
    """Whether a file can be renamed to this name. Raises OSError."""
    try:
        facts = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(facts.st_mode):
        raise OSError(errno.EISDIR, "a directory stands where the file is to go", shown)


def _is_named(descriptor: int, name: str, directory: int) -> bool:
    """Whether a file that was opened has its name still: another copy may have finished between open and lock."""
    try:
        facts = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    here = os.fstat(descriptor)
    return (facts.st_dev, facts.st_ino) == (here.st_dev, here.st_ino)


def _plain(etag: str) -> str:
    """An ETag as part of a file's name, whatever the cluster makes it of."""
    is_plain = etag.isascii() and etag.isalnum() and len(etag) <= 64
    return etag if is_plain else hashlib.sha256(etag.encode("utf-8", "surrogateescape")).hexdigest()[:32]
