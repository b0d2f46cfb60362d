"""Running an operation up to every effect, and looking at every legal state that a power cut leaves then."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from objstore.runtime.fs import Fs
from tests.support.durability import Shadow
from tests.support.recording_fs import PowerCut, RecordingFs

STATES_AT_MOST = 32
"""Of one crash point. With more, all decisions alike come first (nothing, everything), then the others in order."""
EFFECTS_AT_MOST = 80


class CrashingFs(RecordingFs):
    """Tells a shadow of every sync. What RecordingFs does not count is an effect here, too."""

    def __init__(self, shadow: Shadow, stop_after: int | None = None) -> None:
        super().__init__(stop_after)
        self._shadow = shadow

    def sync(self, fd: int) -> None:
        super().sync(fd)
        self._shadow.file_synced(fd)

    def sync_data(self, fd: int) -> None:
        super().sync_data(fd)
        self._shadow.file_synced(fd)

    def sync_directory(self, path: str) -> None:
        super().sync_directory(path)
        self._shadow.directory_synced(path)

    def rename_durable(self, source: str, target: str) -> None:
        self.rename(source, target)
        self.sync_directory(os.path.dirname(target))

    def remove_directory(self, path: str) -> bool:
        self._do("remove directory", path)
        return super().remove_directory(path)

    def link_name(self, source: str, target: str) -> None:
        self._do("link", target)
        super().link_name(source, target)


class Script:
    """Choices one after the other: `script` first, then no. asked: how many there were."""

    def __init__(self, script: tuple[bool, ...], *, otherwise: bool = False) -> None:
        self._script = script
        self._otherwise = otherwise
        self.asked = 0

    def happens(self) -> bool:
        self.asked += 1
        return self._script[self.asked - 1] if self.asked <= len(self._script) else self._otherwise

    def torn_at(self, size: int) -> int | None:
        return size // 2 if self.happens() else None


@dataclass(frozen=True)
class Operation:
    """prepare(place): what is there before, made durable by the suite. change(place, fs): the operation, through fs.
    look(place): what a process that starts afterwards finds; it may mend what it likes. place: an empty directory.

    fits(found, old, new, is_done): whether that is legal; is_done: the operation came to its end. As a rule: the new
    state then, and before that the old or the new one.
    """

    change: Callable[[Path, Fs], object]
    look: Callable[[Path], object]
    prepare: Callable[[Path], object] = lambda place: None
    fits: Callable[[Any, Any, Any, bool], bool] = lambda found, old, new, is_done: (
        found == new or (found == old and not is_done)
    )


@dataclass(frozen=True)
class Found:
    """after: effects before the power cut. state: what look() said."""

    after: int
    state: object
    is_done: bool


def every_power_cut(operation: Operation, folder: Path) -> Iterator[Found]:
    """What is found after a power cut at every point of an operation, in every state it may leave."""
    for after in range(EFFECTS_AT_MOST):
        place = folder / f"{after}"
        place.mkdir()
        operation.prepare(place)
        shadow = Shadow()
        try:
            shadow.all_synced(str(place))
            is_done = _run(operation, place, CrashingFs(shadow, after))
            for number, state in enumerate(_states(shadow, place)):
                yield Found(after, operation.look(state), is_done)
                shutil.rmtree(state)
                assert number < STATES_AT_MOST + 2
        finally:
            shadow.close()
        shutil.rmtree(place)
        if is_done:
            return
    raise AssertionError(f"more than {EFFECTS_AT_MOST} effects")


def before_and_after(operation: Operation, folder: Path) -> tuple[object, object]:
    """What look() says of the old and of the new state."""
    old, new = folder / "old", folder / "new"
    for place in (old, new):
        place.mkdir()
        operation.prepare(place)
    operation.change(new, Fs())
    return operation.look(old), operation.look(new)


def _run(operation: Operation, place: Path, fs: Fs) -> bool:
    try:
        operation.change(place, fs)
    except PowerCut:
        return False
    return True


def _states(shadow: Shadow, place: Path) -> Iterator[Path]:
    """Directories with what a power cut may leave, each once."""
    scripts = [Script(()), Script((), otherwise=True)]
    for number, script in enumerate(scripts):
        target = place.with_name(f"{place.name}-{number}")
        shadow.after_power_cut(str(place), str(target), script)
        yield target
    count = min(scripts[0].asked, STATES_AT_MOST.bit_length() - 1)
    for number in range(1, 1 << count):
        target = place.with_name(f"{place.name}+{number}")
        bits = tuple(bool(number >> bit & 1) for bit in range(count))
        shadow.after_power_cut(str(place), str(target), Script(bits))
        yield target
