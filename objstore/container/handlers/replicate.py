"""REPLICATE: what the replicators of other nodes ask of this one's container databases. Source: formats 6.8."""

from __future__ import annotations

from objstore.container.service import ContainerService
from objstore.http.request import Request
from objstore.http.response import Response
from objstore.replication import db_rpc


def replicate(service: ContainerService, request: Request) -> Response:
    node = service.node
    return db_rpc.replicate(
        node.databases, node.devices, node.clock, request, node.secrets, node.settings.fallocate_reserve
    )
