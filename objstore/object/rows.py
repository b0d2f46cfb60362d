"""A row for a container listing, as an object server reports it: the value, its request headers, its UPDATE item. Pure.

Source: formats 6.3 and 6.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from objstore.core.errors import InvalidName, InvalidTimestamp
from objstore.core.names import text_of
from objstore.core.timestamp import Timestamp, encode

DELETED_TYPE, DELETED_ETAG = "application/deleted", "noetag"


class ContainerRow(NamedTuple):
    """account, container: where the row belongs (the queue's, for an expiry). timestamp: of the data, or the tombstone.

    content_type is a WSGI string. content_type_timestamp and meta_timestamp: set when a POST makes the row.
    """

    op: str
    account: str
    container: str
    obj: str
    policy_index: int
    timestamp: Timestamp
    size: int = 0
    content_type: str = DELETED_TYPE
    etag: str = DELETED_ETAG
    content_type_timestamp: Timestamp | None = None
    meta_timestamp: Timestamp | None = None
    transaction_id: str = "-"
    referer: str = ""

    @property
    def is_delete(self) -> bool:
        return self.op == "DELETE"

    @property
    def changed_at(self) -> Timestamp:
        """What orders updates of one name: when the metadata changed, else the data."""
        return self.meta_timestamp or self.timestamp

    def headers(self) -> dict[str, str]:
        """Of the request that carries this row alone."""
        result = {"x-timestamp": self.timestamp.internal}
        if not self.is_delete:
            result["x-size"] = str(self.size)
            result["x-content-type"] = self.content_type
            result["x-etag"] = self.etag
            if self.content_type_timestamp is not None:
                result["x-content-type-timestamp"] = self.content_type_timestamp.internal
            if self.meta_timestamp is not None:
                result["x-meta-timestamp"] = self.meta_timestamp.internal
        result["x-trans-id"] = self.transaction_id
        if self.referer:
            result["referer"] = self.referer
        result["x-backend-storage-policy-index"] = str(self.policy_index)
        return result

    def item(self) -> dict[str, object]:
        """Of the JSON list that carries several rows: a row of the container's table without ROWID."""
        typed_at = self.content_type_timestamp or self.timestamp
        is_delete = self.is_delete
        return {
            "name": self.obj,
            "created_at": encode(self.timestamp, typed_at, self.meta_timestamp or typed_at),
            "size": 0 if is_delete else self.size,
            "content_type": DELETED_TYPE if is_delete else _real_text(self.content_type),
            "etag": DELETED_ETAG if is_delete else self.etag,
            "deleted": int(is_delete),
            "storage_policy_index": self.policy_index,
        }


def row_of(op: str, names: tuple[str, str, str], headers: Mapping[str, str], policy_index: int) -> ContainerRow:
    """The row that headers() made, with whatever else stands in the headers left out. names: account, container,
    object. policy_index: for headers without one. Raises ValueError when they make no row."""

    try:
        policy_text = headers.get("x-backend-storage-policy-index")
        index = policy_index if policy_text is None else int(policy_text)
        at = Timestamp.parse(headers["x-timestamp"])
        identity = headers.get("x-trans-id", "-"), headers.get("referer", "")
        if op == "DELETE":
            return ContainerRow(op, *names, index, at, 0, DELETED_TYPE, DELETED_ETAG, None, None, *identity)
        size, content_type, etag = headers["x-size"], headers["x-content-type"], headers["x-etag"]
        if not (size.isascii() and size.isdigit()):
            raise ValueError(f"x-size {size!r} is not a number of bytes")
        times = _time(headers.get("x-content-type-timestamp")), _time(headers.get("x-meta-timestamp"))
        return ContainerRow(op, *names, index, at, int(size), content_type, etag, *times, *identity)
    except (KeyError, InvalidTimestamp) as error:
        raise ValueError(f"headers that make no row: {error!r}") from None


def _time(text: str | None) -> Timestamp | None:
    return None if text is None else Timestamp.parse(text)


def _real_text(wsgi_text: str) -> str:
    try:
        return text_of(wsgi_text)
    except InvalidName:
        return wsgi_text
