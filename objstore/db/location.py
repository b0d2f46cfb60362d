"""Where a database lives on its device, and which files belong to it.

    <device>/containers/<partition>/<suffix>/<hash>/<hash>.db            the database
                                                    <hash>_<epoch>.db    its successor while and after sharding
                                                    <hash>.db.pending    rows not yet merged, whatever the epoch
                                                    .lock                flock around every change

Source: formats 1.4, 5.6, 5.8.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from objstore.core.hashing import suffix_of

ACCOUNTS = "accounts"
CONTAINERS = "containers"
_MOST_FILES = 2  # The retiring database and the fresh one; older leftovers are never read (formats 5.8).


@dataclass(frozen=True, slots=True)
class Location:
    """device_path: directory of the device. datadir: ACCOUNTS or CONTAINERS. hash: 32 hex digits."""

    device_path: str
    datadir: str
    partition: str
    hash: str
    directory: str = field(init=False, repr=False, compare=False)
    pending_path: str = field(init=False, repr=False, compare=False)
    lock_path: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        directory = f"{self.device_path}/{self.datadir}/{self.partition}/{suffix_of(self.hash)}/{self.hash}"
        object.__setattr__(self, "directory", directory)
        object.__setattr__(self, "pending_path", f"{directory}/{self.hash}.db.pending")
        object.__setattr__(self, "lock_path", f"{directory}/.lock")

    @property
    def device(self) -> str:
        return os.path.basename(self.device_path)

    @property
    def new_path(self) -> str:
        """The path of a database that is made."""
        return f"{self.directory}/{self.hash}.db"

    def files(self) -> list[str]:
        """Paths of the database files, oldest first: none, one, or (while sharding) two."""
        directory = self.directory
        if self.datadir == ACCOUNTS:
            path = f"{directory}/{self.hash}.db"
            return [path] if os.path.exists(path) else []
        try:
            names = os.listdir(directory)
        except (FileNotFoundError, NotADirectoryError):
            return []
        # "." sorts before "_", so the file without an epoch comes first.
        found = sorted(name for name in names if name.endswith(".db") and name.startswith(self.hash))
        return [f"{directory}/{name}" for name in found[-_MOST_FILES:]]

    def current(self) -> str | None:
        """The file that takes changes, or None when there is no database."""
        files = self.files()
        return files[-1] if files else None


def epoch_of(path: str) -> str | None:
    """The epoch in a file's name, None for a database that never sharded."""
    stem = os.path.basename(path).removesuffix(".db")
    _, underscore, epoch = stem.partition("_")
    return epoch if underscore else None
