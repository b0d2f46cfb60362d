"""What status gathers from a cluster's directory, without any of its processes."""

import os
import re
import subprocess
import sys
import threading

import pytest

from objstore.cli.at_once import within
from objstore.cli.status import EXIT_CODES, shown, verdict_lines, watch
from objstore.cli.status_facts import daemon_fact, gather
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.disk_facts import disk_fact, pendings
from objstore.cluster.verdict import Reason, Verdict, reasons, verdict
from objstore.daemon import recon
from tests.support.cluster import objstore

NOW_S = 1_800_000_000.0


@pytest.fixture
def directory(tmp_path):
    code, _, error = objstore("init", tmp_path / "c", "--nodes", 3, "--port", 0, "--part-power", 4)
    assert code == 0, error
    found = ClusterDirectory(tmp_path / "c")
    for node in found.node_names():
        (found.nodes / node / "d1").mkdir(exist_ok=True)
    return found


def processes(*held):
    return [
        {"pid": 1, "role": f"{kind}-server", "node": node, "state": "held" if node in held else "ready"}
        for node in ("n1", "n2", "n3")
        for kind in ("account", "container", "object")
    ]


def gathered(directory, *held, daemons=()):
    return gather(directory, processes(*held), daemons, deadline_s=60)


def whats(facts):
    return {reason.what for reason in reasons(facts, NOW_S)} - {"near-full", "full"}  # Of the machine of the test.


def test_a_whole_cluster_has_nothing_against_it(directory):
    facts = gathered(directory)
    assert whats(facts) == set()
    assert [(disk.node, disk.device) for disk in facts.disks] == [("n1", "d1"), ("n2", "d1"), ("n3", "d1")]


def test_a_drained_disk_is_known_as_one(directory):
    (directory.nodes / "n3" / "d2").mkdir()
    for words in (["add", directory.root, "n3", "d2"], ["drain", directory.root, "n3", "d1"]):
        assert objstore("drive", *words, "--yes")[0] == 0
    assert {(disk.node, disk.device) for disk in gathered(directory).disks if disk.is_drained} == {("n3", "d1")}


def test_copies_of_a_node_that_is_held_down_do_not_answer(directory):
    facts = gathered(directory, "n2")
    assert {(fact.ring, tuple(fact.short.items())) for fact in facts.copies} == {
        (ring, ((2, 16),)) for ring in ("account", "container", "object")
    }
    assert verdict(reasons(gathered(directory, "n2", "n3"), NOW_S)) is Verdict.DATA_AT_RISK


def test_a_disk_that_is_gone_is_missed_in_every_ring(directory):
    (directory.nodes / "n1" / "d1").rmdir()
    facts = gathered(directory)
    assert whats(facts) == {"disk", "copies"}
    assert len(facts.copies) == 3


def test_a_stalling_disk_costs_only_its_own_facts():
    stop = threading.Event()
    try:
        assert list(within({"a": stop.wait, "b": lambda: "there"}, 1.0)) == ["b"]
    finally:
        stop.set()


def test_copies_on_disks_that_are_slow_to_answer_are_not_counted_as_lost(directory):
    facts = gather(directory, processes(), (), deadline_s=0)
    assert (facts.copies, len(facts.disks) + len(facts.unknown)) == ((), 3)


def test_a_ring_that_one_node_lacks_is_said(directory):
    other = directory.root / "other"
    other.mkdir()
    for path in directory.etc.glob("*"):
        if path.is_file() and path.name != "object.ring.gz":
            os.link(path, other / path.name)
    for kind in ("account", "container", "object"):
        conf = directory.server_conf("n3", kind)
        conf.write_text(
            "\n".join(
                f"swift_dir = {other}" if line.startswith("swift_dir") else line
                for line in conf.read_text().splitlines()
            )
        )
    assert {(reason.what, reason.node) for reason in reasons(gathered(directory), NOW_S)} >= {("ring", "n3")}


def test_the_last_replication_is_read_from_the_recon_cache(directory):
    recon.merge(recon.recon_file(directory.cache("n1"), "object"), {"replication_last": NOW_S - 3 * 86_400})
    recon.merge(recon.recon_file(directory.cache("n2"), "object"), {"replication_last": "soon"})
    assert [(fact.node, fact.kind) for fact in gathered(directory).replication] == [("n1", "object")]
    assert whats(gathered(directory)) == {"replication"}


