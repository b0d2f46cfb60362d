"""Rows of containers as daemons write and remove them: those of the system's queues (.expiring_objects,
.misplaced_objects), which are no objects, and those of objects that are gone.

Rows are told directly to all primaries of the container, many in one request where a server takes that (UPDATE, formats
6.3). Source: formats 4.15, 5.10.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from objstore.core.hashing import HashSecrets
from objstore.core.headers import title
from objstore.core.names import quoted
from objstore.core.timestamp import Timestamp
from objstore.http.status import HTTPStatus
from objstore.peers.failure import NodeFailure
from objstore.peers.node_client import AS_DIRECT_CLIENT, NodeClient, Reply, Silence, Timeouts
from objstore.ring.model import Node, Ring

ROWS_AT_ONCE = 500
ASYNC_DELETED = "application/async-deleted"
"""Type of an entry in the expirer's queue that has an object deleted as of the moment in its name, whatever the object
says of its expiry."""
EMPTY_ETAG = "d41d8cd98f00b204e9800998ecf8427e"
_QUEUE_POLICY = 0
_NOT_UNDERSTOOD = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.LENGTH_REQUIRED, HTTPStatus.NOT_IMPLEMENTED}
)


@dataclass(frozen=True, slots=True)
class Removal:
    """A row to be removed. timestamp: of its removal; a row that is newer stays."""

    name: str
    timestamp: Timestamp


def direct_client(agent: str = "direct-client", silence: Silence | None = None) -> NodeClient:
    """Who asks all replicas of a container at once, with the patience of a daemon that has few questions. silence: for
    one that has many."""
    return NodeClient(agent, Timeouts(1.0, 10.0), headers=AS_DIRECT_CLIENT, silence=silence)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows that are removed together."""

    account: str
    container: str
    policy_index: int
    rows: Sequence[Removal]

    def items(self) -> list[dict[str, object]]:
        """The removals as rows of an UPDATE."""
        return [
            {
                "name": row.name,
                "created_at": row.timestamp.internal,
                "size": 0,
                "content_type": "application/deleted",
                "etag": "noetag",
                "deleted": 1,
                "storage_policy_index": self.policy_index,
            }
            for row in self.rows
        ]


