"""The reconciler over real account, container and object servers; containers have policy 0, strays policy 2."""

import io
import json
import time
from pathlib import Path

import pytest

from objstore.cli import reconciler_enqueue
from objstore.config.cluster import load_cluster
from objstore.container.passes.reconcile import ContainerPolicies, ContainerReconciler
from objstore.container.passes.reconcile_plan import DELETE_TYPE, PUT_TYPE, entry_name, queue_container
from objstore.container.passes.reconcile_settings import ContainerReconcilerSettings
from objstore.core.headers import environ_key
from objstore.core.timestamp import Timestamp
from objstore.daemon.pass_ import EVERYTHING
from objstore.db.misplaced import QUEUE_ACCOUNT
from objstore.http.internal import InternalClient
from objstore.http.response import Response
from objstore.peers.node_client import Reply
from objstore.peers.queue_rows import QueueRows, direct_client
from objstore.ring.fileformat import load
from objstore.runtime import green
from objstore.runtime.clock import SystemClock
from tests.support.clock import SimClock
from tests.support.encryption import encrypting
from tests.support.pipeline import RecordingApp
from tests.support.storage_nodes import ProxyClient, StorageNodes

OBJECT = "/v1/AUTH_a/c/o"
VECTORS = Path(__file__).parents[3] / "vectors" / "wire"
RIGHT, WRONG = {"x-backend-storage-policy-index": "0"}, {"x-backend-storage-policy-index": "2"}


class Misplacement:
    """A small cluster with a container of policy 0, and a reconciler over it. at: of the stray write."""

    def __init__(self, nodes):
        self.nodes = nodes
        self.proxy = nodes.proxy()
        self.clock = SystemClock()
        self.secrets = load_cluster(nodes.directory).secrets
        self.ring = load(nodes.directory / "container.ring.gz")
        self.rows = QueueRows(direct_client(), lambda: self.ring, self.secrets)
        self.at = self.clock.now()
        assert self.proxy.put("/v1/AUTH_a/c").status == 201

    def stray(self, body=b"in the wrong policy", path=OBJECT, at=None, **headers):
        lines = {**WRONG, "x-timestamp": (at or self.at).internal, "content-type": "text/x", **headers}
        assert self.proxy.put(path, lines, body=body).status == 201
        self.enqueue(path, at or self.at)

    def enqueue(self, path=OBJECT, at=None, kind=PUT_TYPE, policy_index=2):
        at = at or self.at
        account, container, obj = path.split("/", 4)[2:]
        name = entry_name(policy_index, account, container, obj)
        replies = self.rows.add(QUEUE_ACCOUNT, queue_container(at), name, at, kind, at.internal)
        assert [reply.status for reply in replies] == [201] * 3

    def reconciler(self, clock=None, rank=lambda name: 0, app=None, **settings):
        found, problems = ContainerReconcilerSettings.from_pairs(settings)
        assert not problems
        clock = clock or self.clock
        policies = ContainerPolicies(direct_client(), lambda: self.ring, self.secrets, clock)
        client = InternalClient(app or self.proxy.app, "reconciler under test")
        return ContainerReconciler(found, client, self.rows, policies.of, rank, clock)

    def run(self, **options):
        total = {}
        reconciler = self.reconciler(**options)
        for job in reconciler.jobs(EVERYTHING):
            for name, count in reconciler.run(job).items():
                total[name] = total.get(name, 0) + count
        return total

    def queue(self):
        answer = self.proxy.get(f"/v1/{QUEUE_ACCOUNT}/{queue_container(self.at)}", query="format=json")
        return [row["name"] for row in json.loads(answer.body or b"[]")] if answer.status == 200 else []

    def wait_until_listed(self):
        """Until every replica of the account knows the queue's container, as it does after a while."""
        ring = load(self.nodes.directory / "account.ring.gz")
        partition = ring.partition(self.secrets.digest(QUEUE_ACCOUNT))
        path = f"/{partition}/{QUEUE_ACCOUNT}?format=json"
        deadline = time.monotonic() + 20

        def lacks_it(reply):
            return not isinstance(reply, Reply) or reply.body in (b"", b"[]")

        while any(map(lacks_it, direct_client().ask_all(ring.primaries(partition), "GET", path))):
            assert time.monotonic() < deadline, "not in time"
            green.sleep(0.01)

    def right(self, path=OBJECT):
        return self.proxy.get(path, {"x-newest": "true", **RIGHT})

    def wrong(self, path=OBJECT):
        return self.proxy.get(path, {"x-newest": "true", **WRONG})

    def listing(self):
        return [row["name"] for row in json.loads(self.proxy.get("/v1/AUTH_a/c", query="format=json").body)]


