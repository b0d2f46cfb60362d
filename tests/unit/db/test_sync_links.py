"""The directory of links to synced containers: what it says, what mends it."""

import errno
import os
import shutil

import pytest

from objstore.db.sync_links import is_synced, link_path, linked, settle
from objstore.runtime.fs import Fs
from tests.support.databases import container_databases, make_container, row, time_of

TIME = time_of(1).internal
BOTH = {"X-Container-Sync-To": ["//realm/cluster/a/c", TIME], "X-Container-Sync-Key": ["secret", TIME]}


@pytest.mark.parametrize(
    "metadata, expected",
    [
        (None, False),
        ("", False),
        ('{"X-Container-Sync-To": ["t", "1"]}', False),
        ('{"X-Container-Sync-Key": ["k", "1"]}', False),
        ('{"X-Container-Sync-To": ["t", "1"], "X-Container-Sync-Key": ["k", "1"]}', True),
        ('{"x-container-sync-to": ["t", "1"], "X-CONTAINER-SYNC-KEY": ["k", "1"]}', True),
        ('{"X-Container-Sync-To": ["t", "1"], "X-Container-Sync-Key": ["", "2"]}', False),
        ('{"X-Container-Meta-A": ["X-Container-Sync-To X-Container-Sync-Key", "1"]}', False),
    ],
)
def test_container_is_synced_while_target_and_key_are_set(metadata, expected):
    assert is_synced(metadata) is expected


def set_metadata(broker, items):
    broker.post(None, items, lambda metadata: None)


def synced(tmp_path, databases=None):
    broker = make_container(tmp_path, databases=databases)
    set_metadata(broker, BOTH)
    broker.settle_sync_link()
    return broker


def test_link_leads_to_the_database_and_goes_with_the_key(tmp_path):
    broker = synced(tmp_path)
    link = link_path(broker.database.location)
    hash_hex = broker.database.location.hash
    assert link == str(tmp_path / "sda1/sync_containers/7" / hash_hex[-3:] / hash_hex / f"{hash_hex}.db")
    assert os.path.islink(link) and os.path.samefile(link, broker.database.location.new_path)
    set_metadata(broker, {"X-Container-Sync-Key": ["", time_of(2).internal]})
    broker.settle_sync_link()
    assert not os.path.lexists(link) and not os.path.exists(os.path.dirname(link))


def test_settling_again_changes_nothing(tmp_path):
    broker = synced(tmp_path)
    link = link_path(broker.database.location)
    before = os.lstat(link).st_ino
    broker.settle_sync_link()
    assert os.lstat(link).st_ino == before
    assert os.listdir(os.path.dirname(link)) == [os.path.basename(link)]


def test_link_survives_a_device_that_is_mounted_elsewhere(tmp_path):
    broker = synced(tmp_path)
    relative = os.path.relpath(link_path(broker.database.location), broker.database.location.device_path)
    os.rename(tmp_path / "sda1", tmp_path / "elsewhere")
    assert os.path.exists(tmp_path / "elsewhere" / relative)


def test_link_follows_a_container_that_has_sharded(tmp_path):
    broker = synced(tmp_path)
    location = broker.database.location
    fresh = f"{location.directory}/{location.hash}_1700000000.00000.db"
    os.rename(location.new_path, fresh)
    broker.settle_sync_link()
    assert os.path.samefile(link_path(location), fresh)


def test_container_without_links_makes_no_directory(tmp_path):
    broker = make_container(tmp_path)
    broker.settle_sync_link()
    assert os.listdir(tmp_path / "sda1") == ["containers"]


def test_linked_names_the_synced_containers_and_skips_what_is_no_link(tmp_path):
    broker = synced(tmp_path)
    make_container(tmp_path, "unsynced")
    root = tmp_path / "sda1" / "sync_containers"
    (root / "file").write_text("")
    (root / "8" / "abc").mkdir(parents=True)
    (root / "8" / "abc" / ("f" * 32)).mkdir()
    assert list(linked(str(tmp_path / "sda1"))) == [broker.database.location]
    assert list(linked(str(tmp_path / "sdb1"))) == []


def test_link_of_a_database_that_has_gone_is_still_named_and_settled_away(tmp_path):
    broker = synced(tmp_path)
    location = broker.database.location
    shutil.rmtree(location.directory)
    assert list(linked(location.device_path)) == [location]
    broker.settle_sync_link()
    assert list(linked(location.device_path)) == []


def test_link_that_cannot_be_made_is_logged_and_made_the_next_time(tmp_path, caplog):
    class Full(Fs):
        is_full = True

        def replace_symlink(self, target, path):
            if self.is_full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            super().replace_symlink(target, path)

    fs = Full()
    broker = synced(tmp_path, container_databases(fs))
    assert "No space left" in caplog.text
    assert not os.path.lexists(link_path(broker.database.location))
    fs.is_full = False
    broker.add(row("o"))
    broker.settle_sync_link()
    assert os.path.exists(link_path(broker.database.location))


def test_foreign_link_is_corrected(tmp_path):
    broker = synced(tmp_path)
    link = link_path(broker.database.location)
    os.unlink(link)
    os.symlink("/nowhere", link)
    settle(broker.database, broker.info().metadata)
    assert os.path.samefile(link, broker.database.location.new_path)
