"""ring/lookup.py: the node order of a reference system, position by position (tests/vectors/rings)."""

import gzip
import json
from pathlib import Path

import pytest

from objstore.ring.fileformat import load
from objstore.ring.lookup import TierIndex, handoff_ids, primary_ids
from tests.support.rings import make_ring

VECTORS = Path(__file__).parents[2] / "vectors" / "rings"
NAMES = sorted(path.name.removesuffix(".nodes.json.gz") for path in VECTORS.glob("*.nodes.json.gz"))
assert NAMES, "no vectors found: the test would check nothing"


@pytest.mark.parametrize("suffix", ["ring.gz", "v2.ring.gz"], ids=["v1", "v2"])
@pytest.mark.parametrize("name", NAMES)
def test_primaries_and_handoffs_come_in_the_order_of_the_reference(name, suffix):
    expected = json.loads(gzip.decompress((VECTORS / f"{name}.nodes.json.gz").read_bytes()))
    ring = load(VECTORS / f"{name}.{suffix}")
    assert ring.partition_count == expected["partition_count"]
    assert ring.replica_count == expected["replica_count"]
    for partition in range(ring.partition_count):
        nodes = expected["parts"][str(partition)]
        assert [node.id for node in ring.primaries(partition)] == nodes["primaries"]
        assert [node.id for node in ring.handoffs(partition)] == nodes["handoffs"]


def test_primaries_drop_repeats_and_skip_short_rows():
    assert primary_ids([[5, 6], [5, 7], [8]], 0) == [5, 8]
    assert primary_ids([[5, 6], [5, 7], [8]], 1) == [6, 7]


def test_positions_are_numbered_from_zero():
    ring = make_ring(devices=6)
    assert [(node.index, node.handoff_index) for node in ring.primaries(3)] == [(0, None), (1, None), (2, None)]
    assert [(node.index, node.handoff_index) for node in ring.handoffs(3)] == [(None, 0), (None, 1), (None, 2)]


def test_handoffs_are_lazy():
    walk = make_ring(devices=50, part_power=10).handoffs(0)
    first = next(walk)
    assert first.handoff_index == 0
    assert len({first.id, *(node.id for node in walk)}) == 47


@pytest.mark.parametrize("partition", [-1, 64])
def test_a_partition_outside_the_ring_is_an_index_error(partition):
    with pytest.raises(IndexError, match="0 to 63"):
        make_ring(part_power=6).primaries(partition)
    with pytest.raises(IndexError, match="0 to 63"):
        make_ring(part_power=6).handoffs(partition)


def test_nodes_tell_their_addresses():
    node = make_ring(base_port=7000).primaries(0)[1]
    assert (node.id, node.name, node.region, node.zone) == (1, "sd1", 1, 2)
    assert node.address == ("127.0.0.1", 7001)
    assert node.replication_address == ("127.0.0.1", 8001)


def test_partition_is_the_top_bits_of_the_digest():
    assert make_ring(part_power=6).partition(bytes.fromhex("fc000000") + bytes(12)) == 63


def test_a_device_that_no_walk_meets_is_the_last_handoff():
    """With fewer than 65,536 partitions the walks pass over the first one, which is all that device 2 has."""
    keys = {device: (device, device, device, device) for device in range(3)}
    rows = [[2, 0, 0, 0], [1, 1, 1, 1]]
    found = {partition: list(handoff_ids(rows, 30, partition, TierIndex.of(keys))) for partition in range(4)}
    assert found == {0: [0], 1: [2], 2: [2], 3: [2]}
