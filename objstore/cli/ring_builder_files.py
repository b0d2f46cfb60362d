"""The files of objstore-ring-builder: a builder, its ring beside it, and copies of both in backups/.

One command at a time works in a directory: it holds the directory's .lock, as Swift's tool does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from objstore.ring.builder import RingBuilder
from objstore.ring.builder_file import load_builder, save_builder
from objstore.ring.fileformat import RingFileError, load, save
from objstore.runtime.clock import Clock
from objstore.runtime.fs import Fs

_LOCK_TIMEOUT_S = 15.0
_BUILDER_SUFFIX = ".builder"
_RING_SUFFIX = ".ring.gz"


@dataclass(frozen=True, slots=True)
class RingFiles:
    """builder and ring: paths. fs and clock: the seams through which they are written and dated."""

    builder: Path
    ring: Path
    fs: Fs
    clock: Clock

    @classmethod
    def of(cls, name: str, fs: Fs, clock: Clock) -> RingFiles:
        """name: of the builder, or of the ring beside it."""
        path = Path(name)
        if path.name.endswith(_RING_SUFFIX):
            return cls(path.with_name(path.name.removesuffix(_RING_SUFFIX) + _BUILDER_SUFFIX), path, fs, clock)
        ring = path.with_name(path.name.removesuffix(_BUILDER_SUFFIX) + _RING_SUFFIX)
        return cls(path, ring, fs, clock)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Raises LockTimeout; OSError when there is no such directory."""
        with self.fs.lock(str(self.builder.parent / ".lock"), _LOCK_TIMEOUT_S):
            yield

    def now_s(self) -> int:
        return int(self.clock.now().ticks // 100_000)

    def load(self) -> RingBuilder:
        return load_builder(self.builder)

    def save(self, builder: RingBuilder) -> None:
        save_builder(builder, self.builder, self.fs)

    def save_ring(self, builder: RingBuilder, format_version: int | None = None, id_bytes: int = 2) -> None:
        """format_version: None for the oldest that can hold the ring, so that every release reads it."""
        if format_version is None:
            format_version, id_bytes = (1, 2) if builder.id_bytes == 2 else (2, builder.id_bytes)
        save(builder.to_ring(), self.ring, format_version, id_bytes=id_bytes, fs=self.fs)

    def back_up(self, *paths: Path) -> None:
        """Copies of files as they are now: backups/<unix time>.<name>."""
        directory = self.builder.parent.absolute() / "backups"
        self.fs.make_directories(str(directory))
        for path in paths:
            self.fs.replace_file(str(directory / f"{self.now_s()}.{path.name}"), path.read_bytes())

    def ring_state(self, builder: RingBuilder) -> str:
        """Whether the ring is what the builder would write: up-to-date, obsolete, not found or unreadable."""
        if not self.ring.exists():
            return "not found"
        try:
            version = load(self.ring).version
        except RingFileError:
            return "unreadable"
        return "up-to-date" if version == builder.version else "obsolete"