class QueueRows:
    """ring: of containers, asked each time."""

    def __init__(self, calls: NodeClient, ring: Callable[[], Ring], secrets: HashSecrets) -> None:
        self._calls = calls
        self._ring = ring
        self._secrets = secrets

    def remove(
        self,
        account: str,
        container: str,
        rows: Sequence[Removal],
        *,
        one_by_one: bool = False,
        policy_index: int = _QUEUE_POLICY,
        by_quorum: bool = False,
    ) -> bool:
        """Remove rows of one container; whether at least one of its primaries has taken every one of them, or half of
        its primaries, rounded up (by_quorum); the others hear of it by replication. one_by_one: the container is
        sharded, or may be. policy_index: of the rows."""
        is_taken = True
        for start in range(0, len(rows), ROWS_AT_ONCE):
            some = _Rows(account, container, policy_index, rows[start : start + ROWS_AT_ONCE])
            partition, nodes = self._place(account, container)
            needed = (len(nodes) + 1) // 2 if by_quorum else 1
            is_taken &= self._remove_some(some, partition, nodes, needed, one_by_one)
        return is_taken

    def add(
        self, account: str, container: str, name: str, at: Timestamp, content_type: str, etag: str
    ) -> list[Reply | NodeFailure]:
        """Write one row, making the container where it is missing; what its primaries said."""
        partition, nodes = self._place(account, container)
        headers = {
            "x-timestamp": at.internal,
            "x-size": "0",
            "x-content-type": content_type,
            "x-etag": etag,
            "x-backend-storage-policy-index": str(_QUEUE_POLICY),
        }
        return self._ask(nodes, "PUT", _path(partition, account, container, name), headers)

    def add_many(
        self, account: str, container: str, names: Sequence[str], at: Timestamp, content_type: str, etag: str
    ) -> bool:
        """Write rows, making the container where it is missing; whether most of its primaries have taken every one."""

        def add_one(name: str) -> bool:
            replies = self.add(account, container, name, at, content_type, etag)
            return _is_majority([isinstance(reply, Reply) and reply.is_success for reply in replies])

        # The first alone, because that makes a container; UPDATE does not.
        if not add_one(names[0]):
            return False
        for start in range(1, len(names), ROWS_AT_ONCE):
            some = names[start : start + ROWS_AT_ONCE]
            if not self._add_some(account, container, [added_row(name, at, content_type, etag) for name in some], at):
                # Sharded, served by somebody who does not know UPDATE, or too many are away.
                if not all(add_one(name) for name in some):
                    return False
        return True

    def _add_some(self, account: str, container: str, items: list[dict[str, object]], at: Timestamp) -> bool:
        partition, nodes = self._place(account, container)
        headers = {
            "content-type": "application/json",
            "x-timestamp": at.internal,
            "x-backend-storage-policy-index": str(_QUEUE_POLICY),
        }
        path = _path(partition, account, container)
        replies = self._ask(nodes, "UPDATE", path, headers, json.dumps(items).encode())
        return _is_majority([isinstance(reply, Reply) and reply.status == HTTPStatus.ACCEPTED for reply in replies])

    def _remove_some(self, some: _Rows, partition: int, nodes: Sequence[Node], needed: int, one_by_one: bool) -> bool:
        if one_by_one or len(some.rows) == 1:
            return self._remove_singly(some, partition, nodes, needed)
        headers = {
            "content-type": "application/json",
            "x-timestamp": max(row.timestamp for row in some.rows).internal,
            "x-backend-storage-policy-index": str(some.policy_index),
        }
        path = _path(partition, some.account, some.container)
        replies = self._ask(nodes, "UPDATE", path, headers, json.dumps(some.items()).encode())
        said = [reply for reply in replies if isinstance(reply, Reply)]
        needed -= sum(reply.status == HTTPStatus.ACCEPTED for reply in said)
        others = [reply.node for reply in said if reply.status in _NOT_UNDERSTOOD]
        is_taken_singly = self._remove_singly(some, partition, others, needed) if others else False
        return needed <= 0 or is_taken_singly

    def _remove_singly(self, some: _Rows, partition: int, nodes: Sequence[Node], needed: int) -> bool:
        taken = 0
        for row in some.rows:
            headers = {"x-timestamp": row.timestamp.internal, "x-backend-storage-policy-index": str(some.policy_index)}
            replies = self._ask(nodes, "DELETE", _path(partition, some.account, some.container, row.name), headers)
            taken += sum(isinstance(reply, Reply) and reply.is_success for reply in replies) >= needed
        return taken == len(some.rows)

    def _ask(
        self, nodes: Sequence[Node], method: str, path: str, headers: dict[str, str], body: bytes = b""
    ) -> list[Reply | NodeFailure]:
        return self._calls.ask_all(nodes, method, path, [(title(name), value) for name, value in headers.items()], body)

    def _place(self, account: str, container: str) -> tuple[int, Sequence[Node]]:
        ring = self._ring()
        partition = ring.partition(self._secrets.digest(account, container))
        return partition, ring.primaries(partition)


def added_row(name: str, at: Timestamp, content_type: str, etag: str) -> dict[str, object]:
    """A new row of a queue, in the form of an UPDATE."""
    return {
        "name": name,
        "created_at": at.internal,
        "size": 0,
        "content_type": content_type,
        "etag": etag,
        "deleted": 0,
        "storage_policy_index": _QUEUE_POLICY,
    }


def _is_majority(taken: Sequence[bool]) -> bool:
    return 2 * sum(taken) > len(taken)


def _path(partition: int, account: str, container: str, name: str | None = None) -> str:
    path = f"/{partition}/{account}/{container}"
    return quoted(path if name is None else f"{path}/{name}")
