"""daemon/worker_share.py: who does which disk, and what recon tells of several processes."""

import pytest

from objstore.daemon import recon
from objstore.daemon.pass_ import EVERYTHING, Scope
from objstore.daemon.worker_share import WorkerShare, combined, merged_report
from tests.support.passes import ListedPass, make_runner

DISKS = ["sdc", "sda", "sdb", "sde", "sdd"]


def share(index, count, names=DISKS):
    return WorkerShare(index, count, lambda: names)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_every_disk_is_done_by_exactly_one(count):
    shares = [share(index, count).of(EVERYTHING) for index in range(count)]
    assert sorted(name for scope in shares for name in scope.devices) == sorted(DISKS)
    assert all(scope.is_everything for scope in shares), "together they leave nothing out"


def test_of_disks_that_were_asked_for_only_those_are_shared():
    scopes = [share(index, 2).of(Scope(frozenset({"sda", "sdb", "sdx"}))) for index in range(2)]
    assert [scope.devices for scope in scopes] == [{"sda"}, {"sdb"}]
    assert not any(scope.is_everything for scope in scopes)
    assert not share(0, 2).of(Scope(partitions=frozenset({1}))).is_everything


def test_a_daemon_is_as_late_as_its_latest_process():
    assert combined(
        [
            {
                "replication_last": 10.0,
                "replication_time": 2.0,
                "replication_stats": {"start": 8, "success": 3, "x": 1},
            },
            {"replication_last": 20.0, "replication_time": 9.0, "replication_stats": {"start": 11, "success": 4}},
        ]
    ) == {
        "replication_last": 10.0,
        "replication_time": 9.0,
        "replication_stats": {"start": 8, "success": 7, "x": 1},
    }


def test_what_auditors_and_updaters_say_is_summed_up():
    found = combined(
        [
            {
                "stats": {"audit_time": 3, "start_time": 5, "errors": 1},
                "oldest": None,
                "entries": [1],
                "async_pending": 2,
            },
            {
                "stats": {"audit_time": 4, "start_time": 6, "errors": 1},
                "oldest": None,
                "entries": [2],
                "async_pending": 3,
            },
        ]
    )
    assert found["stats"] == {"audit_time": 4, "start_time": 5, "errors": 2}
    assert (found["entries"], found["async_pending"], found["oldest"]) == ([1, 2], 5, None)


def test_nothing_is_said_of_all_before_all_have_said_something():
    first = merged_report({}, "object-replicator", share(0, 2), {"sda"}, {"replication_last": 5.0})
    assert "replication_last" not in first
    both = merged_report(first, "object-replicator", share(1, 2), {"sdb"}, {"replication_last": 3.0})
    assert both["replication_last"] == 3.0
    assert both["object_replication_per_disk"] == {"sda": {"replication_last": 5.0}, "sdb": {"replication_last": 3.0}}


@pytest.mark.parametrize(
    "kept", [None, 7, {"9": {"devices": [], "replication_last": 1.0}}, {"x": {}}, {"0": 3}, {"0": {"devices": 5}}]
)
def test_what_was_left_by_others_harms_nothing(kept):
    known = {"object_replicator_workers": kept}
    found = merged_report(known, "object-replicator", share(0, 1), {"sda"}, {"replication_last": 5.0})
    assert found["replication_last"] == 5.0
    assert found["object_replication_per_disk"] == {"sda": {"replication_last": 5.0}}


def entries(tmp_path, kind="daemons"):
    return recon.read(recon.recon_file(tmp_path, kind))


def replicator(last):
    found = ListedPass(entries={"x_last": last})
    found.name = "object-replicator"
    return found


def test_processes_of_one_daemon_report_beside_each_other(tmp_path):
    for index in range(2):
        make_runner(replicator(5.0 + index), tmp_path, share=share(index, 2)).run_once()
    assert set(entries(tmp_path)) == {"object-replicator #0", "object-replicator #1"}
    assert entries(tmp_path, "object")["x_last"] == 5.0
    assert set(entries(tmp_path, "object")["object_replication_per_disk"]) == set(DISKS)
    make_runner(replicator(9.0), tmp_path).run_once()
    assert set(entries(tmp_path)) == {"object-replicator"}
    assert entries(tmp_path, "object") == {"x_last": 9.0}


def test_disks_that_cannot_be_listed_are_nobodys(tmp_path, caplog):
    def names():
        raise OSError("Input/output error")

    listed = ListedPass()
    make_runner(listed, tmp_path, share=WorkerShare(0, 2, names)).run_once()
    assert listed.scopes == [Scope(frozenset())]
    assert "the disks cannot be listed" in caplog.text
    assert entries(tmp_path, "object") == {}