@pytest.fixture
def misplaced(tmp_path):
    with StorageNodes(tmp_path) as nodes:
        yield Misplacement(nodes)


def test_a_stray_object_is_taken_to_the_containers_policy(misplaced):
    misplaced.stray(x_object_meta_colour="blue")
    assert misplaced.proxy.get(OBJECT).status == 404 and misplaced.listing() == []
    assert misplaced.run() == {"moved": 1}
    found = misplaced.proxy.get(OBJECT)
    assert (found.status, found.body) == (200, b"in the wrong policy")
    assert found.headers["content-type"] == "text/x"
    assert found.headers["x-backend-timestamp"] == Timestamp(misplaced.at.ticks, 3).internal
    assert misplaced.listing() == ["o"] and misplaced.queue() == []
    old = misplaced.wrong()
    assert (old.status, old.headers["x-backend-timestamp"]) == (404, Timestamp(misplaced.at.ticks, 1).internal)
    assert misplaced.run() == {}


def test_metadata_and_large_bodies_come_along(misplaced):
    body = bytes(range(256)) * 2000
    misplaced.stray(body, **{"x-object-meta-colour": "blue", "x-object-sysmeta-a": "b", "content-encoding": "gzip"})
    assert misplaced.run() == {"moved": 1}
    found = misplaced.right()
    assert found.body == body
    assert found.headers["x-object-meta-colour"] == "blue" and found.headers["x-object-sysmeta-a"] == "b"
    assert found.headers["content-encoding"] == "gzip"


@pytest.mark.parametrize("size", [100, 200_000])
def test_an_encrypted_stray_is_moved_as_it_is(misplaced, size):
    client = ProxyClient(encrypting(misplaced.proxy.app))
    at = misplaced.at.internal
    lines = {**WRONG, "x-timestamp": at, "content-type": "text/x", "x-object-meta-colour": "blue"}
    assert client.put(OBJECT, lines, body=b"e" * size).status == 201
    misplaced.enqueue()
    sealed = misplaced.wrong()
    assert misplaced.run() == {"moved": 1}
    assert misplaced.right().body == sealed.body != b"e" * size
    found = client.get(OBJECT)
    assert (found.body, found.headers["x-object-meta-colour"]) == (b"e" * size, "blue")
    rows = json.loads(client.get("/v1/AUTH_a/c", query="format=json").body)
    assert [row["hash"] for row in rows] == [found.headers["etag"]]


def test_names_are_told_as_they_are(misplaced):
    path = "/v1/AUTH_a/c/" + "x é%41?&:/..//end ".encode().decode("latin-1")
    assert misplaced.proxy.put(path, {**WRONG, "x-timestamp": misplaced.at.internal}, body=b"x").status == 201
    misplaced.enqueue("/v1/AUTH_a/c/x é%41?&:/..//end ")
    assert misplaced.run() == {"moved": 1}
    assert misplaced.proxy.get(path).status == 200


def test_a_newer_object_in_the_right_place_wins(misplaced):
    misplaced.stray()
    assert misplaced.proxy.put(OBJECT, body=b"newer").status == 201
    assert misplaced.run() == {"superseded": 1}
    assert misplaced.right().body == b"newer" and misplaced.wrong().status == 404
    assert misplaced.queue() == []


def test_a_newer_deletion_in_the_right_place_wins(misplaced):
    misplaced.stray()
    misplaced.proxy.delete(OBJECT)
    assert misplaced.run() == {"superseded": 1}
    assert misplaced.right().status == 404 and misplaced.wrong().status == 404


def test_a_delete_told_to_the_wrong_policy_is_done_in_the_right_one(misplaced):
    earlier = Timestamp(misplaced.at.ticks - 100)
    assert misplaced.proxy.put(OBJECT, {"x-timestamp": earlier.internal}, body=b"x").status == 201
    misplaced.enqueue(kind=DELETE_TYPE)
    assert misplaced.run() == {"superseded": 1}
    assert misplaced.right().status == 404 and misplaced.listing() == [] and misplaced.queue() == []


def test_a_delete_does_not_touch_what_was_written_later(misplaced):
    assert misplaced.proxy.put(OBJECT, body=b"later").status == 201
    misplaced.enqueue(kind=DELETE_TYPE)
    assert misplaced.run() == {"superseded": 1}
    assert misplaced.right().body == b"later"


def test_an_entry_of_the_containers_own_policy_is_only_removed(misplaced):
    assert misplaced.proxy.put(OBJECT, {"x-timestamp": misplaced.at.internal}, body=b"x").status == 201
    misplaced.enqueue(policy_index=0)
    assert misplaced.run() == {"nothing_to_do": 1}
    assert misplaced.right().body == b"x" and misplaced.queue() == []


