"""Replicators of databases against real servers: one pass at a time, on four nodes in this process."""

import contextlib
import os
import shutil
from array import array
from pathlib import Path

import pytest

from objstore.daemon.pass_ import EVERYTHING, FAILURES, Scope
from objstore.db.merge import ContainerRow
from objstore.http.client import request
from objstore.ring.model import Ring
from objstore.runtime.devices import Devices
from tests.support.clock import SimClock
from tests.support.database_replicas import Replicas, at, rows
from tests.support.storage_nodes import StorageNodes


@pytest.fixture
def nodes(tmp_path):
    with StorageNodes(tmp_path) as nodes:
        yield nodes


@pytest.fixture
def containers(nodes):
    with contextlib.closing(Replicas(nodes, "container")) as replicas:
        yield replicas


@pytest.fixture
def accounts(nodes):
    with contextlib.closing(Replicas(nodes, "account")) as replicas:
        yield replicas


def directory(broker):
    return Path(broker.database.location.directory)


def test_rows_that_a_replica_missed_arrive(containers):
    first, second, third = containers.make_all()
    for broker in (first, second):
        broker.add_many(rows("a", "b"))
    third.add_many(rows("a"))
    counts = containers.replicate(0)
    assert containers.names_in(2) == ["a", "b"]
    assert containers.state(2).hash == containers.state(0).hash
    assert (counts[FAILURES], counts["success"], counts["rows"]) == (0, 2, 2)


def test_a_second_pass_finds_nothing_to_send(containers):
    first, *_ = containers.make_all()
    first.add_many(rows("a", "b"))
    containers.replicate(0)
    before = [containers.state(position).max_row for position in range(3)]
    assert containers.replicate(0)["rows"] == 0
    assert [containers.state(position).max_row for position in range(3)] == before


def test_replicas_that_each_know_something_agree_after_two_rounds(containers):
    for number, broker in enumerate(containers.make_all()):
        broker.add_many(rows(f"only-{number}", "all", at=number + 1))
    # The first node's pass comes before the others have sent it anything: it passes that on in the second round.
    for position in (0, 1, 2, 0, 1, 2):
        containers.replicate(position)
    assert len({containers.state(position).hash for position in range(3)}) == 1
    assert containers.names_in(0) == ["all", "only-0", "only-1", "only-2"]


def test_a_deletion_reaches_a_replica_that_was_away(containers):
    for broker in containers.make_all():
        broker.add_many(rows("gone"))
    for position in range(2):
        containers.broker(position).add_many(rows("gone", at=5, deleted=1))
    containers.replicate(0)
    assert containers.names_in(2) == []
    containers.replicate(2)
    assert containers.names_in(0) == []


def test_metadata_and_timestamps_go_both_ways(containers):
    first, _, third = containers.make_all()
    first.post(at(5), {"X-Container-Meta-A": ["1", at(5).internal]}, lambda metadata: None)
    third.post(at(6), {"X-Container-Meta-B": ["2", at(6).internal]}, lambda metadata: None)
    containers.replicate(0)
    for position in (0, 2):
        state = containers.state(position)
        assert '"X-Container-Meta-A"' in state.metadata and '"X-Container-Meta-B"' in state.metadata
        assert state.put_timestamp == at(6).internal


def test_a_missing_database_is_brought_whole(containers):
    first, second = containers.make_all(count=2)
    for broker in (first, second):
        broker.add_many(rows("a", "b"))
    counts = containers.replicate(0)
    assert counts["rsync"] == 1
    assert containers.names_in(2) == ["a", "b"]
    assert containers.state(2).id != containers.state(0).id
    assert containers.replicate(0)["rows"] == 0
    assert not [name for name in os.listdir(directory(first)) if name.endswith(".tmp")]


def test_rows_still_pending_are_in_the_file_that_is_sent(containers):
    first, _ = containers.make_all(count=2)
    first.add_many(rows("pending"))
    containers.replicate(0)
    assert containers.names_in(2) == ["pending"]


def test_one_far_behind_gets_the_file_and_keeps_its_own_rows(containers):
    first, _, third = containers.make_all()
    first.add_many(rows(*(f"o{number:02}" for number in range(20))))
    third.add_many(rows("own"))
    assert containers.replicate(0, per_diff=5)["rsync"] == 2
    assert len(containers.names_in(2)) == 21


