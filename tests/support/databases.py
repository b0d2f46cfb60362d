"""Builders for account and container databases on a temporary device."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path

from objstore.core.hashing import HashSecrets
from objstore.core.timestamp import Timestamp
from objstore.db import account, container
from objstore.db.account import AccountBroker
from objstore.db.container import ContainerBroker
from objstore.db.database import Databases
from objstore.db.merge import ObjectRow
from objstore.runtime.fs import Fs

SECRETS = HashSecrets(b"vector-prefix", b"vector-suffix")
VECTORS = Path(__file__).parents[1] / "vectors" / "disk"
LOGGER = logging.getLogger("objstore.test")
NOW = Timestamp.parse("1700000000.00000")


def time_of(seconds: float) -> Timestamp:
    """A timestamp some seconds after NOW."""
    return Timestamp(NOW.ticks + round(seconds * 100_000))


def container_databases(fs: Fs | None = None) -> Databases:
    return Databases(container.KIND, LOGGER, fs or Fs(time.sleep))


def account_databases(fs: Fs | None = None) -> Databases:
    return Databases(account.KIND, LOGGER, fs or Fs(time.sleep))


def device(tmp_path: Path, name: str = "sda1") -> str:
    path = tmp_path / name
    path.mkdir(exist_ok=True)
    return str(path)


def make_container(
    tmp_path: Path, name: str = "c", policy_index: int = 0, databases: Databases | None = None, create: bool = True
) -> ContainerBroker:
    databases = databases or container_databases()
    hash_hex = SECRETS.hash_path("AUTH_v", name)
    broker = ContainerBroker(databases.at(device(tmp_path), "7", hash_hex))
    if create:
        assert broker.create("AUTH_v", name, NOW, NOW, policy_index)
    return broker


def make_account(tmp_path: Path, name: str = "AUTH_v", databases: Databases | None = None) -> AccountBroker:
    databases = databases or account_databases()
    broker = AccountBroker(databases.at(device(tmp_path), "7", SECRETS.hash_path(name)))
    assert broker.create(name, NOW, NOW)
    return broker


def adopt_vector(tmp_path: Path, databases: Databases, hash_hex: str) -> str:
    """Copy the reference's database of a hash to where it belongs; its directory."""
    location = databases.at(device(tmp_path), "7", hash_hex).location
    Path(location.directory).mkdir(parents=True)
    for suffix in (".db", ".db.pending"):
        shutil.copy(VECTORS / f"{hash_hex}{suffix}", location.directory)
    return location.directory


def row(name: str, at: float = 1.0, size: int = 1, deleted: int = 0, policy: int = 0, etag: str = "e") -> ObjectRow:
    """An object's row, written `at` seconds after NOW."""
    if deleted:
        return ObjectRow(name, time_of(at).internal, 0, "application/deleted", "noetag", 1, policy)
    return ObjectRow(name, time_of(at).internal, size, "text/plain", etag, 0, policy)
