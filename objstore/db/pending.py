"""The pending file: rows that are durable but not yet in their database.

`<hash>.db.pending` stands beside the database. Each record is `:` and the base64 of a pickle (protocol 2) of a tuple:

    container  (name, created_at, size, content_type, etag, deleted, policy, content type time, meta time)   6 to 9
    account    (name, put, delete, object_count, bytes_used, deleted, policy)                                 6 or 7

Writers append (tail.py) under flock on `.lock` of the same directory; whoever needs fresh data takes that lock, merges
all records into the database, commits, and truncates the file to 0 (it stays). A crash between commit and truncation
merges the same records twice, which changes nothing. A record cut short by a crash was never acknowledged: it is
skipped, and the `:` of the next one keeps that whole. Source: formats 5.6.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Callable
from typing import Any, TypeVar

from objstore.core import pickles
from objstore.core.timestamp import InvalidTimestamp, decode
from objstore.db.merge import ContainerRow, ObjectRow, encoded_times
from objstore.runtime.fs import Fs

PENDING_CAP_BYTES = 131072
"""A file longer than this is merged by whoever made it so."""

Row = TypeVar("Row")
_INTEGER_MAX = (1 << 63) - 1
_PLAIN_TIME = re.compile(r"[0-9]{10}\.[0-9]{5}\Z")


def record_of(items: tuple[Any, ...]) -> bytes:
    """The bytes to append for one tuple."""
    return b":" + base64.b64encode(pickles.dumps(items))


def object_record(row: ObjectRow, content_type_time: str | None = None, meta_time: str | None = None) -> bytes:
    return record_of((*row, content_type_time, meta_time))


def container_record(row: ContainerRow) -> bytes:
    return record_of(tuple(row))


def object_row(items: tuple[Any, ...]) -> ObjectRow:
    """The row in a record's tuple. Raises ValueError, InvalidTimestamp (a ValueError) or TypeError for any other
    tuple."""
    if not 6 <= len(items) <= 9:
        raise ValueError(f"{len(items)} items")
    name, created_at, size, content_type, etag, deleted = items[:6]
    rest: tuple[Any, ...] = items[6:]
    policy, content_type_time, meta_time = rest + (0, None, None)[len(rest) :]
    times = encoded_times(checked_time(created_at), content_type_time, meta_time)
    return ObjectRow(
        checked_text(name),
        times,
        checked_number(size),
        checked_text(content_type),
        checked_text(etag),
        int(bool(deleted)),
        checked_number(policy or 0),
    )


def container_row(items: tuple[Any, ...]) -> ContainerRow:
    """Of a record's tuple; numbers may be text, straight from headers. Raises ValueError or TypeError."""
    if not 6 <= len(items) <= 7:
        raise ValueError(f"{len(items)} items")
    name, put, delete, object_count, bytes_used, deleted = items[:6]
    policy = items[6] if len(items) == 7 else 0
    return ContainerRow(
        checked_text(name),
        None if put is None else checked_text(put),
        None if delete is None else checked_text(delete),
        None if object_count is None else checked_number(object_count),
        None if bytes_used is None else checked_number(bytes_used),
        int(bool(checked_number(deleted or 0))),
        None if policy is None else checked_number(policy),
    )


def parse(data: bytes, to_row: Callable[[tuple[Any, ...]], Row]) -> tuple[list[Row], int]:
    """(rows in order of arrival, records that could not be read)."""
    rows, skipped = [], 0
    for text in data.split(b":"):
        if not text:
            continue
        try:
            items = pickles.loads(base64.b64decode(text, validate=True), encoding="utf-8")
            rows.append(to_row(items))
        except (binascii.Error, pickles.UnsafePickle, InvalidTimestamp, ValueError, TypeError):
            skipped += 1
    return rows, skipped


def read(path: str) -> bytes:
    """Everything pending. The caller holds the lock."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def clear(fs: Fs, path: str) -> None:
    """Forget what has been committed. The caller holds the lock."""
    fd = os.open(path, os.O_WRONLY)
    try:
        fs.truncate(fd, 0)
    finally:
        os.close(fd)


def size(path: str) -> int:
    """Bytes pending, 0 when there is no file. Asked without the lock: a hint."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def checked_text(value: Any) -> str:
    """Raises TypeError or ValueError (UnicodeEncodeError) for what SQLite cannot hold as text."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    value.encode()  # Lone surrogates have no UTF-8: they would fail in the middle of a merge.
    return value


def checked_number(value: Any) -> int:
    """A number, or text that is one. Raises TypeError or ValueError for what SQLite cannot hold: such a row would fail
    every merge of the file it waits in."""
    number = int(value)
    if not -_INTEGER_MAX <= number <= _INTEGER_MAX:
        raise ValueError(f"{value!r} is out of range")
    return number


def checked_time(value: Any) -> str:
    """A created_at that merge rules can read. Raises TypeError or InvalidTimestamp."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    if _PLAIN_TIME.match(value) is None:
        decode(value)
    return value
