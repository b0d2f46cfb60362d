"""REPLICATE of databases: operations, refusals, and recorded requests of a reference system."""

import json
import os
import shutil

import pytest

from objstore.db.container import ContainerBroker
from objstore.db.policy_conflict import Claim, winner
from objstore.db.sync_links import linked
from objstore.db.sync_points import sync_points
from tests.support.backends import SECRETS, account_server, container_server
from tests.support.databases import container_databases
from tests.support.wire import exchanges
from tests.support.wsgi import call

HASH = SECRETS.hash_path("AUTH_a", "c")
PATH = "/sdb1/7/AUTH_a/c"
RPC = f"/sdb1/7/{HASH}"
T = "17000000{:02d}.00000".format


@pytest.fixture
def app(tmp_path):
    app = container_server(tmp_path)
    assert call(app, "PUT", PATH, {"x-timestamp": T(10), "x-container-meta-of": "c"}).status == 201
    return app


def put_rows(app, *names, path=PATH, at=20):
    for number, name in enumerate(names):
        headers = {"x-timestamp": T(at + number), "x-size": "1", "x-content-type": "a/b", "x-etag": "e"}
        assert call(app, "PUT", f"{path}/{name}", headers).status == 201


def rpc(app, *arguments, path=RPC):
    return call(app, "REPLICATE", path, body=json.dumps(arguments).encode())


def sync(app, max_row=1, hash_text="0" * 32, remote="r-sdx", at=10, metadata="{}", path=RPC, more=()):
    return rpc(app, "sync", max_row, hash_text, remote, T(at), T(at), "0", metadata, *more, path=path)


def item(name, at=30, row_id=1, **columns):
    return {
        "ROWID": row_id,
        "name": name,
        "created_at": T(at),
        "size": 3,
        "content_type": "a/b",
        "etag": "e",
        "deleted": 0,
        "storage_policy_index": 0,
        **columns,
    }


def listing(app, path=PATH):
    return [entry["name"] for entry in json.loads(call(app, "GET", f"{path}?format=json").body)]


def test_sync_answers_with_our_state(app):
    put_rows(app, "a", "b")
    info = json.loads(sync(app).body)
    recorded = next(e for e in exchanges("replicate-db") if e["id"] == "replicate-db.cont-first#1")
    assert info.keys() == json.loads(recorded["response"]["body"]).keys()
    assert (info["count"], info["max_row"], info["shard_max_row"], info["point"]) == (2, 2, -1, -1)
    assert info["db_state"] == "unsharded"


def test_sync_of_an_account_has_the_recorded_keys(tmp_path):
    app = account_server(tmp_path)
    call(app, "PUT", "/sdb1/7/AUTH_a", {"x-timestamp": T(10)})
    info = json.loads(sync(app, path=f"/sdb1/7/{SECRETS.hash_path('AUTH_a')}").body)
    recorded = next(e for e in exchanges("replicate-db") if e["id"] == "replicate-db.acct-missing-rows#4")
    assert info.keys() == json.loads(recorded["response"]["body"]).keys()


def test_sync_takes_over_what_is_newer(app):
    metadata = json.dumps({"X-Container-Meta-Far": ["away", T(11)], "X-Container-Meta-Of": ["old", T(5)]})
    info = json.loads(sync(app, at=12, metadata=metadata).body)
    assert info["put_timestamp"] == T(12)
    assert json.loads(info["metadata"])["X-Container-Meta-Far"] == ["away", T(11)]
    assert json.loads(info["metadata"])["X-Container-Meta-Of"] == ["c", T(10)]


def test_equal_hashes_raise_the_sync_point(app):
    ours = json.loads(sync(app).body)["hash"]
    assert json.loads(sync(app, max_row=77, hash_text=ours).body)["point"] == 77


def test_merge_items_stores_rows_and_the_point(app):
    items = [item("p", row_id=7), item("gone", row_id=9, deleted=1, content_type="application/deleted", size=0)]
    assert rpc(app, "merge_items", items, "r-sdx").status == 202
    assert listing(app) == ["p"]
    assert json.loads(sync(app).body)["point"] == 9
    assert rpc(app, "merge_items", items, "r-sdx").status == 202
    assert json.loads(sync(app).body)["max_row"] == 2


