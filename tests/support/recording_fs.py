"""A file system that tells what was done to it, and can stop between any two effects, as a power cut does."""

from __future__ import annotations

import os

from objstore.runtime.fs import Fs


class PowerCut(BaseException):
    """Not an Exception: nothing may catch it and clean up as if the process lived on."""


class RecordingFs(Fs):
    """events: (effect, path or what the descriptor is, …) in order. stop_after: effects until PowerCut; None: never.

    fail: effect → OSError to raise instead of doing it.
    """

    def __init__(self, stop_after: int | None = None, fail: dict[str, OSError] | None = None) -> None:
        super().__init__()
        self.events: list[tuple[str, ...]] = []
        self._stop_after = stop_after
        self._fail = fail or {}

    def _do(self, effect: str, *details: str) -> None:
        if self._stop_after is not None and len(self.events) >= self._stop_after:
            raise PowerCut
        if effect in self._fail:
            raise self._fail[effect]
        self.events.append((effect, *details))

    def create_directories(self, path: str) -> list[str]:
        self._do("make", path)
        return super().create_directories(path)

    def make_directories(self, path: str) -> None:
        self._do("make", path)
        super().make_directories(path)

    def sync_directory(self, path: str) -> None:
        self._do("sync directory", path)
        super().sync_directory(path)

    def open_unnamed(self, directory: str) -> int:
        self._do("open unnamed", directory)
        return super().open_unnamed(directory)

    def write(self, fd: int, data: bytes | bytearray | memoryview) -> None:
        self._do("write", _target(fd))
        super().write(fd, data)

    def sync(self, fd: int) -> None:
        self._do("sync", _target(fd))
        super().sync(fd)

    def sync_data(self, fd: int) -> None:
        self._do("sync", _target(fd))
        super().sync_data(fd)

    def preallocate(self, fd: int, size: int) -> None:
        self._do("preallocate", _target(fd))
        super().preallocate(fd, size)

    def link(self, fd: int, path: str) -> None:
        self._do("link", path)
        super().link(fd, path)

    def rename(self, source: str, target: str) -> None:
        self._do("rename", source, target)
        super().rename(source, target)

    def unlink(self, path: str) -> bool:
        self._do("unlink", path)
        return super().unlink(path)

    def truncate(self, fd: int, size: int) -> None:
        self._do("truncate", _target(fd))
        super().truncate(fd, size)

    def set_attributes(self, target: int | str, attributes: dict[str, bytes]) -> None:
        self._do("set attributes", _target(target) if isinstance(target, int) else target)
        super().set_attributes(target, attributes)

    def index(self, effect: str, ending: str) -> int:
        """Where in events an effect on a path first stands. ending: of its last path."""
        for index, event in enumerate(self.events):
            if event[0] == effect and event[-1].endswith(ending):
                return index
        raise AssertionError(f"{effect} {ending} is not in {self.events}")


def _target(fd: int) -> str:
    return os.path.basename(os.readlink(f"/proc/self/fd/{fd}")).split(" ")[0].removeprefix("#")
