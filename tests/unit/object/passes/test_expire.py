"""The expirer over real account, container and object servers. Its clock runs ahead: no test waits for an expiry."""

import io
import itertools
import json
import time
from pathlib import Path

import pytest

from objstore.cli import container_deleter
from objstore.config.cluster import load_cluster
from objstore.core.headers import environ_key
from objstore.core.timestamp import Timestamp
from objstore.daemon.pass_ import EVERYTHING, PassReport
from objstore.http.internal import InternalClient
from objstore.http.response import Response
from objstore.object.app import app_factory as object_factory
from objstore.object.expiring import ExpiryQueue
from objstore.object.passes.expire import ObjectExpirer
from objstore.object.passes.expire_settings import ObjectExpirerSettings
from objstore.object.passes.expire_together import TogetherExpirer
from objstore.peers.batch_client import BatchClient
from objstore.peers.queue_rows import QueueRows, direct_client
from objstore.ring.fileformat import load
from objstore.runtime import green
from tests.support.clock import SimClock
from tests.support.pipeline import RecordingApp
from tests.support.storage_nodes import StorageNodes

OBJECT = "/v1/AUTH_a/c/o"
VECTORS = Path(__file__).parents[3] / "vectors" / "wire"


class Expiry:
    """A small cluster, an expirer over it, and times: everything expires an hour from now."""

    def __init__(self, nodes):
        self.nodes = nodes
        self.proxy = nodes.proxy()
        self.at = int(time.time()) + 3600
        self.clock = SimClock(self.at + 1.0)
        self.secrets = load_cluster(nodes.directory).secrets
        self.queue = ExpiryQueue(self.secrets)
        self.container_ring = load(nodes.directory / "container.ring.gz")
        assert self.proxy.put("/v1/AUTH_a/c").status == 201

    def put(self, path=OBJECT, at=None, **headers):
        lines = {"x-delete-at": str(at or self.at), **headers}
        answer = self.proxy.put(path, lines, body=b"hello")
        assert answer.status == 201, answer

    def expirer(self, rank=lambda container: 0, clock=None, queue=None, app=None, lead_s=0.0, **settings):
        found, problems = ObjectExpirerSettings.from_pairs({"tasks_per_second": "0"} | settings)
        assert not problems
        client = InternalClient(app or self.proxy.app, "expirer under test")
        rows = queue or QueueRows(direct_client(), lambda: self.container_ring, self.secrets)
        rings = {0: load(self.nodes.directory / "object.ring.gz"), 2: load(self.nodes.directory / "object-2.ring.gz")}
        together = TogetherExpirer(BatchClient(direct_client()), rings.get, self.secrets, rows, 604_800.0)
        return ObjectExpirer(found, client, rows, rank, clock or self.clock, together, lambda: lead_s)

    def run(self, expirer=None, **settings):
        """One pass: the counts."""
        expirer = expirer or self.expirer(**settings)
        total = {}
        for job in expirer.jobs(EVERYTHING):
            for name, count in expirer.run(job).items():
                total[name] = total.get(name, 0) + count
        return total

    def wait_for_queue(self, count=1):
        """Until every replica of the account lists containers with so many entries in all: any of them may be asked."""
        ring = load(self.nodes.directory / "account.ring.gz")
        partition = ring.partition(self.secrets.digest(".expiring_objects"))
        path = f"/{partition}/.expiring_objects?format=json"

        def is_listed():
            replies = direct_client().ask_all(ring.primaries(partition), "GET", path)
            return all(_entry_count(reply) >= count for reply in replies)

        self.until(is_listed)

    @staticmethod
    def until(condition):
        deadline = time.monotonic() + 120
        while not condition():
            assert time.monotonic() < deadline, "not in time"
            green.sleep(0.01)

    def entries(self, container=None):
        container = container or self.queue.container(self.at, "AUTH_a", "c", "o")
        answer = self.proxy.get(f"/v1/.expiring_objects/{container}", query="format=json")
        return [row["name"] for row in json.loads(answer.body or b"[]")] if answer.status == 200 else []

    def object_status(self, path=OBJECT):
        return self.proxy.head(path, {"x-newest": "true"}).status

    def paths_of_one_queue(self, count):
        """Paths of objects whose entries stand in the container where that of OBJECT does."""
        here = self.queue.container(self.at, "AUTH_a", "c", "o")
        names = (f"o{number} %é" for number in itertools.count())
        found = (name for name in names if self.queue.container(self.at, "AUTH_a", "c", name) == here)
        return [f"/v1/AUTH_a/c/{name}".encode().decode("latin-1") for name in itertools.islice(found, count)]

    def primary_of(self, path):
        """Number of the first node that the object ring names for it."""
        parts = path.encode("latin-1").decode().split("/", 4)[2:]
        ring = load(self.nodes.directory / "object.ring.gz")
        return ring.primaries(ring.partition(self.secrets.digest(*parts)))[0].id

    def data_files(self, node=None):
        nodes = range(self.nodes.node_count) if node is None else [node]
        return sorted(path for each in nodes for path in self.nodes.device_root(each).rglob("objects*/*/*/*/*.data"))


