"""Replication of containers that are being sharded: ranges travel, rows for shards do not, and nothing is lost."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from objstore.db.connection import chexor
from objstore.db.outbound import snapshot
from objstore.db.shards import ShardRange, State, merge_ranges, read_ranges
from tests.support.database_replicas import ACCOUNT, Replicas, at, rows
from tests.support.storage_nodes import StorageNodes

EPOCH = at(30).normal


@pytest.fixture
def containers(tmp_path):
    with StorageNodes(tmp_path) as nodes, contextlib.closing(Replicas(nodes, "container")) as replicas:
        yield replicas


def shard(name, lower="", upper="", state=State.ACTIVE, when=1, epoch=None, deleted=0):
    time = at(when).normal
    return ShardRange(name, time, lower, upper, 0, 0, time, deleted, state, time, epoch, 0, -1)


OWN = f"{ACCOUNT}/c"
SHARDS = [shard(".shards_AUTH_v/c-1", "", "m"), shard(".shards_AUTH_v/c-2", "m", "")]


def give_ranges(broker, *ranges):
    broker.database.write(lambda connection: merge_ranges(connection, ranges))


def ranges_of(containers, position):
    broker = containers.broker(position)
    found = broker.database.read(lambda connection: read_ranges(connection, with_deleted=True, with_own=True))
    return {item.name: State(item.state) for item in found}


def make_fresh(broker):
    """What a sharder does at its start: a new file of an epoch beside the one with the rows."""
    location = broker.database.location
    broker.database.flush()
    old = location.current()
    fresh = f"{location.directory}/{location.hash}_{EPOCH}.db"
    snapshot(old, fresh)
    with contextlib.closing(sqlite3.connect(fresh)) as connection:
        connection.create_function("chexor", 3, chexor)
        connection.execute("DELETE FROM object")
        connection.execute("UPDATE container_info SET id = 'fresh-id'")
        connection.commit()


def test_ranges_go_both_ways(containers):
    first, second, _ = containers.make_all()
    give_ranges(first, SHARDS[0])
    give_ranges(second, SHARDS[1])
    containers.replicate(0)
    assert ranges_of(containers, 0) == ranges_of(containers, 1) == dict.fromkeys((s.name for s in SHARDS), State.ACTIVE)
    assert ranges_of(containers, 2).keys() >= {SHARDS[0].name}


def test_a_deleted_range_stays_deleted(containers):
    first, second, _ = containers.make_all()
    give_ranges(second, SHARDS[0])
    give_ranges(first, shard(SHARDS[0].name, when=9, deleted=1))
    containers.replicate(1)
    found = second.database.read(lambda connection: read_ranges(connection, with_deleted=True))
    assert [item.deleted for item in found] == [1]


def test_rows_of_a_container_that_is_being_sharded_stay(containers):
    first, *_ = containers.make_all()
    first.add_many(rows("a"))
    give_ranges(first, *SHARDS, shard(OWN, state=State.SHARDING, epoch=EPOCH))
    assert containers.replicate(0)["rows"] == 0
    assert containers.names_in(1) == []
    assert ranges_of(containers, 1)[OWN] is State.SHARDING


def test_an_own_range_without_an_epoch_undoes_no_sharding(containers):
    first, second, _ = containers.make_all()
    give_ranges(second, *SHARDS, shard(OWN, state=State.SHARDING, epoch=EPOCH))
    give_ranges(first, shard(OWN, when=50))
    containers.replicate(0)
    assert ranges_of(containers, 1)[OWN] is State.SHARDING


def test_a_handoff_whose_rows_wait_for_their_shards_is_not_removed(containers):
    containers.make_all()
    handoff = containers.make(3)
    handoff.add_many(rows("only here"))
    give_ranges(handoff, *SHARDS, shard(OWN, state=State.SHARDING, epoch=EPOCH))
    for _ in range(2):
        assert containers.replicate(3)["remove"] == 0
    assert containers.names_in(3) == ["only here"]


def test_a_handoff_that_has_sharded_goes_once_its_ranges_are_known(containers):
    containers.make_all()
    handoff = containers.make(3)
    give_ranges(handoff, *SHARDS, shard(OWN, state=State.SHARDED, epoch=EPOCH))
    assert containers.replicate(3)["remove"] == 1
    assert ranges_of(containers, 0)[OWN] is State.SHARDED


def test_while_sharding_a_missing_replica_gets_the_file_with_the_rows(containers):
    first, _ = containers.make_all(count=2)
    first.add_many(rows("a", "b"))
    give_ranges(first, *SHARDS, shard(OWN, state=State.SHARDING, epoch=EPOCH))
    make_fresh(first)
    for _ in range(2):
        containers.replicate(0)
    location = containers.broker(2).database.location
    assert [Path(path).name for path in location.files()] == [f"{location.hash}.db"]
    assert containers.names_in(2) == ["a", "b"]
    assert ranges_of(containers, 2)[OWN] is State.SHARDING


def test_both_files_of_a_sharding_handoff_stay(containers):
    containers.make_all()
    handoff = containers.make(3)
    handoff.add_many(rows("a"))
    give_ranges(handoff, *SHARDS, shard(OWN, state=State.SHARDING, epoch=EPOCH))
    make_fresh(handoff)
    for _ in range(2):
        assert containers.replicate(3)["remove"] == 0
    assert len(handoff.database.location.files()) == 2
