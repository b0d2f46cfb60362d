"""Rings for tests, made without a builder: what matters is that they are the same every time."""

from __future__ import annotations

from array import array

from objstore.ring.model import HASH_BITS, Device, Ring, RingHeader


def make_device(device_id: int = 0, *, zone: int = 1, region: int = 1, ip: str = "127.0.0.1", port: int = 6200, **more):
    """A Device named sd<id>; replication goes to port + 1000 unless told. more: weight, meta, replication_ip …"""
    more.setdefault("replication_ip", ip)
    more.setdefault("replication_port", port + 1000)
    more.setdefault("device", f"sd{device_id}")
    more.setdefault("weight", 100.0)
    return Device(device_id, region, zone, ip, port, **more)


def make_ring(
    devices: int = 4, replicas: int = 3, part_power: int = 6, zones: int = 4, base_port: int = 6200, **header
) -> Ring:
    """Device i is sd<i> in zone i % zones + 1 at 127.0.0.1:base_port+i; partition p is on devices p, p+1, p+2 …

    (modulo their number, so that a partition's replicas are on different devices as long as there are enough).
    header: version, next_part_power.
    """
    all_devices = [make_device(i, zone=i % zones + 1, port=base_port + i) for i in range(devices)]
    rows = [
        array("H", ((partition + replica) % devices for partition in range(1 << part_power)))
        for replica in range(replicas)
    ]
    return Ring(RingHeader(HASH_BITS - part_power, **header), rows, all_devices)


def ring_of(nodes) -> Ring:
    """Every partition on all of these nodes, at their addresses."""
    rows = [array("H", [number] * 16) for number in range(len(nodes))]
    devices = [
        make_device(number, device=node.name, port=node.address[1], replication_port=node.address[1])
        for number, node in enumerate(nodes)
    ]
    return Ring(RingHeader(HASH_BITS - 4), rows, devices)
