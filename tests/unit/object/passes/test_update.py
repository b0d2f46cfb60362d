"""object/passes/update.py on a real disk, over scripted container servers."""

import json
import os

import pytest

from objstore.core.policy import Policies, Policy
from objstore.daemon.pass_ import EVERYTHING, Scope
from objstore.object.passes.update import EMPTY_AGE_S, Limits, ObjectUpdater
from objstore.peers.container_rows import Answer, Redirect
from objstore.runtime.devices import Devices
from objstore.runtime.fs import Fs
from objstore.storage import pending
from objstore.storage.layout import DeviceLayout
from objstore.storage.pending import DeferredUpdate, decode
from tests.support.clock import SimClock
from tests.support.objects import SECRETS, ts
from tests.support.passes import make_runner
from tests.support.rings import make_ring

RING = make_ring(devices=3, replicas=3, part_power=4)
POLICIES = Policies([Policy(0, "gold", is_default=True), Policy(1, "silver")])
DONE, MANY, GONE, FAILED = Answer(201), Answer(202), Answer(404), Answer(0)


class ScriptedRows:
    """Container servers. answers: by node id; others take everything. knows_many: ids of nodes that know UPDATE."""

    def __init__(self, answers=None, knows_many=(0, 1, 2)):
        self.answers = answers or {}
        self.knows_many = knows_many
        self.alone = []
        self.together = []

    def may_take_many(self, node):
        return True

    def send(self, node, partition, op, path, headers):
        self.alone.append((node.id, op, path, headers["x-timestamp"]))
        answer = self.answers.get(node.id, DONE)
        return answer(path) if callable(answer) else answer

    def send_many(self, node, partition, container_path, body, headers):
        if node.id not in self.knows_many:
            return None
        self.together.append((node.id, container_path, [item["name"] for item in json.loads(body)]))
        return self.answers.get(node.id, MANY)


class Disk:
    def __init__(self, root):
        self.root = root
        for device in ("sda", "sdb"):
            (root / device).mkdir()

    def keep(self, obj="o", at=5.0, device="sda", policy_index=0, container="c", op="PUT", **fields):
        headers = {"x-timestamp": ts(at).internal}
        if op == "PUT":
            headers |= {"x-size": "3", "x-content-type": "text/x", "x-etag": "e"}
        update = DeferredUpdate(op, "a", container, obj, headers, **fields)
        digest = SECRETS.hash_path("a", container, obj)
        layout = DeviceLayout(str(self.root / device))
        return pending.keep(Fs(), layout, policy_index, digest, ts(at), update)

    def files(self):
        return sorted(str(path) for path in self.root.glob("*/async_pending*/*/*"))

    def update_in(self, path):
        with open(path, "rb") as file:
            return decode(file.read())


@pytest.fixture
def disk(tmp_path):
    return Disk(tmp_path)


def updater(disk, peers, clock=None, **limits):
    devices = Devices(disk.root, mount_check=False)
    return ObjectUpdater(devices, POLICIES, SECRETS, lambda: RING, peers, clock or SimClock(), Limits(**limits))


def run(the_pass, scope=EVERYTHING):
    return make_runner(the_pass).run_once(scope)


def test_a_row_goes_to_every_primary_and_its_file_goes(disk):
    disk.keep()
    peers = ScriptedRows()
    report = run(updater(disk, peers))
    assert sorted(peers.alone) == [(node, "PUT", "a/c/o", ts(5).internal) for node in range(3)]
    assert disk.files() == []
    assert (report.counts["success"], report.is_complete) == (1, True)


def test_rows_of_one_container_go_in_one_request(disk):
    for number in range(5):
        disk.keep(f"o{number}", at=number)
    disk.keep("gone", at=7, op="DELETE")
    peers = ScriptedRows()
    run(updater(disk, peers))
    assert sorted(peers.together) == [(node, "a/c", ["o0", "o1", "o2", "o3", "o4", "gone"]) for node in range(3)]
    assert (peers.alone, disk.files()) == ([], [])


def test_a_node_without_update_gets_the_rows_one_by_one(disk):
    for number in range(3):
        disk.keep(f"o{number}")
    peers = ScriptedRows(knows_many=(0, 1))
    run(updater(disk, peers))
    assert sorted(call[0] for call in peers.together) == [0, 1]
    assert [call[0] for call in peers.alone] == [2, 2, 2]
    assert disk.files() == []


@pytest.mark.parametrize("answer", [FAILED, GONE, Answer(500), Answer(507), Answer(409), Answer(302)])
def test_a_file_stays_until_the_last_node_has_its_row_and_remembers_the_others(disk, answer):
    path = disk.keep()
    peers = ScriptedRows({1: answer})
    report = run(updater(disk, peers))
    assert disk.files() == [path]
    assert disk.update_in(path).successes == (0, 2)
    assert (report.counts["failures"], report.is_complete) == (1, False)
    peers.alone.clear()
    peers.answers.clear()
    run(updater(disk, peers))
    assert [call[0] for call in peers.alone] == [1]
    assert disk.files() == []


def test_a_refused_batch_stays_whole(disk):
    paths = sorted(disk.keep(f"o{number}") for number in range(3))
    run(updater(disk, ScriptedRows({0: Answer(404)})))
    assert disk.files() == paths
    assert {disk.update_in(path).successes for path in paths} == {(1, 2)}