def _entry_count(reply):
    return sum(row["count"] for row in json.loads(reply.body)) if reply.status == 200 else 0


@pytest.fixture
def expiry(tmp_path):
    with StorageNodes(tmp_path) as nodes:
        yield Expiry(nodes)


def test_an_expired_object_its_row_and_its_entry_go(expiry):
    expiry.put()
    expiry.wait_for_queue()
    assert len(expiry.entries()) == 1
    assert expiry.run() == {"success": 1}
    assert expiry.object_status() == 404 and expiry.data_files() == []
    assert expiry.entries() == []
    expiry.until(lambda: json.loads(expiry.proxy.get("/v1/AUTH_a/c", query="format=json").body) == [])


def test_names_are_told_as_they_are(expiry):
    path = "/v1/AUTH_a/c/" + "x é%41?&-/..//end ".encode().decode("latin-1")
    expiry.put(path)
    expiry.wait_for_queue()
    assert expiry.run() == {"success": 1}
    assert expiry.object_status(path) == 404


def test_what_is_not_due_stays(expiry):
    expiry.put()
    expiry.put("/v1/AUTH_a/c/o2", at=expiry.at + 100)
    expiry.wait_for_queue(2)
    assert expiry.run(clock=SimClock(expiry.at - 1.0)) == {}
    assert expiry.run() == {"success": 1}
    assert expiry.object_status("/v1/AUTH_a/c/o2") == 200


def test_the_delete_says_when_the_object_was_to_go_and_leaves_the_queue_alone(expiry):
    expiry.put()
    expiry.wait_for_queue()
    expiry.nodes.seen.clear()
    expiry.run()
    deletes = expiry.nodes.asked("object", "DELETE")
    moment = Timestamp.from_seconds(expiry.at).normal
    assert {environ["HTTP_X_TIMESTAMP"] for environ in deletes} == {moment}
    assert {environ["HTTP_X_IF_DELETE_AT"] for environ in deletes} == {moment}
    assert {environ["HTTP_X_BACKEND_CLEAN_EXPIRING_OBJECT_QUEUE"] for environ in deletes} == {"no"}
    assert len(deletes) == 3


class TestAChangedExpiry:
    def test_of_a_later_post_is_respected(self, expiry):
        expiry.put()
        expiry.wait_for_queue()
        assert expiry.proxy.post(OBJECT, {"x-delete-at": str(expiry.at + 9999)}).status == 202
        assert expiry.run() == {"missing": 1}
        assert expiry.object_status() == 200

    def test_that_one_replica_has_not_heard_of_is_respected(self, expiry):
        """That replica alone would take the delete, and its tombstone is newer than the POST everywhere."""
        expiry.put()
        expiry.wait_for_queue()
        assert expiry.proxy.post(OBJECT, {"x-delete-at": str(expiry.at + 9999)}).status == 202
        behind = expiry.nodes.device_root(int(expiry.data_files()[0].relative_to(expiry.nodes.directory).parts[0][4:]))
        for meta in behind.rglob("*.meta"):
            meta.unlink()
        assert expiry.run() == {"missing": 1}
        assert list(expiry.nodes.directory.rglob("objects/*/*/*/*.ts")) == []

    def test_of_a_later_put_without_one_is_respected_and_the_entry_goes(self, expiry):
        expiry.put()
        expiry.wait_for_queue()
        later = {"x-timestamp": Timestamp.from_seconds(expiry.at + 0.5).internal}
        assert expiry.proxy.put(OBJECT, later, body=b"new").status == 201
        assert expiry.run() == {"success": 1}
        assert expiry.object_status() == 200 and expiry.entries() == []


