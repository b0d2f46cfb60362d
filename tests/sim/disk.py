"""Disks that lose what was not synced.

The files of a simulated node are real files on a memory file system, so that SQLite, listings and whatever else goes
past the Fs seam sees what it always sees. Beside them stands a Shadow: what has reached the platter. It learns of it
where the code asks for it, in sync, sync_data and sync_directory, and nowhere else. After a power cut the node's disk
is built anew from the shadow:

- a file holds what it held at its last sync; of later writes nothing, all, or a torn part, by seed
- a directory has the names of its last sync; of every name that was added, removed or led elsewhere since, the old or
  the new state, by seed. A rename happens whole or not at all
- a SQLite database is as the process left it: its own syncs (synchronous=EXTRA) do not pass this seam, so its commits
  and rollback journals are taken as durable. Its name, the pending file and everything around it are not
"""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import eventlet

from objstore.runtime.fs import Fs
from tests.sim.host import HOST, acting

Entries = dict[str, int]
_SQLITE = b"SQLite format 3\0"


class Content:
    """Of one file: bytes, attributes and mode."""

    __slots__ = ("data", "attributes", "mode")

    def __init__(self, data: bytes, attributes: Mapping[str, bytes], mode: int) -> None:
        self.data = data
        self.attributes = dict(attributes)
        self.mode = mode

    @classmethod
    def of(cls, path: str) -> Content:
        with open(path, "rb") as file:
            data = file.read()
            names = os.listxattr(file.fileno())
            return cls(
                data, {name: os.getxattr(file.fileno(), name) for name in names}, os.fstat(file.fileno()).st_mode
            )

    def write(self, path: str) -> None:
        with open(path, "wb") as file:
            file.write(self.data)
        for name, value in self.attributes.items():
            os.setxattr(path, name, value)
        os.chmod(path, self.mode & 0o7777)


class Shadow:
    """What is durable of every file and directory, by inode number (a memory file system never uses one twice)."""

    def __init__(self) -> None:
        self.files: dict[int, Content] = {}
        self.directories: dict[int, Entries] = {}
        self._parents: dict[int, int] = {}

    def file_synced(self, fd: int) -> None:
        self.files[os.fstat(fd).st_ino] = Content.of(f"/proc/self/fd/{fd}")

    def directory_synced(self, path: str) -> None:
        number = os.stat(path).st_ino
        self.directories[number] = entries = _entries(path)
        for name, inode in entries.items():
            # A directory is in one place: where it is durable now, it has left the other.
            before = self._parents.get(inode, number)
            self._parents[inode] = number
            if before != number and os.path.isdir(f"{path}/{name}"):
                left = self.directories.get(before, {})
                self.directories[before] = {each: value for each, value in left.items() if value != inode}

    def all_synced(self, path: str) -> None:
        """A tree as it stands is durable: as after a clean shutdown."""
        self.directory_synced(path)
        for entry in os.scandir(path):
            if entry.is_dir(follow_symlinks=False):
                self.all_synced(entry.path)
            elif entry.is_file(follow_symlinks=False):
                self.files[entry.inode()] = Content.of(entry.path)

    def forget(self, path: str) -> None:
        """A disk was taken out and an empty one put in."""
        self.directories[os.stat(path).st_ino] = {}

    def power_cut(self, root: str, chance: random.Random) -> None:
        """Build the tree at root anew from what is durable, and by chance some of what is not."""
        _Rebuilt(self, root, chance).build()


class _Rebuilt:
    """greed: how likely an effect that was not synced has happened all the same; none, some or all of them."""

    def __init__(self, shadow: Shadow, root: str, chance: random.Random) -> None:
        self._shadow = shadow
        self._root = root
        self._chance = chance
        self._greed = chance.choice((0.0, 0.0, 0.5, 1.0))
        self._now: dict[int, Entries] = {}
        self._paths: dict[int, str] = {}
        self._made: dict[int, str] = {}
        self._together: dict[int, bool] = {}
        """By inode: whether what was done to its names lasts. A rename happens whole or not at all."""

    def build(self) -> None:
        old = f"{self._root}.lost"
        os.rename(self._root, old)
        self._walk(old)
        self._directory(os.stat(old).st_ino, self._root)
        shutil.rmtree(old)
        self._shadow.all_synced(self._root)

    def _walk(self, path: str) -> None:
        number = os.stat(path).st_ino
        self._paths[number] = path
        self._now[number] = _entries(path)
        for entry in os.scandir(path):
            if entry.is_dir(follow_symlinks=False):
                self._walk(entry.path)
            else:
                self._paths[entry.inode()] = entry.path

    def _happens(self) -> bool:
        return self._chance.random() < self._greed

    def _directory(self, number: int, path: str) -> None:
        os.mkdir(path)
        durable = self._shadow.directories.get(number, {})
        for name, inode in sorted(self._names(durable, self._now.get(number, durable)).items()):
            if inode in self._now or inode in self._shadow.directories:
                if inode not in self._made:  # A directory that moved has one name.
                    self._made[inode] = f"{path}/{name}"
                    self._directory(inode, f"{path}/{name}")
            else:
                self._file(inode, f"{path}/{name}")

    def _names(self, durable: Entries, now: Entries) -> Entries:
        """Of every name whose file changed, the old or the new."""
        together = self._together
        found = {name: inode for name, inode in durable.items() if now.get(name) == inode}
        changed = [name for name in {**durable, **now} if durable.get(name) != now.get(name)]
        for name in changed:
            if name.endswith("-journal"):
                is_new = True
            else:
                moved = [number for number in (durable.get(name), now.get(name)) if number in together]
                is_new = together[moved[0]] if moved else self._happens()
            for number in (durable.get(name), now.get(name)):
                if number is not None:
                    together.setdefault(number, is_new)
            inode = (now if is_new else durable).get(name)
            if inode is not None:
                found[name] = inode
        return found

    def _file(self, number: int, path: str) -> None:
        content = self._content(number)
        if content is not None:
            content.write(path)

    def _content(self, number: int) -> Content | None:
        durable = self._shadow.files.get(number)
        there = self._paths.get(number)
        if there is None:  # Its name was removed, which did not last.
            return durable
        now = Content.of(there)
        if now.data.startswith(_SQLITE) or there.endswith("-journal"):
            return now
        if durable is not None and durable.data == now.data and durable.attributes == now.attributes:
            return now
        if self._happens():
            return now
        before = durable or Content(b"", {}, now.mode)
        if self._chance.random() < 0.3:  # Pages reach the disk in any order, attributes with any of them.
            cut = self._chance.randrange(len(now.data) + 1)
            return Content(now.data[:cut] + before.data[cut:], before.attributes, now.mode)
        return before


def _entries(path: str) -> Entries:
    return {entry.name: entry.inode() for entry in os.scandir(path)}


class SimFs(Fs):
    """The file system of simulated processes: every effect takes a moment, may fail where the disk is failing, and
    does not happen any more once its process was killed."""

    shadow = Shadow()
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


def remove_tree(path: str) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(path)
