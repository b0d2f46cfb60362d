"""From the name of a node to its address in the rings, and back.

Names are those of a cluster directory: DIR/etc/<node>. An address is what a node's ini files say its servers listen
on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from objstore.cluster.changes import NodeAddress
from objstore.cluster.servers import PROXY_NODE, ServerFile
from objstore.ring.model import Device, Ring
from objstore.runtime.listen import shown


def of_servers(servers: Iterable[ServerFile]) -> dict[str, NodeAddress]:
    """By node name, of nodes that have all three storage servers."""
    found: dict[str, dict[str, tuple[str, int]]] = {}
    for server in servers:
        if server.node != PROXY_NODE:
            found.setdefault(server.node, {})[server.role.removesuffix("-server")] = server.address
    return {
        name: NodeAddress(name, kinds["object"][0], kinds["object"][1], kinds["container"][1], kinds["account"][1])
        for name, kinds in found.items()
        if len(kinds) == 3
    }


def devices_of(ring: Ring, kind: str, node: NodeAddress) -> list[Device]:
    """A node's devices in a ring of that kind."""
    address = node.ip, node.port(kind)
    return [device for device in ring.devices if device is not None and (device.ip, device.port) == address]


def name_of(address: tuple[str, int], nodes: Mapping[str, NodeAddress]) -> str:
    """The node that has a server there; its address where nobody here knows it."""
    ip, port = address
    for name, node in nodes.items():
        if node.ip == ip and port in (node.object_port, node.container_port, node.account_port):
            return name
    return shown(address)