class TestWhatIsNotFound:
    def test_keeps_its_entry_until_the_reclaim_age(self, expiry):
        expiry.put()
        expiry.wait_for_queue()
        for node in range(4):
            if (expiry.nodes.device_root(node) / f"sd{node}" / "objects").exists():
                expiry.nodes.lose_objects(node)
        assert expiry.run() == {"missing": 1}
        assert len(expiry.entries()) == 1
        assert expiry.run(clock=SimClock(expiry.at + 604_801.0)) == {"dropped": 1}
        assert expiry.entries() == []

    def test_because_it_was_deleted_already_loses_its_entry(self, expiry):
        """A pass that was cut off between the object and its entry."""
        expiry.put()
        expiry.wait_for_queue()
        lost = LostRemovals()
        assert expiry.run(queue=lost) == {"success": 1, "failures": 1}
        assert len(expiry.entries()) == 1
        assert expiry.run() == {"success": 1}
        assert expiry.entries() == []


class LostRemovals:
    """As if the daemon ended before a row was removed. but_from: an account whose containers do hear of it, by way of
    these rows."""

    def __init__(self, but_from="", rows=None):
        self.but_from = but_from
        self.rows = rows

    def remove(self, account, *rest, **options):
        return account == self.but_from and self.rows.remove(account, *rest, **options)


class TestANodeThatIsAway:
    def test_does_not_keep_the_object_alive(self, expiry):
        expiry.put()
        expiry.wait_for_queue()
        expiry.nodes.unplug(int(expiry.data_files()[0].relative_to(expiry.nodes.directory).parts[0][4:]))
        assert expiry.run() == {"success": 1}
        assert expiry.object_status() == 404 and expiry.entries() == []

    def test_nothing_is_removed_while_the_object_servers_are_all_away(self, expiry):
        expiry.put()
        expiry.wait_for_queue()
        away = RecordingApp(Response(503, {"content-type": "text/plain"}, b""))

        def app(environ, start_response):
            return (away if environ["PATH_INFO"] == OBJECT else expiry.proxy.app)(environ, start_response)

        assert expiry.run(app=app) == {"failures": 1}
        assert [environ["REQUEST_METHOD"] for environ in away.seen] == ["HEAD"]
        assert len(expiry.entries()) == 1

    def test_a_queue_that_cannot_be_listed_fails_the_pass(self, expiry):
        for node in range(4):
            expiry.nodes.unplug(node)
        assert expiry.run() == {"failures": 1}

    def test_its_share_is_taken_over_when_it_is_overdue(self, expiry):
        expiry.put()
        expiry.wait_for_queue()
        second = {"rank": lambda container: 1}
        assert expiry.run(clock=SimClock(expiry.at + 299.0), **second) == {}
        assert expiry.run(clock=SimClock(expiry.at + 301.0), **second) == {"success": 1}


class TestSharing:
    def test_numbered_processes_do_every_entry_once_between_them(self, expiry):
        paths = [f"/v1/AUTH_a/c/o{number}" for number in range(12)]
        for path in paths:
            expiry.put(path)
        expiry.wait_for_queue(12)
        done = [expiry.run(processes="3", process=str(process)).get("success", 0) for process in range(3)]
        assert sum(done) == 12 and max(done) < 12
        assert expiry.data_files() == []

    def test_one_who_is_told_to_leave_the_queue_alone_does(self, expiry):
        assert list(expiry.expirer(dequeue_from_legacy="no").jobs(EVERYTHING)) == []


@pytest.mark.parametrize("key", ["delay_reaping_AUTH_a", "delay_reaping_AUTH_a/c"])
def test_reaping_can_be_delayed(expiry, key):
    expiry.put()
    expiry.wait_for_queue()
    assert expiry.run(**{key: "100"}) == {}
    assert expiry.run(**{key: "100"}, clock=SimClock(expiry.at + 101.0)) == {"success": 1}


def test_the_delay_of_the_container_counts_before_that_of_the_account(expiry):
    expiry.put()
    expiry.wait_for_queue()
    assert expiry.run(**{"delay_reaping_AUTH_a": "100", "delay_reaping_AUTH_a/c": "0"}) == {"success": 1}


def test_a_delay_that_makes_no_sense_is_refused(expiry):
    with pytest.raises(ValueError, match="delay_reaping_AUTH_a"):
        expiry.expirer(delay_reaping_AUTH_a="soon")


def test_many_entries_are_removed_in_few_requests(expiry):
    for path in expiry.paths_of_one_queue(5):
        expiry.put(path)
    expiry.wait_for_queue(5)
    expiry.nodes.seen.clear()
    assert expiry.run() == {"success": 5}
    queue_requests = [
        environ["REQUEST_METHOD"]
        for kind, _, method, path, environ in expiry.nodes.seen
        if kind == "container" and ".expiring_objects" in path and method in ("UPDATE", "DELETE")
    ]
    assert queue_requests == ["UPDATE"] * 3


