"""What a daemon says to a container server: one row, or many of one container. Failures are values.

Source: formats 6.3, 6.5.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from objstore.core.errors import InvalidName, InvalidTimestamp
from objstore.core.headers import is_true, title
from objstore.core.names import quoted, text_of
from objstore.core.timestamp import Timestamp
from objstore.http.status import HTTPStatus
from objstore.peers.node_client import NodeClient, Reply
from objstore.ring.model import Node

RETRY_UPDATE_S = 600.0
"""How long a peer that refused UPDATE is sent single rows."""
_OF_THE_TRANSPORT = frozenset({"host", "user-agent", "content-length", "transfer-encoding", "connection"})
_NOT_UNDERSTOOD = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.LENGTH_REQUIRED, HTTPStatus.NOT_IMPLEMENTED}
)


@dataclass(frozen=True, slots=True)
class Redirect:
    """Where a row belongs instead. container_path: account/container of a shard. timestamp: the newest one counts."""

    container_path: str
    timestamp: Timestamp


@dataclass(frozen=True, slots=True)
class Answer:
    """status: 0 for none in time. redirect: of a 301 that makes sense."""

    status: int
    redirect: Redirect | None = None

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


NO_ANSWER = Answer(0)


class ContainerRows:
    """One per process; fine for many green threads."""

    def __init__(self, calls: NodeClient, monotonic: Callable[[], float]) -> None:
        self._calls = calls
        self._monotonic = monotonic
        self._refused_until: dict[tuple[str, int], float] = {}
        self._takes_many: set[tuple[str, int]] = set()

    def may_take_many(self, node: Node) -> bool:
        """Whether UPDATE is worth trying with this node."""
        return self._refused_until.get(node.replication_address, 0.0) <= self._monotonic()

    def send(self, node: Node, partition: int, op: str, path: str, headers: Mapping[str, str]) -> Answer:
        """One row. path: account/container/object as text. headers: those of the row, lower-case names."""
        asked = {**headers, "x-backend-accept-redirect": "true", "x-backend-accept-quoted-location": "true"}
        reply = self._calls.ask(node, op, quoted(f"/{partition}/{path}"), _lines(asked))
        if not isinstance(reply, Reply):
            return NO_ANSWER
        return Answer(reply.status, _redirect(reply) if reply.status == HTTPStatus.MOVED_PERMANENTLY else None)

    def send_many(
        self,
        node: Node,
        partition: int,
        container_path: str,
        body: bytes,
        headers: Mapping[str, str],
    ) -> Answer | None:
        """Rows of one container (body_of), all or none. None: this node does not know how; send them one by one."""
        asked = {**headers, "content-type": "application/json"}
        reply = self._calls.ask(node, "UPDATE", quoted(f"/{partition}/{container_path}"), _lines(asked), body)
        if not isinstance(reply, Reply):
            return NO_ANSWER
        address = node.replication_address
        if reply.status == HTTPStatus.ACCEPTED:
            self._takes_many.add(address)
        elif reply.status in _NOT_UNDERSTOOD:
            if address not in self._takes_many:
                self._refused_until[address] = self._monotonic() + RETRY_UPDATE_S
            # One of the rows may be what it does not like: alone, the others get through.
            return None
        return Answer(reply.status)


def body_of(items: Sequence[Mapping[str, object]]) -> bytes:
    """Rows as the body of one UPDATE."""
    return json.dumps(items).encode()


def _lines(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Those of a row; what belongs to the request that once brought it stays behind."""
    return [(title(name), value) for name, value in headers.items() if name not in _OF_THE_TRANSPORT]


def _redirect(reply: Reply) -> Redirect | None:
    """None when the answer makes no sense: the row then stays where it is."""
    location = reply.headers.get("location", "")
    try:
        if is_true(reply.headers.get("x-backend-location-is-quoted")):
            path = unquote(location, errors="strict")
        else:
            path = text_of(location)
        timestamp = Timestamp.parse(reply.headers.get("x-backend-redirect-timestamp", ""))
    except (UnicodeError, InvalidName, InvalidTimestamp):
        return None
    parts = path.split("/", 3)
    if len(parts) != 4 or parts[0] or not all(parts[1:]):
        return None
    return Redirect(f"{parts[1]}/{parts[2]}", timestamp)
