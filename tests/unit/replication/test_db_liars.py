"""Peers that lie, from either side: refused, and nothing of ours is harmed."""

import json
import os
import shutil
import sqlite3

import pytest

from objstore.db.outbound import local_state
from objstore.peers import db_replicas
from objstore.replication.db_file import Files
from objstore.replication.db_plan import Fate
from objstore.replication.db_sender import Sender
from tests.support.backends import POLICIES, SECRETS, container_server
from tests.support.clock import SimClock
from tests.support.databases import make_container, row, time_of
from tests.support.replica_server import replica_server
from tests.support.wsgi import call

LATER = time_of(99).internal
HONEST = {
    "account": "AUTH_v",
    "container": "c",
    "created_at": time_of(0).internal,
    "put_timestamp": time_of(0).internal,
    "delete_timestamp": "0",
    "status_changed_at": time_of(0).internal,
    "hash": "1" * 32,
    "id": "peer-id",
    "metadata": "",
    "max_row": 1,
    "point": -1,
    "shard_max_row": -1,
    "count": 1,
    "storage_policy_index": 0,
}
NEWER = {"put_timestamp": LATER, "delete_timestamp": LATER}


def reply(**changes):
    return 200, HONEST | changes


def without(name):
    return 200, {key: value for key, value in HONEST.items() if key != name}


def state_of(broker):
    return broker.database.read(lambda connection: local_state(connection, "containers"))


def sent(tmp_path, *answers):
    """(report, our state before, our state after, what the peer was asked)."""
    broker = make_container(tmp_path)
    broker.add_many([row("a")])
    before = state_of(broker)
    with replica_server(*answers) as (server, place, peers):
        sender = Sender(peers, Files(peers), POLICIES, SimClock())
        report = sender.send(broker.database, before, place)
    return report, before, state_of(broker), server.operations


def test_an_honest_peer_is_believed(tmp_path):
    report, before, after, asked = sent(tmp_path, reply(put_timestamp=LATER), (202, b""))
    assert report.fate is Fate.CONFIRMED
    assert after.put_timestamp == LATER
    assert asked == ["sync", "merge_items", "merge_syncs"]


@pytest.mark.parametrize(
    "lie",
    [
        (200, b"not JSON"),
        (200, b"[]"),
        (200, b"null"),
        (200, b"[" * 100_000),
        reply(container="other", **NEWER),
        reply(account="AUTH_other", **NEWER),
        without("id"),
        reply(id=7, **NEWER),
        reply(metadata="[]", **NEWER),
        reply(metadata='{"X": ["v", "when"]}', **NEWER),
        reply(metadata='{"X": "v"}', **NEWER),
        reply(put_timestamp="soon"),
        reply(delete_timestamp=None),
        reply(created_at="-1"),
        reply(max_row="many", **NEWER),
        reply(max_row=1 << 70, **NEWER),
        reply(point=1 << 70, **NEWER),
        reply(max_row=-2, **NEWER),
        reply(storage_policy_index=77, **NEWER),
        reply(storage_policy_index="x", **NEWER),
        (500, b"Traceback"),
        (301, b""),
    ],
    ids=lambda lie: str(lie)[:60],
)
def test_an_answer_to_sync_that_cannot_be_right_changes_nothing(tmp_path, lie):
    report, before, after, asked = sent(tmp_path, lie)
    assert report.fate is Fate.FAILED and report.reason
    assert after == before
    assert asked == ["sync"]


def test_an_answer_without_end_is_cut_off(tmp_path, monkeypatch):
    monkeypatch.setattr(db_replicas, "REPLY_BYTES_MAX", 1000)
    report, before, after, _ = sent(tmp_path, reply(metadata=" " * 5000))
    assert report.fate is Fate.FAILED
    assert after == before