def knowing_no_batch(nodes, node):
    """An object server as of Swift."""
    conf = {"devices": str(nodes.device_root(node)), "mount_check": "no", "fallocate_reserve": "0"}
    app = object_factory({"swift_dir": str(nodes.directory)}, **conf)

    def answering(environ, start_response):
        nodes.seen.append(("object", node, environ["REQUEST_METHOD"], environ["PATH_INFO"], dict(environ)))
        if environ["REQUEST_METHOD"] == "BATCH":
            return Response(405)(environ, start_response)
        return app(environ, start_response)

    return answering


class TestManyOfOneContainer:
    """They go together, past the proxy, where everything is as it should be."""

    COUNT = 5

    @pytest.fixture
    def many(self, expiry):
        self.paths = expiry.paths_of_one_queue(self.COUNT)
        for path in self.paths:
            expiry.put(path)
        expiry.wait_for_queue(self.COUNT)
        return expiry

    def entries(self, expiry):
        return expiry.entries(expiry.queue.container(expiry.at, "AUTH_a", "c", "o"))

    def listed(self, expiry):
        return json.loads(expiry.proxy.get("/v1/AUTH_a/c", query="format=json").body or b"[]")

    def rows_asked(self, expiry):
        """Requests about rows of the objects' container, from whomever."""
        return [
            method
            for kind, _, method, path, _ in expiry.nodes.seen
            if kind == "container" and "/AUTH_a/c" in path and method in ("UPDATE", "DELETE")
        ]

    def test_their_rows_go_in_one_request_to_each_primary(self, many):
        many.nodes.seen.clear()
        assert many.run() == {"success": self.COUNT}
        assert self.rows_asked(many) == ["UPDATE"] * 3
        assert self.listed(many) == [] == self.entries(many) == many.data_files()

    def test_each_server_is_asked_twice(self, many):
        """What they say of all of them, and to delete them."""
        many.nodes.seen.clear()
        assert many.run() == {"success": self.COUNT}
        asked = [(node, method) for kind, node, method, _, _ in many.nodes.seen if kind == "object"]
        assert set(asked) <= {(node, "BATCH") for node in range(4)} and len(asked) <= 8

    def test_servers_of_swift_are_asked_one_by_one_and_each_delete_has_its_condition(self, many):
        for node in range(many.nodes.node_count):
            many.nodes.replace(node, "object", knowing_no_batch(many.nodes, node))
        many.nodes.seen.clear()
        assert many.run() == {"success": self.COUNT}
        moment = Timestamp.from_seconds(many.at).normal
        deletes = many.nodes.asked("object", "DELETE")
        assert len(deletes) == 3 * self.COUNT
        assert {environ["HTTP_X_IF_DELETE_AT"] for environ in deletes} == {moment}
        assert {environ["HTTP_X_TIMESTAMP"] for environ in deletes} == {moment}

    def test_objects_of_several_containers_and_policies_go_together(self, many):
        assert many.proxy.put("/v1/AUTH_a/silver", {"x-storage-policy": "silver"}).status == 201
        here = many.queue.container(many.at, "AUTH_a", "c", "o")
        names = (f"s{number}" for number in itertools.count())
        found = (name for name in names if many.queue.container(many.at, "AUTH_a", "silver", name) == here)
        for name in itertools.islice(found, 2):
            many.put(f"/v1/AUTH_a/silver/{name}")
        many.wait_for_queue(self.COUNT + 2)
        many.nodes.seen.clear()
        assert many.run() == {"success": self.COUNT + 2}
        assert many.data_files() == [] == self.entries(many) == self.listed(many)
        assert len([1 for kind, _, method, _, _ in many.nodes.seen if (kind, method) == ("object", "BATCH")]) <= 8

    def test_rows_that_were_not_told_are_told_by_the_next_pass(self, many):
        """The daemon ended between the objects and their rows."""
        rows = QueueRows(direct_client(), lambda: many.container_ring, many.secrets)
        assert many.run(queue=LostRemovals(".expiring_objects", rows)) == {"failures": self.COUNT}
        assert many.data_files() == [] and len(self.listed(many)) == len(self.entries(many)) == self.COUNT
        assert many.run() == {"success": self.COUNT}
        assert self.listed(many) == [] == self.entries(many)

    def test_rows_that_were_not_told_are_told_by_way_of_the_proxy_as_well(self, many):
        rows = QueueRows(direct_client(), lambda: many.container_ring, many.secrets)
        many.run(queue=LostRemovals(".expiring_objects", rows))
        many.nodes.unplug(many.primary_of(self.paths[0]))
        assert many.run() == {"success": self.COUNT}
        many.until(lambda: self.listed(many) == [])

    def test_an_expiry_that_one_replica_has_not_heard_of_is_respected(self, many):
        for path in self.paths:
            assert many.proxy.post(path, {"x-delete-at": str(many.at + 9999)}).status == 202
        behind = many.nodes.device_root(many.primary_of(self.paths[0]))
        for meta in behind.rglob("*.meta"):
            meta.unlink()
        assert many.run() == {"missing": self.COUNT}
        assert list(many.nodes.directory.rglob("objects/*/*/*/*.ts")) == []

    def test_a_node_that_is_away_leaves_them_to_the_proxy(self, many):
        many.nodes.unplug(many.primary_of(self.paths[0]))
        assert many.run() == {"success": self.COUNT}
        assert self.entries(many) == []

    def test_one_that_was_written_again_stays(self, many):
        later = {"x-timestamp": Timestamp.from_seconds(many.at + 0.5).internal}
        assert many.proxy.put(self.paths[0], later, body=b"new").status == 201
        assert many.run() == {"success": self.COUNT}
        assert many.object_status(self.paths[0]) == 200
        assert len(self.listed(many)) == 1 and self.entries(many) == []

    @pytest.mark.parametrize("lie", [{"X-Backend-Sharding-State": "sharding"}, {"X-Backend-Storage-Policy-Index": "x"}])
    def test_a_container_that_may_be_sharded_is_told_by_the_object_servers(self, many, lie):
        def app(environ, start_response):
            if environ["REQUEST_METHOD"] == "HEAD" and environ["PATH_INFO"] == "/v1/AUTH_a/c":
                return Response(204, {**lie}, b"")(environ, start_response)
            return many.proxy.app(environ, start_response)

        assert many.run(app=app) == {"success": self.COUNT}
        deletes = many.nodes.asked("object", "DELETE")
        assert {environ["HTTP_X_CONTAINER_PARTITION"] for environ in deletes}