def test_merge_items_of_an_account(tmp_path):
    app = account_server(tmp_path)
    call(app, "PUT", "/sdb1/7/AUTH_a", {"x-timestamp": T(10)})
    row = {"ROWID": 5, "name": "c", "put_timestamp": T(11), "delete_timestamp": "0", "object_count": 2}
    row |= {"bytes_used": 3, "deleted": 0, "storage_policy_index": 1}
    assert rpc(app, "merge_items", [row], "r-sdx", path=f"/sdb1/7/{SECRETS.hash_path('AUTH_a')}").status == 202
    head = call(app, "HEAD", "/sdb1/7/AUTH_a").headers
    assert (head["x-account-object-count"], head["x-account-storage-policy-ec21-bytes-used"]) == ("2", "3")


def test_merge_syncs_only_raises(app, tmp_path):
    assert rpc(app, "merge_syncs", [{"remote_id": "x", "sync_point": 4}]).status == 202
    assert rpc(app, "merge_syncs", [{"remote_id": "x", "sync_point": 2}]).status == 202
    assert rpc(app, "merge_syncs", []).status == 202
    broker = ContainerBroker(container_databases().at(str(tmp_path / "sdb1"), "7", HASH))
    assert broker.database.read(sync_points) == [("x", 4)]


def arrive(tmp_path, device="sdb2", name="sender-id"):
    """What rsync leaves: a copy of sdb1's database in another device's tmp/."""
    source = next((tmp_path / "sdb1").rglob(f"{HASH}.db"))
    (tmp_path / device / "tmp").mkdir(exist_ok=True)
    shutil.copy(source, tmp_path / device / "tmp" / name)


def flushed(app):
    assert call(app, "HEAD", PATH).status == 204


def test_complete_rsync_makes_a_replica_of_its_own(app, tmp_path):
    put_rows(app, "a", "b")
    flushed(app)
    sender = json.loads(sync(app).body)["id"]
    arrive(tmp_path)
    other = f"/sdb2/7/{HASH}"
    assert rpc(app, "complete_rsync", "sender-id", f"{HASH}.db", path=other).status == 204
    assert listing(app, "/sdb2/7/AUTH_a/c") == ["a", "b"]
    info = json.loads(sync(app, remote=sender, path=other).body)
    assert (info["id"] != sender, info["id"].endswith("-sdb2"), info["point"]) == (True, True, 2)
    assert os.listdir(tmp_path / "sdb2" / "tmp") == []


def test_complete_rsync_never_replaces_a_database(app, tmp_path):
    arrive(tmp_path, "sdb1")
    assert rpc(app, "complete_rsync", "sender-id").status == 404
    assert os.listdir(tmp_path / "sdb1" / "tmp") == ["sender-id"]


def test_rsync_then_merge_keeps_rows_of_both(app, tmp_path):
    put_rows(app, "a", "b", "both")
    flushed(app)
    arrive(tmp_path)
    other = "/sdb2/7/AUTH_a/c"
    assert call(app, "PUT", other, {"x-timestamp": T(40), "x-container-meta-late": "1"}).status == 201
    put_rows(app, "c", "both", path=other, at=50)
    assert rpc(app, "rsync_then_merge", "sender-id", f"{HASH}.db", path=f"/sdb2/7/{HASH}").status == 204
    assert listing(app, other) == ["a", "b", "both", "c"]
    head = call(app, "HEAD", other).headers
    assert (head["x-container-meta-late"], head["x-container-meta-of"]) == ("1", "c")
    put_rows(app, "d", path=other)
    assert listing(app, other)[-1] == "d"


@pytest.mark.parametrize("operation", ["complete_rsync", "rsync_then_merge"])
def test_missing_temporary_file_is_404(app, operation):
    assert rpc(app, operation, "nofile").status == 404
    assert rpc(app, operation, "nofile", path=f"/sdb1/7/{'0' * 32}").status == 404


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "..", "", "x\0"])
def test_rpc_path_join_traversal_is_refused(app, name):
    assert rpc(app, "complete_rsync", name).status == 400
    assert rpc(app, "complete_rsync", "file", name).status == 400


