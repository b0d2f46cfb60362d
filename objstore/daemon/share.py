"""Who does which piece of work that belongs to no disk: nodes share it without asking each other.

Every node knows the same list of nodes, from the ring, and orders it anew for every piece of work by a hash of both
(rendezvous hashing): the first does the piece at once. If it is down the piece is overdue, and after `takeover_s` the
second does it too, after twice that the third. Doing a piece twice is harmless; a node that comes or goes changes the
order only where it stands itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable

from objstore.ring.model import Ring
from objstore.runtime.netinfo import local_addresses

TAKEOVER_S = 300.0

Address = tuple[str, int]


def rank(key: str, me: str, members: Collection[str]) -> int:
    """How many stand before `me` for a piece of work; 0 does it at once. Who is no member does everything: he was
    started beside the cluster on purpose."""
    if me not in members:
        return 0
    mine = _weight(key, me)
    return sum(_weight(key, member) > mine for member in set(members) if member != me)


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


def rank_on(ring: Callable[[], Ring], address: Address) -> Callable[[str], int]:
    """rank() for the server at an address, over the nodes that a ring has at the moment of asking."""
    ip, port = address
    addresses = local_addresses() | {ip}

    def of(key: str) -> int:
        members = members_of(ring())
        return rank(key, myself(members, addresses, port), members)

    return of


def _weight(key: str, name: str) -> bytes:
    return hashlib.md5(f"{key}\0{name}".encode("utf-8", "surrogateescape"), usedforsecurity=False).digest()
