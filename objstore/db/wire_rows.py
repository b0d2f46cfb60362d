"""Rows as they travel between servers: JSON objects of table columns (UPDATE, merge_items). Source: formats 6.3, 6.8.

Everything is checked here, at the edge: what gets past can be merged without an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

from objstore.core.errors import BadRequest
from objstore.db.merge import ContainerRow, ObjectRow
from objstore.db.pending import container_row, object_row

_object_fields = itemgetter("name", "created_at", "size", "content_type", "etag", "deleted")
_container_fields = itemgetter("name", "put_timestamp", "delete_timestamp", "object_count", "bytes_used", "deleted")


def object_row_of(item: Any, default_policy: int = 0) -> ObjectRow:
    """A container's row. Raises BadRequest."""
    fields = _fields(item, _object_fields)
    policy = item.get("storage_policy_index", default_policy)
    try:
        return object_row((*fields, policy, item.get("ctype_timestamp"), item.get("meta_timestamp")))
    except (ValueError, TypeError, AttributeError) as error:
        raise BadRequest(f"Invalid row: {error}") from None


def container_row_of(item: Any) -> ContainerRow:
    """An account's row. Raises BadRequest."""
    fields = _fields(item, _container_fields)
    try:
        return container_row((*fields, item.get("storage_policy_index", 0)))
    except (ValueError, TypeError) as error:
        raise BadRequest(f"Invalid row: {error}") from None


def row_id_of(item: Any) -> int:
    """The sender's ROWID, -1 when it did not say. Raises BadRequest."""
    row_id = item.get("ROWID", -1)
    if not isinstance(row_id, int):
        raise BadRequest(f"Invalid row: ROWID {row_id!r} is not a number")
    return row_id


def _fields(item: Any, take: Callable[[Any], tuple[Any, ...]]) -> tuple[Any, ...]:
    if not isinstance(item, Mapping):
        raise BadRequest("Invalid JSON: a row is an object")
    try:
        return take(item)
    except KeyError as error:
        raise BadRequest(f"Invalid row: {error} is missing") from None
