"""Peers that lie × the daemons that ask them: each lie is refused as a value, is said, and costs nobody anything.

What is no answer at all (WIRE) is put before every question of every daemon. Below come the lies that are answers: each
daemon's own. More of them stand where the daemon's tests are: test_replicate_lies, test_db_liars, test_ssync,
test_expire, test_reconcile, test_discovery.
"""

import json
from contextlib import ExitStack

import pytest

from objstore.container.passes.reconcile import ContainerPolicies
from objstore.container.passes.update import ContainerUpdater
from objstore.http.client import ConnectionPool
from objstore.object.passes.expire_plan import task_of
from objstore.object.passes.expire_together import TogetherExpirer
from objstore.object.passes.update import ObjectUpdater
from objstore.peers.account_rows import AccountRows
from objstore.peers.batch_client import BatchClient
from objstore.peers.container_rows import ContainerRows
from objstore.peers.db_replicas import DatabasePeers, Place
from objstore.peers.deletions import NO_ANSWER, DirectClient
from objstore.peers.failure import NodeFailure
from objstore.peers.node_client import NodeClient, Reply, Timeouts
from objstore.peers.queue_rows import QueueRows, Removal
from objstore.peers.replicate import ReplicateCalls
from objstore.runtime.devices import Devices
from objstore.runtime.fs import Fs
from objstore.storage import pending
from objstore.storage.layout import DeviceLayout
from objstore.storage.pending import DeferredUpdate, decode
from tests.support import databases
from tests.support.backends import POLICIES, SECRETS
from tests.support.clock import SimClock
from tests.support.databases import container_databases, make_container, row
from tests.support.objects import ts
from tests.support.passes import make_runner
from tests.support.raw_peers import raw_peer
from tests.support.rings import ring_of

PATIENT = Timeouts(20.0, 20.0)
YEARS_LATER = 4_000_000_000.0


