"""Getting container rows to their container servers, several at a time where a peer takes them.

Rows bound for the same container on the same device of a peer travel one request at a time; those that come while it
is under way, or that are announced and come within a moment (arrivals.py), go together in the next, as UPDATE
(formats 6.3), so a busy container costs the peer one request and one commit for many rows. A peer that does not know
UPDATE gets single PUTs. A lone row goes at once.

Every row has the same deadline from the moment it is handed in. A peer that let it pass is left alone until it answers
again (peers/silence.py): its rows are refused at once, for the caller to keep for the updater.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from objstore.core.headers import title
from objstore.core.names import quoted
from objstore.http.client import ConnectionPool, ConnectTimedOut, PeerError, PeerTimedOut, request
from objstore.http.status import HTTPStatus, is_success
from objstore.object.arrivals import Announced, Arrivals
from objstore.object.rows import ContainerRow
from objstore.object.waiting import Ticket, WaitingRoom
from objstore.peers.silence import Silences
from objstore.runtime.clock import Clock
from objstore.runtime.green import spawn

RETRY_UPDATE_S = 600.0
"""How long a peer that refused UPDATE gets single PUTs."""
GATHER_S = 0.01
"""How long a row waits at most for others that are about to come."""
MAX_ROWS = 500
"""Rows in one request."""
MAX_REPLY_BYTES = 65_536

_NOT_UNDERSTOOD = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.LENGTH_REQUIRED, HTTPStatus.NOT_IMPLEMENTED}
)


class Target(NamedTuple):
    """One replica of a container database. account and container may be those of a shard."""

    host: str
    port: int
    device: str
    partition: str
    account: str
    container: str

    @property
    def path(self) -> str:
        return f"/{self.device}/{self.partition}/{self.account}/{self.container}"


class PeerCall(Protocol):
    """One exchange with a container server; its status. Raises PeerError."""

    def __call__(
        self, target: Target, method: str, path: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> int: ...


class HttpPeers:
    """PeerCall over pooled connections."""

    def __init__(self, connect_timeout_s: float) -> None:
        self._pool = ConnectionPool()
        self._connect_timeout_s = connect_timeout_s

    def __call__(
        self, target: Target, method: str, path: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> int:
        host = f"[{target.host}]" if ":" in target.host else target.host
        lines = [("Host", f"{host}:{target.port}"), ("User-Agent", f"object-server {os.getpid()}")]
        lines += [(title(name), value) for name, value in headers.items()]
        lines.append(("Content-Length", str(len(body))))
        head, _ = request(
            self._pool,
            target.host,
            target.port,
            method,
            quoted(path),
            lines,
            body,
            connect_timeout_s=min(self._connect_timeout_s, timeout_s),
            timeout_s=timeout_s,
            max_body_bytes=MAX_REPLY_BYTES,
        )
        return head.status


@dataclass(eq=False, slots=True)
class _Waiting:
    row: ContainerRow
    deadline: float
    ticket: Ticket = field(default_factory=Ticket)


_LEAD = object()
"""The outcome that tells a waiter to send the next request itself."""


class RowDelivery:
    """Delivers rows to peers. One per process; everything runs in green threads of the callers."""

    def __init__(
        self, call: PeerCall, clock: Clock, timeout_s: float, silences: Silences, *, gather_s: float = GATHER_S
    ) -> None:
        self._call = call
        self._clock = clock
        self._timeout_s = timeout_s
        self._room = WaitingRoom(timeout_s)
        self._arrivals: Arrivals[Target] = Arrivals(gather_s)
        self._silences = silences
        self._waiting: dict[Target, list[_Waiting]] = {}
        self._refused_until: dict[tuple[str, int], float] = {}
        self._takes_updates: set[tuple[str, int]] = set()

    def announced(self, targets: Iterable[Target]) -> Announced[Target]:
        """with delivery.announced(targets): the row for these is made; deliver() it right after."""
        return self._arrivals.announced(targets)

    def deliver(self, target: Target, row: ContainerRow, *, alone: bool = False) -> bool:
        """Whether the peer took the row, within the timeout. alone: never in an UPDATE (sharded containers)."""
        now = self._clock.monotonic()
        address = (target.host, target.port)
        if self._silences.is_silent(address):
            return False
        deadline = now + self._timeout_s
        if alone or self._refused_until.get(address, 0.0) > now:
            return self._send_alone(target, row, deadline)
        queue = self._waiting.get(target)
        if queue is not None:
            return self._wait_in_line(target, queue, row, deadline)
        queue = self._waiting[target] = []
        return self._lead(target, queue, row, deadline)

    def _wait_in_line(self, target: Target, queue: list[_Waiting], row: ContainerRow, deadline: float) -> bool:
        mine = _Waiting(row, deadline)
        queue.append(mine)
        try:
            outcome = self._room.wait(mine.ticket)
        except BaseException:
            if mine.ticket.outcome is _LEAD:
                self._hand_over(target)
            elif mine in queue:
                queue.remove(mine)
            raise
        if outcome is _LEAD:
            return self._lead(target, queue, row, deadline)
        if outcome is None and mine in queue:
            queue.remove(mine)
        # None and not in line: on its way with somebody else's request; kept as well, which is harmless.
        return bool(outcome)

    def _lead(self, target: Target, queue: list[_Waiting], row: ContainerRow, deadline: float) -> bool:
        """Send this row and all that wait behind it, or are about to."""
        try:
            self._arrivals.wait(target)
        except BaseException:
            self._hand_over(target)
            raise
        others = queue[: MAX_ROWS - 1]
        del queue[: MAX_ROWS - 1]
        accepted = [False] * (1 + len(others))
        try:
            accepted = self._send_rows(target, [row, *[each.row for each in others]], deadline)
        finally:
            for each, is_accepted in zip(others, accepted[1:], strict=True):
                self._room.tell(each.ticket, is_accepted)
            self._hand_over(target)
        return accepted[0]

    def _hand_over(self, target: Target) -> None:
        """The next in line leads; without one the line is closed."""
        queue = self._waiting[target]
        if queue:
            self._room.tell(queue.pop(0).ticket, _LEAD)
        else:
            del self._waiting[target]

    def _send_rows(self, target: Target, rows: list[ContainerRow], deadline: float) -> list[bool]:
        if len(rows) == 1:
            return [self._send_alone(target, rows[0], deadline)]
        address = (target.host, target.port)
        body = json.dumps([row.item() for row in rows]).encode()
        headers = {
            "content-type": "application/json",
            "x-timestamp": max(row.timestamp for row in rows).internal,
            "x-trans-id": rows[0].transaction_id,
            "x-backend-storage-policy-index": str(rows[0].policy_index),
        }
        status = self._exchange(target, "UPDATE", target.path, headers, body, deadline)
        if status == HTTPStatus.ACCEPTED:
            self._takes_updates.add(address)
            return [True] * len(rows)
        if status is None:
            return [False] * len(rows)
        if status in _NOT_UNDERSTOOD and address not in self._takes_updates:
            self._refused_until[address] = self._clock.monotonic() + RETRY_UPDATE_S
        tasks = [spawn(self._send_alone, target, row, deadline) for row in rows]
        return [bool(task.join()) for task in tasks]

    def _send_alone(self, target: Target, row: ContainerRow, deadline: float) -> bool:
        status = self._exchange(target, row.op, f"{target.path}/{row.obj}", row.headers(), b"", deadline)
        return status is not None and is_success(status)

    def _exchange(
        self, target: Target, method: str, path: str, headers: Mapping[str, str], body: bytes, deadline: float
    ) -> int | None:
        """The status, or None when there was no answer in time."""
        remaining = deadline - self._clock.monotonic()
        if remaining <= 0:
            return None
        try:
            return self._call(target, method, path, headers, body, remaining)
        except PeerTimedOut:
            # A row that had waited long in line gave the peer little time: that says nothing about the peer.
            if remaining >= self._timeout_s / 2:
                self._silences.heard_nothing((target.host, target.port))
        except ConnectTimedOut:
            self._silences.heard_nothing((target.host, target.port))
        except PeerError:
            # A refusal costs nothing, and who comes back has to hear of its rows at once.
            pass
        return None
