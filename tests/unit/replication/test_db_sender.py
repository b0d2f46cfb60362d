"""What is sent to peers that know less than ours: databases in band, and as rows where even that is refused."""

import pytest

from objstore.db.outbound import local_state
from objstore.replication.db_file import Files
from objstore.replication.db_plan import Fate
from objstore.replication.db_rsync import Rsync
from objstore.replication.db_sender import Limits, Sender
from tests.support.backends import POLICIES
from tests.support.clock import SimClock
from tests.support.databases import make_account, make_container, row, time_of
from tests.support.replica_server import replica_server

NOW = time_of(0).internal
EMPTY = {
    "account": "AUTH_v",
    "container": "c",
    "created_at": NOW,
    "put_timestamp": NOW,
    "delete_timestamp": "0",
    "status_changed_at": NOW,
    "hash": "0" * 32,
    "id": "peer-id",
    "metadata": "",
    "max_row": -1,
    "point": -1,
    "shard_max_row": -1,
    "count": 0,
    "storage_policy_index": 2,
}


class FailingRsync(Rsync):
    def push(self, command):
        return "exit code 10: connection refused"


def sent(broker, *answers, rsync=None, **limits):
    """(report, what the peer was asked: operations, or the methods of other requests)."""
    database = broker.database
    database.flush()
    with replica_server(*answers) as (server, place, peers):
        sender = Sender(peers, Files(peers, rsync), POLICIES, SimClock(), Limits(**limits))
        state = database.read(lambda connection: local_state(connection, database.location.datadir))
        report = sender.send(database, state, place)
    asked = [
        each.call[0] if each.headers["content-type"] == "application/json" else each.method for each in server.asked
    ]
    return report, asked, server.asked


def test_a_file_goes_in_band_where_rsync_fails(tmp_path):
    broker = make_container(tmp_path)
    broker.add_many([row("a")])
    answers = [(404, b""), (202, b""), (204, b"")]
    report, asked, requests = sent(broker, *answers, rsync=FailingRsync("h::m"))
    assert asked == ["sync", "REPLICATE", "complete_rsync"]
    assert (report.fate, report.files) == (Fate.BEHIND, 1)
    piece = requests[1]
    assert piece.headers["x-backend-db-file"] == requests[2].call[1] == broker.info().id
    assert piece.headers["x-backend-db-offset"] == "0"
    assert piece.body.startswith(b"SQLite format 3\0")


def test_a_peer_that_takes_no_file_is_given_an_empty_database_and_rows(tmp_path):
    broker = make_container(tmp_path, policy_index=2)
    broker.add_many([row("a", policy=2), row("b", policy=2)])
    answers = [(404, b""), (400, b"Malformed JSON"), (201, b""), (200, EMPTY), (202, b"")]
    report, asked, requests = sent(broker, *answers)
    assert asked == ["sync", "REPLICATE", "PUT", "sync", "merge_items", "merge_syncs"]
    assert (report.fate, report.rows) == (Fate.CONFIRMED, 2)
    assert requests[2].path == "/sdb3/7/AUTH_v/c"
    assert requests[2].headers["x-backend-storage-policy-index"] == "2"
    assert requests[2].headers["x-timestamp"] == NOW


def test_an_account_is_given_the_same_way(tmp_path):
    broker = make_account(tmp_path)
    info = {name: value for name, value in EMPTY.items() if name not in ("container", "storage_policy_index")}
    report, asked, requests = sent(broker, (404, b""), (500, b""), (201, b""), (200, info))
    assert asked == ["sync", "REPLICATE", "PUT", "sync"]
    assert requests[2].path == "/sdb3/7/AUTH_v"
    assert report.fate is Fate.CONFIRMED


def test_a_peer_far_behind_that_takes_no_file_gets_rows(tmp_path):
    broker = make_container(tmp_path, policy_index=2)
    broker.add_many([row(f"o{number:02}", policy=2) for number in range(20)])
    answers = [(200, EMPTY), (400, b""), (202, b"")]
    report, asked, _ = sent(broker, *answers, per_diff=5, max_diffs=2)
    assert asked == ["sync", "REPLICATE", "merge_items", "merge_items"]
    assert (report.fate, report.rows) == (Fate.BEHIND, 10)


@pytest.mark.parametrize("answers", [[(507, b"")], [(404, b""), (507, b"")]], ids=["at once", "for the file"])
def test_a_peer_whose_disk_is_away_is_known_as_such(tmp_path, answers):
    report, _, _ = sent(make_container(tmp_path), *answers)
    assert report.fate is Fate.UNMOUNTED


def test_no_copy_is_left_behind(tmp_path):
    broker = make_container(tmp_path)
    sent(broker, (404, b""), (500, b""))
    assert [path.name for path in tmp_path.rglob("*.tmp*")] == []