def answer(status="200 OK", body=b"", **headers):
    """One piece: an HTTP answer, as honest as its contents."""
    lines = {"Content-Length": str(len(body))} | {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode("latin-1") + body


WIRE = {
    "another protocol": (b"SSH-2.0-OpenSSH_9.9\r\n\r\n",),
    "no status": (b"HTTP/1.1 maybe\r\n\r\n",),
    "two lengths": (b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nContent-Length: 3\r\n\r\n",),
    "a length below nothing": (b"HTTP/1.1 201 Created\r\nContent-Length: -1\r\n\r\n",),
    "a head without end": (b"HTTP/1.1 201 Created\r\nX: " + b"x" * (1 << 20),),
    "hangs up": (None,),
    "hangs up in the body": (b"HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\nbody", None),
    "more than it may say": (b"HTTP/1.1 201 Created\r\nContent-Length: 99999999999\r\n\r\n", *[b"x" * (1 << 20)] * 70),
    "no chunks": (b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nnever\r\n",),
}


def client():
    return NodeClient("tester", PATIENT)


@pytest.fixture
def peers():
    """peer(*pieces) -> (node, what it heard)."""
    with ExitStack() as stack:
        yield lambda *pieces: stack.enter_context(raw_peer(pieces))


def tell_rows(node):
    rows = ContainerRows(client(), SimClock().monotonic)
    return rows.send_many(node, 7, "a/c", b"[]", {"x-timestamp": ts(5).internal})


def remove_rows(node):
    rows = QueueRows(client(), lambda: ring_of([node]), SECRETS)
    return rows.remove(".expiring_objects", "0", [Removal("1-a/c/o", ts(5)), Removal("1-a/c/p", ts(5))])


def expire(node, *, ring=None, rows=None, names=("o",)):
    """One object is asked about as it is, several in a BATCH."""
    tasks = {task_of(f"0000000100-a/c/{name}"): 0 for name in names}
    together = TogetherExpirer(BatchClient(client()), lambda index: ring or ring_of([node]), SECRETS, rows, 604_800.0)
    return together.expire(tasks, 200.0)


def database_peers():
    return DatabasePeers(ConnectionPool(), conn_timeout_s=20, node_timeout_s=20)


QUESTIONS = {
    "object replicator: hashes": (
        lambda node: ReplicateCalls(client()).suffix_hashes(node, 0, "7"),
        lambda said: isinstance(said, NodeFailure),
    ),
    "object replicator: rehash": (
        lambda node: ReplicateCalls(client()).rehash(node, 0, "7", ["abc"]),
        lambda said: isinstance(said, NodeFailure),
    ),
    "database replicator: sync": (
        lambda node: database_peers().sync(Place(node, 7, "0" * 32), [], ("a", "c")),
        lambda said: isinstance(said, NodeFailure),
    ),
    "database replicator: rows": (
        lambda node: database_peers().merge_items(Place(node, 7, "0" * 32), [], "id"),
        lambda said: isinstance(said, NodeFailure),
    ),
    "database replicator: shard ranges": (
        lambda node: database_peers().shard_ranges(Place(node, 7, "0" * 32)),
        lambda said: isinstance(said, NodeFailure),
    ),
    "object updater": (tell_rows, lambda said: not said.is_success),
    "container updater": (
        lambda node: AccountRows(client()).report(node, 7, "a", "c", {}),
        lambda said: said == 0,
    ),
    "expirer: the object": (expire, lambda said: said == {}),
    "expirer: the objects": (lambda node: expire(node, names=("o", "p")), lambda said: said == {}),
    "expirer: its queue": (remove_rows, lambda said: said is False),
    "reconciler: the policy": (
        lambda node: ContainerPolicies(client(), lambda: ring_of([node]), SECRETS, SimClock()).of("a", "c"),
        lambda said: said is None,
    ),
    "reaper: a listing": (
        lambda node: DirectClient(conn_timeout_s=20, node_timeout_s=20, monotonic=SimClock().monotonic).page(
            node, 7, "a", "c", ""
        ),
        lambda said: said == NO_ANSWER,
    ),
    "reaper: a deletion": (
        lambda node: DirectClient(conn_timeout_s=20, node_timeout_s=20, monotonic=SimClock().monotonic).delete(
            node, 7, "/a/c/o", []
        ),
        lambda said: said == NO_ANSWER,
    ),
}


@pytest.mark.parametrize("lie", WIRE)
@pytest.mark.parametrize("question", QUESTIONS)
def test_what_is_no_answer_is_taken_for_none(peers, question, lie):
    node, _ = peers(*WIRE[lie])
    ask, is_refused = QUESTIONS[question]
    assert is_refused(ask(node))


# The object updater


def deferred(tmp_path):
    """A row that waits; (its file, the updater over these nodes, on real sockets)."""
    (tmp_path / "sda").mkdir()
    headers = {"x-timestamp": ts(5).internal, "x-size": "3", "x-content-type": "text/x", "x-etag": "e"}
    update = DeferredUpdate("PUT", "a", "c", "o", headers)
    layout = DeviceLayout(str(tmp_path / "sda"))
    path = pending.keep(Fs(), layout, 0, SECRETS.hash_path("a", "c", "o"), ts(5), update)

    def run(nodes):
        rows = ContainerRows(client(), SimClock().monotonic)
        devices, ring = Devices(tmp_path, mount_check=False), ring_of(nodes)
        return make_runner(ObjectUpdater(devices, POLICIES, SECRETS, lambda: ring, rows, SimClock())).run_once()

    return path, run


NOT_TAKEN = {
    "no answer": WIRE["another protocol"],
    "an interim answer alone": (b"HTTP/1.1 100 Continue\r\n\r\n", None),
    "it has moved nowhere": (answer("301 Moved Permanently"),),
    "it has moved to another account": (
        answer("301 Moved Permanently", Location="/b/c/o", X_Backend_Redirect_Timestamp="10"),
    ),
    "it has moved to another container": (
        answer("301 Moved Permanently", Location="/a/other/o", X_Backend_Redirect_Timestamp="10"),
    ),
    "it has moved to another account's shard": (
        answer("301 Moved Permanently", Location="/.shards_b/c-1/o", X_Backend_Redirect_Timestamp="10"),
    ),
    "it has moved at no time": (
        answer("301 Moved Permanently", Location="/.shards_a/c-1/o", X_Backend_Redirect_Timestamp="soon"),
    ),
    "not modified": (answer("304 Not Modified"),),
    "no such thing": (answer("404 Not Found"),),
}


@pytest.mark.parametrize("lie", NOT_TAKEN)
def test_a_row_stays_until_a_container_server_has_taken_it_and_the_others_get_theirs(tmp_path, peers, lie):
    path, run = deferred(tmp_path)
    liar, _ = peers(*NOT_TAKEN[lie])
    honest = [peers(answer("201 Created")) for _ in range(2)]
    assert run([liar, *(node for node, _ in honest)]).counts["failures"] == 1
    with open(path, "rb") as file:
        kept = decode(file.read())
    assert kept.successes == (1, 2) and kept.container_path is None
    assert all(b"PUT /sdb1/" in heard for _, heard in honest)


# The container updater


@pytest.mark.parametrize("lie", WIRE)
def test_a_container_is_not_reported_until_account_servers_have_heard(tmp_path, peers, lie):
    make_container(tmp_path).add(row("o"))
    nodes = [peers(*WIRE[lie])[0] for _ in range(3)]

    def run(nodes):
        devices, ring = Devices(tmp_path, mount_check=False), ring_of(nodes)
        return make_runner(
            ContainerUpdater(
                devices,
                container_databases(),
                databases.SECRETS,
                lambda: ring,
                AccountRows(client()),
                SimClock(YEARS_LATER),
            )
        ).run_once()

    assert run(nodes).counts["failures"] == 1
    assert run([peers(answer("201 Created"))[0] for _ in range(3)]).counts["success"] == 1


# The expirer

HERE = {"X_Backend_Timestamp": "50.00000", "X_Backend_Data_Timestamp": "50.00000", "X_Delete_At": "100"}
NO_AGREEMENT = {
    "another expiry": answer(**{**HERE, "X_Delete_At": "101"}),
    "an expiry that is no number": answer(**{**HERE, "X_Delete_At": "1e2"}),
    "no expiry": answer(**{**HERE, "X_Delete_At": ""}),
    "written since": answer(**{**HERE, "X_Backend_Data_Timestamp": "150.00000"}),
    "never heard of it": answer("404 Not Found"),
    "deleted at no time": answer("404 Not Found", X_Backend_Timestamp="yes"),
    "an error": answer("503 Service Unavailable"),
}


@pytest.mark.parametrize("lie", NO_AGREEMENT)
def test_an_object_is_not_deleted_past_the_proxy_unless_all_say_the_same(peers, lie):
    nodes = [peers(answer(**HERE)) for _ in range(2)] + [peers(NO_AGREEMENT[lie])]
    said = expire(None, ring=ring_of([node for node, _ in nodes]), rows=Rows())
    assert said == {}
    assert not any(b"DELETE " in heard for _, heard in nodes)


class Rows:
    """A QueueRows that must not be asked for anything."""

    def remove(self, *names, **options):
        raise AssertionError("nothing was deleted")


def test_a_delete_that_one_server_refuses_is_left_to_the_proxy_and_tells_no_rows(peers):
    nodes = [peers(answer(**HERE))[0] for _ in range(3)]
    refusing = nodes[2].address
    asked = []

    class Client(NodeClient):
        def ask_all(self, nodes, method, path, *rest, **options):
            asked.append(method)
            if method == "HEAD":
                return super().ask_all(nodes, method, path, *rest, **options)
            return [Reply(node, 412 if node.address == refusing else 204, {}) for node in nodes]

    ring = ring_of(nodes)
    batches = BatchClient(Client("tester", PATIENT))
    together = TogetherExpirer(batches, lambda index: ring, SECRETS, Rows(), 604_800.0)
    assert together.expire({task_of("0000000100-a/c/o"): 0}, 200.0) == {}
    assert asked == ["HEAD"] * 3 + ["DELETE"] * 3


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "301 Moved Permanently", "404 Not Found", "500 Oops"])
def test_queue_rows_are_removed_only_where_the_server_says_so(peers, status):
    node, _ = peers(answer(status))
    assert remove_rows(node) is False


# The reconciler

CLAIM = {
    "X_Backend_Timestamp": "1.00000",
    "X_Backend_Storage_Policy_Index": "1",
    "X_Backend_Put_Timestamp": "1.00000",
    "X_Backend_Delete_Timestamp": "0000000000.00000",
    "X_Backend_Status_Changed_At": "1.00000",
}
CLAIMS = {
    "no policy": {"X_Backend_Storage_Policy_Index": ""},
    "a policy that is no number": {"X_Backend_Storage_Policy_Index": "gold"},
    "a policy below nothing": {"X_Backend_Storage_Policy_Index": "-1"},
    "no database": {"X_Backend_Timestamp": "0000000000.00000"},
}


@pytest.mark.parametrize("lie", CLAIMS)
def test_a_policy_that_is_none_decides_nothing(peers, lie):
    ring = ring_of([peers(answer(**CLAIM | CLAIMS[lie]))[0] for _ in range(3)])
    assert ContainerPolicies(client(), lambda: ring, SECRETS, SimClock()).of("a", "c") is None


# The reaper

PAGES = {
    "no JSON": b"{",
    "no list": b'{"name": "o"}',
    "no items": b"[1, 2]",
    "no names": b'[{"bytes": 1}]',
    "an empty name": b'[{"name": ""}]',
    "a name that is a number": b'[{"name": 7}]',
    "deep": b"[" * 100_000,
    "no text": b"\xff\xfe",
}


@pytest.mark.parametrize("lie", PAGES)
def test_a_listing_that_is_none_has_nothing_deleted(peers, lie):
    node, _ = peers(answer(body=PAGES[lie]))
    assert QUESTIONS["reaper: a listing"][0](node) == NO_ANSWER


def test_a_listing_of_a_policy_that_is_no_number_has_nothing_deleted(peers):
    body = json.dumps([{"name": "o"}]).encode()
    node, _ = peers(answer(body=body, X_Backend_Storage_Policy_Index="gold"))
    assert QUESTIONS["reaper: a listing"][0](node) == NO_ANSWER