def test_an_empty_container_of_a_day_long_past_is_removed(expiry):
    expiry.put()
    expiry.wait_for_queue()
    expiry.run()
    container = expiry.queue.container(expiry.at, "AUTH_a", "c", "o")
    expiry.run(clock=SimClock(expiry.at + 86_400.0))
    assert expiry.proxy.head(f"/v1/.expiring_objects/{container}").status == 204
    expiry.run(clock=SimClock(expiry.at + 4 * 86_400.0))
    assert expiry.proxy.head(f"/v1/.expiring_objects/{container}").status == 404


@pytest.mark.parametrize(
    "body",
    [b"{", b"{}", b"[1]", b'[{"count": 1}]', b'[{"name": "../x"}, {"name": "-5"}, {"name": "99999999999"}]'],
    ids=["cut", "object", "numbers", "nameless", "strange names"],
)
def test_a_queue_listing_that_lies_harms_nothing(expiry, body):
    answers = iter([Response(200, {"content-type": "application/json"}, body)])
    app = RecordingApp(lambda environ: next(answers, Response(200, {"content-type": "application/json"}, b"[]")))
    counts = expiry.run(app=app)
    assert set(counts) <= {"failures"}
    assert {environ["REQUEST_METHOD"] for environ in app.seen} == {"GET"}


def test_what_came_of_a_pass_stands_in_recon(expiry):
    report = PassReport(1.0, 2.5, 100, {"success": 7, "missing": 1})
    assert expiry.expirer().finished(report) == {"object_expiration_pass": 2.5, "expired_last_pass": 7}


def recorded(operation):
    """Header names and values of a recorded request, those left out that are of the transport."""
    of_transport = {"Accept-Encoding", "Connection", "Host", "Referer", "User-Agent", "X-Trans-Id"}
    for line in (VECTORS / "expirer.jsonl").read_text().splitlines():
        found = json.loads(line)
        if found["id"] == operation:
            return {name: value for name, value in found["request"]["headers"] if name not in of_transport}
    raise AssertionError(operation)


