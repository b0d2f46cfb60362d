"""What a disk holds after a power cut: a Shadow of what was synced, and every legal mixture of that with what was not.

    shadow = Shadow()
    shadow.file_synced(fd)                  and directory_synced(path), from an Fs at every sync
    shadow.power_cut(root, choices)         builds the tree at root anew, in place

Files stay real files, so that SQLite, listings and whatever else goes past the Fs seam sees what it always sees. The
shadow learns what reached the platter where the code asks for it (sync, sync_data, sync_directory) and nowhere else.
After a power cut

- a file holds what it held at its last sync, or what was written since, or (torn) a part of that
- a directory has the names of its last sync; of every name that was added, removed or led elsewhere since, the old or
  the new state. A rename happens whole or not at all
- a SQLite database is as the process left it: its own syncs (synchronous=EXTRA) do not pass the seam, so its commits
  and rollback journals are taken as durable. Its name, the pending file and everything around it are not

Choices decide: by chance (ByChance), or one after the other so that all are seen (tests/crash).
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Mapping
from typing import Protocol

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


class Choices(Protocol):
    def happens(self) -> bool:
        """Whether an effect that was not synced has reached the disk all the same."""

    def torn_at(self, size: int) -> int | None:
        """How many bytes of an unsynced file's end came through, in front of the older rest; None: none of it."""


class ByChance:
    """greed: how likely an effect has happened; per power cut it is none, some or all of them."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._greed = chance.choice((0.0, 0.0, 0.5, 1.0))

    def happens(self) -> bool:
        return self._chance.random() < self._greed

    def torn_at(self, size: int) -> int | None:
        return self._chance.randrange(size + 1) if self._chance.random() < 0.3 else None


class Shadow:
    """What is durable of every file and directory, by inode number.

    holds: keep the inodes by a descriptor each, so that no number is used again for another file. A memory file system
    never does that."""

    def __init__(self, *, holds: bool = True) -> None:
        self._holds = holds
        self._held: dict[int, int] = {}
        self.files: dict[int, Content] = {}
        self.directories: dict[int, Entries] = {}
        self._parents: dict[int, int] = {}

    def file_synced(self, fd: int) -> None:
        inode = os.fstat(fd).st_ino
        self._hold(f"/proc/self/fd/{fd}", inode)
        self.files[inode] = Content.of(f"/proc/self/fd/{fd}")

    def directory_synced(self, path: str) -> None:
        number = os.stat(path).st_ino
        self._hold(path, number)
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
                self._hold(entry.path, entry.inode())
                self.files[entry.inode()] = Content.of(entry.path)

    def forget(self, path: str) -> None:
        """A disk was taken out and an empty one put in."""
        self.directories[os.stat(path).st_ino] = {}

    def power_cut(self, root: str, choices: Choices) -> None:
        """Build the tree at root anew from what is durable, and from what is not as choices say."""
        before = f"{root}.lost"
        os.rename(root, before)
        self.after_power_cut(before, root, choices)
        shutil.rmtree(before)
        self.all_synced(root)

    def after_power_cut(self, root: str, target: str, choices: Choices) -> None:
        """Build at target, which is not there yet, what a power cut now would leave of the tree at root."""
        _Rebuilt(self, root, target, choices).build()

    def close(self) -> None:
        """Let the inodes go."""
        for fd in self._held.values():
            os.close(fd)
        self._held.clear()

    def _hold(self, path: str, inode: int) -> None:
        if self._holds and inode not in self._held:
            self._held[inode] = os.open(path, os.O_PATH)


class _Rebuilt:
    def __init__(self, shadow: Shadow, root: str, target: str, choices: Choices) -> None:
        self._shadow = shadow
        self._root = root
        self._target = target
        self._choices = choices
        self._now: dict[int, Entries] = {}
        self._paths: dict[int, str] = {}
        self._made: dict[int, str] = {}
        self._together: dict[int, bool] = {}
        """By inode: whether what was done to its names lasts. A rename happens whole or not at all."""

    def build(self) -> None:
        self._walk(self._root)
        self._directory(os.stat(self._root).st_ino, self._target)

    def _walk(self, path: str) -> None:
        number = os.stat(path).st_ino
        self._paths[number] = path
        self._now[number] = _entries(path)
        for entry in os.scandir(path):
            if entry.is_dir(follow_symlinks=False):
                self._walk(entry.path)
            else:
                self._paths[entry.inode()] = entry.path

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
                is_new = together[moved[0]] if moved else self._choices.happens()
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
        if self._choices.happens():
            return now
        before = durable or Content(b"", {}, now.mode)
        cut = self._choices.torn_at(len(now.data))
        if cut is not None:  # Pages reach the disk in any order, attributes with any of them.
            return Content(now.data[:cut] + before.data[cut:], before.attributes, now.mode)
        return before


def _entries(path: str) -> Entries:
    return {entry.name: entry.inode() for entry in os.scandir(path)}