def test_an_expired_object_is_moved_as_it_is(misplaced):
    expires = int(misplaced.at.seconds) + 1
    misplaced.stray(at=Timestamp(misplaced.at.ticks), **{"x-delete-at": str(expires)})
    assert misplaced.run(clock=SimClock(expires + 100.0)) == {"moved": 1}
    answer = misplaced.proxy.head(OBJECT, {"x-backend-open-expired": "true"})
    assert (answer.status, answer.headers["x-delete-at"]) == (200, str(expires))


class TestWhatCannotBeDecided:
    @pytest.mark.parametrize("away, policy", [(0, 0), (1, 0), (2, None), (3, None)])
    def test_the_policy_is_known_while_a_majority_of_the_containers_replicas_is_there(self, misplaced, away, policy):
        for node in primaries(misplaced)[:away]:
            misplaced.nodes.unplug(node)
        policies = ContainerPolicies(direct_client(), lambda: misplaced.ring, misplaced.secrets, misplaced.clock)
        assert policies.of("AUTH_a", "c") == policy

    def test_waits_while_the_containers_policy_is_not_known(self, misplaced):
        misplaced.stray()
        for node in primaries(misplaced):
            # Its directory alone: the queue's container, of a new name every hour, may lie in the same partition.
            digest = misplaced.secrets.hash_path("AUTH_a", "c")
            (lost,) = (misplaced.nodes.device_root(node) / f"sd{node}" / "containers").glob(f"*/*/{digest}")
            lost.rename(lost.with_name("lost"))
        assert misplaced.run() == {"undecided": 1}
        assert misplaced.wrong().status == 200 and len(misplaced.queue()) == 1

    def test_waits_for_a_source_that_is_not_found(self, misplaced):
        misplaced.stray()
        misplaced.wait_until_listed()
        lose(misplaced, "objects-2")
        assert misplaced.run() == {"missing": 1}
        assert len(misplaced.queue()) == 1
        assert misplaced.run(clock=SimClock(misplaced.at.seconds + 604_801.0)) == {"dropped": 1}
        assert misplaced.queue() == []

    def test_a_copy_that_is_not_confirmed_costs_nothing(self, misplaced):
        misplaced.stray()

        def refuse(environ):
            return Response(503, {"content-type": "text/plain"}, b"")

        refusing = RecordingApp(refuse)

        def app(environ, start_response):
            is_move = environ["REQUEST_METHOD"] == "PUT"
            return (refusing if is_move else misplaced.proxy.app)(environ, start_response)

        assert misplaced.run(app=app) == {"failures": 1}
        assert misplaced.wrong().status == 200 and len(misplaced.queue()) == 1
        assert misplaced.run() == {"moved": 1}

    def test_a_pass_cut_off_after_the_copy_is_finished_by_the_next(self, misplaced):
        misplaced.stray()

        class CutOff(BaseException):
            pass

        def app(environ, start_response):
            if environ["REQUEST_METHOD"] == "DELETE":
                raise CutOff
            return misplaced.proxy.app(environ, start_response)

        with pytest.raises(CutOff):
            misplaced.run(app=app)
        assert misplaced.right().status == 200 and misplaced.wrong().status == 200
        assert misplaced.run() == {"moved": 1}
        assert misplaced.right().body == b"in the wrong policy"
        assert misplaced.wrong().status == 404 and misplaced.queue() == []

    def test_a_queue_that_cannot_be_listed_fails_the_pass(self, misplaced):
        for node in range(4):
            misplaced.nodes.unplug(node)
        assert misplaced.run() == {"failures": 1}

    def test_strange_rows_are_left_alone(self, misplaced):
        replies = misplaced.rows.add(QUEUE_ACCOUNT, queue_container(misplaced.at), "what", misplaced.at, PUT_TYPE, "x")
        assert {reply.status for reply in replies} == {201}
        assert misplaced.run() == {"strange": 1}
        assert misplaced.queue() == ["what"]


def partition(misplaced):
    return misplaced.ring.partition(misplaced.secrets.digest("AUTH_a", "c"))


def primaries(misplaced):
    return [node.id for node in misplaced.ring.primaries(partition(misplaced))]


def lose(misplaced, directory):
    for node in range(4):
        path = misplaced.nodes.device_root(node) / f"sd{node}" / directory
        if path.exists():
            path.rename(path.with_name("lost"))


class TestSharing:
    def test_an_overdue_entry_is_taken_over(self, misplaced):
        misplaced.stray()
        second = {"rank": lambda name: 1}
        assert misplaced.run(clock=SimClock(misplaced.at.seconds + 299.0), **second) == {}
        assert misplaced.run(clock=SimClock(misplaced.at.seconds + 301.0), **second) == {"moved": 1}

    def test_numbered_processes_do_every_entry_once_between_them(self, misplaced):
        for number in range(8):
            misplaced.stray(path=f"/v1/AUTH_a/c/o{number}")
        done = [misplaced.run(processes="2", process=str(process)).get("moved", 0) for process in range(2)]
        assert sum(done) == 8 and max(done) < 8


