"""How two rows of one name become one: pure rules, the same on every replica, in any order of arrival.

A container row has three parts with a timestamp each: data (size, etag, deleted), content type, and metadata (only its
timestamp is in the row). The newer of each part wins alone, so that a POST on one node and a PUT on another both
survive. The three are kept as one text, `created_at` (core.timestamp.encode). The parameter swift_bytes in a content
type is the true size of a large object: it belongs to the data. Merging is commutative, associative and idempotent for
rows that follow the one rule every writer keeps: equal timestamps mean equal content.

An account row is what a container last reported. Timestamps only grow; counts are those of the report that came last.
Source: formats 5.5 and 3.2.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from objstore.core.timestamp import Timestamp, decode, encode

_PLAIN_LENGTH = 16
BYTES = "swift_bytes"
"""Parameter of a content type: the true size of a large object."""


class ObjectRow(NamedTuple):
    """A row of a container's `object` table, without ROWID. Text timestamps, so that most rows are never decoded."""

    name: str
    created_at: str
    size: int
    content_type: str
    etag: str
    deleted: int
    storage_policy_index: int


class ContainerRow(NamedTuple):
    """A row of an account's `container` table, without ROWID. None: not known to the sender."""

    name: str
    put_timestamp: str | None
    delete_timestamp: str | None
    object_count: int | None
    bytes_used: int | None
    deleted: int
    storage_policy_index: int | None


def encoded_times(created_at: str, content_type_time: str | None, meta_time: str | None) -> str:
    """`created_at` of an update whose parts came apart: X-Timestamp, X-Content-Type-Timestamp, X-Meta-Timestamp.

    The metadata is as new as the content type where only that is given. Raises InvalidTimestamp.
    """
    if content_type_time is None and meta_time is None:
        return created_at
    data, content_type, meta = decode(created_at)
    if content_type_time is not None:
        content_type = meta = Timestamp.parse(content_type_time)
    if meta_time is not None:
        meta = Timestamp.parse(meta_time)
    return encode(data, content_type, meta)


def merge_object(stored: ObjectRow | None, incoming: ObjectRow) -> ObjectRow | None:
    """The row to store instead of `stored`, or None when nothing in `incoming` is newer. Both have the same name and
    policy. Raises InvalidTimestamp."""
    if stored is None:
        return incoming
    if stored.created_at == incoming.created_at:
        return None
    if len(stored.created_at) == len(incoming.created_at) == _PLAIN_LENGTH:
        # One timestamp for all three parts on both sides: text order is time order.
        return incoming if incoming.created_at > stored.created_at else None
    return _merge_parts(stored, incoming)


def merge_objects(rows: Iterable[ObjectRow]) -> dict[tuple[str, int], ObjectRow]:
    """One row for each (name, policy) of a batch, in order of first appearance. Later rows win by the same rule."""
    merged: dict[tuple[str, int], ObjectRow] = {}
    for row in rows:
        key = (row.name, row.storage_policy_index)
        winner = merge_object(merged.get(key), row)
        if winner is not None:
            merged[key] = winner
    return merged


def merge_container(stored: ContainerRow | None, incoming: ContainerRow) -> ContainerRow:
    """The row to store: always a new one, even when nothing changed (formats 5.5)."""
    old = stored or ContainerRow(incoming.name, "0", "0", 0, 0, 0, 0)
    put = _newest(old.put_timestamp, incoming.put_timestamp)
    delete = _newest(old.delete_timestamp, incoming.delete_timestamp)
    object_count = old.object_count if incoming.object_count is None else incoming.object_count
    return ContainerRow(
        name=incoming.name,
        put_timestamp=put,
        delete_timestamp=delete,
        object_count=object_count,
        bytes_used=old.bytes_used if incoming.bytes_used is None else incoming.bytes_used,
        deleted=int(is_gone(put, delete, object_count)),
        storage_policy_index=(
            old.storage_policy_index if incoming.storage_policy_index is None else incoming.storage_policy_index
        ),
    )


def is_gone(put_timestamp: str, delete_timestamp: str, object_count: int | None) -> bool:
    """Whether a container with these facts is deleted. Compared as text, like everywhere on disk (pitfall 6)."""
    return delete_timestamp > put_timestamp and not object_count


def _merge_parts(stored: ObjectRow, incoming: ObjectRow) -> ObjectRow | None:
    old_data, old_type, old_meta = decode(stored.created_at)
    new_data, new_type, new_meta = decode(incoming.created_at)
    data_row, data = (incoming, new_data) if new_data > old_data else (stored, old_data)
    type_row, content_type = (incoming, new_type) if new_type > old_type else (stored, old_type)
    meta = max(old_meta, new_meta)
    if data_row is stored and type_row is stored and meta is old_meta:
        return None
    text = type_row.content_type
    if type_row is not data_row:
        text = _with_bytes_of(text, data_row.content_type)
    return data_row._replace(created_at=encode(data, content_type, meta), content_type=text)


def split_bytes(content_type: str) -> tuple[str, str | None]:
    """(content type without swift_bytes, the value of swift_bytes or None)."""
    if BYTES not in content_type:
        return content_type, None
    kept, found = [], None
    for parameter in _parameters(content_type):
        name, equals, value = parameter.strip().partition("=")
        if equals and name.strip().lower() == BYTES:
            found = value.strip().strip('"')
        else:
            kept.append(parameter)
    return ";".join(kept), found


@lru_cache(maxsize=256)
def listed_type(content_type: str) -> str:
    """A content type as listings show it: no blanks around its semicolons. swift_bytes stays for split_bytes()."""
    return ";".join(map(str.strip, _parameters(content_type)))


def _with_bytes_of(content_type: str, other: str) -> str:
    plain, _ = split_bytes(content_type)
    _, size = split_bytes(other)
    return plain if size is None else f"{plain};{BYTES}={size}"


def _parameters(content_type: str) -> list[str]:
    """Pieces between the semicolons that do not stand inside a quoted string."""
    if '"' not in content_type:
        return content_type.split(";")
    pieces, start, is_quoted, is_escaped = [], 0, False, False
    for index, character in enumerate(content_type):
        if is_escaped:
            is_escaped = False
        elif is_quoted and character == "\\":
            is_escaped = True
        elif character == '"':
            is_quoted = not is_quoted
        elif character == ";" and not is_quoted:
            pieces.append(content_type[start:index])
            start = index + 1
    return [*pieces, content_type[start:]]


def _newest(old: str | None, new: str | None) -> str:
    return max(old or "0", new or "0")
