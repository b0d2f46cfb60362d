"""What is forgotten after reclaim_age, and what never is."""

import pytest

from objstore.core.errors import NotFound
from objstore.core.timestamp import Timestamp
from objstore.db import metadata as meta
from objstore.db.connection import connect
from objstore.db.merge import ContainerRow
from objstore.db.reclaim import Cutoffs, reclaim
from objstore.db.shards import shard_range_of
from objstore.db.sync_points import OUTGOING, raise_sync_points, sync_points
from tests.support.databases import NOW, make_account, make_container, row, time_of

DAY_S = 86400.0
AT = time_of(150), 50.0
"""Now and the age: what was deleted before 100 is old, what is kept for twice as long before 50."""


def stored(broker, query):
    connection = connect(broker.database.location.new_path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def names(broker):
    return [name for (name,) in stored(broker, "SELECT name FROM object ORDER BY name")]


def test_cutoffs_are_the_age_and_twice_the_age_ago():
    assert Cutoffs.of(time_of(7 * DAY_S), 2 * DAY_S) == Cutoffs(time_of(5 * DAY_S), time_of(3 * DAY_S))


def test_cutoffs_never_lie_before_time_began_and_an_age_is_not_negative():
    assert Cutoffs.of(Timestamp(5), 1.0) == Cutoffs(Timestamp(0), Timestamp(0))
    with pytest.raises(ValueError, match="-1"):
        Cutoffs.of(NOW, -1)


def test_old_deletions_are_forgotten_and_nothing_else_is(tmp_path):
    broker = make_container(tmp_path)
    broker.add_many(
        [
            row("deleted long ago", at=99, deleted=1),
            row("deleted at the cutoff", at=100, deleted=1),
            row("deleted of late", at=101, deleted=1),
            row("old and alive", at=1, size=5),
        ]
    )
    broker.database.flush()
    assert reclaim(broker.database, *AT) == 1
    assert names(broker) == ["deleted at the cutoff", "deleted of late", "old and alive"]
    assert broker.info().object_count == 1 and broker.info().bytes_used == 5


def test_hash_after_is_that_of_a_replica_which_never_had_the_row(tmp_path):
    one, other = make_container(tmp_path, "c"), make_container(tmp_path, "d")
    one.add_many([row("gone", at=1, deleted=1), row("o")])
    other.add(row("o"))
    one.database.flush()
    reclaim(one.database, *AT)
    assert one.info().hash == other.info().hash


def test_deletion_with_a_later_content_type_counts_by_its_data(tmp_path):
    broker = make_container(tmp_path)
    broker.add(row("o", at=1, deleted=1), time_of(200).internal, time_of(200).internal)
    broker.database.flush()
    assert reclaim(broker.database, *AT) == 1


def test_rows_of_every_policy_and_page_are_found(tmp_path):
    broker = make_container(tmp_path)
    rows = [row(f"o{number:02d}", at=1, deleted=1, policy=policy) for number in range(10) for policy in (0, 1, 2)]
    broker.add_many([*rows, row("o05x", at=500, deleted=1)])
    broker.database.flush()
    assert reclaim(broker.database, *AT, page_rows=4) == 30
    assert names(broker) == ["o05x"]


def test_row_that_came_back_meanwhile_stays(tmp_path):
    """What is pending is merged before anything is removed."""
    broker = make_container(tmp_path)
    broker.add(row("o", at=1, deleted=1))
    broker.database.flush()
    broker.add(row("o", at=2, size=3))
    assert reclaim(broker.database, *AT) == 0
    assert broker.info().object_count == 1


def test_database_with_nothing_to_forget_is_not_written(tmp_path):
    broker = make_container(tmp_path)
    broker.add(row("o", at=500, deleted=1))
    broker.database.flush()
    assert reclaim(ReadOnly(broker.database), *AT) == 0


class ReadOnly:
    """A database that takes `writes` changes and no more."""

    def __init__(self, database, writes=0):
        self.location, self.read, self._database, self._left = database.location, database.read, database, writes

    def write(self, function):
        if not self._left:
            raise PermissionError("no more writes")
        self._left -= 1
        return self._database.write(function)


def test_account_rows_go_by_their_deletion(tmp_path):
    broker = make_account(tmp_path)
    for name, put, delete in (("old", 1, 99), ("late", 1, 101), ("alive", 1, None)):
        deleted_at = "0" if delete is None else time_of(delete).internal
        broker.report(ContainerRow(name, time_of(put).internal, deleted_at, 0, 0, int(delete is not None), 0))
    broker.database.flush()
    assert reclaim(broker.database, *AT) == 1
    assert [name for (name,) in stored(broker, "SELECT name FROM container ORDER BY name")] == ["alive", "late"]


@pytest.mark.parametrize("make", [make_account, make_container])
def test_removed_metadata_is_forgotten_and_set_metadata_never(tmp_path, make):
    broker = make(tmp_path)
    items = {"X-Meta-Set": ["1", time_of(1).internal], "X-Meta-Old": ["", time_of(99).internal]}
    items["X-Meta-Late"] = ["", time_of(100).internal]
    broker.database.write(lambda connection: set_metadata(connection, broker, items))
    assert reclaim(broker.database, *AT) == 0
    assert sorted(meta.parse(broker.info().metadata)) == ["X-Meta-Late", "X-Meta-Set"]


def set_metadata(connection, broker, items):
    table = broker.database.shared.kind.stat_table
    connection.execute(f"UPDATE {table} SET metadata = ?", (meta.text_of(items),))


def test_sync_points_that_nobody_confirmed_are_forgotten(tmp_path):
    broker = make_container(tmp_path)

    def fill(connection):
        raise_sync_points(connection, [("gone", 5), ("here", 6)])
        raise_sync_points(connection, [("gone", 7)], OUTGOING)
        for table in ("incoming_sync", "outgoing_sync"):
            connection.execute(f"DROP TRIGGER {table}_update")
            stamp = str(int(time_of(49).seconds))
            connection.execute(f"UPDATE {table} SET updated_at = ? WHERE remote_id = 'gone'", (stamp,))

    broker.database.write(fill)
    assert reclaim(broker.database, *AT) == 0
    assert broker.database.read(sync_points) == [("here", 6)]


def shard(name, at, deleted=1):
    return shard_range_of(
        {
            "name": name,
            "timestamp": time_of(at).internal,
            "lower": "",
            "upper": "",
            "object_count": 0,
            "bytes_used": 0,
            "meta_timestamp": time_of(at).internal,
            "deleted": deleted,
            "state": 80,
            "state_timestamp": time_of(at).internal,
            "epoch": None,
        }
    )


def test_deleted_shard_ranges_are_forgotten_but_never_the_own_one(tmp_path):
    broker = make_container(tmp_path)
    broker.merge_shard_ranges(
        [shard("AUTH_v/c", 1), shard(".shards_AUTH_v/old", 49), shard(".shards_AUTH_v/late", 51), shard("a/b", 1, 0)]
    )
    assert reclaim(broker.database, *AT) == 0
    left = stored(broker, "SELECT name FROM shard_range ORDER BY name")
    assert left == [(".shards_AUTH_v/late",), ("AUTH_v/c",), ("a/b",)]


def test_run_that_is_cut_off_goes_on_the_next_time(tmp_path):
    broker = make_container(tmp_path)
    broker.add_many([row(f"o{number}", at=1, deleted=1) for number in range(6)])
    broker.database.flush()
    with pytest.raises(PermissionError):
        reclaim(ReadOnly(broker.database, writes=1), *AT, page_rows=3)
    assert names(broker) == ["o3", "o4", "o5"]
    assert reclaim(broker.database, *AT, page_rows=3) == 3


def test_reclaim_of_nothing_there_is_not_found(tmp_path):
    broker = make_container(tmp_path, create=False)
    with pytest.raises(NotFound):
        reclaim(broker.database, *AT)