def test_a_configuration_that_is_wrong_is_a_reason_and_no_end(directory):
    conf = directory.server_conf("n1", "object")
    text = conf.read_text()
    conf.write_text(re.sub(r"(?m)^mount_check = .*$", "mount_check = perhaps", text))
    assert "perhaps" in gathered(directory).unknown[0][1]
    conf.write_text("x" + text)
    assert str(conf) in gathered(directory).unknown[0][1]


def test_looking_loads_no_code_of_servers_and_no_hub(directory):
    """What made status slow: every module that the files name, and what nodes of several machines say to each other."""
    code = (
        "import pathlib, sys; from objstore.cli import status; from objstore.cluster.directory import ClusterDirectory;"
        "facts = status.gather(ClusterDirectory(pathlib.Path(sys.argv[1])), [], []); assert facts.disks, facts;"
        "heavy = ('eventlet', 'objstore.object', 'objstore.proxy', 'objstore.cluster.agent');"
        "print(*{name for name in sys.modules if name.startswith(heavy)})"
    )
    found = subprocess.run([sys.executable, "-c", code, directory.root], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"counts": 7},
        {"started": "x", "interval": None, "failures": True},
        {"failures": float("inf"), "started": float("nan")},
    ],
    ids=["none", "counts", "types", "not finite"],
)
def test_an_entry_of_another_version_is_taken_as_far_as_it_goes(row):
    fact = daemon_fact({"node": "n1", "daemon": "x", **row}, {1})
    assert (fact.started_s, fact.failures, fact.is_current) == (None, 0, False)


def test_handoffs_that_stayed_are_counted():
    row = {"pid": 1, "counts": {"handoffs": 5, "partitions_removed": 3}}
    assert daemon_fact(row, {1}).handoffs == 2


def pending(device, suffix, name):
    path = device / suffix / name[29:32] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_rows_that_wait_are_counted_with_the_age_of_the_oldest(tmp_path):
    pending(tmp_path, "async_pending", "a" * 32 + "-1700000000.00000")
    pending(tmp_path, "async_pending-1", "b" * 32 + "-1600000000.00000")
    pending(tmp_path, "async_pending-1", "c" * 32 + "-strange")
    (tmp_path / "async_pending" / "file").touch()
    assert pendings(tmp_path) == (3, False, 1_600_000_000.0)
    assert pendings(tmp_path, bound=2)[:2] == (2, True)


def test_what_a_disk_says_of_itself(tmp_path):
    device = tmp_path / "d1"
    (device / "quarantined" / "objects-1" / "x").mkdir(parents=True)
    (device / "quarantined" / "containers" / "y").mkdir(parents=True)
    for name in ("accounts/3", "containers/3", "objects/17", "objects-1/18", "objects/strange", "tmp/7"):
        (device / name).mkdir(parents=True)
    fact = disk_fact("n1", device, mount_check=False)
    assert (fact.problem, fact.quarantined, fact.pending, fact.partitions) == ("", 2, 0, 4)
    assert fact.size >= fact.avail > 0
    assert "nothing is mounted at" in disk_fact("n1", device, mount_check=True).problem
    assert disk_fact("n1", tmp_path / "d2", mount_check=False).problem.startswith("gone")


def test_many_reasons_are_cut_with_a_hint():
    found = [Reason(Verdict.DEGRADED, "disk", "n1", f"d{index}") for index in range(40)]
    lines = verdict_lines(Verdict.DEGRADED, found)
    assert (lines[0], lines[-1]) == ("verdict: DEGRADED", "  … and 10 more; --json has them all")


def test_the_exit_code_is_that_of_the_verdict():
    assert [EXIT_CODES[each] for each in (Verdict.OK, Verdict.DEGRADED, Verdict.DATA_AT_RISK)] == [0, 3, 1]


def test_watching_ends_with_ctrl_c_and_the_last_exit_code():
    codes = iter([0, 3])
    pauses = iter([None])

    def pause():
        if next(pauses, "over") == "over":
            raise KeyboardInterrupt

    assert watch(lambda: next(codes), pause) == 3


def test_a_daemon_s_row_says_what_its_last_pass_did():
    """The reaper and the reconciler say it nowhere else."""
    row = {
        "daemon": "account-reaper",
        "counts": {"objects_deleted": 5, "containers_remaining": 1, "failures": 1, "x": 0},
    }
    assert shown(row, 0.0)["counts"] == ["containers_remaining=1", "objects_deleted=5"]
    assert shown({"daemon": "of another version", "counts": 3}, 0.0)["counts"] == []
