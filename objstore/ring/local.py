"""Which devices of a ring are this node's: those that its own server is named by. Pure.

A daemon works on a device when its replication address is one of this machine's and the port of the server whose ini
file the daemon was started from (formats 2.5). Several nodes on one machine have ports of their own.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping

from objstore.ring.model import Device, Ring


def local_devices(ring: Ring, addresses: Collection[str], port: int) -> dict[str, Device]:
    """Device name → device. addresses: of this machine (runtime/netinfo.py), IPv6 ones in short form."""
    return {
        device.device: device
        for device in ring.devices
        if device is not None and device.replication_port == port and _short(device.replication_ip) in addresses
    }


def served_devices(ring: Ring, addresses: Collection[str], port: int) -> dict[str, Device]:
    """As local_devices, for a server: those that it is named by, whether to clients or for replication."""
    return {
        device.device: device
        for device in ring.devices
        if device is not None
        and (
            (device.port == port and _short(device.ip) in addresses)
            or (device.replication_port == port and _short(device.replication_ip) in addresses)
        )
    }


def is_named_here(ring: Ring, addresses: Collection[str], device: str) -> bool:
    """Whether a device of that name is one of this machine's, under whatever port: a server of another port may share
    the directory of devices, and what lies there is that server's to keep."""
    mine = set(addresses)
    return any(
        known is not None and known.device == device and {_short(known.ip), _short(known.replication_ip)} & mine
        for known in ring.devices
    )


def belongs_elsewhere(ring: Ring, addresses: Collection[str], port: int, device: str, partition: int) -> bool:
    """Whether a partition on a device of this node is a handoff: the ring knows this node, and names others for the
    partition. False where it does not know the node: it may be another cluster's, or the address not be ours."""
    return is_handoff(ring, local_devices(ring, addresses, port), device, partition)


def is_handoff(ring: Ring, named: Mapping[str, Device], device: str, partition: int) -> bool:
    """As belongs_elsewhere. named: the devices of this node, by name."""
    if not named:
        return False
    here = named.get(device)
    if here is None or partition >= ring.partition_count:
        return True
    return all(node.id != here.id for node in ring.primaries(partition))


def _short(ip: str) -> str:
    """Host names stay as they are."""
    try:
        return str(ipaddress.ip_address(ip))
    except ValueError:
        return ip
