"""What a replicator says to another node's account or container server about one database: REPLICATE, typed.

A call returns what the peer said, as a checked value, or Failed with the reason; nothing here raises for what a peer
does. An answer that is not what a replica of this database would say (another container's names, a metadata text that
is none, numbers that are none, more bytes than there can be) is Failed too, before anything of it is used. Source:
formats 6.8.
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
from objstore.http.client import ConnectionPool, PeerError, request
from objstore.http.status import HTTPStatus, is_success
from objstore.peers.recently_silent import RecentlySilent
from objstore.ring.model import Node

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
    def target(self) -> str:
        return quoted(f"/{self.node.name}/{self.partition}/{self.hash}")

    def __str__(self) -> str:
        host, port = self.node.replication_address
        return f"{host}:{port}/{self.node.name}"


@dataclass(frozen=True, slots=True)
class Failed:
    """No answer, or none that can be used. is_unmounted: the peer says that its disk is away (507)."""

    reason: str
    is_unmounted: bool = False


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
        self._pool = pool
        self._monotonic = monotonic
        self._silent = RecentlySilent(monotonic)
        self._conn_timeout_s = conn_timeout_s
        self._node_timeout_s = node_timeout_s

    def sync(self, place: Place, arguments: Sequence[Any], names: tuple[str, str | None]) -> Replica | Missing | Failed:
        """Tell our state and hear the peer's. names: (account, container) that it must be of."""
        answer = self._call(place, ["sync", *arguments], REPLY_BYTES_MAX)
        if isinstance(answer, bytes):
            try:
                return _replica(answer, names)
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                return Failed(f"its answer to sync is not that of a replica: {error!r}")
        return answer

    def merge_items(self, place: Place, rows: Sequence[dict[str, Any]], sender_id: str) -> Done | Missing | Failed:
        return self._tell(place, ["merge_items", rows, sender_id])

    def merge_syncs(self, place: Place, points: Sequence[dict[str, Any]]) -> Done | Missing | Failed:
        return self._tell(place, ["merge_syncs", points])

    def merge_shard_ranges(self, place: Place, ranges: Sequence[ShardRange], sender_id: str) -> Done | Missing | Failed:
        return self._tell(place, ["merge_shard_ranges", [item._asdict() for item in ranges], sender_id])

    def shard_ranges(self, place: Place) -> list[ShardRange] | Missing | Failed:
        answer = self._call(place, ["get_shard_ranges"], RANGES_BYTES_MAX)
        if not isinstance(answer, bytes):
            return answer
        try:
            items = json.loads(answer)
            if not isinstance(items, list):
                raise BadRequest("not a list")
            return [shard_range_of(item) for item in items]
        except (ValueError, BadRequest, RecursionError) as error:
            return Failed(f"its shard ranges are none: {error}")

    def complete_rsync(self, place: Place, temporary: str, final_name: str) -> Done | Missing | Failed:
        """The file in the peer's tmp/ becomes its database. Missing: it has one already, or has no such file."""
        return self._tell(place, ["complete_rsync", temporary, final_name], FILE_TIMEOUT_S)

    def rsync_then_merge(self, place: Place, temporary: str, final_name: str) -> Done | Missing | Failed:
        """The peer merges what it has into the file in its tmp/, which then replaces its database."""
        return self._tell(place, ["rsync_then_merge", temporary, final_name], FILE_TIMEOUT_S)

    def upload(self, place: Place, temporary: str, offset: int, data: bytes) -> Done | Missing | Failed:
        """A piece of a file for the peer's tmp/, in order from 0 (doc/formats/databases.md). Our own servers alone know
        this; others answer that it is no JSON."""
        headers = [("Content-Type", FILE_TYPE), (NAME_HEADER, temporary), (OFFSET_HEADER, str(offset))]
        answer = self._send(place, headers, data, self._node_timeout_s, REPLY_BYTES_MAX)
        return Done() if isinstance(answer, bytes) else answer

    def put(self, place: Place, path: str, headers: Sequence[tuple[str, str]]) -> Done | Missing | Failed:
        """An ordinary PUT of the account or container (path: /account[/container], text), which every server knows."""
        target = quoted(f"/{place.node.name}/{place.partition}{path}")
        answer = self._send(place, headers, b"", self._node_timeout_s, REPLY_BYTES_MAX, method="PUT", target=target)
        return Done() if isinstance(answer, bytes) else answer

    def _tell(self, place: Place, call: list[Any], timeout_s: float | None = None) -> Done | Missing | Failed:
        answer = self._call(place, call, REPLY_BYTES_MAX, timeout_s)
        return Done() if isinstance(answer, bytes) else answer

    def _call(
        self, place: Place, call: list[Any], reply_bytes_max: int, timeout_s: float | None = None
    ) -> bytes | Missing | Failed:
        body = json.dumps(call).encode()
        headers = [("Content-Type", "application/json")]
        return self._send(place, headers, body, timeout_s or self._node_timeout_s, reply_bytes_max)

    def _send(
        self,
        place: Place,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        timeout_s: float,
        reply_bytes_max: int,
        *,
        method: str = "REPLICATE",
        target: str | None = None,
    ) -> bytes | Missing | Failed:
        """The body of a 2xx."""
        address = host, port = place.node.replication_address
        if address in self._silent:
            return Failed("it let a deadline pass a moment ago")
        started_s = self._monotonic()
        framed = [
            ("Host", f"[{host}]:{port}" if ":" in host else f"{host}:{port}"),
            ("Accept-Encoding", "identity"),
            ("Content-Length", str(len(body))),
            *headers,
        ]
        try:
            head, answer = request(
                self._pool,
                host,
                port,
                method,
                target or place.target,
                framed,
                body,
                connect_timeout_s=self._conn_timeout_s,
                timeout_s=timeout_s,
                max_body_bytes=reply_bytes_max,
            )
        except PeerError as error:
            self._silent.failed(address, error, started_s)
            return Failed(str(error))
        if is_success(head.status):
            return answer
        if head.status == HTTPStatus.NOT_FOUND:
            return Missing()
        return Failed(f"{method} was answered {head.status}", head.status == HTTPStatus.INSUFFICIENT_STORAGE)


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
    """As stored; `0` for never stays so."""
    return "0" if value == "0" else Timestamp.parse(_text(value)).internal
