"""The container server: a WSGI app over container databases. Started by paste as egg:objstore#container."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

from objstore.config.boot import settings_for, swift_dir_of
from objstore.config.cluster import Cluster, load_cluster
from objstore.config.server import ROLE_PORTS, ServerSettings
from objstore.config.settings import reads
from objstore.config.sync_realms import LiveRealms
from objstore.container.account_update import AccountNode, AccountUpdates, Send
from objstore.container.handlers import put, read, replicate, rows, shards
from objstore.container.reports import Reports
from objstore.container.service import ContainerService
from objstore.container.settings import ContainerServerSettings
from objstore.db.container import KIND
from objstore.dbserver.node import DatabaseNode
from objstore.http.client import ConnectionPool, request
from objstore.http.dispatch import BackendApp, Handler
from objstore.http.request import Request
from objstore.http.response import Response
from objstore.peers.silence import Silences
from objstore.ring import local
from objstore.ring.model import Device, Ring
from objstore.ring.reload import ReloadingRing
from objstore.runtime.clock import Clock, SystemClock
from objstore.runtime.listen import shown
from objstore.runtime.netinfo import local_addresses

logger = logging.getLogger("objstore.container")

_ANSWER_BYTES_MAX = 65536


def make_app(
    settings: ContainerServerSettings,
    cluster: Cluster,
    clock: Clock,
    *,
    send: Send | None = None,
    account_nodes: Callable[[str], Sequence[AccountNode]] | None = None,
    is_handoff: Callable[[str, int], bool] = lambda device, partition: False,
    silences: Silences | None = None,
) -> BackendApp:
    """send, silences: how account servers are told and left alone (tests pass their own). account_nodes: who keeps an
    account; None: changed counts are not reported from here, and neither are those of a device and partition that
    is_handoff."""
    updates = AccountUpdates(
        send or _sender(settings.conn_timeout),
        timeout_s=settings.node_timeout,
        silences=silences or Silences(),
        logger=logger,
    )
    service = ContainerService(
        node=DatabaseNode.of(KIND, settings, cluster, clock, logger),
        settings=settings,
        account_updates=updates,
        realms=LiveRealms(cluster.swift_dir, clock.monotonic),
        reports=account_nodes
        and Reports(updates, account_nodes, interval_s=settings.report_interval, logger=logger, is_handoff=is_handoff),
    )
    handlers: dict[str, Handler] = {
        "DELETE": partial(_delete, service),
        "GET": partial(read.get, service),
        "HEAD": partial(read.head, service),
        "POST": partial(put.post, service),
        "PUT": partial(_put, service),
        "UPDATE": partial(rows.update, service),
    }
    return service.node.app(handlers, partial(replicate.replicate, service))


@reads(ContainerServerSettings)
def app_factory(global_conf: dict[str, str], **local_conf: str) -> BackendApp:
    """PasteDeploy. Raises ConfigError."""
    settings = settings_for(ContainerServerSettings, global_conf, local_conf)
    cluster = load_cluster(swift_dir_of(global_conf))
    server = settings_for(ServerSettings, global_conf, {})
    is_handoff = _handoffs(cluster, server.bind_ip, server.bind_port or ROLE_PORTS["container-server"])
    return make_app(settings, cluster, SystemClock(), account_nodes=_account_nodes(cluster), is_handoff=is_handoff)


def _account_nodes(cluster: Cluster) -> Callable[[str], Sequence[AccountNode]]:
    ring = ReloadingRing(cluster.swift_dir / "account.ring.gz")

    def nodes(account: str) -> Sequence[AccountNode]:
        current = ring.current
        partition = current.partition(cluster.secrets.digest(account))
        return [
            AccountNode(*node.address, device=node.name, partition=str(partition))
            for node in current.primaries(partition)
        ]

    return nodes


def _handoffs(cluster: Cluster, bind_ip: str, port: int) -> Callable[[str, int], bool]:
    """Whether a partition on a device of this server belongs on others, by the ring of the moment."""
    ring = ReloadingRing(cluster.swift_dir / "container.ring.gz")
    addresses = local_addresses(bind_ip)
    seen: list[tuple[Ring, dict[str, Device]]] = []

    def is_elsewhere(device: str, partition: int) -> bool:
        current = ring.current
        if not seen or seen[0][0] is not current:
            seen[:] = [(current, local.served_devices(current, addresses, port))]
        return local.is_handoff(current, seen[0][1], device, partition)

    return is_elsewhere


def _put(service: ContainerService, request: Request) -> Response:
    path = request.backend_path(4, 5)
    if path.obj is not None:
        return rows.put_row(service, request, path)
    service.node.check_room(path)
    if (request.header(shards.RECORD_TYPE) or "").lower() == "shard":
        return shards.put_shard_ranges(service, request, path)
    return put.put_container(service, request, path)


def _delete(service: ContainerService, request: Request) -> Response:
    path = request.backend_path(4, 5)
    if path.obj is not None:
        return rows.delete_row(service, request, path)
    return put.delete_container(service, request, path)


def _sender(connect_timeout_s: float) -> Send:
    """Sends over pooled connections; the pool is this process's own, filled after the fork."""
    pool = ConnectionPool()

    def send(node: AccountNode, target: str, headers: list[tuple[str, str]], timeout_s: float) -> int:
        framed = [("Host", shown((node.host, node.port))), *headers, ("Content-Length", "0")]
        head, _ = request(
            pool,
            node.host,
            node.port,
            "PUT",
            target,
            framed,
            connect_timeout_s=connect_timeout_s,
            timeout_s=timeout_s,
            max_body_bytes=_ANSWER_BYTES_MAX,
        )
        return head.status

    return send
