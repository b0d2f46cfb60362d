"""Durability, groups, stale reads, replaced files and broken ones, on real SQLite."""

import errno
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from objstore.core.errors import Corrupt, InsufficientStorage, LockTimeout, NotFound
from objstore.core.listing import Selection
from objstore.db import pending
from objstore.db.account import AccountBroker
from objstore.db.connection import connect
from objstore.runtime import green
from objstore.runtime.fs import Fs
from tests.support.databases import (
    NOW,
    SECRETS,
    account_databases,
    container_databases,
    device,
    make_account,
    make_container,
    row,
    time_of,
)

PAGE = Selection(limit=10000)


class CountingFs(Fs):
    """Counts data syncs; each takes a while in which others run, as in servers, so that they queue behind it."""

    def __init__(self):
        super().__init__(time.sleep)
        self.syncs = 0
        self.hold_s = 0.0

    def sync_data(self, fd):
        self.syncs += 1
        green.sleep(self.hold_s)
        super().sync_data(fd)


class FailingFs(Fs):
    """Says `code` to whoever changes something, once it fails."""

    code = 0

    def _fail(self):
        if self.code:
            raise OSError(self.code, os.strerror(self.code))

    def sync_data(self, fd):
        self._fail()
        super().sync_data(fd)

    def make_directories(self, path):
        self._fail()
        return super().make_directories(path)

    def acquire(self, fd, path, timeout_s):
        self._fail()
        super().acquire(fd, path, timeout_s)


def names(broker, policy=0):
    return [item[0] for item in broker.page(PAGE, policy)]


def pending_size(broker):
    return pending.size(broker.database.location.pending_path)


@pytest.mark.parametrize("code", [errno.EIO, errno.EROFS, errno.ENOSPC], ids=["failing", "read-only", "full"])
@pytest.mark.parametrize(
    "change",
    [
        lambda broker: broker.add(row("p")),
        lambda broker: broker.database.write(lambda connection: None),
        lambda broker: broker.create("AUTH_v", "c", NOW, NOW, 0),
        lambda broker: broker.database.locked(lambda: None),
        lambda broker: broker.info(),
    ],
    ids=["row", "write", "create", "replace", "read of what waits"],
)
def test_a_disk_that_takes_nothing_is_told_from_a_mistake_of_ours(tmp_path, code, change):
    """The server answers 507, and callers leave the device alone (formats 6.1)."""
    fs = FailingFs(time.sleep)
    broker = make_container(tmp_path, databases=container_databases(fs))
    broker.add(row("o"))
    fs.code = code
    with pytest.raises(InsufficientStorage, match="sda1|pending"):
        change(broker)
    fs.code = 0
    assert names(broker) == ["o"]


def test_a_database_that_may_only_be_read_takes_nothing(tmp_path):
    """As on a disk that was mounted again read-only after an error: SQLite finds out when it writes."""
    broker = make_container(tmp_path)

    def write(connection):
        raise _said(sqlite3.SQLITE_READONLY, "attempt to write a readonly database")

    with pytest.raises(InsufficientStorage, match="sda1"):
        broker.database.write(write)


def _said(code, text):
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


def test_row_is_on_disk_when_add_returns(tmp_path):
    broker = make_container(tmp_path)
    broker.add(row("o"))
    rows, _ = pending.parse(pending.read(broker.database.location.pending_path), pending.object_row)
    assert rows == [row("o")]


def test_reader_sees_rows_that_are_only_pending(tmp_path):
    broker = make_container(tmp_path)
    broker.add(row("b"))
    broker.add(row("a"))
    assert broker.info().object_count == 2
    assert names(broker) == ["a", "b"]
    assert pending_size(broker) == 0


def test_rows_that_arrive_together_share_one_sync(tmp_path):
    fs = CountingFs()
    broker = make_container(tmp_path, databases=container_databases(fs))
    fs.hold_s = 0.05
    tasks = [green.spawn(broker.add, row(f"o{number:02d}")) for number in range(40)]
    for task in tasks:
        task.join()
    assert fs.syncs <= 3
    assert len(names(broker)) == 40


def test_every_writer_of_a_failed_group_hears_of_it(tmp_path):
    class Broken(CountingFs):
        def sync_data(self, fd):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    broker = make_container(tmp_path, databases=container_databases(Broken()))
    tasks = [green.spawn(broker.add, row(f"o{number}")) for number in range(3)]
    for task in tasks:
        with pytest.raises(InsufficientStorage, match="Input/output"):
            task.join()
    assert pending_size(broker) == 0


