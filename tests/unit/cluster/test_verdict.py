"""What makes a cluster OK, DEGRADED, or its data at risk."""

from array import array

import pytest

from objstore.cluster.verdict import (
    EMPTY_BESIDE,
    NEAR_FULL,
    PARTITIONS_COUNTED,
    PENDING_AGE_MAX_S,
    PENDING_COUNT_MAX,
    RECLAIM_AGE_S,
    REPLICATION_AGE_MAX_S,
    CopiesFact,
    DaemonFact,
    DiskFact,
    Facts,
    ProcessFact,
    ReplicationFact,
    Verdict,
    copies_missing,
    duration,
    is_at_risk,
    reasons,
    verdict,
)
from objstore.ring.model import HASH_BITS, Ring, RingHeader
from tests.support.rings import make_device, make_ring

NOW_S = 1_800_000_000.0
OK, DEGRADED, AT_RISK = Verdict.OK, Verdict.DEGRADED, Verdict.DATA_AT_RISK


def process(node="n1", state="ready", role="object-server"):
    return ProcessFact(role, node, state)


def disk(**more):
    return DiskFact("n1", "d1", **{"size": 1000, "avail": 500, **more})


def daemon(**more):
    given = {"state": "waiting", "started_s": NOW_S - 20, "elapsed_s": 1.0, "interval_s": 30.0, "is_complete": True}
    return DaemonFact("n1", "object-updater", **{**given, "failures": 0, **more})


def replicated(age_s):
    return ReplicationFact("n1", "object", NOW_S - age_s)


def copies(**short):
    return CopiesFact("object", 3, {int(left.removeprefix("left")): count for left, count in short.items()})


@pytest.mark.parametrize(
    ("facts", "expected", "whats"),
    [
        (Facts(), OK, []),
        (Facts(processes=(process(),), disks=(disk(),), daemons=(daemon(),), replication=(replicated(60),)), OK, []),
        (Facts(processes=(process(state="starting"),)), DEGRADED, ["process"]),
        (Facts(processes=(process(), process(state="starting"))), DEGRADED, ["process"]),
        (Facts(processes=(process("-", "starting", "proxy-server"),)), DEGRADED, ["process"]),
        (Facts(processes=(process(), process(state="draining"))), OK, []),
        (Facts(processes=(process(state="held"), process(state="held", role="daemons"))), DEGRADED, ["node"]),
        (Facts(copies=(copies(left2=5),)), DEGRADED, ["copies"]),
        (Facts(copies=(copies(left2=5, left1=1),)), AT_RISK, ["copies", "copies"]),
        (Facts(copies=(copies(left0=1),)), AT_RISK, ["copies"]),
        (Facts(disks=(disk(problem="gone"),)), DEGRADED, ["disk"]),
        (Facts(disks=(disk(avail=1000 - 1000 * NEAR_FULL),)), DEGRADED, ["near-full"]),
        (Facts(disks=(disk(avail=0),)), DEGRADED, ["full"]),
        (Facts(disks=(disk(size=0, avail=0),)), OK, []),
        (Facts(disks=(disk(partitions=EMPTY_BESIDE), disk())), DEGRADED, ["empty"]),
        (Facts(disks=(disk(partitions=EMPTY_BESIDE - 1), disk())), OK, []),
        (Facts(disks=(disk(partitions=EMPTY_BESIDE), disk(is_drained=True))), OK, []),
        (Facts(disks=(disk(), disk())), OK, []),
        (Facts(disks=(disk(quarantined=1),)), DEGRADED, ["quarantined"]),
        (Facts(disks=(disk(pending=9, pending_oldest_s=NOW_S - 5),)), OK, []),
        (Facts(disks=(disk(pending=1, pending_oldest_s=NOW_S - PENDING_AGE_MAX_S - 1),)), DEGRADED, ["async-pending"]),
        (Facts(disks=(disk(pending=PENDING_COUNT_MAX + 1),)), DEGRADED, ["async-pending"]),
        (Facts(daemons=(daemon(is_complete=False, failures=2),)), DEGRADED, ["pass-failed"]),
        (Facts(daemons=(daemon(started_s=NOW_S - 86),)), OK, []),
        (Facts(daemons=(daemon(started_s=NOW_S - 95),)), DEGRADED, ["overdue"]),
        (Facts(daemons=(daemon(started_s=NOW_S - 95, state="running"),)), OK, []),
        (Facts(daemons=(daemon(started_s=NOW_S - 600, is_complete=False),)), DEGRADED, ["pass-failed"]),
        (Facts(daemons=(daemon(started_s=NOW_S - 3600, is_complete=False),)), DEGRADED, ["overdue"]),
        (Facts(daemons=(daemon(started_s=None, elapsed_s=None),)), OK, []),
        (Facts(daemons=(daemon(started_s=NOW_S - 9999, is_current=False),)), OK, []),
        (Facts(daemons=(daemon(handoffs=3),)), DEGRADED, ["handoffs"]),
        (Facts(replication=(replicated(REPLICATION_AGE_MAX_S + 1),)), DEGRADED, ["replication"]),
        (Facts(replication=(replicated(RECLAIM_AGE_S + 1),)), AT_RISK, ["replication"]),
        (Facts(digests={"object.ring.gz": {"n1": "a", "n2": "a"}}), OK, []),
        (Facts(digests={"object.ring.gz": {"n1": "a", "n2": "b", "n3": "a"}}), DEGRADED, ["ring"]),
        (Facts(digests={"object.ring.gz": {"n1": "a", "n2": "", "n3": "a"}}), DEGRADED, ["ring"]),
        (Facts(unknown=(("n1", "object.recon cannot be read"),)), DEGRADED, ["unknown"]),
    ],
)
def test_the_verdict_is_the_worst_of_the_reasons(facts, expected, whats):
    found = reasons(facts, NOW_S)
    assert (verdict(found), [reason.what for reason in found]) == (expected, whats)


