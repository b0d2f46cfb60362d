"""A power cut between any two effects of installing and of removing a database: it is there whole, or it is not."""

import shutil
from pathlib import Path

import pytest

from objstore.db.container import KIND, ContainerBroker
from objstore.db.database import Databases
from objstore.db.outbound import local_state, snapshot
from objstore.db.replica import install, install_merged
from objstore.replication.db_removal import remove_empty, remove_unchanged
from tests.support.databases import LOGGER, NOW, SECRETS, row
from tests.support.recording_fs import PowerCut, RecordingFs

HASH = SECRETS.hash_path("AUTH_v", "c")
EFFECTS_MAX = 40


def broker_at(device, fs=None):
    device.mkdir(exist_ok=True)
    return ContainerBroker(Databases(KIND, LOGGER, fs).at(str(device), "7", HASH))


def full(device, *names):
    broker = broker_at(device)
    broker.create("AUTH_v", "c", NOW, NOW, 0)
    broker.add_many([row(name) for name in names])
    broker.database.flush()
    return broker


def names_of(broker):
    query = "SELECT name FROM object ORDER BY name"
    return [name for (name,) in broker.database.read(lambda connection: connection.execute(query).fetchall())]


def arrived(tmp_path, *names):
    """The path of a copy that a peer brought into the device's tmp/."""
    source = full(tmp_path / "source", *names)
    folder = tmp_path / "sda1" / "tmp"
    folder.mkdir(parents=True)
    snapshot(source.database.location.current(), str(folder / "arrived"))
    return str(folder / "arrived")


def cut_after(count, change):
    """Whether the change came to its end."""
    fs = RecordingFs(stop_after=count)
    try:
        change(fs)
    except PowerCut:
        return False
    return True


@pytest.fixture
def every_cut(tmp_path):
    """Run a change with a power cut after 0, 1, 2 … effects, each in a copy of what `prepare` made; look afterwards."""

    def run(prepare, change, look):
        for count in range(EFFECTS_MAX):
            place = tmp_path / str(count)
            place.mkdir()
            prepare(place)
            is_done = cut_after(count, lambda fs: change(place, fs))  # noqa: B023 - called at once
            look(place, is_done)
            shutil.rmtree(place)
            if is_done:
                return count
        raise AssertionError(f"more than {EFFECTS_MAX} effects")

    return run


def test_an_installed_database_is_whole_or_not_there(every_cut):
    def look(place, is_done):
        broker = broker_at(place / "sda1")
        if is_done:
            assert broker.exists
        if broker.exists:
            assert names_of(broker) == ["a", "b"]
        else:
            # The next complete_rsync finds the file, and finishes.
            assert install(broker.database, str(place / "sda1" / "tmp" / "arrived"), None)
            assert names_of(broker) == ["a", "b"]

    effects = every_cut(
        lambda place: arrived(place, "a", "b"),
        lambda place, fs: install(
            broker_at(place / "sda1", fs).database, str(place / "sda1" / "tmp" / "arrived"), None
        ),
        look,
    )
    assert effects >= 3


def test_a_merged_database_never_loses_what_was_there(every_cut):
    def prepare(place):
        arrived(place, "a", "theirs")
        full(place / "sda1", "a", "ours")

    def look(place, is_done):
        names = names_of(broker_at(place / "sda1"))
        assert names == (["a", "ours", "theirs"] if is_done or "theirs" in names else ["a", "ours"])

    effects = every_cut(
        prepare,
        lambda place, fs: install_merged(
            broker_at(place / "sda1", fs).database, str(place / "sda1" / "tmp" / "arrived"), NOW.internal
        ),
        look,
    )
    assert effects >= 2


def test_a_removed_database_is_whole_or_gone(every_cut):
    def state(broker):
        return broker.database.read(lambda connection: local_state(connection, "containers"))

    def change(place, fs):
        fingerprint = state(broker_at(place / "sda1")).fingerprint
        assert remove_unchanged(broker_at(place / "sda1", fs).database, fingerprint)

    def look(place, is_done):
        broker = broker_at(place / "sda1")
        if is_done:
            assert list(Path(place / "sda1" / "containers").rglob("*")) == []
        elif broker.exists:
            assert names_of(broker) == ["a", "b"]

    assert every_cut(lambda place: full(place / "sda1", "a", "b"), change, look) >= 3


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
