"""Which devices of a ring are this node's."""

from array import array

import pytest

from objstore.ring.local import belongs_elsewhere, is_named_here, local_devices, served_devices
from objstore.ring.model import Ring, RingHeader
from tests.support.rings import make_device

HERE = frozenset({"10.0.0.1", "fe80::1"})


def ring_of(*devices):
    return Ring(RingHeader(31), [array("H", [0, 0])], devices)


@pytest.mark.parametrize(
    ("device", "is_mine", "is_named"),
    [
        ({"ip": "10.0.0.1", "replication_port": 6200}, True, True),
        ({"ip": "10.0.0.1", "replication_port": 6201}, False, True),
        ({"ip": "10.0.0.2", "replication_port": 6200}, False, False),
        ({"ip": "10.9.9.9", "replication_ip": "10.0.0.1", "replication_port": 6200}, True, True),
        ({"ip": "10.0.0.1", "replication_ip": "10.9.9.9", "replication_port": 6200}, False, True),
        ({"ip": "fe80:0:0::1", "replication_port": 6200}, True, True),
        ({"ip": "storage-1.example", "replication_port": 6200}, False, False),
    ],
    ids=["ours", "another port", "another machine", "by replication ip", "ip alone", "IPv6 as it is written", "a name"],
)
def test_devices_are_told_by_replication_address(device, is_mine, is_named):
    ring = ring_of(make_device(0, **device), None)
    assert (list(local_devices(ring, HERE, 6200)) == ["sd0"]) is is_mine
    assert is_named_here(ring, HERE, "sd0") is is_named
    assert not is_named_here(ring, HERE, "sd1")


@pytest.mark.parametrize(("port", "names"), [(6200, ["sd0"]), (6300, ["sd0"]), (6201, ["sd1"]), (6301, [])])
def test_a_server_is_named_by_its_address_for_clients_or_for_replication(port, names):
    ring = ring_of(
        make_device(0, ip="10.0.0.1", port=6200, replication_ip="10.0.0.1", replication_port=6300),
        make_device(1, ip="10.0.0.1", port=6201, replication_ip="10.9.9.9", replication_port=6301),
    )
    assert list(served_devices(ring, HERE, port)) == names


@pytest.mark.parametrize(
    ("device", "partition", "addresses", "expected"),
    [
        ("sd0", 0, HERE, False),
        ("sd1", 0, HERE, True),
        ("sd1", 1, HERE, False),
        ("sd7", 0, HERE, True),
        ("sd0", 2, HERE, True),
        ("sd1", 0, frozenset({"10.9.9.9"}), False),
    ],
    ids=[
        "at home",
        "a handoff",
        "another partition",
        "a device that left the ring",
        "no such partition",
        "not our ring",
    ],
)
def test_a_partition_belongs_elsewhere_when_the_ring_knows_this_node_and_names_others(
    device, partition, addresses, expected
):
    devices = [make_device(number, ip="10.0.0.1", replication_port=6200) for number in range(2)]
    ring = Ring(RingHeader(31), [array("H", [0, 1])], devices)
    assert belongs_elsewhere(ring, addresses, 6200, device, partition) is expected
