"""The drives an operator names for a node: directories, best mount points, that lie side by side.

The servers' setting `devices` is the directory they lie in, and a drive's name there is its device name: so rsync's
modules reach them without links, which rsync refuses to follow. Everything is looked at before anything is changed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from objstore.cluster.init import InitError, check_directory
from objstore.core.errors import DomainError
from objstore.core.hashing import HashSecrets
from objstore.db.check import path_matches
from objstore.runtime.devices import is_safe_name
from objstore.runtime.fs import Fs
from objstore.storage import metadata

_FILES_CHECKED = 3
"""Of a kind and drive: one tells, a few make sure that it is not a stray."""
_DRIVES_MAX = 1000


class DriveError(DomainError):
    """A drive cannot be used: which, why, and what to do. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Drives:
    """root: the directory they lie in. is_mounted: each is a mount point, and is to be refused when it is not."""

    root: Path
    names: tuple[str, ...]
    is_mounted: bool

    @property
    def paths(self) -> list[Path]:
        return [self.root / name for name in self.names]


def found(paths: Sequence[Path], fs: Fs) -> Drives:
    """Directories are made when they are not there. Raises DriveError."""
    if not 0 < len(paths) <= _DRIVES_MAX:
        raise DriveError(f"{len(paths)} drives: expected 1 to {_DRIVES_MAX}")
    # Not resolved in their last part: the name an operator gives is the device's.
    absolute = [Path(os.path.abspath(path.expanduser())) for path in paths]
    roots = sorted({str(path.parent.resolve()) for path in absolute})
    if len(roots) > 1:
        raise DriveError(
            f"drives lie in {', '.join(roots)}: expected all drives of a node in one directory, as /srv/node/d1 and "
            "/srv/node/d2; mount them there"
        )
    root = Path(roots[0])
    # It becomes a setting of ini files, where a percent sign begins a reference.
    if not roots[0].isprintable() or "%" in roots[0] or roots[0] != roots[0].strip():
        raise DriveError(f"{roots[0]!r}: expected a path without % and control characters")
    names = tuple(path.name for path in absolute)
    if len(set(names)) != len(names):
        raise DriveError("a drive is named twice")
    for path in absolute:
        _check(root / path.name, fs)
    mounted = [os.path.ismount(root / name) for name in names]
    if any(mounted) and not all(mounted):
        bare = root / names[mounted.index(False)]
        raise DriveError(f"{bare}: nothing is mounted there, while other drives named are mount points; mount it first")
    return Drives(root, names, all(mounted))


def check_data(drives: Drives, secrets: HashSecrets) -> None:
    """Data on them was written with these secrets, or there is none. Raises DriveError."""
    for path in drives.paths:
        stranger = next(_strangers(path, secrets), None)
        if stranger is not None:
            raise DriveError(
                f"{path}: holds data of another cluster ({stranger.relative_to(path)} was written with other hash "
                "secrets); empty it, or name another drive"
            )


def _check(path: Path, fs: Fs) -> None:
    if not is_safe_name(path.name):
        raise DriveError(f"{path}: its last part is the device's name: expected letters, digits and any of _.-~")
    if path.is_symlink():
        raise DriveError(f"{path}: is a link, which rsync does not follow; name {path.resolve()} instead, or mount it")
    try:
        check_directory(path, fs)
    except InitError as error:
        raise DriveError(str(error)) from None
    except OSError as error:
        raise DriveError(f"{path}: cannot be used ({error.strerror})") from None


def _strangers(path: Path, secrets: HashSecrets) -> Iterator[Path]:
    for pattern in ("accounts/*/*/*/*.db", "containers/*/*/*/*.db"):
        for database in islice(path.glob(pattern), _FILES_CHECKED):
            if not path_matches(database, secrets):
                yield database
    for pattern in ("objects/*/*/*/*.data", "objects-*/*/*/*/*.data"):
        for file in islice(path.glob(pattern), _FILES_CHECKED):
            if not _is_at_home(file, secrets):
                yield file


def _is_at_home(file: Path, secrets: HashSecrets) -> bool:
    """Whether an object's name, hashed, is its directory's. One that cannot be read proves nothing."""
    try:
        with file.open("rb") as opened:
            name = metadata.read(Fs(), opened.fileno(), lambda _: None).name
    except (OSError, metadata.BadMetadata):
        return True
    parts = name.removeprefix("/").split("/", 2)
    return len(parts) != 3 or secrets.hash_path(*parts) == file.parent.name
