"""The files of the node that holds the rings, and how a change of several of them is one change.

    DIR/etc/*.builder, *.ring.gz   as objstore-ring-builder writes them
    DIR/etc/rings.json             version and digests of what belongs together (cluster/ring_manifest.py)
    DIR/etc/.rings.next/           a change being written: of no meaning, removed at the next look
    DIR/etc/.rings.pending/        a change that is decided: its files are moved into place, rings.json last

A change is decided by one rename, from .rings.next to .rings.pending; a crash after it is repaired by moving what is
left, a crash before it leaves everything as it was. All rings of a change therefore change together, and a ring that
is in place belongs to the builder beside it. Used by cluster/holder.py, under its lock.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from objstore.cluster.ring_manifest import (
    BUILDER_SUFFIX,
    FILE_MODE,
    FILE_NAME,
    RING_SUFFIX,
    Manifest,
    RingSet,
    digest_of,
    is_ring_name,
    read_manifest,
)
from objstore.ring.builder import RingBuilder
from objstore.ring.builder_file import load_builder, save_builder
from objstore.ring.fileformat import load, save
from objstore.ring.model import Device, Ring
from objstore.runtime.fs import Fs

_NEXT = ".rings.next"
_PENDING = ".rings.pending"
_BACKUPS = "backups"


class RingStore:
    """Rings and builders by name: account, container, object, object-1 …"""

    def __init__(self, etc: Path, fs: Fs) -> None:
        self.etc = etc
        self._fs = fs

    # Reading

    def builder_path(self, name: str) -> Path:
        return self.etc / f"{name}{BUILDER_SUFFIX}"

    def ring_path(self, name: str) -> Path:
        return self.etc / f"{name}{RING_SUFFIX}"

    def ring_names(self) -> list[str]:
        return self._names(RING_SUFFIX)

    def builder_names(self) -> list[str]:
        return self._names(BUILDER_SUFFIX)

    def builder(self, name: str) -> RingBuilder:
        """Raises BuilderFileError."""
        return load_builder(self.builder_path(name))

    def ring(self, name: str) -> Ring:
        """Raises RingFileError."""
        return load(self.ring_path(name))

    def signatures(self) -> tuple[object, ...]:
        """Changes whenever a file does."""
        names = [
            FILE_NAME,
            *(name + suffix for suffix in (RING_SUFFIX, BUILDER_SUFFIX) for name in self._names(suffix)),
        ]
        return tuple((name, _signature(self.etc / name)) for name in names)

    def ring_set(self, manifest: Manifest) -> RingSet:
        """The files of a manifest, which must be in place."""
        files = {name: (digest, (self.etc / name).read_bytes()) for name, digest in manifest.rings.items()}
        return RingSet(manifest.version, files)

    def foreign_names(self, manifest: Manifest) -> list[str]:
        """Rings that are neither of the manifest nor what the builder beside them could have written."""
        known, digests = manifest.rings, self._digests(RING_SUFFIX)
        return [
            name for name in self.ring_names() if not (self._is_known(name, known, digests) or self.is_of_builder(name))
        ]

    def is_of_builder(self, name: str) -> bool:
        """Whether a ring has the table of the builder beside it, whose devices may have changed since, but not all of
        them: rings of other servers may have the same table. Raises RingFileError, BuilderFileError."""
        if not self.builder_path(name).exists():
            return False
        ring, builder = self.ring(name), self.builder(name)
        is_newer = ring.version is not None and ring.version > builder.version
        is_same_table = builder.rows is not None and list(ring.rows) == builder.rows
        return not is_newer and is_same_table and bool(_places(ring.devices) & _places(builder.devices))

    def _is_known(self, name: str, known: Mapping[str, str], digests: Mapping[str, str]) -> bool:
        file = f"{name}{RING_SUFFIX}"
        return self.builder_path(name).exists() and known.get(file) == digests[file]

    def _names(self, suffix: str) -> list[str]:
        names = sorted(path.name.removesuffix(suffix) for path in self.etc.glob(f"*{suffix}"))
        return [name for name in names if is_ring_name(name + RING_SUFFIX)]

    def _digests(self, suffix: str) -> dict[str, str]:
        return {name + suffix: digest_of((self.etc / (name + suffix)).read_bytes()) for name in self._names(suffix)}

    # Writing

    def taken_over(self) -> Manifest:
        """The manifest, made anew under the next version when the files are no longer those it names: somebody has
        worked by hand. A ring that is missing is written from its builder; a foreign one is left out and alone."""
        found = read_manifest(self.etc, self._fs)
        known = found or Manifest()
        foreign = {f"{name}{RING_SUFFIX}" for name in self.foreign_names(known)}
        missing = self._without_ring()
        rings = {
            name: known.rings.get(name, "") if name in foreign else digest for name, digest in self._ring_digests()
        }
        present = replace(
            known,
            rings={name: digest for name, digest in rings.items() if digest},
            builders=self._digests(BUILDER_SUFFIX),
        )
        if found is not None and not missing and present == known:
            return found
        return self.install(missing, present)

    def install(self, builders: Mapping[str, RingBuilder], manifest: Manifest, *, has_more: bool = False) -> Manifest:
        """Write builders, their rings, and the manifest that follows this one: all or none of it. Returns that.
        has_more: there are further steps of what was asked for."""
        draft = self.etc / _NEXT
        self._remove(draft)
        self._fs.make_directories(str(draft))
        for name, builder in builders.items():
            self._write(draft, name, builder)
        written = {path.name: digest_of(path.read_bytes()) for path in draft.iterdir()}
        rings = {name: digest for name, digest in written.items() if is_ring_name(name)}
        made = {name: digest for name, digest in written.items() if name not in rings}
        new = replace(
            manifest,
            version=manifest.version + 1,
            rings={**manifest.rings, **rings},
            builders={**manifest.builders, **made},
            has_more=has_more,
        )
        self._fs.replace_file(str(draft / FILE_NAME), new.to_bytes(), FILE_MODE)
        # From this rename on it is decided.
        self._fs.rename(str(draft), str(self.etc / _PENDING))
        self._move_into_place()
        return new

    def mark(self, manifest: Manifest) -> None:
        """Say otherwise what is to follow; the files are those of the manifest before."""
        self._fs.replace_file(str(self.etc / FILE_NAME), manifest.to_bytes(), FILE_MODE)

    @property
    def is_interrupted(self) -> bool:
        """Whether a change was decided and is not in place."""
        return (self.etc / _PENDING).is_dir()

    def recover(self) -> None:
        """Repair what a crash left: before anything else is read."""
        if self.is_interrupted:
            self._move_into_place()
        self._remove(self.etc / _NEXT)

    def rebuilt(self, builders: Mapping[str, RingBuilder], now_s: int) -> Manifest:
        """Install builders that were made from the rings as they are, after a copy of what they replace went to
        backups/<unix time>.<name>."""
        known = read_manifest(self.etc, self._fs) or Manifest()
        for name in builders:
            if self.builder_path(name).exists():
                copy = self.etc / _BACKUPS / f"{now_s}.{name}{BUILDER_SUFFIX}"
                self._fs.make_directories(str(copy.parent))
                self._fs.replace_file(str(copy), self.builder_path(name).read_bytes())
        return self.install(
            builders, replace(known, rings=dict(self._ring_digests()), builders=self._digests(BUILDER_SUFFIX))
        )

    def _ring_digests(self) -> list[tuple[str, str]]:
        return list(self._digests(RING_SUFFIX).items())

    def _without_ring(self) -> dict[str, RingBuilder]:
        """Builders that have been rebalanced and whose ring is not there."""
        names = [name for name in self.builder_names() if not self.ring_path(name).exists()]
        return {name: builder for name in names if (builder := self.builder(name)).rows is not None}

    def _write(self, directory: Path, name: str, builder: RingBuilder) -> None:
        save_builder(builder, directory / f"{name}{BUILDER_SUFFIX}", self._fs)
        # The oldest format that can hold the ring, so that every release reads it.
        format_version, id_bytes = (1, 2) if builder.id_bytes == 2 else (2, builder.id_bytes)
        path = directory / f"{name}{RING_SUFFIX}"
        save(builder.to_ring(), path, format_version, id_bytes=id_bytes, fs=self._fs)

    def _move_into_place(self) -> None:
        # Decided, before the first file that was in place is gone.
        self._fs.sync_directory(str(self.etc))
        pending = self.etc / _PENDING
        for name in sorted(os.listdir(pending), key=_order):
            if name == FILE_NAME:
                # Every file it names is in place, also after a power cut, before it says so.
                self._fs.sync_directory(str(self.etc))
            self._fs.rename(str(pending / name), str(self.etc / name))
        self._fs.sync_directory(str(self.etc))
        # With what a file system may have left of a move that the power cut in two: second names of what is in place.
        self._remove(pending)

    def _remove(self, directory: Path) -> None:
        if directory.is_dir():
            for name in os.listdir(directory):
                self._fs.unlink(str(directory / name))
            self._fs.remove_directory(str(directory))


def _places(devices: Iterable[Device | None]) -> set[tuple[int, str, int, str]]:
    return {(device.id, device.ip, device.port, device.device) for device in devices if device is not None}


def _order(name: str) -> tuple[int, str]:
    """Builders first: what a ring was made from is there before it is. The manifest last."""
    return (0 if name.endswith(BUILDER_SUFFIX) else 2 if name == FILE_NAME else 1), name


def _signature(path: Path) -> tuple[int, ...] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