def test_long_pending_file_is_merged_by_its_writer(tmp_path):
    broker = make_container(tmp_path)
    rows = [row(f"{'n' * 200}{number}") for number in range(500)]
    broker.add_many(rows)
    deadline = time.monotonic() + 10
    while pending_size(broker) and time.monotonic() < deadline:
        green.sleep(0.005)
    assert pending_size(broker) == 0
    assert broker.info(fresh=False).object_count == 500


def test_merge_that_crashed_before_truncation_is_harmless(tmp_path):
    broker = make_container(tmp_path)
    broker.add(row("o", size=5))
    data = Path(broker.database.location.pending_path).read_bytes()
    before = broker.info()
    Path(broker.database.location.pending_path).write_bytes(data)
    assert broker.info() == before


def test_change_that_fails_leaves_nothing(tmp_path):
    broker = make_container(tmp_path)
    broker.add(row("o"))

    def change(connection):
        connection.execute("UPDATE container_info SET status = 'half'")
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        broker.database.write(change)
    assert pending_size(broker) > 0
    assert broker.info().status == "" and broker.info().object_count == 1


def test_reader_takes_stale_data_when_another_holds_the_lock(tmp_path):
    broker = make_container(tmp_path)
    broker.add(row("o"))
    with Fs().lock(broker.database.location.lock_path, 1):
        assert broker.info().object_count == 0
    assert broker.info().object_count == 1


def test_writer_gives_up_when_another_holds_the_lock(tmp_path):
    broker = make_container(tmp_path)
    with Fs().lock(broker.database.location.lock_path, 1), pytest.raises(LockTimeout):
        broker.database.write(lambda connection: None, timeout_s=0.01)


def test_two_databases_objects_share_one_file(tmp_path):
    one, two = make_container(tmp_path), make_container(tmp_path, create=False)
    one.add(row("a"))
    two.add(row("b"))
    assert names(one) == names(two) == ["a", "b"]


OTHER_PROCESS = """
import sys
from pathlib import Path
from tests.support.databases import make_container, row
broker = make_container(Path(sys.argv[1]), create=False)
for number in range(50):
    broker.add(row(f"{sys.argv[2]}{number:02d}"))
    if number % 10 == 0:
        broker.info()
"""


def test_several_processes_share_one_database(tmp_path):
    broker = make_container(tmp_path)
    root = Path(__file__).parents[3]
    others = [subprocess.Popen([sys.executable, "-c", OTHER_PROCESS, str(tmp_path), name], cwd=root) for name in "xy"]
    for number in range(50):
        broker.add(row(f"here{number:02d}"))
        broker.info()
    assert [other.wait(timeout=60) for other in others] == [0, 0]
    assert len(names(broker)) == 150


def test_creation_by_two_is_one(tmp_path):
    one, two = make_container(tmp_path), make_container(tmp_path, create=False)
    before = one.info().id
    assert two.create("AUTH_v", "c", time_of(5), NOW, 1) is False
    assert two.info().id == before
    assert [name for name in os.listdir(two.database.location.directory) if name.endswith(".tmp")] == []


def test_creation_that_fails_leaves_no_database(tmp_path):
    class NoRename(Fs):
        def rename_durable(self, source, target):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    broker = make_container(tmp_path, databases=container_databases(NoRename(time.sleep)), create=False)
    with pytest.raises(InsufficientStorage, match="Input/output"):
        broker.create("AUTH_v", "c", NOW, NOW, 0)
    assert not broker.exists
    with pytest.raises(NotFound):
        broker.info()


def test_row_for_no_database_is_not_found_and_makes_nothing(tmp_path):
    broker = make_container(tmp_path, create=False)
    with pytest.raises(NotFound):
        broker.add(row("o"))
    assert not os.path.exists(broker.database.location.directory)


def test_replaced_file_is_noticed(tmp_path):
    broker = make_container(tmp_path)
    first = broker.info().id
    path = broker.database.location.new_path
    copy = f"{path}.copy"
    Path(copy).write_bytes(Path(path).read_bytes())
    connection = sqlite3.connect(copy)
    with connection:
        connection.execute("UPDATE container_info SET id = 'another'")
    connection.close()
    os.rename(copy, path)
    assert (first != "another", broker.info().id) == (True, "another")
    broker.add(row("o"))
    assert broker.info().object_count == 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: Path(path).write_bytes(b"this is no database at all" * 100),
        lambda path: Path(path).write_bytes(b""),
        lambda path: os.truncate(path, 5000),
        lambda path: execute(path, "DELETE FROM container_info"),
        lambda path: execute(path, "DROP TABLE object"),
    ],
    ids=["foreign", "empty", "cut", "no stat row", "no table"],
)
def test_broken_database_is_quarantined(tmp_path, spoil):
    broker = make_container(tmp_path)
    location = broker.database.location
    spoil(location.new_path)
    with pytest.raises((Corrupt, NotFound)):
        broker.info()
        broker.page(PAGE, 0)
    assert not os.path.exists(location.directory)
    assert os.listdir(f"{location.device_path}/quarantined/containers") == [location.hash]


