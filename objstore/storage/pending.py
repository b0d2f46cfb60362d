"""Container rows that could not be sent at once: files the updater daemon sends later. Source: formats 4.14.

    async_pending[-N]/<suffix>/<hash>-<timestamp>    a pickle of the update, plain dicts and text only

A PUT whose row is here is as good as one whose row was sent: file and directory are synced before it is acknowledged.
hash: of the name whose row it is. Of several files of one hash the newest timestamp counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from objstore.core import pickles
from objstore.core.hashing import suffix_of
from objstore.core.headers import title
from objstore.core.names import wsgi_of
from objstore.core.timestamp import Timestamp
from objstore.runtime.fs import Fs
from objstore.storage.layout import DeviceLayout


@dataclass(frozen=True, slots=True)
class DeferredUpdate:
    """One row for a container server. op: PUT or DELETE. headers: lower-case names, as they are to be sent.

    db_state: of the root container when the update was made, None when not known. container_path: account/container of
    the shard that should get the row instead of its root. successes: ring ids of the container's nodes that have the
    row already. redirect_history: the shards it was sent to, to notice a loop; both are the updater's.
    """

    op: str
    account: str
    container: str
    obj: str
    headers: Mapping[str, str]
    db_state: str | None = None
    container_path: str | None = None
    successes: tuple[int, ...] = ()
    redirect_history: tuple[str, ...] = ()


def path_of(layout: DeviceLayout, policy_index: int, hash_hex: str, timestamp: Timestamp) -> str:
    """Where an update lies while it waits."""
    return f"{layout.pending(policy_index)}/{suffix_of(hash_hex)}/{hash_hex}-{timestamp.internal}"


def keep(
    fs: Fs, layout: DeviceLayout, policy_index: int, hash_hex: str, timestamp: Timestamp, update: DeferredUpdate
) -> str:
    """Write an update so that no crash loses it; its path."""
    path = path_of(layout, policy_index, hash_hex, timestamp)
    directory = os.path.dirname(path)
    changed = fs.create_directories(directory)
    with _written(fs, layout.temporary(policy_index), update) as temporary:
        try:
            fs.rename(temporary, path)
        except FileNotFoundError:
            # The updater has removed the directory, which was empty, since we made sure of it.
            changed += fs.create_directories(directory)
            fs.rename(temporary, path)
    fs.sync_directory(directory)
    for parent in changed:
        fs.sync_directory(parent)
    return path


def rewrite(fs: Fs, layout: DeviceLayout, policy_index: int, path: str, update: DeferredUpdate) -> None:
    """Put an update in the place of the one at path. A crash leaves the one or the other, whole."""
    with _written(fs, layout.temporary(policy_index), update) as temporary:
        fs.rename(temporary, path)


@contextmanager
def _written(fs: Fs, directory: str, update: DeferredUpdate) -> Iterator[str]:
    """A temporary file with an update, synced; gone afterwards unless it was renamed."""
    fs.create_directories(directory)
    fd, temporary = fs.open_temporary(directory)
    try:
        try:
            fs.write(fd, encode(update))
            fs.sync(fd)
        finally:
            os.close(fd)
        yield temporary
    except BaseException:
        fs.unlink(temporary)
        raise


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
    if update.successes:
        value["successes"] = list(update.successes)
    if update.redirect_history:
        value["redirect_history"] = list(update.redirect_history)
    return pickles.dumps(value)


def decode(content: bytes) -> DeferredUpdate:
    """Of a file by any release. Raises UnsafePickle, or ValueError when something is missing or makes no sense."""
    value = pickles.loads(content, encoding="utf-8")
    try:
        headers = {_wire(str(name)).lower(): _wire(str(text)) for name, text in value["headers"].items()}
        update = DeferredUpdate(
            str(value["op"]),
            str(value["account"]),
            str(value["container"]),
            str(value["obj"]),
            headers,
            _text_or_none(value.get("db_state")),
            _text_or_none(value.get("container_path")),
            tuple(map(int, value.get("successes") or ())),
            tuple(map(str, value.get("redirect_history") or ())),
        )
    except (KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"not a deferred update: {error!r}") from None
    _check(update)
    return update


def _wire(text: str) -> str:
    """A WSGI string; very old releases kept the UTF-8 bytes, which come out of the pickle as text."""
    if text.isascii():
        return text
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return wsgi_of(text)
    return text


def _text_or_none(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _check(update: DeferredUpdate) -> None:
    """Raises ValueError for what cannot have been an update: it would become a request to somebody else's database."""
    if update.op not in ("PUT", "DELETE"):
        raise ValueError(f"op {update.op!r}: expected PUT or DELETE")
    names = (update.account, update.container, update.obj)
    if not all(names) or "/" in update.account + update.container:
        raise ValueError(f"{names!r} are not the names of an object")
    path = update.container_path
    if path is not None and (path.count("/") != 1 or not all(path.split("/"))):
        raise ValueError(f"container_path {path!r}: expected account/container")
    head = "".join(update.headers) + "".join(update.headers.values())
    if "\r" in head or "\n" in head or "\0" in head:
        raise ValueError("a header has a line break in it")