def test_policy_conflict_is_settled_by_the_earlier_change(app):
    info = json.loads(sync(app, more=(T(5), 0, 2)).body)
    assert info["storage_policy_index"] == 2
    assert call(app, "HEAD", PATH).headers["x-backend-storage-policy-index"] == "2"


@pytest.mark.parametrize(
    "body",
    [
        b"[1,",
        b"",
        b'{"a": 1}',
        b"[]",
        b'["dance", 1]',
        b'["sync", 1]',
        b'["sync", 1, "0", "x", "a", "b", "c", "{}"]',
        b'["sync", 1, "0", "x", "1", "1", "0", "[]"]',
        b'["sync", 1, "0", "x", "1", "1", "0", "{\\"A\\": [\\"b\\", \\"never\\"]}"]',
        b'["merge_items", [{"name": "x"}], "r"]',
        b'["merge_items", ["x"], "r"]',
        b'["merge_items", "x", "r"]',
        b'["merge_items", [], 5]',
        b'["merge_syncs", [{"remote_id": "x"}]]',
        b'["merge_shard_ranges", [{}], "r"]',
        b'["merge_shard_ranges"]',
        b"[" * 5000,
    ],
)
def test_nonsense_is_refused_before_anything_is_touched(app, body):
    assert call(app, "REPLICATE", RPC, body=body).status == 400
    assert call(app, "HEAD", PATH).status == 204


def test_accounts_have_no_shard_ranges(tmp_path):
    assert rpc(account_server(tmp_path), "get_shard_ranges").status == 400


BETTER = {
    "replicate-db.hand-sync-bad-timestamp#1": 400,
    "replicate-db.hand-sync-few-args#1": 400,
    "replicate-db.hand-unknown-op#1": 400,
    "replicate-db.hand-not-a-list#1": 400,
}


def test_recorded_statuses_of_requests_by_hand(tmp_path):
    app = container_server(tmp_path)
    path = "/sdb2/99/AUTH_wire/dbsame"
    put = {"x-timestamp": "1795238480.94014", "x-container-meta-of": "dbsame"}
    assert call(app, "PUT", path, put).status == 201
    wrong = []
    for exchange in exchanges("replicate-db"):
        if not exchange["id"].startswith("replicate-db.hand-") or exchange["request"]["method"] != "REPLICATE":
            continue
        request = exchange["request"]
        answer = call(app, "REPLICATE", request["path"], body=(request["body"] or "").encode())
        expected = BETTER.get(exchange["id"], exchange["response"]["status"])
        if answer.status != expected:
            wrong.append((exchange["id"], answer.status, expected))
    assert wrong == []


def claim(index, put=1, delete=0, changed=1, count=0):
    return Claim(index, T(put), T(delete) if delete else "0", T(changed), count)


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        (claim(0, put=1, delete=2), claim(1), 1),
        (claim(0, put=1, delete=2, changed=2), claim(1, put=1, delete=3, changed=3), 1),
        (claim(0, put=5, delete=3, changed=5), claim(1, put=1, changed=1), 0),
        (claim(0, changed=1), claim(1, changed=2), 0),
        (claim(0, put=5, delete=3, changed=5), claim(1, put=6, delete=4, changed=4), 1),
    ],
    ids=["live beats deleted", "later deletion", "recreated beats older", "earlier change", "both recreated"],
)
def test_policy_winner_is_the_same_from_both_sides(one, two, expected):
    assert winner(one, two).policy_index == winner(two, one).policy_index == expected


def test_replica_that_learns_of_a_sync_target_makes_its_link(app, tmp_path):
    metadata = {"X-Container-Sync-To": ["//r/c/a/c", T(11)], "X-Container-Sync-Key": ["k", T(11)]}
    assert sync(app, metadata=json.dumps(metadata)).status == 200
    assert [location.hash for location in linked(str(tmp_path / "sdb1"))] == [HASH]
    metadata["X-Container-Sync-Key"] = ["", T(12)]
    assert sync(app, metadata=json.dumps(metadata)).status == 200
    assert list(linked(str(tmp_path / "sdb1"))) == []