@pytest.mark.parametrize(
    "operation, kind, method",
    [("expirer.run#5", "object", "DELETE"), ("expirer.run#11", "container", "DELETE")],
    ids=["the object", "the entry"],
)
def test_what_is_sent_is_what_swift_sends(expiry, operation, kind, method):
    expiry.put()
    expiry.wait_for_queue()
    expiry.nodes.seen.clear()
    expiry.run()
    sent = [
        environ
        for environ in expiry.nodes.asked(kind, method)
        if kind == "object" or ".expiring_objects" in environ["PATH_INFO"]
    ]
    assert len(sent) == 3
    # The times are ours, and so is where the rows go; the rest is as recorded.
    free = {"X-Timestamp", "X-If-Delete-At", "X-Container-Partition", "X-Container-Host", "X-Container-Device"}
    for name, value in recorded(operation).items():
        for environ in sent:
            found = environ[environ_key(name)]
            assert name in free or found.lower() == value.lower(), name


@pytest.mark.parametrize("count", [1, 3])
def test_a_clock_that_is_ahead_of_the_others_deletes_nothing_early(expiry, count, caplog):
    for number in range(count):
        expiry.put(f"{OBJECT}{number}")
    expiry.wait_for_queue(count)
    hour_ahead = SimClock(expiry.at + 1800.0)
    assert expiry.run(expiry.expirer(clock=hour_ahead, lead_s=3600.0)) == {}
    assert "3600 s ahead" in caplog.text
    for number in range(count):
        assert expiry.proxy.get(f"{OBJECT}{number}").status == 200
    assert expiry.run(expiry.expirer(clock=hour_ahead, lead_s=0.0)) == {"success": count}


class TestContainerDeleter:
    """objstore-container-deleter, and what expirers make of what it queues."""

    def delete(self, expiry, *words):
        stdout, stderr = io.StringIO(), io.StringIO()
        arguments = [*words, "--swift-dir", str(expiry.nodes.directory)]
        code = container_deleter.main(arguments, stdout=stdout, stderr=stderr, environ={})
        return code, stdout.getvalue(), stderr.getvalue()

    def fill(self, expiry, *names):
        for name in names:
            assert expiry.proxy.put(f"/v1/AUTH_a/c/{name}", body=b"x").status == 201

    def test_what_is_meant_goes_and_the_rest_stays(self, expiry):
        names = ["logs/1", "logs/2", "logs/3 %é\n".encode().decode("latin-1"), "logs/4", "other"]
        self.fill(expiry, *names)
        words = ("AUTH_a", "c", "--prefix", "logs/", "--end-marker", "logs/4")
        assert self.delete(expiry, *words) == (0, "3 objects queued for deletion\n", "")
        assert self.delete(expiry, *words, "--marker", "logs/2", "--json")[1].startswith('{"queued": 1,')
        expiry.wait_for_queue(4)
        expiry.run()
        found = {name: expiry.object_status(f"/v1/AUTH_a/c/{name}") for name in names}
        assert list(found.values()) == [404, 404, 404, 200, 200], found

    def test_what_is_written_after_the_moment_stays(self, expiry):
        self.fill(expiry, "o")
        moment = Timestamp.from_seconds(time.time() - 60).normal
        assert self.delete(expiry, "AUTH_a", "c", "--timestamp", moment)[0] == 0
        expiry.wait_for_queue()
        assert expiry.run() == {"success": 1}
        assert expiry.object_status() == 200

    def test_what_is_not_taken_is_said_with_where_to_go_on(self, expiry):
        self.fill(expiry, "o")

        def refusing(environ, start_response):
            if environ["REQUEST_METHOD"] in ("PUT", "UPDATE"):
                return Response(507)(environ, start_response)
            return Response(200, {"content-type": "application/json"}, b'[{"name": "o"}]')(environ, start_response)

        for node in range(4):
            expiry.nodes.replace(node, "container", refusing)
        code, said, error = self.delete(expiry, "AUTH_a", "c", "--marker", "a")
        assert (code, said) == (1, "0 objects queued for deletion\n")
        assert 'go on with: --marker "a"' in error

    @pytest.mark.parametrize("words", [("AUTH_a",), ("AUTH_a/x", "c"), ("AUTH_a", "c", "--timestamp", "soon")])
    def test_what_makes_no_sense_is_wrong_usage(self, expiry, words):
        with pytest.raises(SystemExit, match="2"):
            self.delete(expiry, *words)

    def test_a_container_that_is_not_there(self, expiry):
        code, _, error = self.delete(expiry, "AUTH_a", "none")
        assert code == 1 and "no such container" in error
