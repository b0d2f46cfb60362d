"""What `objstore doctor` says about who may connect to storage servers (cluster/peer_gate.py) and to rsync."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

from objstore.cli.doctor_checks import Finding
from objstore.cluster import rsyncd
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.peer_gate import gate_of
from objstore.cluster.servers import PROXY_NODE, ServerFile
from objstore.runtime.listen import shown


def of_admission(servers: Sequence[ServerFile]) -> Iterator[Finding]:
    """One finding when storage servers that other machines can reach admit everybody."""
    open_ones = [
        server
        for server in servers
        if server.node != PROXY_NODE and gate_of(server) is None and not _is_loopback(server.address[0])
    ]
    if open_ones:
        where = ", ".join(f"{server.role} {shown(server.address)}" for server in open_ones[:3])
        more = f" and {len(open_ones) - 3} more" if len(open_ones) > 3 else ""
        yield Finding(
            "admission",
            f"everybody who reaches them may read and write the storage servers: {where}{more}",
            "set admit = rings in [DEFAULT] of their files, and admit_hosts = ADDRESS … for proxies outside the rings",
        )


def admitted(servers: Sequence[ServerFile]) -> list[str]:
    """Addresses and networks that any storage server here admits; "all" where one admits everybody."""
    found: dict[str, None] = {}
    for server in servers:
        if server.node != PROXY_NODE:
            gate = gate_of(server)
            found |= dict.fromkeys(["all"] if gate is None else gate.addresses())
    return list(found)


def admitted_to_rsync(directory: ClusterDirectory) -> list[str]:
    """Addresses and networks that the rsync daemon of a directory admits; nobody where none is configured."""
    try:
        return rsyncd.allowed((directory.etc / rsyncd.FILE_NAME).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return []


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
