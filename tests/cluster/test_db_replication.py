"""A cluster whose account and container databases heal: nodes away, files damaged or gone, handoffs, deleted accounts.

What counts is what each replica says when it is asked directly, and what lies on the disks at the end.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from http.client import HTTPConnection

import pytest

from objstore.config.cluster import load_cluster
from objstore.core.timestamp import Timestamp
from objstore.ring.fileformat import load
from tests.support.cluster import Cluster, until

pytestmark = pytest.mark.cluster

PATIENCE_S = 120.0
ACCOUNT = "AUTH_admin"


def made(tmp_path, **options):
    cluster = Cluster(tmp_path / "cluster", part_power=4, **options).init()
    for daemon in ("account-replicator", "account-reaper", "container-replicator", "object-replicator"):
        cluster.configure(daemon, "interval", 1, kind=daemon.partition("-")[0])
    cluster.configure("app:proxy-server", "error_suppression_interval", 1)
    return cluster


@pytest.fixture
def cluster(tmp_path):
    with made(tmp_path) as cluster:
        yield cluster


class Replicas:
    """The replicas of one account or container. kind: whose servers are asked."""

    def __init__(self, cluster, kind, *names):
        self.cluster = cluster
        self.kind = kind
        self.names = names
        digest = load_cluster(cluster.directory.etc).secrets.digest(*names)
        self.hash = digest.hex()
        ring = load(cluster.directory.etc / f"{kind}.ring.gz")
        self.partition = ring.partition(digest)
        self.primaries = ring.primaries(self.partition)
        self.handoffs = list(ring.handoffs(self.partition))
        ports = sorted({device.port for device in ring.devices if device is not None})
        self.node_of = dict(zip(ports, cluster.nodes, strict=True))

    def node(self, position):
        """The name of a primary's node."""
        return self.node_of[self.primaries[position].address[1]]

    def ask(self, node, method="GET", headers=(), query="?format=json"):
        """(status, headers, body) of one replica; None where nobody answers."""
        connection = HTTPConnection(*node.address, timeout=10)
        path = f"/{node.name}/{self.partition}/{'/'.join(self.names)}{query}"
        try:
            connection.request(method, path, headers=dict(headers))
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, found, answer.read()
        except OSError:
            return None
        finally:
            connection.close()

    def listing(self, node):
        """Names, or the status where there is no listing."""
        answer = self.ask(node)
        if answer is None or answer[0] not in (200, 204):
            return answer and answer[0]
        return [item["name"] for item in json.loads(answer[2] or b"[]")]

    def listings(self):
        return [self.listing(node) for node in self.primaries]

    def directory(self, node):
        device = self.cluster.device_path(self.node_of[node.address[1]])
        return device / f"{self.kind}s" / str(self.partition) / self.hash[-3:] / self.hash

    def file(self, node):
        return self.directory(node) / f"{self.hash}.db"

    def wait_for(self, expected):
        self.wait(lambda: self.listings() == [expected] * len(self.primaries), f"every replica lists {expected}")

    def wait(self, condition, what):
        try:
            until(condition, what, PATIENCE_S)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.listings()}\n{self.cluster.logs()[-6000:]}") from None


def put(cluster, path, body=b"x"):
    assert cluster.request("PUT", path, body)[0] == 201


def test_a_container_server_that_was_away_lists_what_the_others_do(cluster):
    put(cluster, "/c", None)
    replicas = Replicas(cluster, "container", ACCOUNT, "c")
    for name in ("kept", "deleted", "overwritten"):
        put(cluster, f"/c/{name}")
    replicas.wait_for(["deleted", "kept", "overwritten"])
    with cluster.killed(replicas.node(1)):
        put(cluster, "/c/made", b"12345")
        put(cluster, "/c/overwritten", b"longer")
        assert cluster.request("DELETE", "/c/deleted")[0] == 204
        assert cluster.request("POST", "/c", None, {"X-Container-Meta-Colour": "blue"})[0] == 204
    replicas.wait_for(["kept", "made", "overwritten"])

    def agree():
        heads = [replicas.ask(node, "HEAD", query="")[1] for node in replicas.primaries]
        facts = ("x-container-object-count", "x-container-bytes-used", "x-container-meta-colour")
        return [[head.get(name) for name in facts] for head in heads] == [["3", "12", "blue"]] * 3

    replicas.wait(agree, "counts and metadata agree")


@pytest.mark.parametrize(
    ("damage", "has_rsync"),
    [
        ("file removed", True),
        ("directory removed", False),
        ("cut short", False),
        ("overwritten", True),
        ("emptied", False),
    ],
)
def test_a_lost_or_damaged_container_database_comes_back(tmp_path, damage, has_rsync):
    """has_rsync: as a new cluster is set up, with rsync where it is installed; else in band."""
    cluster = made(tmp_path)
    cluster.configure("container-auditor", "interval", 1, kind="container")
    if not has_rsync:
        cluster.configure("container-replicator", "rsync_module", "", kind="container")
    with cluster:
        put(cluster, "/c", None)
        names = [f"o{number:02}" for number in range(30)]
        for name in names:
            put(cluster, f"/c/{name}")
        replicas = Replicas(cluster, "container", ACCOUNT, "c")
        replicas.wait_for(names)
        node = replicas.primaries[2]
        spoil(replicas, node, damage)
        replicas.wait_for(names)
        # Rows that come now arrive there, too: it is a replica of its own.
        put(cluster, "/c/z")
        replicas.wait_for([*names, "z"])