@pytest.mark.parametrize("ranges", [b"{", b"{}", b'[{"name": 1}]', b"[7]"])
def test_shard_ranges_that_are_none_stop_the_exchange(tmp_path, ranges):
    report, _, after, asked = sent(tmp_path, reply(shard_max_row=3), (200, ranges))
    assert report.fate is Fate.FAILED
    assert after.shard_max_row == -1
    assert asked == ["sync", "get_shard_ranges"]


def test_a_point_above_our_last_row_is_not_believed(tmp_path):
    report, *_, asked = sent(tmp_path, reply(point=1 << 40), (202, b""))
    assert asked == ["sync", "merge_items", "merge_syncs"]
    assert report.rows == 1


@pytest.mark.parametrize("answers", [[(400, b"")], [(202, b""), (404, b"")]], ids=["the rows", "the points"])
def test_a_peer_that_refuses_is_not_counted_as_having_them(tmp_path, answers):
    report, *_ = sent(tmp_path, reply(), *answers)
    assert report.fate is Fate.FAILED


# The receiving side

HASH = SECRETS.hash_path("AUTH_a", "c")
PATH = "/sdb1/7/AUTH_a/c"
RPC = f"/sdb2/7/{HASH}"


@pytest.fixture
def app(tmp_path):
    app = container_server(tmp_path)
    for path in (PATH, "/sdb1/7/AUTH_a/other"):
        assert call(app, "PUT", path, {"x-timestamp": "1700000010.00000"}).status == 201
    return app


def rpc(app, *arguments, path=RPC):
    return call(app, "REPLICATE", path, body=json.dumps(arguments).encode())


def upload(app, data, offset=0, name="sender-id", path=RPC):
    headers = {
        "content-type": "application/octet-stream",
        "x-backend-db-file": name,
        "x-backend-db-offset": str(offset),
    }
    return call(app, "REPLICATE", path, headers, data)


def database_bytes(tmp_path, name="c"):
    return next((tmp_path / "sdb1").rglob(f"{SECRETS.hash_path('AUTH_a', name)}.db")).read_bytes()


def test_a_database_arrives_in_pieces(app, tmp_path):
    data = database_bytes(tmp_path)
    for start in range(0, len(data), 10_000):
        assert upload(app, data[start : start + 10_000], start).status == 202
    assert rpc(app, "complete_rsync", "sender-id", f"{HASH}.db").status == 204
    assert call(app, "HEAD", "/sdb2/7/AUTH_a/c").status == 204
    assert os.listdir(tmp_path / "sdb2" / "tmp") == []


def test_a_piece_that_does_not_follow_is_refused(app, tmp_path):
    assert upload(app, b"x", 5).status == 400
    assert upload(app, b"abc").status == 202
    assert upload(app, b"x", 2).status == 400
    assert upload(app, b"x", 4).status == 400
    assert upload(app, b"new").status == 202
    assert (tmp_path / "sdb2" / "tmp" / "sender-id").read_bytes() == b"new"


@pytest.mark.parametrize("name", ["", "..", ".", "a/b", "../x", ".hidden", "a" * 300, "a\0b", "ä"])
def test_a_piece_cannot_leave_tmp(app, tmp_path, name):
    assert upload(app, b"x", name=name).status == 400
    assert not (tmp_path / "sdb2" / "tmp").exists()


@pytest.mark.parametrize("offset", ["", "-1", "x", "1" * 40, "1_0", "٣"])
def test_an_offset_is_a_number(app, offset):
    assert upload(app, b"x", offset).status == 400


def test_a_piece_does_not_follow_links(app, tmp_path):
    (tmp_path / "sdb2" / "tmp").mkdir()
    (tmp_path / "precious").write_text("data")
    (tmp_path / "sdb2" / "tmp" / "sender-id").symlink_to(tmp_path / "precious")
    assert upload(app, b"x").status == 400
    assert (tmp_path / "precious").read_text() == "data"


def test_pieces_leave_the_reserve_alone(tmp_path):
    app = container_server(tmp_path, fallocate_reserve="100%")
    assert upload(app, b"x").status == 507


