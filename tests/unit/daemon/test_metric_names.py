"""daemon/metric_names.py: the names of docs.openstack.org/swift/latest/metrics/all.html."""

import pytest

from objstore.daemon.metric_names import job_metrics


@pytest.mark.parametrize(
    "daemon, counts, expected",
    [
        ("account-auditor", {"passed": 1}, {"passes": 1, "timing": 500}),
        ("container-auditor", {"failures": 1, "quarantined": 1}, {"failures": 1, "timing": 500}),
        (
            "container-replicator",
            {"success": 2, "no_change": 1, "diff": 1, "remove": 1, "rows": 9},
            {"successes": 2, "no_changes": 1, "diffs": 1, "removes.sdb1": 1, "attempts": 1, "timing": 500},
        ),
        ("account-replicator", {"failures": 2}, {"failures": 2, "attempts": 1}),
        ("container-updater", {"no_changes": 1}, {"no_changes": 1, "timing": 500}),
        ("object-updater", {"success": 3, "superseded": 2}, {"successes": 3, "unlinks": 5, "timing": 500}),
        ("object-expirer", {"success": 3, "failures": 1}, {"objects": 3, "errors": 1, "timing": 500}),
        ("account-reaper", {"objects_deleted": 5}, {"objects_deleted": 5, "timing": 500}),
        ("object-auditor", {"quarantined": 1, "bytes": 9}, {"quarantines": 1, "timing": 500}),
        (
            "object-replicator",
            {"suffix_sync": 4, "hashmatch": 1},
            {"suffix.syncs": 4, "partition.update.count.sdb1": 1, "partition.update.timing": 500},
        ),
        ("object-replicator", {"handoffs": 1}, {"partition.delete.count.sdb1": 1, "partition.delete.timing": 500}),
        (
            "container-sync",
            {"synced": 1, "puts": 3, "deletes": 2, "confirmed": 9, "failures": 1},
            {"syncs": 1, "puts": 3, "deletes": 2, "failures": 1, "timing": 500},
        ),
        ("container-reconciler", {"moved": 1}, {"timing": 500}),
    ],
)
def test_a_job_has_the_documented_names(daemon, counts, expected):
    found = job_metrics(daemon, "sdb1", counts, 0.5)
    assert {name: value for name, value, _ in found} == {f"{daemon}.{name}": value for name, value in expected.items()}
    assert {unit for name, _, unit in found if name.endswith("timing")} <= {"ms"}


def test_a_device_cannot_end_a_name():
    (name, _, _), *_ = job_metrics("container-replicator", "a.b|c", {"remove": 1}, 0.0)
    assert name == "container-replicator.removes.a_b_c"
