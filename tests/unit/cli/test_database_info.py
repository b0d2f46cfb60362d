"""objstore-container-info and objstore-account-info: what they say of databases, and that they change nothing."""

import io
import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from objstore.cli import account_info, container_info
from objstore.db import metadata as meta
from objstore.db.shards import ShardRange
from tests.support.databases import (
    NOW,
    VECTORS,
    adopt_vector,
    container_databases,
    make_account,
    make_container,
    row,
    time_of,
)

RINGS = Path(__file__).parents[2] / "vectors" / "rings"
SWIFT_CONF = "[swift-hash]\nswift_hash_path_prefix = vector-prefix\nswift_hash_path_suffix = vector-suffix\n"
MAIN = {"container": container_info.main, "account": account_info.main}


def run(kind, *words):
    out, err = io.StringIO(), io.StringIO()
    code = MAIN[kind]([str(word) for word in words], stdout=out, stderr=err, environ={})
    return code, out.getvalue(), err.getvalue()


def of(kind, *words):
    code, output, error = run(kind, *words, "--json")
    assert code == 0, error
    return json.loads(output)


@pytest.fixture
def swift_dir(tmp_path):
    (tmp_path / "swift").mkdir()
    for kind in ("account", "container"):
        shutil.copy(RINGS / "four-devices.ring.gz", tmp_path / "swift" / f"{kind}.ring.gz")
    (tmp_path / "swift" / "swift.conf").write_text(SWIFT_CONF)
    return tmp_path / "swift"


@pytest.fixture
def container(tmp_path):
    broker = make_container(tmp_path)
    items = [
        ("X-Container-Meta-Colour", "bl\u00fc\x1b[2J"),
        ("X-Container-Sysmeta-A", "1"),
        ("X-Container-Read", ".r:*"),
    ]
    broker.post(None, meta.stamped(items, NOW), lambda metadata: None)
    broker.add(row("o1", size=10))
    broker.database.flush()
    broker.add(row("o2", size=10))
    return Path(broker.database.location.current())


def content(directory):
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_what_a_container_says(container):
    before = content(container.parent)
    found = of("container", container)
    assert (found["account"], found["container"], found["is_deleted"]) == ("AUTH_v", "c", False)
    assert (found["object_count"], found["bytes_used"], found["pending_rows"]) == (1, 10, 1)
    assert found["metadata"]["user"] == {"X-Container-Meta-Colour": "bl\u00fc\x1b[2J"}
    assert found["metadata"]["other"] == {"X-Container-Read": ".r:*"}
    assert found["db_state"] == "unsharded" and "ring" not in found
    assert content(container.parent) == before, "looking changes nothing"


def test_what_it_says_to_a_person(container):
    code, output, _ = run("container", container, "--drop-prefixes", "--sync")
    assert code == 0
    for line in (
        "Path: /AUTH_v/c",
        "  Put Timestamp: 2023-11-14T22:13:20.000000 (1700000000.00000)",
        "  Object Count: 1",
        "  Pending Rows: 1",
        "  X-Container-Sync-Point 1: -1",
        "    A: 1",
        "    Colour: bl\u00fc?[2J",
        "Incoming Sync Points:",
        "Sharding State: unsharded",
    ):
        assert line in output.splitlines(), output


def test_an_account_and_its_policies(tmp_path):
    broker = make_account(tmp_path)
    path = broker.database.location.current()
    found = of("account", path)
    assert (found["account"], found["container_count"], found["kind"]) == ("AUTH_v", 0, "account")
    broker.delete(time_of(1))
    assert of("account", path)["is_deleted"]
    assert "  Deleted: True" in run("account", path)[1]


@pytest.mark.parametrize("hash_hex", sorted(path.stem for path in VECTORS.glob("*.db")))
def test_databases_of_the_reference_are_read(tmp_path, hash_hex):
    directory = Path(adopt_vector(tmp_path, container_databases(), hash_hex))
    path = directory / f"{hash_hex}.db"
    kinds = [kind for kind in MAIN if run(kind, path)[0] == 0]
    assert len(kinds) == 1
    wrong = ({"account", "container"} - set(kinds)).pop()
    code, _, error = run(wrong, path)
    assert (code, f"objstore-{kinds[0]}-info" in error) == (78, True)


def test_where_it_belongs(container, swift_dir):
    code, output, error = run("container", container, "-d", swift_dir, "--json")
    ring = json.loads(output)["ring"]
    assert ring["hash"] == container.stem and sum(not node["is_handoff"] for node in ring["nodes"]) == 3
    assert (code, f"it belongs into partition {ring['partition']}" in error) == (1, True)
    right = container.parents[3] / str(ring["partition"]) / container.parents[1].name / container.parent.name
    shutil.copytree(container.parent, right)
    assert run("container", right / container.name, "-d", swift_dir)[0] == 0
    assert "Server:Port" in run("container", right / container.name, "-d", swift_dir)[1]
    assert "Server:Port" not in run("container", container, "-d", swift_dir, "--stat-only")[1]


def test_shard_ranges(tmp_path):
    broker = make_container(tmp_path)
    stamp = NOW.internal
    broker.merge_shard_ranges(
        [
            ShardRange(f".shards_a/c-{n}", stamp, str(n), str(n + 1), n, n, stamp, n == 7, 40, stamp, None, 0, -1)
            for n in range(1, 8)
        ]
    )
    path = broker.database.location.current()
    output = run("container", path)[1]
    assert "Shard Ranges (6):" in output and "… and 1 more" in output and "active (40)" in output
    assert ".shards_a/c-7  deleted" in run("container", path, "-v")[1]
    assert len(of("container", path)["shard_ranges"]) == 7


@pytest.mark.parametrize(
    "make, expected",
    [
        (lambda path: None, "No such file"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.write_bytes(b"not a database, but long enough to be read as one"), "not a database"),
        (lambda path: path.write_bytes(b""), "neither"),
        (lambda path: sqlite3.connect(path).executescript("CREATE TABLE account_stat (account TEXT)"), "no row"),
        (
            lambda path: sqlite3.connect(path).executescript(
                "CREATE TABLE account_stat (account TEXT, metadata TEXT); INSERT INTO account_stat VALUES ('a', '[]')"
            ),
            "not a JSON object",
        ),
    ],
    ids=["none", "directory", "text", "empty", "no row", "metadata"],
)
def test_what_cannot_be_read_it_says(tmp_path, make, expected):
    path = tmp_path / "x.db"
    made = make(path)
    if isinstance(made, sqlite3.Cursor):
        made.connection.close()
    code, output, error = run("account", path)
    assert (code, output) == (78, "")
    assert str(path) in error and expected in error


def test_a_swift_dir_that_was_named_must_be_usable(container, tmp_path, swift_dir):
    assert run("container", container, "-d", tmp_path / "none")[0] == 78
    (swift_dir / "container.ring.gz").write_bytes(b"cut")
    code, _, error = run("container", container, "-d", swift_dir)
    assert (code, "container.ring.gz" in error) == (78, True)
