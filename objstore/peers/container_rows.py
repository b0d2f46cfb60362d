"""What a daemon says to a container server: one row, or many of one container. Failures are values.

Source: formats 6.3, 6.5.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from objstore.core.errors import InvalidName, InvalidTimestamp
from objstore.core.headers import is_true
from objstore.core.names import text_of
from objstore.core.timestamp import Timestamp
from objstore.http.head import ResponseHead
from objstore.http.status import HTTPStatus
from objstore.peers.node_calls import NodeCalls
from objstore.ring.model import Node

RETRY_UPDATE_S = 600.0
"""How long a peer that refused UPDATE is sent single rows."""
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

    def __init__(self, calls: NodeCalls, monotonic: Callable[[], float]) -> None:
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
        head = self._calls.exchange(node, op, f"{partition}/{path}", asked)
        if head is None:
            return NO_ANSWER
        return Answer(head.status, _redirect(head) if head.status == HTTPStatus.MOVED_PERMANENTLY else None)

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
        head = self._calls.exchange(node, "UPDATE", f"{partition}/{container_path}", asked, body)
        if head is None:
            return NO_ANSWER
        address = node.replication_address
        if head.status == HTTPStatus.ACCEPTED:
            self._takes_many.add(address)
        elif head.status in _NOT_UNDERSTOOD:
            if address not in self._takes_many:
                self._refused_until[address] = self._monotonic() + RETRY_UPDATE_S
            # One of the rows may be what it does not like: alone, the others get through.
            return None
        return Answer(head.status)


def body_of(items: Sequence[Mapping[str, object]]) -> bytes:
    """Rows as the body of one UPDATE."""
    return json.dumps(items).encode()


def _redirect(head: ResponseHead) -> Redirect | None:
    """None when the answer makes no sense: the row then stays where it is."""
    location = head.headers.get("location", "")
    try:
        if is_true(head.headers.get("x-backend-location-is-quoted")):
            path = unquote(location, errors="strict")
        else:
            path = text_of(location)
        timestamp = Timestamp.parse(head.headers.get("x-backend-redirect-timestamp", ""))
    except (UnicodeError, InvalidName, InvalidTimestamp):
        return None
    parts = path.split("/", 3)
    if len(parts) != 4 or parts[0] or not all(parts[1:]):
        return None
    return Redirect(f"{parts[1]}/{parts[2]}", timestamp)