def test_rows_go_in_batches_and_no_more_than_the_limit_in_one_pass(containers):
    first, second, third = containers.make_all()
    for broker in (second, third):
        broker.add_many(rows(*(f"x{number:02}" for number in range(12))))
    first.add_many(rows(*(f"o{number:02}" for number in range(20))))
    counts = containers.replicate(0, per_diff=3, max_diffs=2)
    assert counts["rows"] == 12
    assert len(containers.names_in(1)) == 18
    for _ in range(3):
        containers.replicate(0, per_diff=3, max_diffs=2)
    assert len(containers.names_in(1)) == 32


def test_a_handoff_goes_home_and_is_removed(containers, nodes):
    containers.make_all()
    handoff = containers.make(3)
    handoff.add_many(rows("parked"))
    first = containers.replicate(3)
    assert first["remove"] == 1
    assert all(containers.names_in(position) == ["parked"] for position in range(3))
    assert not directory(handoff).exists()
    assert list((nodes.device_root(containers.order()[0][3].id)).rglob("*.db")) == []


def test_a_handoff_stays_while_a_primary_is_away(containers, nodes):
    containers.make_all(count=2)
    handoff = containers.make(3)
    handoff.add_many(rows("parked"))
    nodes.unplug(containers.order()[0][2].id)
    counts = containers.replicate(3)
    assert (counts["remove"], counts[FAILURES]) == (0, 1)
    assert containers.names_in(3) == ["parked"]
    assert containers.replicate(3, handoff_delete=2)["remove"] == 1


def test_a_handoff_that_brings_whole_files_is_removed_only_after_they_are_seen_there(containers):
    handoff = containers.make(3)
    handoff.add_many(rows("only copy"))
    first = containers.replicate(3)
    assert (first["rsync"], first["remove"]) == (3, 0)
    assert containers.replicate(3)["remove"] == 1
    assert containers.names_in(0) == ["only copy"]


def test_a_row_that_arrives_during_the_exchange_keeps_the_handoff(containers):
    containers.make_all()
    handoff = containers.make(3)
    handoff.add_many(rows("parked"))
    replicator = containers.replicator(containers.order()[0][3].id)
    inner = replicator.sender

    class Late:
        def send(self, *arguments, **more):
            report = inner.send(*arguments, **more)
            handoff.add_many(rows("late"))
            return report

    replicator.sender = Late()
    (job,) = replicator.jobs(EVERYTHING)
    assert not replicator.run(job).get("remove")
    assert containers.names_in(3) == ["late", "parked"]


def test_where_a_primary_is_unplugged_a_handoff_stands_in(containers, nodes):
    first, second = containers.make_all(count=2)
    first.add_many(rows("a"))
    nodes.unplug(containers.order()[0][2].id)
    containers.replicate(0)
    assert containers.names_in(3) == ["a"]


def test_a_node_that_is_down_costs_a_failure_and_nobody_else_waits(containers, nodes):
    first, *_ = containers.make_all()
    first.add_many(rows("a"))
    nodes.cut(containers.order()[0][1].id, "container")
    assert containers.replicate(0, node_timeout_s=5)[FAILURES] == 1
    assert containers.names_in(2) == ["a"]


