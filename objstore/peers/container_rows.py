"""What a daemon says to a container server: one row, or many of one container. Failures are values.

Every call is one exchange over pooled connections with the node's replication address. A node that let a deadline pass
is not asked again until it answers (silence.py): whoever has a hundred thousand rows cannot wait for each.
Source: formats 6.3, 6.5.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from objstore.core.errors import InvalidName, InvalidTimestamp
from objstore.core.headers import is_true, title
from objstore.core.names import quoted, text_of
from objstore.core.timestamp import Timestamp
from objstore.http.client import ConnectionPool, ConnectTimedOut, PeerError, PeerTimedOut, ResponseHead, request
from objstore.http.status import HTTPStatus
from objstore.peers.silence import Silences
from objstore.ring.model import Node

RETRY_UPDATE_S = 600.0
"""How long a peer that refused UPDATE is sent single rows."""
ANSWER_BYTES_MAX = 65_536
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


@dataclass(frozen=True, slots=True)
class Timeouts:
    connect_s: float
    answer_s: float


class ContainerRows:
    """The calls. user_agent: as in "object-updater". One per process; fine for many green threads."""

    def __init__(
        self, user_agent: str, timeouts: Timeouts, monotonic: Callable[[], float], silences: Silences | None = None
    ) -> None:
        self._user_agent = user_agent
        self._timeouts = timeouts
        self._monotonic = monotonic
        self._pool = ConnectionPool()
        self._silences = silences or Silences()
        self._refused_until: dict[tuple[str, int], float] = {}
        self._takes_many: set[tuple[str, int]] = set()

    def may_take_many(self, node: Node) -> bool:
        """Whether UPDATE is worth trying with this node."""
        return self._refused_until.get(node.replication_address, 0.0) <= self._monotonic()

    def send(self, node: Node, partition: int, op: str, path: str, headers: Mapping[str, str]) -> Answer:
        """One row. path: account/container/object as text. headers: those of the row, lower-case names."""
        asked = {**headers, "x-backend-accept-redirect": "true", "x-backend-accept-quoted-location": "true"}
        head = self._exchange(node, op, f"/{node.name}/{partition}/{path}", asked, b"")
        if head is None:
            return NO_ANSWER
        return Answer(head.status, _redirect(head) if head.status == HTTPStatus.MOVED_PERMANENTLY else None)

    def send_many(
        self,
        node: Node,
        partition: int,
        container_path: str,
        items: Sequence[Mapping[str, object]],
        headers: Mapping[str, str],
    ) -> Answer | None:
        """Rows of one container, all or none. None: this node does not know how; send them one by one."""
        body = json.dumps(items).encode()
        asked = {**headers, "content-type": "application/json"}
        head = self._exchange(node, "UPDATE", f"/{node.name}/{partition}/{container_path}", asked, body)
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

    def _exchange(
        self, node: Node, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> ResponseHead | None:
        host, port = node.replication_address
        if self._silences.is_silent((host, port)):
            return None
        try:
            head, _ = request(
                self._pool,
                host,
                port,
                method,
                quoted(path),
                self._lines(host, port, headers, len(body)),
                body,
                connect_timeout_s=self._timeouts.connect_s,
                timeout_s=self._timeouts.answer_s,
                max_body_bytes=ANSWER_BYTES_MAX,
            )
        except (PeerTimedOut, ConnectTimedOut):
            self._silences.heard_nothing((host, port))
        except PeerError:
            pass
        else:
            return head
        return None

    def _lines(self, host: str, port: int, headers: Mapping[str, str], length: int) -> Iterable[tuple[str, str]]:
        yield "Host", f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        for name, value in headers.items():
            if name not in ("host", "user-agent", "content-length", "transfer-encoding", "connection"):
                yield title(name), value
        yield "User-Agent", f"{self._user_agent} {os.getpid()}"
        yield "Content-Length", str(length)


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