def test_the_worst_reasons_come_first():
    found = reasons(Facts(copies=(copies(left2=1),), replication=(replicated(RECLAIM_AGE_S + 1),)), NOW_S)
    assert [reason.severity for reason in found] == [AT_RISK, DEGRADED]


def test_a_node_whose_ring_differs_is_named():
    digests = {"object.ring.gz": {"n1": "a", "n2": "b", "n3": "a"}}
    (reason,) = reasons(Facts(digests=digests), NOW_S)
    assert reason.node == "n2"


@pytest.mark.parametrize(
    ("left", "expected", "risk"),
    [
        (1, 1, False), (0, 1, True),
        (2, 2, False), (1, 2, True),
        (3, 3, False), (2, 3, False), (1, 3, True), (0, 3, True),
        (3, 5, False), (2, 5, True),
    ],
)  # fmt: skip
def test_one_copy_or_less_than_a_quorum_is_a_risk(left, expected, risk):
    assert is_at_risk(left, expected) is risk


@pytest.mark.parametrize(
    ("gone", "short"),
    [(set(), {}), ({0}, {2: 48}), ({0, 1}, {2: 32, 1: 32}), ({0, 1, 2}, {1: 48, 0: 16}), ({0, 1, 2, 3}, {0: 64})],
)
def test_copies_that_are_left_are_counted_by_partition(gone, short):
    assert copies_missing(make_ring(devices=4, replicas=3, part_power=6), gone) == short


def test_two_replicas_on_one_device_are_one_copy():
    assert copies_missing(make_ring(devices=2, replicas=3, part_power=2), {0}) == {1: 4}


def test_a_last_row_that_is_shorter_counts_as_far_as_it_goes():
    rows = [array("H", [0, 0, 0, 0]), array("H", [1, 1, 1, 1]), array("H", [2, 2])]
    ring = Ring(RingHeader(HASH_BITS - 2), rows, [make_device(index) for index in range(3)])
    assert copies_missing(ring, {0}) == {2: 2, 1: 2}


def test_partitions_of_a_very_large_ring_are_estimated():
    count = 2 * PARTITIONS_COUNTED
    rows = [array("H", bytes(2 * count)), array("H", [1] * count)]
    ring = Ring(RingHeader(HASH_BITS - count.bit_length() + 1), rows, [make_device(0), make_device(1)])
    assert copies_missing(ring, {0}) == {1: count}


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (119, "119 s"), (600, "10 min"), (7200, "2 h"), (900_000, "10 days")]
)
def test_durations_are_said_roughly(seconds, said):
    assert duration(seconds) == said
