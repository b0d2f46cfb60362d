"""Telling the account servers what became of a container, in the course of its PUT or DELETE.

All replicas are told at once and waited for; one that fails is left to the updater, which finds the container because
its reported_* columns differ. An account server that stops answering must not slow every container request of the node:
after a failure it is left alone for some seconds. Source: formats 6.3.
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
from objstore.http.request import Request
from objstore.http.status import HTTPStatus
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
"""(node, target, headers, timeout in seconds) → status of a PUT. Raises PeerError's kin; they are OSErrors or TimedOut
to nobody here: whatever is raised counts as no answer."""


class AccountUpdates:
    """Sends updates, and remembers who failed lately. One per process."""

    def __init__(
        self,
        send: Send,
        *,
        timeout_s: float,
        forget_failure_s: float,
        monotonic: Callable[[], float],
        logger: logging.Logger,
    ) -> None:
        self._send = send
        self._timeout_s = min(timeout_s, WAIT_MAX_S)
        self._forget_failure_s = forget_failure_s
        self._monotonic = monotonic
        self._logger = logger
        self._failing_until: dict[tuple[str, int], float] = {}

    def send(self, request: Request, path: BackendPath, nodes: Sequence[AccountNode], info: ContainerInfo) -> bool:
        """Tell account servers about a container. False when all of them said 404: there is no such account."""
        statuses = self.tell(nodes, path, info, _request_headers(request))
        return not nodes or any(status != HTTPStatus.NOT_FOUND for status in statuses)

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
            if self._is_failing(node)
            else green.spawn(self._tell, node, quoted(f"/{node.device}/{node.partition}{name}"), headers)
            for node in nodes
        ]
        return [None if task is None else task.join() for task in tasks]

    def _tell(self, node: AccountNode, target: str, headers: list[tuple[str, str]]) -> int | None:
        try:
            status = self._send(node, target, headers, self._timeout_s)
        except Exception as error:  # Whatever went wrong, the updater will tell this replica later.
            self._failing_until[node.address] = self._monotonic() + self._forget_failure_s
            self._logger.warning(
                "account_server=%s:%d device=%r error=%s: account update left to the updater",
                node.host,
                node.port,
                node.device,
                error,
            )
            return None
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._logger.warning(
                "account_server=%s:%d device=%r status=%d: account update left to the updater",
                node.host,
                node.port,
                node.device,
                status,
            )
        return status

    def _is_failing(self, node: AccountNode) -> bool:
        until = self._failing_until.get(node.address)
        if until is None:
            return False
        if self._monotonic() < until:
            return True
        del self._failing_until[node.address]
        return False


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
