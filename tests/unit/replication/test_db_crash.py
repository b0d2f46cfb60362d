"""What a power cut leaves of a database that was being removed. Every crash point itself: tests/crash."""

from pathlib import Path

from objstore.db.container import KIND, ContainerBroker
from objstore.db.database import Databases
from objstore.replication.db_removal import remove_empty
from tests.support.databases import LOGGER, NOW, SECRETS, row

HASH = SECRETS.hash_path("AUTH_v", "c")


def broker_at(device, fs=None):
    device.mkdir(exist_ok=True)
    return ContainerBroker(Databases(KIND, LOGGER, fs).at(str(device), "7", HASH))


def full(device, *names):
    broker = broker_at(device)
    broker.create("AUTH_v", "c", NOW, NOW, 0)
    broker.add_many([row(name) for name in names])
    broker.database.flush()
    return broker


def test_what_a_cut_leaves_of_a_removed_database_is_cleared(tmp_path):
    broker = full(tmp_path / "sda1", "a")
    Path(broker.database.location.current()).unlink()
    assert remove_empty(broker.database)
    assert list((tmp_path / "sda1" / "containers").rglob("*")) == []


def test_rows_that_wait_beside_a_missing_database_are_not_thrown_away(tmp_path):
    broker = full(tmp_path / "sda1", "a")
    broker.add_many([row("acknowledged")])
    Path(broker.database.location.current()).unlink()
    assert not remove_empty(broker.database)
    assert Path(broker.database.location.pending_path).stat().st_size