def test_second_quarantine_of_one_name_gets_another(tmp_path):
    broker = make_container(tmp_path)
    location = broker.database.location
    for _ in range(2):
        Path(location.new_path).write_bytes(b"junk" * 1000)
        with pytest.raises(Corrupt):
            broker.info()
        assert broker.create("AUTH_v", "c", NOW, NOW, 0)
    moved = sorted(os.listdir(f"{location.device_path}/quarantined/containers"))
    assert len(moved) == 2 and moved[1].startswith(f"{location.hash}-")


def test_broken_account_is_quarantined_among_accounts(tmp_path):
    broker = make_account(tmp_path)
    execute(broker.database.location.new_path, "DELETE FROM account_stat")
    with pytest.raises(Corrupt):
        broker.info()
    assert os.listdir(f"{broker.database.location.device_path}/quarantined/accounts")


def execute(path, *statements):
    connection = connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def test_container_of_before_policies_is_migrated_and_keeps_its_rows(tmp_path):
    broker = make_container(tmp_path)
    broker.add_many([row("a", size=3), row("b", size=4)])
    before = broker.info()
    execute(
        broker.database.location.new_path,
        "DROP VIEW container_stat",
        "CREATE TABLE container_stat AS SELECT account, container, created_at, put_timestamp, delete_timestamp, "
        "reported_put_timestamp, reported_delete_timestamp, reported_object_count, reported_bytes_used, hash, id, "
        "status, status_changed_at, metadata, 2 AS object_count, 7 AS bytes_used FROM container_info",
        "DROP TABLE container_info",
        "DROP TABLE policy_stat",
        "DROP TRIGGER object_insert_policy_stat",
        "DROP TRIGGER object_delete_policy_stat",
        "DROP TABLE shard_range",
        "ALTER TABLE object DROP COLUMN storage_policy_index",
    )
    fresh = make_container(tmp_path, create=False)
    assert fresh.info() == before
    fresh.add(row("c"))
    assert names(fresh) == ["a", "b", "c"]


def test_account_of_before_policy_counts_is_migrated(tmp_path):
    broker = make_account(tmp_path)
    execute(
        broker.database.location.new_path,
        "INSERT INTO container (name, put_timestamp, delete_timestamp, object_count, bytes_used) "
        "VALUES ('c', '1700000000.00000', '0', 3, 30)",
        "DROP TRIGGER container_insert_ps",
        "DROP TRIGGER container_delete_ps",
        "DROP TABLE policy_stat",
        "ALTER TABLE container DROP COLUMN storage_policy_index",
    )
    broker = make_account_again(tmp_path)
    assert broker.state().policies[0].container_count == 1
    assert broker.state().policies[0].bytes_used == 30


def make_account_again(tmp_path):
    return AccountBroker(account_databases().at(device(tmp_path), "7", SECRETS.hash_path("AUTH_v")))


def test_reserved_names_are_hidden_unless_asked_for(tmp_path):
    broker = make_container(tmp_path)
    broker.add_many([row("\0hidden\0x"), row("shown")])
    assert names(broker) == ["shown"]
    assert ["shown" in text for (text,) in broker.json_page(PAGE, 0)] == [True]
    everything = Selection(limit=10, allow_reserved=True)
    assert [item[0] for item in broker.page(everything, 0)] == ["\0hidden\0x", "shown"]
    assert '"name":"\\u0000hidden\\u0000x"' in broker.json_page(everything, 0)[0][0]


def test_two_policies_keep_rows_apart(tmp_path):
    broker = make_container(tmp_path, policy_index=1)
    broker.add_many([row("o", policy=1, size=5), row("o", policy=0, size=7), row("p", policy=0)])
    assert (names(broker, 0), names(broker, 1)) == (["o", "p"], ["o"])
    assert broker.info().bytes_used == 5
    assert broker.policies()[0].object_count == 2
    assert broker.delete(time_of(9)).is_empty is False
