"""What a reference's replicator asked, ours asks too: recorded conversations, our side sending.

Each database is made to look like the one that was recorded (state, rows, ROWIDs), the peer answers what it answered.
"""

import json

import pytest

from objstore.db import account, container
from objstore.db.database import Databases
from objstore.db.outbound import local_state
from objstore.db.shards import merge_ranges, shard_range_of
from objstore.peers.db_replicas import Place
from objstore.replication.db_file import Files
from objstore.replication.db_rsync import Rsync
from objstore.replication.db_sender import Limits, Sender
from tests.support.backends import POLICIES
from tests.support.clock import SimClock
from tests.support.databases import LOGGER, NOW
from tests.support.replica_server import replica_server
from tests.support.wire import exchanges

OPERATIONS = (
    "cont-first",
    "cont-again",
    "cont-missing-db",
    "cont-missing-rows",
    "cont-far-behind",
    "cont-batches",
    "cont-handoff",
    "acct-sync",
    "acct-missing-db",
    "acct-missing-rows",
    "replicator-enabled",
)
INFO = ("account", "container", "status_changed_at", "storage_policy_index")


class Delivered(Rsync):
    """An rsync that always succeeds, and brings nothing."""

    def push(self, command):
        return ""


def talks():
    """Every run of requests with one peer about one database: what one send() is."""
    found = []
    for name in ("replicate-db", "sharding"):
        for exchange in exchanges(name):
            operation = exchange["id"].partition(".")[2].partition("#")[0]
            request = exchange["request"]
            if operation not in OPERATIONS or request["method"] != "REPLICATE":
                continue
            if json.loads(request["body"])[0] == "sync":
                found.append((f"{operation} {request['path']}", exchange["from"], [exchange]))
            else:
                talk = next(talk for _, _, talk in reversed(found) if talk[0]["request"]["path"] == request["path"])
                talk.append(exchange)
    return found


def database_as_recorded(tmp_path, sender, talk):
    """Ours, from what it said of itself."""
    first = json.loads(talk[0]["request"]["body"])
    is_account = sender.startswith("account")
    hash_hex = talk[0]["request"]["path"].rpartition("/")[2]
    kind = account.KIND if is_account else container.KIND
    database = Databases(kind, LOGGER).at(str(tmp_path), "7", hash_hex)
    names = names_of(talk, is_account)
    _, max_row, hash_text, own_id, created, put, delete, metadata, *more = first
    calls = [json.loads(each["request"]["body"]) for each in talk]
    rows = [row for call in calls if call[0] == "merge_items" for row in call[1]]
    points = [point for call in calls if call[0] == "merge_syncs" for point in call[1]]
    ranges = [item for call in calls if call[0] == "merge_shard_ranges" for item in call[1]]
    table, stat = ("container", "account_stat") if is_account else ("object", "container_info")

    def fill(connection):
        if is_account:
            account.initialize(connection, *names, NOW, NOW, own_id, {})
        else:
            container.initialize(connection, *names, NOW, NOW, more[2], own_id, {})
            merge_ranges(connection, [shard_range_of(item) for item in ranges])
            connection.execute("UPDATE container_info SET status_changed_at = ?", (more[0],))
            connection.execute("UPDATE policy_stat SET object_count = ?", (more[1] - len(live(rows)),))
        for row in rows:
            columns = ", ".join(row)
            marks = ", ".join("?" * len(row))
            connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", tuple(row.values()))
        connection.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, max_row))
        for point in points:
            connection.execute(
                "INSERT INTO incoming_sync (remote_id, sync_point) VALUES (?, ?)",
                (point["remote_id"], point["sync_point"]),
            )
        connection.execute(
            f"UPDATE {stat} SET hash = ?, created_at = ?, put_timestamp = ?, delete_timestamp = ?, metadata = ?",
            (hash_text, created, put, delete, metadata),
        )

    assert database.create(fill)
    return database


def live(rows):
    return [row for row in rows if not row["deleted"]]


def names_of(talk, is_account):
    """Names of a peer's database that answered, else any: the peer was not told them."""
    body = talk[0]["response"]["body"]
    if talk[0]["response"]["status"] != 200:
        return ("AUTH_wire",) if is_account else ("AUTH_wire", "c")
    info = json.loads(body)
    return (info["account"],) if is_account else (info["account"], info["container"])


@pytest.mark.parametrize(("sender_name", "talk"), [pytest.param(*rest, id=name) for name, *rest in talks()])
def test_our_replicator_asks_as_recorded(tmp_path, sender_name, talk):
    database = database_as_recorded(tmp_path, sender_name, talk)
    answers = [
        (each["response"]["status"], each["response"]["body"].encode() if each["response"]["status"] == 200 else b"")
        for each in talk
    ]
    _, device, partition, hash_hex = talk[0]["request"]["path"].split("/")
    with replica_server(*answers, device=device, partition=int(partition), hash_hex=hash_hex) as (server, place, peers):
        sender = Sender(peers, Files(peers, Delivered("m::c")), POLICIES, SimClock(), Limits(per_diff=5))
        state = database.read(lambda connection: local_state(connection, database.location.datadir))
        sender.send(database, state, Place(place.node, place.partition, place.hash))
    assert [(asked.method, asked.path) for asked in server.asked] == [
        (each["request"]["method"], each["request"]["path"]) for each in talk
    ]
    assert [asked.call for asked in server.asked] == [json.loads(each["request"]["body"]) for each in talk]
    recorded = {name.lower() for name, _ in talk[0]["request"]["headers"]} - {"host", "content-length"}
    assert recorded <= server.asked[0].headers.keys()
