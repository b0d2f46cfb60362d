"""What a replicator says to another node's account or container server about one database: REPLICATE, typed.

A call returns what the peer said, as a checked value, or a NodeFailure with the reason; nothing here raises for what a
peer does. An answer that no replica of this database would give (another container's names, metadata
that is none, numbers that are none, more bytes than there can be) is a NodeFailure, too, before anything of it is used.
Source: formats 6.8.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from objstore.core.errors import BadRequest
from objstore.core.names import quoted
from objstore.core.timestamp import Timestamp
from objstore.db import metadata as meta
from objstore.db.replica import RemoteState
from objstore.db.shards import ShardRange, shard_range_of
from objstore.http.client import ConnectionPool
from objstore.http.status import HTTPStatus
from objstore.peers.failure import NodeFailure
from objstore.peers.node_client import NodeClient, Timeouts
from objstore.peers.recently_silent import RecentlySilent
from objstore.ring.model import Node
from objstore.runtime.listen import shown

REPLY_BYTES_MAX = 16 * 1024 * 1024
"""Of `sync`: a container's metadata is far below."""
RANGES_BYTES_MAX = 64 * 1024 * 1024
"""Of `get_shard_ranges`: some 100,000 ranges."""
FILE_TIMEOUT_S = 300.0
"""For a peer that checks and merges a whole file."""
NAME_HEADER = "X-Backend-Db-File"
OFFSET_HEADER = "X-Backend-Db-Offset"
FILE_TYPE = "application/octet-stream"
ROW_ID_MAX = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where a replica is: a node of the ring, and the partition and hash of the database there."""

    node: Node
    partition: int
    hash: str

    @property
    def path(self) -> str:
        return f"/{self.partition}/{self.hash}"

    def __str__(self) -> str:
        return f"{shown(self.node.replication_address)}/{self.node.name}"


@dataclass(frozen=True, slots=True)
class Missing:
    """The peer has no such database."""


@dataclass(frozen=True, slots=True)
class Done:
    """The peer did it."""


@dataclass(frozen=True, slots=True)
class Replica:
    """The reply of `sync`. point: how far it has merged ours; shard_max_row: -1 without shard ranges."""

    state: RemoteState
    point: int
    shard_max_row: int


class DatabasePeers:
    """Calls over a pool of connections. A node that let a deadline pass is not asked again for a while."""

    def __init__(
        self,
        pool: ConnectionPool,
        *,
        conn_timeout_s: float,
        node_timeout_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        timeouts = Timeouts(conn_timeout_s, node_timeout_s)
        headers = [("Accept-Encoding", "identity")]
        self._client = NodeClient(
            "db-replicator", timeouts, headers=headers, silence=RecentlySilent(monotonic), pool=pool
        )

    def sync(
        self, place: Place, arguments: Sequence[Any], names: tuple[str, str | None]
    ) -> Replica | Missing | NodeFailure:
        """Tell our state and hear the peer's. names: (account, container) that it must be of."""
        answer = self._call(place, ["sync", *arguments], REPLY_BYTES_MAX)
        if isinstance(answer, bytes):
            try:
                return _replica(answer, names)
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                return NodeFailure(f"its answer to sync is not that of a replica: {error!r}")
        return answer

    def merge_items(self, place: Place, rows: Sequence[dict[str, Any]], sender_id: str) -> Done | Missing | NodeFailure:
        return self._tell(place, ["merge_items", rows, sender_id])

    def merge_syncs(self, place: Place, points: Sequence[dict[str, Any]]) -> Done | Missing | NodeFailure:
        return self._tell(place, ["merge_syncs", points])

    def merge_shard_ranges(
        self, place: Place, ranges: Sequence[ShardRange], sender_id: str
    ) -> Done | Missing | NodeFailure:
        return self._tell(place, ["merge_shard_ranges", [item._asdict() for item in ranges], sender_id])

    def shard_ranges(self, place: Place) -> list[ShardRange] | Missing | NodeFailure:
        answer = self._call(place, ["get_shard_ranges"], RANGES_BYTES_MAX)
        if not isinstance(answer, bytes):
            return answer
        try:
            items = json.loads(answer)
            if not isinstance(items, list):
                raise BadRequest("not a list")
            return [shard_range_of(item) for item in items]
        except (ValueError, BadRequest, RecursionError) as error:
            return NodeFailure(f"its shard ranges are none: {error}")

    def complete_rsync(self, place: Place, temporary: str, final_name: str) -> Done | Missing | NodeFailure:
        """The file in the peer's tmp/ becomes its database. Missing: it has one already, or has no such file."""
        return self._tell(place, ["complete_rsync", temporary, final_name], FILE_TIMEOUT_S)

    def rsync_then_merge(self, place: Place, temporary: str, final_name: str) -> Done | Missing | NodeFailure:
        """The peer merges what it has into the file in its tmp/, which then replaces its database."""
        return self._tell(place, ["rsync_then_merge", temporary, final_name], FILE_TIMEOUT_S)

    def upload(self, place: Place, temporary: str, offset: int, data: bytes) -> Done | Missing | NodeFailure:
        """A piece of a file for the peer's tmp/, in order from 0 (doc/formats/databases.md). Our own servers alone know
        this; others answer that it is not JSON."""
        headers = [("Content-Type", FILE_TYPE), (NAME_HEADER, temporary), (OFFSET_HEADER, str(offset))]
        answer = self._send(place, "REPLICATE", place.path, headers, data)
        return Done() if isinstance(answer, bytes) else answer

    def put(self, place: Place, path: str, headers: Sequence[tuple[str, str]]) -> Done | Missing | NodeFailure:
        """An ordinary PUT of the account or container (path: /account[/container], text), which every server knows."""
        answer = self._send(place, "PUT", quoted(f"/{place.partition}{path}"), headers)
        return Done() if isinstance(answer, bytes) else answer

    def _tell(self, place: Place, call: list[Any], timeout_s: float | None = None) -> Done | Missing | NodeFailure:
        answer = self._call(place, call, REPLY_BYTES_MAX, timeout_s)
        return Done() if isinstance(answer, bytes) else answer

    def _call(
        self, place: Place, call: list[Any], reply_bytes_max: int, timeout_s: float | None = None
    ) -> bytes | Missing | NodeFailure:
        body = json.dumps(call).encode()
        headers = [("Content-Type", "application/json")]
        return self._send(place, "REPLICATE", place.path, headers, body, timeout_s, reply_bytes_max)

    def _send(
        self,
        place: Place,
        method: str,
        path: str,
        headers: Sequence[tuple[str, str]],
        body: bytes = b"",
        timeout_s: float | None = None,
        reply_bytes_max: int = REPLY_BYTES_MAX,
    ) -> bytes | Missing | NodeFailure:
        """The body of a 2xx."""
        answer = self._client.ask(
            place.node, method, path, headers, body, answer_s=timeout_s, answer_bytes_max=reply_bytes_max
        )
        if isinstance(answer, NodeFailure):
            return answer
        if answer.is_success:
            return answer.body
        if answer.status == HTTPStatus.NOT_FOUND:
            return Missing()
        return NodeFailure.of_status(place.node, answer.status, method)


