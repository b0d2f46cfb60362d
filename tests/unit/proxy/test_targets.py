from objstore.core.hashing import HashSecrets
from objstore.proxy.targets import ExpiryQueue, deal, deal_backwards, target_headers
from tests.support.rings import make_ring

NODES = make_ring().primaries(0)
_BIG = make_ring(devices=12, zones=12)
ELSEWHERE = [*_BIG.primaries(0), *_BIG.handoffs(0)][-5:]


def test_three_targets_go_to_three_servers():
    assert deal(NODES, ELSEWHERE[:3]) == [[NODES[0]], [NODES[1]], [NODES[2]]]


def test_two_servers_are_told_three_targets_the_first_twice():
    # As recorded between servers for a policy of two replicas: wire/object.jsonl, put-silver.
    assert deal(NODES, ELSEWHERE[:2]) == [[NODES[0], NODES[2]], [NODES[1]]]


def test_more_servers_than_targets_repeat_them_so_that_a_quorum_of_requests_reaches_a_quorum_of_rows():
    dealt = deal(NODES, ELSEWHERE)
    assert sum(map(len, dealt)) == 4
    assert all(len(told) <= 1 for told in dealt)


def test_a_target_is_told_by_the_server_beside_it():
    """One machine that dies then takes its own target with it, and nobody else's."""
    first, second, third = NODES
    assert deal(NODES, [third, ELSEWHERE[0], first]) == [[third], [second], [first]]


def test_targets_are_dealt_over_the_slots_that_somebody_serves_and_one_more_to_each_other():
    """Who serves those in the end may be the only one to store the object: its row must be known to somebody."""
    first, second, third = NODES
    assert deal(NODES, [None, ELSEWHERE[0], ELSEWHERE[1]]) == [[first], [first, third], [second]]
    assert deal(NODES, [None, None, ELSEWHERE[0]]) == [[first], [second], [first, second, third]]
    assert deal(NODES[:1], [None, None, ELSEWHERE[0]]) == [[first], [first], [first]]


def test_without_any_server_targets_are_dealt_over_all_slots():
    assert deal(NODES, [None] * 3) == [[NODES[0]], [NODES[1]], [NODES[2]]]


def test_expiry_targets_are_dealt_from_the_last_server_backwards():
    assert deal_backwards(NODES, ELSEWHERE[:3]) == [[NODES[2]], [NODES[1]], [NODES[0]]]
    assert deal_backwards(NODES, [*ELSEWHERE[:2], None]) == [[NODES[1]], [NODES[0], NODES[2]], [NODES[0]]]


def test_headers_join_several_targets_by_commas():
    assert target_headers("X-Container", 87, NODES[:2]) == [
        ("X-Container-Partition", "87"),
        ("X-Container-Host", "127.0.0.1:6200,127.0.0.1:6201"),
        ("X-Container-Device", "sd0,sd1"),
    ]


def test_expiry_queue_container_is_that_of_the_recorded_cluster():
    # wire/object.jsonl, post-delete-at.
    queue = ExpiryQueue(".expiring_objects", 86400, HashSecrets(b"wire-prefix", b"wire-suffix"))
    assert queue.container(1795328378, "AUTH_wire", "c1", "copied") == "1795305597"