def spoil(replicas, node, damage):
    file = replicas.file(node)
    data = file.read_bytes()
    match damage:
        case "file removed":
            file.unlink()
        case "directory removed":
            shutil.rmtree(file.parent)
        case "cut short":
            os.truncate(file, len(data) // 2)
        case "overwritten":
            with open(file, "r+b") as opened:
                opened.write(b"garbage " * (len(data) // 16))
        case "emptied":
            os.truncate(file, 0)


def test_account_totals_are_the_sums_on_every_replica_after_one_was_away(cluster):
    replicas = Replicas(cluster, "account", ACCOUNT)
    put(cluster, "/c1", None)
    put(cluster, "/c1/before", b"12")
    with cluster.killed(replicas.node(0)):
        put(cluster, "/c2", None)
        for number in range(5):
            put(cluster, f"/c1/a{number}", b"123")
            put(cluster, f"/c2/b{number}", b"1")

    def totals():
        names = ("x-account-container-count", "x-account-object-count", "x-account-bytes-used")
        answers = [replicas.ask(node, "HEAD", query="") for node in replicas.primaries]
        return [answer and [answer[1].get(name) for name in names] for answer in answers]

    replicas.wait(lambda: totals() == [["2", "11", "22"]] * 3, "the totals are the sums")
    replicas.wait_for(["c1", "c2"])


def test_a_container_made_while_a_primary_was_away_goes_home(cluster):
    replicas = Replicas(cluster, "container", ACCOUNT, "c")
    with cluster.killed(replicas.node(0)):
        put(cluster, "/c", None)
        put(cluster, "/c/o")
    replicas.wait_for(["o"])
    away = replicas.handoffs[0]
    replicas.wait(lambda: not replicas.directory(away).exists(), "nothing is left on the handoff")


def test_a_deleted_account_is_reaped_though_a_node_was_away(tmp_path):
    cluster = made(tmp_path, policies=("gold:3", "tin:2"))
    cluster.configure("app:proxy-server", "allow_account_management", "yes")
    cluster.add_user("boss:boss", "secret", ".reseller_admin")
    with cluster:
        put(cluster, "/c1", None)
        assert cluster.request("PUT", "/c2", None, {"X-Storage-Policy": "tin"})[0] == 201
        for number in range(6):
            put(cluster, f"/c1/dir/ü{number}")
            put(cluster, f"/c2/o{number}")
        account = Replicas(cluster, "account", ACCOUNT)
        with cluster.killed(account.node(1)):
            status, _, _ = cluster.raw_request(
                "DELETE", f"/v1/{ACCOUNT}", headers={"X-Auth-Token": cluster.token("boss:boss")}
            )
            assert status == 204
        containers = [Replicas(cluster, "container", ACCOUNT, name) for name in ("c1", "c2")]
        for replicas in containers:
            replicas.wait(lambda: replicas.listings() == [404] * 3, "the containers are gone")  # noqa: B023
        nodes = [cluster.device_path(node) for node in cluster.nodes]
        account.wait(lambda: not any(list(node.rglob("*.data")) for node in nodes), "no object is left on any disk")

        def is_deleted(node):
            answer = account.ask(node, "HEAD", query="")
            return answer is not None and (answer[0], answer[1].get("x-account-status")) == (404, "Deleted")

        account.wait(lambda: all(map(is_deleted, account.primaries)), "every replica says that it is deleted")


def test_two_creations_with_different_policies_end_as_one(tmp_path):
    """As after a split in which both halves made the container."""
    with made(tmp_path, policies=("gold:3", "tin:2")) as cluster:
        put(cluster, "/other", None)
        replicas = Replicas(cluster, "container", ACCOUNT, "c")
        earlier, later = (Timestamp.from_seconds(time.time() - ago).internal for ago in (20, 10))
        for position, (policy, timestamp) in enumerate([("0", later), ("1", earlier), ("0", later)]):
            headers = {"X-Timestamp": timestamp, "X-Backend-Storage-Policy-Index": policy, "Content-Length": "0"}
            answer = replicas.ask(replicas.primaries[position], "PUT", headers, "")
            assert answer is not None and answer[0] == 201

        def policies():
            answers = [replicas.ask(node, "HEAD", query="") for node in replicas.primaries]
            return [answer and answer[1].get("x-backend-storage-policy-index") for answer in answers]

        replicas.wait(lambda: policies() == ["1", "1", "1"], "the earlier creation wins everywhere")
