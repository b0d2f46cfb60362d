"""Who does which piece of work that belongs to no disk: nodes share it without asking each other.

Every node knows the same list of nodes, from the ring, and orders it anew for every piece of work by a hash of both
(rendezvous hashing): the first does the piece at once, and so does who finds that all before him cannot be reached. If
the first is reached but does not do it, the piece is overdue: after `TAKEOVER_S` the second does it too, after twice
that the third. Doing a piece twice is harmless; a node that comes or goes changes the order only where it stands.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable

from objstore.http.client import ConnectionPool, PeerError
from objstore.ring.model import Ring
from objstore.runtime.netinfo import local_addresses

TAKEOVER_S = 300.0
REMEMBERED_S = 10.0
"""How long it is believed that a node can, or cannot, be reached."""
CONNECT_TIMEOUT_S = 1.0

Address = tuple[str, int]


def those_before(key: str, me: str, members: Collection[str]) -> list[str]:
    """Who comes before `me` for a piece of work, the first one first. Nobody for who is not a member: he was started
    beside the cluster on purpose, and does everything."""
    if me not in members:
        return []
    order = sorted(set(members), key=lambda member: _weight(key, member), reverse=True)
    return order[: order.index(me)]


def belongs(container: str, entry: str, process: int, processes: int) -> bool:
    """Swift's way, for operators who number their daemons by hand: whether entry is that of process (0 counts) out of
    processes; processes 0: no split. Source: formats 4.15."""
    if not processes:
        return True
    digest = hashlib.md5(f"{container}/{entry}".encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()
    return int(digest, 16) % processes == process


def members_of(ring: Ring) -> list[str]:
    """The servers of a ring, by their replication address."""
    return sorted({member(device.replication_ip, device.replication_port) for device in ring.devices if device})


def member(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def myself(members: Iterable[str], addresses: Collection[str], port: int) -> str:
    """Which of the members is this node: one of its addresses, with its port, or the only one at its addresses; ""
    when it cannot be told."""
    here = [each for each in sorted(members) if each.rpartition(":")[0].strip("[]") in addresses]
    mine = [each for each in here if each.endswith(f":{port}")]
    return mine[0] if mine else here[0] if len(here) == 1 else ""


class Shares:
    """rank(key) of the server at `address`, over the nodes that a ring has at the moment of asking.

    rank: how many nodes come before this one, 0 if none of those can be reached. can_reach(ip, port): can_connect, or
    a test's own."""

    def __init__(
        self,
        ring: Callable[[], Ring],
        address: Address,
        monotonic: Callable[[], float],
        can_reach: Callable[[str, int], bool],
    ) -> None:
        ip, port = address
        self._ring = ring
        self._addresses = local_addresses() | {ip}
        self._port = port
        self._monotonic = monotonic
        self._can_reach = can_reach
        self._seen: dict[str, tuple[float, bool]] = {}

    def rank(self, key: str) -> int:
        members = members_of(self._ring())
        before = those_before(key, myself(members, self._addresses, self._port), members)
        return len(before) if any(map(self._is_there, before)) else 0

    def _is_there(self, name: str) -> bool:
        now = self._monotonic()
        at, is_there = self._seen.get(name, (float("-inf"), False))
        if now - at > REMEMBERED_S:
            ip, _, port = name.rpartition(":")
            is_there = self._can_reach(ip.strip("[]"), int(port))
            self._seen[name] = now, is_there
        return is_there


def can_connect(ip: str, port: int) -> bool:
    """Whether somebody listens there."""
    try:
        _pool.connect_new(ip, port, CONNECT_TIMEOUT_S).close()
    except PeerError:
        return False
    return True


_pool = ConnectionPool()


def _weight(key: str, name: str) -> bytes:
    return hashlib.md5(f"{key}\0{name}".encode("utf-8", "surrogateescape"), usedforsecurity=False).digest()
