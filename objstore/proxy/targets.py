"""Who tells whom: the update targets a write carries to each replica's server. Pure. Source: formats 6.4, 4.15.

An object server that stores an object tells container servers (and, for an object that expires, the servers of the
expiry queue); a container server tells account servers. The proxy deals the targets over those of its requests that
somebody can be asked to serve, so that every target is told by somebody, and enough of them even when only a quorum of
the requests succeeds. Who shares a machine with a target tells it: then a machine that dies in the middle leaves none
of the others in the dark. The request of a slot that nobody is in sight for names a target as well: who takes it in the
end may be the only one to store the object, perhaps long after the client heard 503, and a copy that has told nobody is
in no listing for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from objstore.core.hashing import HashSecrets
from objstore.peers.exchange import BackendRequest
from objstore.proxy.quorum import quorum_size
from objstore.ring.model import Node

Headers = list[tuple[str, str]]
Servers = Sequence[Node | None]
"""The node that is to serve each slot of a write; None: nobody is in sight."""
RequestPlan = Callable[[Servers], Sequence[BackendRequest]]
"""The request of every slot, made once it is known who serves them."""
MAX_DELETE_AT = 9_999_999_999
_QUEUE_SPREAD = 100


def same_for_all(request: BackendRequest) -> RequestPlan:
    """The plan of a write that tells nobody."""
    return lambda servers: [request] * len(servers)


def serving(servers: Servers) -> list[int]:
    """The slots that have a server; all of them when none has, because somebody may yet be found."""
    found = [slot for slot, node in enumerate(servers) if node is not None]
    return found or list(range(len(servers)))


def deal(nodes: Sequence[Node], servers: Servers) -> list[list[Node]]:
    """Update targets for each slot: every node once, to a server beside it or else to who tells fewest; then again from
    the first node, as many as are needed when only a quorum of the slots succeeds. One for each slot without a server,
    besides."""
    slots = serving(servers)
    count = max(quorum_size(len(nodes)) + len(slots) - quorum_size(len(slots)), len(nodes))
    dealt: list[list[Node]] = [[] for _ in servers]
    away = []
    for node in nodes:
        beside = next((slot for slot in slots if not dealt[slot] and _is_beside(servers[slot], node)), None)
        if beside is None:
            away.append(node)
        else:
            dealt[beside].append(node)
    again = [nodes[position % len(nodes)] for position in range(count - len(nodes))]
    for node in (*away, *again):
        dealt[min(slots, key=lambda slot: (node in dealt[slot], len(dealt[slot])))].append(node)
    for slot in set(range(len(servers))).difference(slots):
        dealt[slot].append(nodes[slot % len(nodes)])
    return dealt


def deal_backwards(nodes: Sequence[Node], servers: Servers) -> list[list[Node]]:
    """Expiry queue targets: from the last server backwards, so that one server is not told twice of one object. One for
    each slot without a server, besides."""
    slots = serving(servers)
    dealt: list[list[Node]] = [[] for _ in servers]
    for position, node in enumerate(nodes):
        dealt[slots[-1 - position % len(slots)]].append(node)
    for slot in set(range(len(servers))).difference(slots):
        dealt[slot].append(nodes[-1 - slot % len(nodes)])
    return dealt


def _is_beside(server: Node | None, node: Node) -> bool:
    """Whether both are of one machine."""
    return server is not None and server.device.machine == node.device.machine


def target_headers(prefix: str, partition: int, nodes: Sequence[Node], *, use_replication: bool = False) -> Headers:
    """prefix: X-Container, X-Account or X-Delete-At. Several targets are joined by commas."""
    if not nodes:
        return []
    addresses = [node.replication_address if use_replication else node.address for node in nodes]
    return [
        (f"{prefix}-Partition", str(partition)),
        (f"{prefix}-Host", ",".join(f"{host}:{port}" for host, port in addresses)),
        (f"{prefix}-Device", ",".join(node.name for node in nodes)),
    ]


@dataclass(frozen=True, slots=True)
class ExpiryQueue:
    """Where objects that expire are queued. account: with its dot; divisor: seconds that share a container."""

    account: str
    divisor: int
    secrets: HashSecrets

    def container(self, delete_at: int, account: str, container: str, obj: str) -> str:
        """The queue's container for an object, spread over a hundred by the object's hash."""
        shard = int(self.secrets.hash_path(account, container, obj), 16) % _QUEUE_SPREAD
        moment = delete_at // self.divisor * self.divisor - shard
        return f"{min(max(moment, 0), MAX_DELETE_AT):010d}"