class TestEnqueueing:
    def enqueue(self, misplaced, *words):
        stdout, stderr = io.StringIO(), io.StringIO()
        arguments = [*words, "--swift-dir", str(misplaced.nodes.directory)]
        code = reconciler_enqueue.main(arguments, stdout=stdout, stderr=stderr, environ={})
        return code, stdout.getvalue(), stderr.getvalue()

    def test_an_object_can_be_queued_by_hand_and_again_by_force(self, misplaced):
        assert misplaced.proxy.put(OBJECT, {**WRONG, "x-timestamp": misplaced.at.internal}, body=b"x").status == 201
        words = ("2", "/AUTH_a/c/o", misplaced.at.internal)
        code, said, _ = self.enqueue(misplaced, *words)
        assert (code, said) == (0, f".misplaced_objects/{queue_container(misplaced.at)}/2:/AUTH_a/c/o: queued\n")
        assert misplaced.run() == {"moved": 1}
        assert self.enqueue(misplaced, *words)[0] == 0 and misplaced.queue() == []
        assert self.enqueue(misplaced, *words, "--force")[0] == 0 and misplaced.queue() == ["2:/AUTH_a/c/o"]
        assert misplaced.run() == {"superseded": 1}
        assert misplaced.right().status == 200 and misplaced.queue() == []

    def test_it_says_when_the_servers_do_not_take_it(self, misplaced):
        for node in range(4):
            misplaced.nodes.unplug(node)
        code, _, error = self.enqueue(misplaced, "2", "/AUTH_a/c/o", misplaced.at.internal)
        assert code == 1 and "507" in error and "not queued" in error

    @pytest.mark.parametrize(
        "words", [("x", "/a/c/o", "1"), ("2", "a/c/o", "1"), ("2", "/a/c", "1"), ("2", "/a/c/o", "soon")]
    )
    def test_what_makes_no_sense_is_wrong_usage(self, misplaced, words):
        with pytest.raises(SystemExit, match="2"):
            self.enqueue(misplaced, *words)

    def test_an_unknown_policy_is_refused(self, misplaced):
        code, _, error = self.enqueue(misplaced, "7", "/a/c/o", "1")
        assert code == 78 and "policy 7" in error


def recorded(operation):
    """Header names and values of a recorded request, those left out that are of the transport."""
    of_transport = {"Accept-Encoding", "Connection", "Date", "Expect", "Host", "Referer", "User-Agent", "X-Trans-Id"}
    for line in (VECTORS / "reconciler.jsonl").read_text().splitlines():
        found = json.loads(line)
        if found["id"] == operation:
            return {name: value for name, value in found["request"]["headers"] if name not in of_transport}
    raise AssertionError(operation)


@pytest.mark.parametrize(
    "operation, kind, method",
    [
        ("reconciler.run#21", "object", "PUT"),
        ("reconciler.run#27", "object", "DELETE"),
        ("reconciler.run#30", "container", "DELETE"),
    ],
    ids=["the copy", "the old object", "the entry"],
)
def test_what_is_sent_is_what_swift_sends(misplaced, operation, kind, method):
    """With the recorded time, so that every derived timestamp is the recorded one."""
    misplaced.at = Timestamp.parse("1795238510.65661")
    misplaced.stray(**{"x-object-meta-stray": "1", "content-type": "text/plain"})
    misplaced.nodes.seen.clear()
    assert misplaced.run(clock=SimClock(1795238516.0)) == {"moved": 1}
    sent = [
        environ
        for environ in misplaced.nodes.asked(kind, method)
        if kind == "object" or QUEUE_ACCOUNT in environ["PATH_INFO"]
    ]
    assert len(sent) == (2 if "27" in operation else 3)
    # Where rows go and who cleans up is dealt out by the ring; the answer's own headers are not sent back by ours.
    free = {
        "X-Container-Partition", "X-Container-Host", "X-Container-Device", "X-Backend-Clean-Expiring-Object-Queue",
    }  # fmt: skip
    not_ours = {
        "Accept-Ranges", "Last-Modified", "X-Backend-Timestamp", "X-Backend-Data-Timestamp",
        "X-Backend-Durable-Timestamp", "X-Openstack-Request-Id",
    }  # fmt: skip
    for name, value in recorded(operation).items():
        if name not in not_ours:
            for environ in sent:
                assert environ.get(environ_key(name)) == value or name in free, name