def _replica(body: bytes, names: tuple[str, str | None]) -> Replica:
    """Raises ValueError, TypeError, KeyError or AttributeError (whatever malformed JSON brings about)."""
    reply = json.loads(body)
    if (reply["account"], reply.get("container")) != names:
        raise ValueError(f"it is of {reply['account']!r} {reply.get('container')!r}, not of {names!r}")
    is_container = names[1] is not None
    metadata = meta.parse(reply["metadata"])
    for _, timestamp in metadata.values():
        Timestamp.parse(timestamp)
    state = RemoteState(
        max_row=_row_id(reply["max_row"]),
        hash=_text(reply["hash"]),
        id=_text(reply["id"]),
        created_at=_time(reply["created_at"]),
        put_timestamp=_time(reply["put_timestamp"]),
        delete_timestamp=_time(reply["delete_timestamp"]),
        metadata=metadata,
        status_changed_at=_time(reply["status_changed_at"]) if is_container else None,
        object_count=int(reply["count"]) if is_container else None,
        policy_index=int(reply["storage_policy_index"]) if is_container else None,
    )
    return Replica(state, _row_id(reply["point"]), _row_id(reply.get("shard_max_row", -1)))


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is not text")
    value.encode()
    return value


def _row_id(value: Any) -> int:
    if not isinstance(value, int) or not -1 <= value <= ROW_ID_MAX:
        raise ValueError(f"{value!r} is not a ROWID")
    return value


def _time(value: Any) -> str:
    """A timestamp as it is stored; `0`, for never, stays as it is."""
    return "0" if value == "0" else Timestamp.parse(_text(value)).internal