def test_nothing_is_written_when_nothing_was_gained(disk):
    path = disk.keep()
    before = os.stat(path)
    run(updater(disk, ScriptedRows(dict.fromkeys(range(3), FAILED))))
    after = os.stat(path)
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_older_files_of_a_hash_are_removed_unsent(disk):
    disk.keep(at=5.0)
    disk.keep(at=9.0)
    peers = ScriptedRows()
    report = run(updater(disk, peers))
    assert {call[3] for call in peers.alone} == {ts(9).internal}
    assert (disk.files(), report.counts["superseded"]) == ([], 1)


def test_a_corrupt_file_is_set_aside_with_one_error_and_the_others_go(disk, caplog):
    path = disk.keep("broken", policy_index=1)
    disk.keep("good", policy_index=1)
    with open(path, "wb") as file:
        file.write(b"garbage")
    report = run(updater(disk, ScriptedRows()))
    assert disk.files() == []
    name = os.path.basename(path)
    assert (disk.root / "sda" / "quarantined" / "objects-1" / name).read_bytes() == b"garbage"
    assert report.counts["quarantined"] == report.counts["success"] == 1
    assert [record.levelname for record in caplog.records].count("ERROR") == 1


def test_a_redirected_row_goes_to_its_shard_in_the_same_pass(disk):
    disk.keep(db_state="sharding")
    shard = Redirect(".shards_a/c-1", ts(10))
    peers = ScriptedRows(dict.fromkeys(range(3), lambda path: Answer(301, shard) if path.startswith("a/c/") else DONE))
    report = run(updater(disk, peers))
    assert {call[2] for call in peers.alone} == {"a/c/o", ".shards_a/c-1/o"}
    assert disk.files() == []
    assert (report.counts["redirects"], report.counts["success"]) == (1, 1)


def test_a_second_redirect_waits_for_the_next_pass(disk):
    path = disk.keep(db_state="sharding")
    first, second = Redirect(".shards_a/c-1", ts(10)), Redirect(".shards_a/c-2", ts(20))
    answers = {"a/c": first, ".shards_a/c-1": second}

    def answer(path):
        redirect = answers.get(path.rpartition("/")[0])
        return Answer(301, redirect) if redirect else DONE

    report = run(updater(disk, ScriptedRows(dict.fromkeys(range(3), answer))))
    assert disk.update_in(path).container_path == ".shards_a/c-2"
    assert not report.is_complete
    run(updater(disk, ScriptedRows()))
    assert disk.files() == []


def test_only_what_is_in_scope_is_sent(disk):
    disk.keep("1", device="sda")
    disk.keep("2", device="sdb")
    disk.keep("3", device="sdb", policy_index=1)
    peers = ScriptedRows()
    run(updater(disk, peers), Scope(devices=frozenset({"sdb"}), policies=frozenset({1})))
    assert {call[2] for call in peers.alone} == {"a/c/3"}
    run(updater(disk, peers), Scope(partitions=frozenset()))
    assert len(disk.files()) == 2


def test_a_device_that_cannot_be_read_does_not_keep_the_others_waiting(disk):
    disk.keep(device="sdb")
    loop = disk.root / "sda" / "async_pending"
    loop.symlink_to(loop)
    report = run(updater(disk, ScriptedRows()))
    assert (report.counts["success"], report.counts["failures"]) == (1, 1)


def test_a_container_goes_no_faster_than_its_limit_and_the_others_at_full_speed(disk):
    for number in range(10):
        disk.keep(f"o{number}", container="busy")
        disk.keep(f"o{number}", container="calm")
    clock = SimClock()
    peers = ScriptedRows()
    the_pass = updater(disk, peers, clock, rows_per_s=4.0, deferred_max=0)
    report = run(the_pass)
    assert report.counts["success"] == 4
    assert report.counts["left"] == 16
    clock.advance(60)
    assert run(the_pass).counts["success"] == 4


def test_deferred_rows_do_not_hold_up_the_next_pass(disk):
    for number in range(6):
        disk.keep(f"o{number}")
    clock = SimClock()
    the_pass = updater(disk, ScriptedRows(), clock, rows_per_s=2.0, deferred_s=0.0)
    report = run(the_pass)
    assert (report.counts["success"], report.counts["left"]) == (1, 5)
    assert the_pass.finished(report)["async_pending"] == 5


def test_deferred_rows_go_at_the_end_of_the_pass_when_their_turn_has_come(disk):
    for number in range(4):
        disk.keep(f"o{number}")
    clock = SimClock()
    the_pass = updater(disk, ScriptedRows(), clock, rows_per_s=2.0)
    for job in the_pass.jobs(EVERYTHING):
        the_pass.run(job)
        clock.advance(10)
    assert disk.files() == []


def test_empty_directories_go_when_they_have_been_so_for_a_while(disk):
    path = disk.keep()
    run(updater(disk, ScriptedRows()))
    directory = os.path.dirname(path)
    made_s = os.stat(directory).st_mtime
    run(updater(disk, ScriptedRows(), SimClock(made_s + EMPTY_AGE_S - 1)))
    assert os.path.isdir(directory)
    run(updater(disk, ScriptedRows(), SimClock(made_s + EMPTY_AGE_S + 1)))
    assert not os.path.exists(directory)


def test_recon_hears_how_much_is_left_and_whose(disk):
    disk.keep(at=5)
    disk.keep("p", at=7, container="d")
    clock = SimClock(1005.0)
    the_pass = updater(disk, ScriptedRows({1: FAILED}), clock)
    report = run(the_pass)
    entries = the_pass.finished(report)
    assert (entries["async_pending"], entries["async_pending_last"]) == (2, 1005.0)
    assert set(entries) == {
        "object_updater_sweep", "object_updater_stats", "object_updater_last", "async_pending", "async_pending_last"
    }  # fmt: skip
