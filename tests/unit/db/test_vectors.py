"""Databases made by a reference system are read, merged, and made alike."""

import json
import sqlite3
from pathlib import Path

import pytest

from objstore.core.listing import Selection
from objstore.core.timestamp import decode
from objstore.db import metadata as meta
from objstore.db.account import AccountBroker
from objstore.db.connection import chexor, connect
from objstore.db.container import ContainerBroker
from tests.support.databases import (
    SECRETS,
    VECTORS,
    account_databases,
    adopt_vector,
    container_databases,
    device,
    make_account,
    make_container,
)

CONTAINER = json.loads((VECTORS / "container.json").read_text())
ACCOUNT = json.loads((VECTORS / "account.json").read_text())
PENDING = ("pending one", "1700000300.00000", 1, "text/plain", "a" * 32)
EVERYTHING = Selection(limit=10000)


@pytest.fixture
def container(tmp_path):
    databases, hash_hex = container_databases(), SECRETS.hash_path("AUTH_v", "c")
    adopt_vector(tmp_path, databases, hash_hex)
    return ContainerBroker(databases.at(device(tmp_path), "7", hash_hex))


@pytest.fixture
def account(tmp_path):
    databases, hash_hex = account_databases(), SECRETS.hash_path("AUTH_v")
    adopt_vector(tmp_path, databases, hash_hex)
    return AccountBroker(databases.at(device(tmp_path), "7", hash_hex))


def test_container_info_before_its_pending_row(container):
    info = container.info(fresh=False)._asdict()
    expected = dict(CONTAINER["info"])
    assert expected.pop("db_state") == "unsharded"
    assert {key: info[key] for key in expected} == expected


def test_container_metadata(container):
    assert meta.parse(container.info().metadata) == CONTAINER["metadata"]


def test_pending_row_shows_in_count_and_listing(container):
    info, page = container.info(), container.page(EVERYTHING, 0)
    assert info.object_count == CONTAINER["info"]["object_count"] + 1
    shown = [[name, decode(created)[2].internal, *rest] for name, created, *rest in page]
    assert shown == sorted([*CONTAINER["listing_policy_0"], list(PENDING)])
    assert info.hash == chexor(CONTAINER["replication_hash"], PENDING[0], PENDING[1])
    assert Path(container.database.location.pending_path).stat().st_size == 0


def test_policy_stats_of_a_container(container):
    stats = container.policies()
    assert stats[1].object_count == CONTAINER["policy_stats"]["1"]["object_count"]
    assert stats[1].bytes_used == CONTAINER["policy_stats"]["1"]["bytes_used"]
    assert len(container.page(EVERYTHING, 1)) == 1


def test_account_info_listing_and_policies(account):
    state, page = account.page(EVERYTHING)
    expected = ACCOUNT["info"]
    assert {key: state.info._asdict()[key] for key in expected} == expected
    assert [[name, count, size, put, policy, 0] for name, count, size, put, policy in page] == ACCOUNT["listing"]
    assert {
        str(index): {"container_count": a.container_count, "object_count": a.object_count, "bytes_used": a.bytes_used}
        for index, a in state.policies.items()
    } == ACCOUNT["policy_stats"]


def shape(path):
    """Columns, indexes and kinds of everything in a database, spelling of the SQL aside."""
    connection = sqlite3.connect(path)
    found = {}
    for kind, name in connection.execute("SELECT type, name FROM sqlite_master"):
        rows = []
        if kind in ("table", "view"):
            rows = [tuple(row) for row in connection.execute(f"PRAGMA table_info({name})")]
        elif kind == "index":
            rows = [row[2] for row in connection.execute(f"PRAGMA index_info({name})")]
        found[kind, name] = rows
    connection.close()
    return found


def test_new_container_has_the_shape_of_the_reference(tmp_path):
    path = make_container(tmp_path).database.location.new_path
    assert shape(path) == shape(VECTORS / f"{SECRETS.hash_path('AUTH_v', 'c')}.db")
    assert Path(path).stat().st_mode & 0o777 == 0o600


def test_new_account_has_the_shape_of_the_reference(tmp_path):
    path = make_account(tmp_path).database.location.new_path
    assert shape(path) == shape(VECTORS / f"{SECRETS.hash_path('AUTH_v')}.db")


@pytest.mark.parametrize("table", ["object", "container_info", "policy_stat"])
def test_triggers_do_what_those_of_the_reference_do(tmp_path, table):
    results = []
    for path in (
        make_container(tmp_path).database.location.new_path,
        adopted(tmp_path / "x", SECRETS.hash_path("AUTH_v", "c")),
    ):
        connection = connect(str(path))
        connection.execute("DELETE FROM object")
        connection.execute("DELETE FROM policy_stat")
        connection.execute("UPDATE container_info SET hash = ?", ("0" * 32,))
        for number in range(20):
            connection.execute(
                "INSERT INTO object (name, created_at, size, content_type, etag, deleted, storage_policy_index) "
                "VALUES (?, ?, ?, 'a/b', 'e', ?, ?)",
                (f"ü{number}", f"17000000{number:02d}.00000", number, number % 3 == 0, number % 2),
            )
        connection.execute("DELETE FROM object WHERE size IN (4, 7, 9)")
        with pytest.raises(sqlite3.IntegrityError, match="UPDATE not allowed"):
            connection.execute("UPDATE object SET size = 1")
        connection.execute("UPDATE container_stat SET status = 'x', put_timestamp = '5'")
        kept = "hash, status, put_timestamp" if table == "container_info" else "*"
        kept = "name, created_at, size, deleted, storage_policy_index" if table == "object" else kept
        results.append(connection.execute(f"SELECT {kept} FROM {table} ORDER BY 1").fetchall())
        connection.close()
    assert results[0] == results[1]


def adopted(tmp_path, hash_hex):
    tmp_path.mkdir()
    return Path(adopt_vector(tmp_path, container_databases(), hash_hex)) / f"{hash_hex}.db"
