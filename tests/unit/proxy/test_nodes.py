import random

import pytest

from objstore.proxy.nodes import Affinity, Counting, NodeOrder, Ordering
from tests.support.limits import Frozen, limiter
from tests.support.rings import make_ring

RING = make_ring(devices=8, replicas=3, zones=4)
PRIMARIES = [node.id for node in RING.primaries(5)]
HANDOFFS = [node.id for node in RING.handoffs(5)]


def order_of(errors=None, **ordering):
    ordering.setdefault("request_node_count", Counting(2, True))
    errors = errors or limiter()
    return NodeOrder(Ordering(**ordering), errors, random.Random(7))


def ids(nodes):
    return [node.id if node is not None else None for node in nodes]


def test_reading_asks_shuffled_primaries_then_handoffs_in_ring_order():
    found = ids(order_of().reading(RING, 5).nodes)
    assert sorted(found[:3]) == sorted(PRIMARIES)
    assert found[3:] == HANDOFFS[:3]


def test_reading_spreads_over_the_primaries():
    order = order_of()
    first = {next(order.reading(RING, 5).nodes).id for _ in range(60)}
    assert first == set(PRIMARIES)


def test_reading_leaves_out_limited_nodes():
    errors = limiter()
    errors.suppress(RING.primaries(5)[0])
    found = ids(order_of(errors).reading(RING, 5).nodes)
    assert PRIMARIES[0] not in found
    assert len(found) == 6


def test_limited_nodes_are_doubtful_once_they_are_left_out():
    errors = limiter()
    limited = [*RING.primaries(5)[1:], next(iter(RING.handoffs(5)))]
    for node in limited:
        errors.suppress(node)
    nodes, doubtful = order_of(errors).reading(RING, 5)
    assert ids(nodes) == [PRIMARIES[0], *HANDOFFS[1:]]
    assert ids(doubtful) == ids(limited)


def test_nobody_is_doubtful_while_all_are_well():
    nodes, doubtful = order_of().reading(RING, 5)
    assert len(ids(nodes)) == 6
    assert ids(doubtful) == []


@pytest.mark.parametrize("way", ["reading", "writing", "deleting"])
@pytest.mark.parametrize("index", range(len(PRIMARIES + HANDOFFS)))
def test_a_node_that_is_trusted_again_meanwhile_is_asked_once_all_the_same(way, index):
    frozen = Frozen()
    errors = limiter(answers=frozen)
    node = [*RING.primaries(5), *RING.handoffs(5)][index]
    errors.heard_nothing(node)
    chosen = getattr(order_of(errors, request_node_count=Counting(9, False)), way)(RING, 5)
    *slots, nodes, doubtful = chosen
    asked = [node.id for slot in slots for node in slot if node is not None]
    asked.append(next(nodes).id)
    frozen.thaw()
    asked += [*ids(nodes), *ids(doubtful)]
    assert sorted(asked) == sorted(PRIMARIES + HANDOFFS)


def test_read_affinity_orders_primaries_by_priority():
    zones = {node.zone: node.id for node in RING.primaries(5)}
    nearest, farthest = sorted(zones)[0], sorted(zones)[-1]
    places = Affinity.parse(f"r1z{nearest}=200, r1z{farthest}=100", with_priority=True)
    found = ids(order_of(key=places.priority()).reading(RING, 5).nodes)
    assert found[:2] == [zones[farthest], zones[nearest]]


def test_writing_leaves_a_limited_primary_to_a_handoff():
    errors = limiter()
    errors.suppress(RING.primaries(5)[1])
    slots, handoffs, _ = order_of(errors).writing(RING, 5)
    assert ids(slots) == [PRIMARIES[0], None, PRIMARIES[2]]
    assert next(handoffs).id == HANDOFFS[0]


def test_write_affinity_puts_local_nodes_first():
    zones = ", ".join({f"r1z{node.zone}" for node in RING.handoffs(5)})
    is_local = Affinity.parse(zones, with_priority=False).locality()
    slots, _, _ = order_of(is_local=is_local).writing(RING, 5)
    assert all(is_local(node) for node in slots)


def test_delete_reaches_local_handoffs_under_write_affinity():
    slots, _, _ = order_of(is_local=lambda node: node.id in HANDOFFS, handoff_delete_count=None).deleting(RING, 5)
    assert ids(slots) == PRIMARIES + HANDOFFS[:3]


@pytest.mark.parametrize("text", ["r", "z1=1", "r1z=1", "r1=x", "r1", "r1z1=1 r2=2"])
def test_bad_read_affinity_is_refused(text):
    with pytest.raises(ValueError):
        Affinity.parse(text, with_priority=True)


@pytest.mark.parametrize(("text", "count"), [("2 * replicas", 6), ("5", 5), ("1*replicas", 3)])
def test_node_count(text, count):
    assert Counting.parse(text).of(3) == count


def test_bad_node_count_is_refused():
    with pytest.raises(ValueError):
        Counting.parse("many")
