"""Telling the account servers what became of a container, in the course of its PUT or DELETE.

All replicas are told at once and waited for; who has not taken it is told again with the next report of changed counts
(reports.py), or by the updater, which finds the container because its reported_* columns differ. An account server that
stops answering must not slow every container request of the node: it is left alone until it answers again
(peers/silence.py). Source: formats 6.3.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from objstore.core.errors import BadRequest
from objstore.core.names import BackendPath, quoted, text_of
from objstore.db.container import ContainerInfo
from objstore.db.shards import is_root
from objstore.http.client import ConnectTimedOut, PeerError, PeerTimedOut
from objstore.http.request import Request
from objstore.http.status import HTTPStatus
from objstore.peers.silence import Silences
from objstore.runtime import green

WAIT_MAX_S = 0.5
"""Longest a container request waits for an account server, whatever node_timeout says: the updater repairs."""

PEERS_MAX = 32
"""Replicas of an account ring that one request may name."""


@dataclass(frozen=True, slots=True)
class AccountNode:
    host: str
    port: int
    device: str
    partition: str

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port


Send = Callable[[AccountNode, str, list[tuple[str, str]], float], int]
"""(node, target, headers, timeout in seconds) → status of a PUT. Raises PeerError."""


class AccountUpdates:
    """Sends updates, and says once of each account server when it stops taking them. One per process."""

    def __init__(self, send: Send, *, timeout_s: float, silences: Silences, logger: logging.Logger) -> None:
        self._send = send
        self._timeout_s = min(timeout_s, WAIT_MAX_S)
        self._silences = silences
        self._logger = logger
        self._failing: set[tuple[str, int]] = set()

    def send(
        self, request: Request, path: BackendPath, nodes: Sequence[AccountNode], info: ContainerInfo
    ) -> list[int | None]:
        """As tell(), in the course of a request."""
        return self.tell(nodes, path, info, _request_headers(request))

    def tell(
        self,
        nodes: Sequence[AccountNode],
        path: BackendPath,
        info: ContainerInfo,
        more_headers: Sequence[tuple[str, str]],
    ) -> list[int | None]:
        """The status each node answered with; None for one that gave no answer, or was not asked."""
        headers = [*info_headers(info), ("User-Agent", f"container-server {os.getpid()}"), *more_headers]
        name = f"/{path.account}/{path.container}"
        tasks = [
            None
            if self._silences.is_silent(node.address)
            else green.spawn(self._tell, node, quoted(f"/{node.device}/{node.partition}{name}"), headers)
            for node in nodes
        ]
        return [None if task is None else task.join() for task in tasks]

    def _tell(self, node: AccountNode, target: str, headers: list[tuple[str, str]]) -> int | None:
        try:
            status = self._send(node, target, headers, self._timeout_s)
        except (PeerError, OSError) as error:
            # A refusal costs nobody time, and who comes back has to hear of its containers at once.
            if isinstance(error, (ConnectTimedOut, PeerTimedOut)):
                self._silences.heard_nothing(node.address)
            self._note_failure(node, f"error={error}")
            return None
        if is_untold(status):
            self._note_failure(node, f"status={status}")
        else:
            self._failing.discard(node.address)
        return status

    def _note_failure(self, node: AccountNode, why: str) -> None:
        if node.address not in self._failing:
            self._failing.add(node.address)
            where = f"account_server={node.host}:{node.port} device={node.device!r}"
            self._logger.warning("%s %s: account updates are left for later", where, why)


def is_no_account(statuses: Sequence[int | None]) -> bool:
    """Whether account servers were asked, and all said that there is no such account."""
    return bool(statuses) and all(status == HTTPStatus.NOT_FOUND for status in statuses)


def is_untold(status: int | None) -> bool:
    """Whether an account server with this answer has to be told again."""
    return status is None or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def account_nodes(request: Request) -> Sequence[AccountNode]:
    """X-Account-Host, -Device (both lists) and -Partition; none without all three. Raises BadRequest."""
    hosts, devices = _list(request, "x-account-host"), _list(request, "x-account-device")
    partition = request.header("x-account-partition")
    if not partition or not hosts or not devices:
        return ()
    if len(hosts) != len(devices) or len(hosts) > PEERS_MAX:
        raise BadRequest(f"X-Account-Host names {len(hosts)} servers, X-Account-Device {len(devices)} devices")
    return [_node(host, device, partition) for host, device in zip(hosts, devices, strict=True)]


def _node(address: str, device: str, partition: str) -> AccountNode:
    host, colon, port = address.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()):
        raise BadRequest(f"X-Account-Host {address!r} is not host:port")
    return AccountNode(host.strip("[]"), int(port), device, partition)


def _list(request: Request, name: str) -> list[str]:
    return [part.strip() for part in (request.header(name) or "").split(",") if part.strip()]


def info_headers(info: ContainerInfo) -> list[tuple[str, str]]:
    """The headers by which a container is reported to its account."""
    # A shard reports nothing: its root counts for it.
    counts = (info.object_count, info.bytes_used) if is_root(info) else (0, 0)
    return [
        ("X-Put-Timestamp", info.put_timestamp),
        ("X-Delete-Timestamp", info.delete_timestamp),
        ("X-Object-Count", str(counts[0])),
        ("X-Bytes-Used", str(counts[1])),
        ("X-Backend-Storage-Policy-Index", str(info.storage_policy_index)),
    ]


def _request_headers(request: Request) -> list[tuple[str, str]]:
    headers = [
        ("X-Trans-Id", request.header("x-trans-id") or "-"),
        ("Referer", f"{request.method} http://{request.header('host', '-')}{quoted(text_of(request.path))}"),
    ]
    override = request.header("x-account-override-deleted")
    if override is not None:
        headers.append(("X-Account-Override-Deleted", override))
    return headers
