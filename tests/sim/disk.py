"""The file system of simulated processes, over disks that lose what was not synced (tests/support/durability.py)."""

from __future__ import annotations

import errno
import os
from typing import Any

import eventlet

from objstore.runtime.fs import Fs
from tests.sim.host import HOST, Process, acting
from tests.support.durability import Shadow


class SimFs(Fs):
    """The file system of simulated processes: every effect takes a moment, may fail where the disk is failing, and
    does not happen any more once its process was killed."""

    shadow = Shadow()
    _holders: dict[int, tuple[Process, int]] = {}
    """Who holds a file, by which descriptor; by inode number."""
    syncs_are_real = True
    """False: syncs promise and do nothing. A mutation of the tests."""

    def __init__(self) -> None:
        super().__init__(eventlet.sleep)

    def sync(self, fd: int) -> None:
        self._effect("sync", 0.0005)
        if self.syncs_are_real:
            self.shadow.file_synced(fd)

    sync_data = sync

    def sync_directory(self, path: str) -> None:
        self._effect("sync", 0.0005)
        number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        os.close(number)
        if self.syncs_are_real:
            self.shadow.directory_synced(path)

    def open_temporary(self, directory: str, prefix: str = "", suffix: str = "") -> tuple[int, str]:
        self._effect("create")
        path = f"{directory}/{prefix}{HOST.random.randbytes(4).hex()}{suffix}"
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), path

    def hold(self, fd: int) -> bool:
        """flock() would outlive a simulated process, whose descriptors stay open."""
        inode, process = os.fstat(fd).st_ino, acting()
        assert process is not None, "nobody holds"
        holder, held = self._holders.get(inode, (process, fd))
        if holder.is_alive and held != fd and _inode(held) == inode:
            return False
        self._holders[inode] = process, fd
        return True

    def _effect(self, kind: str, cost_s: float = 0.0) -> None:
        """Let others run now and then, as a disk does; and fail as one."""
        process = acting()
        if process is None:
            return
        if cost_s or HOST.random.random() < 0.1:
            eventlet.sleep(cost_s or 0.0002)
            acting()
        node = process.node
        if node is not None and node.disk_fails(kind):
            raise OSError(errno.EIO, os.strerror(errno.EIO))


def _inode(fd: int) -> int:
    """0: it is closed."""
    try:
        return os.fstat(fd).st_ino
    except OSError:
        return 0


def _with_effect(name: str, kind: str) -> Any:
    plain = getattr(Fs, name)

    def method(self: SimFs, *args: Any, **kwargs: Any) -> Any:
        self._effect(kind)
        return plain(self, *args, **kwargs)

    method.__name__ = name
    return method


for _name, _kind in {
    "open_unnamed": "create",
    "open_append": "create",
    "write": "write",
    "write_past_cache": "write",
    "link": "name",
    "link_name": "name",
    "rename": "name",
    "unlink": "name",
    "truncate": "write",
    "set_attributes": "write",
    "remove_directory": "name",
}.items():
    setattr(SimFs, _name, _with_effect(_name, _kind))


def _rename_durable(self: SimFs, source: str, target: str) -> None:
    self.rename(source, target)
    self.sync_directory(os.path.dirname(target))


SimFs.rename_durable = _rename_durable  # type: ignore[method-assign]  # Fs calls os.rename itself.
