"""Which containers of a device are synced to another cluster: a directory of links, so that nobody opens all databases.

    <device>/sync_containers/<partition>/<suffix>/<hash>/<hash>.db -> the container's database

A link stands while both X-Container-Sync-To and X-Container-Sync-Key are set. Links follow from metadata and can always
be made again: the container server settles one after every change of a container, and after every exchange with a
replica, so what a crash or a full disk kept from being made or removed is mended within a replication pass. They are
relative: a device that is mounted elsewhere keeps them. Source: formats 1.4.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from objstore.core.hashing import suffix_of
from objstore.db import metadata as meta
from objstore.db.database import Database
from objstore.db.location import CONTAINERS, Location
from objstore.runtime.fs import Fs

SYNC_CONTAINERS = "sync_containers"

_NAMES = frozenset({"x-container-sync-to", "x-container-sync-key"})
_HINT = "x-container-sync-"


def is_synced(metadata_text: str | None) -> bool:
    """Whether a container with this metadata (the column's text) has a link."""
    if not metadata_text or _HINT not in metadata_text.lower():
        return False
    return _NAMES <= {name.lower() for name, _ in meta.live(meta.parse(metadata_text))}


def link_path(location: Location) -> str:
    """The path of the link of a container's database."""
    suffix = suffix_of(location.hash)
    folder = f"{location.device_path}/{SYNC_CONTAINERS}/{location.partition}/{suffix}/{location.hash}"
    return f"{folder}/{location.hash}.db"


def settle(database: Database, metadata_text: str | None) -> None:
    """Make, correct or remove the link of a database whose metadata this is. What cannot be done is logged, no more:
    what called for it is durable already."""
    location = database.location
    assert location.datadir == CONTAINERS
    link = link_path(location)
    try:
        target = _target(location, link) if is_synced(metadata_text) else None
        if target != _read(link):
            database.shared.threads.run(location.device_path, _change, database.shared.fs, link, target)
    except OSError as error:
        database.shared.logger.warning("link=%r error=%s: left to the replicator", link, error)


def linked(device_path: str) -> Iterator[Location]:
    """The containers that have a link, those whose database has gone among them: settle() removes such a link."""
    root = f"{device_path}/{SYNC_CONTAINERS}"
    for partition in _directories(root):
        for suffix in _directories(f"{root}/{partition}"):
            for hash_hex in _directories(f"{root}/{partition}/{suffix}"):
                location = Location(device_path, CONTAINERS, partition, hash_hex)
                if _read(link_path(location)) is not None:
                    yield location


def _target(location: Location, link: str) -> str | None:
    """The current file, as the link names it; None when there is no database."""
    current = location.current()
    return None if current is None else os.path.relpath(current, os.path.dirname(link))


def _read(link: str) -> str | None:
    try:
        return os.readlink(link)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _change(fs: Fs, link: str, target: str | None) -> None:
    """Make or remove the link (target None removes it). Runs in a native thread."""
    folder = os.path.dirname(link)
    if target is None:
        fs.unlink(link)
        fs.remove_directory(folder)
        return
    fs.make_directories(folder)
    fs.replace_symlink(target, link)


def _directories(path: str) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return []