@pytest.mark.parametrize("damage", ["another container", "not a database", "cut short", "flipped", "journal", "link"])
@pytest.mark.parametrize("operation", ["complete_rsync", "rsync_then_merge"])
def test_a_file_that_cannot_be_right_is_refused_and_removed(app, tmp_path, operation, damage):
    if operation == "rsync_then_merge":
        assert call(app, "PUT", "/sdb2/7/AUTH_a/c", {"x-timestamp": "1700000010.00000"}).status == 201
    data = database_bytes(tmp_path)
    folder = tmp_path / "sdb2" / "tmp"
    folder.mkdir(exist_ok=True)
    arrived = folder / "sender-id"
    arrived.write_bytes(data)
    match damage:
        case "another container":
            arrived.write_bytes(database_bytes(tmp_path, "other"))
        case "not a database":
            arrived.write_bytes(b"garbage" * 1000)
        case "cut short":
            arrived.write_bytes(data[:20_000])
        case "flipped":
            arrived.write_bytes(data[:4096] + bytes(4096) + data[8192:])
        case "journal":
            (folder / "sender-id-journal").write_bytes(b"x")
        case "link":
            arrived.unlink()
            arrived.symlink_to(next((tmp_path / "sdb1").rglob(f"{HASH}.db")))
    assert rpc(app, operation, "sender-id", f"{HASH}.db").status == 400
    assert not os.path.lexists(arrived)
    status = 204 if operation == "rsync_then_merge" else 404
    assert call(app, "HEAD", "/sdb2/7/AUTH_a/c").status == status
    assert call(app, "HEAD", PATH).status == 204


def test_a_file_in_wal_mode_rests_in_our_mode(app, tmp_path):
    folder = tmp_path / "sdb2" / "tmp"
    folder.mkdir()
    shutil.copy(next((tmp_path / "sdb1").rglob(f"{HASH}.db")), folder / "sender-id")
    connection = sqlite3.connect(folder / "sender-id")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    assert rpc(app, "complete_rsync", "sender-id").status == 204
    installed = next((tmp_path / "sdb2").rglob(f"{HASH}.db"))
    assert installed.read_bytes()[18:20] == b"\1\1"


@pytest.mark.parametrize(
    "arguments",
    [
        ("sync", 1 << 70, "0" * 32, "r", "1700000010.00000", "1700000010.00000", "0", "{}"),
        ("sync", 1, "0" * 32, "\ud800", "1700000010.00000", "1700000010.00000", "0", "{}"),
        ("merge_syncs", [{"remote_id": "x", "sync_point": 1 << 70}]),
        ("merge_syncs", [{"remote_id": "\ud800", "sync_point": 1}]),
        ("merge_items", [{"ROWID": 1 << 70, "name": "n", "created_at": "1700000010.00000", "size": 1,
                          "content_type": "a/b", "etag": "e", "deleted": 0}], "r"),
        ("merge_items", [{"ROWID": 1, "name": "n", "created_at": "1700000010.00000", "size": 1 << 70,
                          "content_type": "a/b", "etag": "e", "deleted": 0}], "r"),
        ("merge_items", [{"ROWID": 1, "name": "\ud800", "created_at": "1700000010.00000", "size": 1,
                          "content_type": "a/b", "etag": "e", "deleted": 0}], "r"),
    ],
    ids=lambda arguments: arguments[0],
)  # fmt: skip
def test_arguments_that_a_database_cannot_hold_are_refused(app, arguments):
    path = f"/sdb1/7/{HASH}"
    assert rpc(app, *arguments, path=path).status == 400
    assert call(app, "HEAD", PATH).status == 204


@pytest.mark.parametrize("size", ["9" * 20, "9" * 5000])
def test_a_size_that_a_database_cannot_hold_is_refused_before_it_is_acknowledged(app, size):
    headers = {"x-timestamp": "1700000020.00000", "x-size": size, "x-content-type": "a/b", "x-etag": "e"}
    assert call(app, "PUT", f"{PATH}/o", headers).status == 400
    assert call(app, "GET", PATH).status == 204
