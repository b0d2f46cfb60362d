"""Container rows that could not be sent at once: files the updater daemon sends later. Source: formats 4.14.

    async_pending[-N]/<suffix>/<hash>-<timestamp>    a pickle of the update, plain dicts and text only

A PUT whose row is here is as good as one whose row was sent: file and directory are synced before it is acknowledged.
hash: of the name whose row it is. Of several files of one hash the newest timestamp counts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from objstore.core import pickles
from objstore.core.hashing import suffix_of
from objstore.core.headers import title
from objstore.core.timestamp import Timestamp
from objstore.runtime.fs import Fs
from objstore.storage.layout import DeviceLayout


@dataclass(frozen=True, slots=True)
class DeferredUpdate:
    """One row for a container server. op: PUT or DELETE. headers: lower-case names, as they are to be sent.

    db_state: of the root container when the update was made, None when not known. container_path: account/container of
    the shard that should get the row instead of its root.
    """

    op: str
    account: str
    container: str
    obj: str
    headers: Mapping[str, str]
    db_state: str | None = None
    container_path: str | None = None


def keep(
    fs: Fs, layout: DeviceLayout, policy_index: int, hash_hex: str, timestamp: Timestamp, update: DeferredUpdate
) -> str:
    """Write an update so that no crash loses it; its path."""
    directory = f"{layout.pending(policy_index)}/{suffix_of(hash_hex)}"
    changed = fs.create_directories(directory)
    temporary_directory = layout.temporary(policy_index)
    fs.create_directories(temporary_directory)
    path = f"{directory}/{hash_hex}-{timestamp.internal}"
    fd, temporary = fs.open_temporary(temporary_directory)
    try:
        try:
            fs.write(fd, encode(update))
            fs.sync(fd)
        finally:
            os.close(fd)
        fs.rename(temporary, path)
    except BaseException:
        fs.unlink(temporary)
        raise
    fs.sync_directory(directory)
    for parent in changed:
        fs.sync_directory(parent)
    return path


def encode(update: DeferredUpdate) -> bytes:
    value: dict[str, object] = {
        "op": update.op,
        "account": update.account,
        "container": update.container,
        "obj": update.obj,
        "headers": {title(name): value for name, value in update.headers.items()},
        "db_state": update.db_state,
    }
    if update.container_path is not None:
        value["container_path"] = update.container_path
    return pickles.dumps(value)


def decode(content: bytes) -> DeferredUpdate:
    """Of a file by any release. Raises UnsafePickle, or ValueError when something is missing."""
    value = pickles.loads(content, encoding="utf-8")
    try:
        headers = {str(name).lower(): str(text) for name, text in value["headers"].items()}
        return DeferredUpdate(
            str(value["op"]),
            str(value["account"]),
            str(value["container"]),
            str(value["obj"]),
            headers,
            value.get("db_state"),
            value.get("container_path"),
        )
    except (KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"not a deferred update: {error!r}") from None
