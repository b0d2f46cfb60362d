"""Forgetting what was deleted long ago."""

from pathlib import Path

import pytest

from objstore.db.merge import ContainerRow
from objstore.db.reclaim import reclaim
from objstore.db.shards import ShardRange, State, merge_ranges, read_ranges
from objstore.db.sync_points import INCOMING, OUTGOING, raise_sync_points, sync_points
from tests.support.databases import make_account, make_container, row, time_of

AGE_S = 100


def names(broker, table="object"):
    query = f"SELECT name FROM {table} ORDER BY name"
    return [name for (name,) in broker.database.read(lambda connection: connection.execute(query).fetchall())]


def test_old_deleted_rows_go_and_the_hash_follows(tmp_path):
    broker = make_container(tmp_path)
    empty = broker.info().hash
    broker.add_many([row("old", 1, deleted=1), row("young", 500, deleted=1), row("live", 1)])
    broker.database.flush()
    assert reclaim(broker.database, time_of(550), AGE_S) == 1
    assert names(broker) == ["live", "young"]
    broker.add_many([row("live", 501, deleted=1)])
    broker.database.flush()
    assert reclaim(broker.database, time_of(5000), AGE_S) == 2
    assert broker.info().hash == empty


def test_a_row_is_kept_for_the_whole_age(tmp_path):
    broker = make_container(tmp_path)
    broker.add_many([row("gone", 10, deleted=1)])
    broker.database.flush()
    assert reclaim(broker.database, time_of(10 + AGE_S), AGE_S) == 0
    assert reclaim(broker.database, time_of(10.1 + AGE_S), AGE_S) == 1


def test_many_rows_go_in_several_transactions(tmp_path, monkeypatch):
    monkeypatch.setattr("objstore.db.reclaim.ROWS_AT_ONCE", 3)
    broker = make_container(tmp_path)
    broker.add_many([row(f"o{number}", 1, deleted=1) for number in range(10)])
    broker.database.flush()
    assert reclaim(broker.database, time_of(550), AGE_S) == 10


def test_old_deleted_rows_of_an_account_go(tmp_path):
    broker = make_account(tmp_path)
    broker.report(ContainerRow("gone", time_of(1).internal, time_of(2).internal, 0, 0, 1, 0))
    broker.report(ContainerRow("live", time_of(1).internal, "0", 1, 1, 0, 0))
    broker.database.flush()
    assert reclaim(broker.database, time_of(550), AGE_S) == 1
    assert names(broker, "container") == ["live"]


def test_removed_metadata_goes_and_set_metadata_stays(tmp_path):
    broker = make_container(tmp_path)
    items = {"X-Container-Meta-Gone": ["", time_of(1).internal], "X-Container-Meta-Set": ["v", time_of(1).internal]}
    broker.post(None, items, lambda metadata: None)
    assert reclaim(broker.database, time_of(550), AGE_S) == 0
    assert "Gone" not in broker.info().metadata and "Set" in broker.info().metadata


@pytest.mark.parametrize("table", [INCOMING, OUTGOING])
def test_points_of_replicas_that_are_gone_go_after_twice_the_age(tmp_path, table):
    broker = make_container(tmp_path)

    def change(connection):
        raise_sync_points(connection, [("gone", 5)], table)
        connection.execute(f"UPDATE {table} SET updated_at = ?", (str(int(time_of(0).seconds)),))
        connection.execute(f"DROP TRIGGER {table}_update")
        connection.execute(f"UPDATE {table} SET updated_at = ?", (str(int(time_of(0).seconds)),))

    broker.database.write(change)
    reclaim(broker.database, time_of(AGE_S * 1.5), AGE_S)
    assert broker.database.read(lambda connection: sync_points(connection, table)) == [("gone", 5)]
    reclaim(broker.database, time_of(AGE_S * 2.5), AGE_S)
    assert broker.database.read(lambda connection: sync_points(connection, table)) == []


def test_deleted_shard_ranges_go_but_never_the_own_one(tmp_path):
    broker = make_container(tmp_path)
    at = time_of(1).normal

    def shard(name, deleted):
        return ShardRange(name, at, "", "", 0, 0, at, deleted, State.ACTIVE, at, None, 0, -1)

    ranges = [shard("a/gone", 1), shard("a/live", 0), shard("AUTH_v/c", 1)]
    broker.database.write(lambda connection: merge_ranges(connection, ranges))
    reclaim(broker.database, time_of(AGE_S * 3), AGE_S)
    left = broker.database.read(lambda connection: read_ranges(connection, with_deleted=True, with_own=True))
    assert {item.name for item in left} == {"a/live", "AUTH_v/c"}


def test_nothing_is_written_where_nothing_is_old(tmp_path):
    broker = make_container(tmp_path)
    broker.add_many([row("a"), row("b", deleted=1)])
    broker.database.flush()
    file = Path(broker.database.location.current())
    before = file.read_bytes()
    assert reclaim(broker.database, time_of(10), AGE_S) == 0
    assert file.read_bytes() == before