@pytest.mark.parametrize("damage", ["cut short", "emptied", "overwritten", "removed"])
def test_a_damaged_database_is_replaced_from_the_others(containers, damage):
    for broker in containers.make_all():
        broker.add_many(rows(*(f"o{number:03}" for number in range(200))))
        broker.database.flush()
    path = Path(containers.broker(2).database.location.current())
    data = path.read_bytes()
    match damage:
        case "cut short":
            path.write_bytes(data[: len(data) // 2])
        case "emptied":
            path.write_bytes(b"")
        case "overwritten":
            path.write_bytes(b"garbage " * (len(data) // 8))
        case "removed":
            shutil.rmtree(path.parent)
    containers.replicate(2)
    containers.replicate(0)
    assert containers.names_in(2) == containers.names_in(0)
    assert containers.state(2).hash == containers.state(0).hash
    quarantined = list(Path(containers.broker(2).database.location.device_path).glob("quarantined/containers/*"))
    assert len(quarantined) == (damage != "removed")


def test_misplaced_rows_reach_the_reconcilers_queue(containers):
    for broker in containers.make_all():
        broker.add_many(rows("stray", policy=2))
        broker.add_many(rows("home"))
    containers.replicate(0)
    queue = (".misplaced_objects", "1699999200")
    found = [containers.broker(position, names=queue) for position in range(3)]
    assert all(broker.exists for broker in found)
    query = "SELECT name, created_at, content_type, etag, storage_policy_index FROM object"
    listed = [broker.database.read(lambda connection: connection.execute(query).fetchall()) for broker in found]
    assert listed[0] == [("2:/AUTH_v/c/stray", at(1).internal, "application/x-put", at(1).internal, 0)]
    assert listed[1] == listed[2] == listed[0]
    before = containers.broker(0).info().reconciler_sync_point
    assert before == containers.state(0).max_row
    containers.replicate(0)
    assert containers.broker(0).info().reconciler_sync_point == before


def test_a_policy_conflict_is_settled_alike_on_all(containers):
    containers.make(0, policy=0, put=at(1))
    containers.make(1, policy=2, put=at(0))
    containers.make(2, policy=0, put=at(1))
    for _ in range(2):
        for position in range(3):
            containers.replicate(position)
    assert {containers.state(position).policy_index for position in range(3)} == {2}


def test_a_long_deleted_container_goes_when_all_replicas_say_so(containers):
    for broker in containers.make_all():
        broker.delete(at(5))
        info = broker.info()
        broker.reported(info.put_timestamp, info.delete_timestamp, 0, 0)
    containers.clock = SimClock(at(1000).seconds)
    assert containers.replicate(0, reclaim_age_s=10_000)["remove"] == 0
    assert containers.replicate(0, reclaim_age_s=100)["remove"] == 1
    # The others do not bring it back to who has forgotten it.
    assert containers.replicate(1, reclaim_age_s=100)["remove"] == 1
    assert not containers.broker(0).exists
    assert containers.replicate(2, reclaim_age_s=100)["remove"] == 1


def test_a_long_deleted_container_stays_while_one_replica_cannot_be_asked(containers, nodes):
    for broker in containers.make_all():
        broker.delete(at(5))
        info = broker.info()
        broker.reported(info.put_timestamp, info.delete_timestamp, 0, 0)
    containers.clock = SimClock(at(1000).seconds)
    nodes.unplug(containers.order()[0][2].id)
    assert containers.replicate(0, reclaim_age_s=100)["remove"] == 0
    assert containers.broker(0).exists


def test_a_long_deleted_container_that_lives_elsewhere_comes_back(containers):
    brokers = containers.make_all()
    for broker in brokers[:2]:
        broker.delete(at(5))
        info = broker.info()
        broker.reported(info.put_timestamp, info.delete_timestamp, 0, 0)
    brokers[2].put(at(9), {}, lambda metadata: None, None, 0)
    containers.clock = SimClock(at(1000).seconds)
    assert containers.replicate(0, reclaim_age_s=100)["remove"] == 0
    assert not containers.state(0).is_deleted


def test_account_rows_and_totals_arrive(accounts):
    for broker in accounts.make_all()[:2]:
        broker.report(ContainerRow("c", at(1).internal, "0", 3, 30, 0, 0))
    accounts.replicate(0)
    assert [accounts.broker(position).info().bytes_used for position in range(3)] == [30, 30, 30]
    assert accounts.state(0).hash == accounts.state(2).hash


def test_an_account_deleted_while_a_replica_was_away_is_deleted_there_too(accounts):
    for broker in accounts.make_all():
        broker.report(ContainerRow("c", at(1).internal, "0", 3, 30, 0, 0))
    for position in range(2):
        accounts.broker(position).delete(at(9))
    accounts.replicate(0)
    info = accounts.broker(2).info()
    assert (info.is_marked_deleted, info.status_changed_at) == (True, at(9).internal)


def test_scope_narrows_the_jobs(containers):
    containers.make_all()
    node = containers.order()[0][0]
    replicator = containers.replicator(node.id)
    partition = containers.order()[1]
    assert len(list(replicator.jobs(Scope(devices=frozenset({node.name}), partitions=frozenset({partition}))))) == 1
    assert not list(replicator.jobs(Scope(devices=frozenset({"other"}))))
    assert not list(replicator.jobs(Scope(partitions=frozenset({partition + 1}))))


def test_handoffs_only_leaves_what_is_at_home_alone(containers):
    containers.make_all()
    assert not list(containers.replicator(containers.order()[0][0].id, handoffs_only=True).jobs(EVERYTHING))


def test_a_disk_that_is_away_is_a_failure_of_the_pass(containers, nodes):
    node = containers.order()[0][0].id
    nodes.unplug(node)
    replicator = containers.replicator(node)
    assert [replicator.run(job) for job in replicator.jobs(EVERYTHING)] == [{FAILURES: 1}]


def without_device(ring, device_id):
    """The ring after a device was removed, its partitions given to the next one."""
    rows = [array("H", ((each + 1) % 4 if each == device_id else each for each in row)) for row in ring.rows]
    return Ring(ring.header, rows, [None if device.id == device_id else device for device in ring.devices])


def test_databases_of_a_device_that_left_the_ring_move(containers, nodes):
    """The node has another device in the ring, so that it is known to be one of this cluster."""
    order, _ = containers.order()
    leaving, other = order[0].id, order[3].id
    containers.make(0).add_many(rows("only here"))
    root, old = nodes.device_root(other), nodes.device_root(leaving)
    (old / f"sd{leaving}").rename(root / f"sd{leaving}")
    containers.ring = without_device(containers.ring, leaving)
    replicator = containers.replicator(other)
    for _ in range(2):
        for job in replicator.jobs(Scope(devices=frozenset({f"sd{leaving}"}))):
            replicator.run(job)
    assert containers.names_in(0) == containers.names_in(1) == ["only here"]
    assert list((root / f"sd{leaving}").rglob("*.db")) == []


def test_a_device_of_another_server_of_this_machine_is_left_alone(containers, nodes):
    """With a server per port several share the directory of devices; none may take another's for strays."""
    order, _ = containers.order()
    containers.make_all()
    first, other = order[0].id, order[3].id
    (nodes.device_root(first) / f"sd{first}").rename(nodes.device_root(other) / f"sd{first}")
    assert {job.device for job in containers.replicator(other).jobs(EVERYTHING)} <= {f"sd{other}"}


def test_a_node_that_the_ring_does_not_know_touches_nothing(containers):
    containers.make_all()
    replicator = containers.replicator(containers.order()[0][0].id)
    replicator.addresses = frozenset({"192.0.2.1"})
    assert list(replicator.jobs(EVERYTHING)) == []


def test_a_server_that_knew_a_removed_handoff_says_that_it_is_gone(containers, nodes):
    """Its files are held open, and its lock is known: a row must not be acknowledged into what was removed."""
    containers.make_all()
    containers.make(3)
    order, partition = containers.order()
    headers = {"x-timestamp": at(50).internal, "x-size": "1", "x-content-type": "a/b", "x-etag": "e"}
    path = f"/{order[3].name}/{partition}/AUTH_v/c"

    def put(name):
        return call_server(containers, order[3], "PUT", f"{path}/{name}", headers)

    assert put("first") == 201
    assert containers.replicate(3)["remove"] == 1
    assert containers.names_in(0) == ["first"]
    assert put("second") == 404
    assert call_server(containers, order[3], "PUT", path, {"x-timestamp": at(60).internal}) == 201
    assert put("third") == 201
    assert containers.replicate(3)["remove"] == 1
    assert containers.names_in(0) == ["first", "third"]


def call_server(containers, node, method, target, headers):
    head, _ = request(
        containers.pool, *node.address, method, target, [("Host", "x"), ("Content-Length", "0"), *headers.items()],
        connect_timeout_s=2, timeout_s=20, max_body_bytes=1 << 20,
    )  # fmt: skip
    return head.status


def test_links_of_synced_containers_follow(containers):
    first, _, third = containers.make_all()
    items = {"X-Container-Sync-To": ["//r/c/a/c", at(5).internal], "X-Container-Sync-Key": ["k", at(5).internal]}
    third.post(at(5), items, lambda metadata: None)
    containers.replicate(0)
    links = Path(first.database.location.device_path) / "sync_containers"
    assert [path.is_symlink() for path in links.rglob("*.db")] == [True]


def test_a_directory_that_is_no_disk_is_no_failure(containers, nodes):
    node = containers.order()[0][0].id
    replicator = containers.replicator(node)
    replicator.devices = Devices(nodes.device_root(node), True)
    (nodes.device_root(node) / "lost+found").mkdir()
    assert [job.device for job in replicator.jobs(EVERYTHING)] == [f"sd{node}"]


def test_counts_that_a_replica_missed_are_right_again_once_all_were_told(accounts):
    """Rows of an account carry no time of their counts: a replica that was away overwrites newer ones, until the
    container tells all of them, which it does until it has (container/news.py)."""
    for broker in accounts.make_all():
        broker.report(ContainerRow("c", at(1).internal, "0", 1, 10, 0, 0))
    for position in (1, 2):
        accounts.broker(position).report(ContainerRow("c", at(1).internal, "0", 2, 20, 0, 0))
    accounts.replicate(0)
    for position in range(3):
        accounts.broker(position).report(ContainerRow("c", at(1).internal, "0", 2, 20, 0, 0))
    for position in range(3):
        accounts.replicate(position)
    assert [accounts.broker(position).info().bytes_used for position in range(3)] == [20, 20, 20]
    assert len({accounts.state(position).hash for position in range(3)}) == 1
