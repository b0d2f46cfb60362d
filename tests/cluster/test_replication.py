"""A cluster that heals: disks emptied, nodes away through every kind of change, handoffs, and deletes that stay done.

Every test is run with rsync and in-band, over real processes; what counts is what lies on the disks at the end. Where
rsync is not there and cannot be installed the tests with it are skipped, and say so.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from objstore.config.cluster import load_cluster
from objstore.ring.fileformat import load
from tests.support.cluster import Cluster, until
from tests.support.packages import ToolsMissing, programs

pytestmark = pytest.mark.cluster

PATIENCE_S = 120.0
BODIES = {"empty": b"", "small": b"hello", "block": b"b" * 70_000, "large": bytes(range(256)) * 8192}


@pytest.fixture(params=["rsync", "ssync"])
def cluster(request, tmp_path):
    if request.param == "rsync":
        try:
            programs({"rsync": "rsync"})
        except ToolsMissing as error:
            pytest.skip(f"in-band only: {error}")
    made = Cluster(tmp_path / "cluster", part_power=4).init()
    made.configure("object-replicator", "sync_method", request.param, kind="object")
    made.configure("object-replicator", "interval", 1, kind="object")
    made.configure("app:proxy-server", "error_suppression_interval", 1)
    with made:
        assert made.request("PUT", "/c")[0] == 201
        yield made


class Disks:
    """What lies on the disks of a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.secrets = load_cluster(cluster.directory.etc).secrets
        self.ring = load(cluster.directory.etc / "object.ring.gz")
        ports = sorted({device.port for device in self.ring.devices if device is not None})
        self.node_of = dict(zip(ports, cluster.nodes, strict=True))

    def digest(self, name: str) -> bytes:
        return self.secrets.digest("AUTH_admin", "c", name)

    def directory(self, node: str, name: str) -> Path:
        digest = self.digest(name)
        partition = self.cluster.device_path(node) / "objects" / str(self.ring.partition(digest))
        return partition / digest.hex()[-3:] / digest.hex()

    def primaries(self, name: str) -> list[str]:
        return [self.node_of[node.address[1]] for node in self.ring.primaries(self.ring.partition(self.digest(name)))]

    def handoff(self, name: str) -> str:
        (other,) = set(self.cluster.nodes) - set(self.primaries(name))
        return other

    def names(self, node: str, name: str) -> list[str]:
        directory = self.directory(node, name)
        try:
            return sorted(path.name for path in directory.iterdir())
        except FileNotFoundError:
            return []

    def body(self, node: str, name: str) -> bytes | None:
        for path in self.directory(node, name).glob("*.data"):
            return path.read_bytes()
        return None

    def is_home(self, name: str) -> bool:
        """Whether all primaries have the same files, some, and the handoff has none."""
        found = [self.names(node, name) for node in self.primaries(name)]
        return bool(found[0]) and all(names == found[0] for names in found) and not self.names(self.handoff(name), name)

    def wait_home(self, names) -> None:
        def is_whole() -> bool:
            return all(self.is_home(name) for name in names)

        try:
            until(is_whole, "every object is on its primaries, and only there", PATIENCE_S)
        except AssertionError as error:
            wrong = [(name, {node: self.names(node, name) for node in self.cluster.nodes}) for name in names]
            away = [each for each in wrong if not self.is_home(each[0])][:3]
            raise AssertionError(f"{error}\n{away}\n{self.cluster.logs()[-5000:]}") from None


def put_all(cluster, count=12):
    names = [f"{kind}-{number}" for number in range(count // len(BODIES)) for kind in BODIES]
    for name in names:
        status, _, _ = cluster.request("PUT", f"/c/{name}", BODIES[name.partition("-")[0]], {"X-Object-Meta-A": name})
        assert status == 201
    return names


def test_an_emptied_disk_becomes_whole_again(cluster):
    disks = Disks(cluster)
    names = put_all(cluster)
    disks.wait_home(names)
    # In one step: a replicator may be bringing things there at this very moment.
    (cluster.device_path("n1") / "objects").rename(cluster.directory.root / "lost")
    disks.wait_home(names)
    for name in names:
        for node in disks.primaries(name):
            assert disks.body(node, name) == BODIES[name.partition("-")[0]]
    for name in names:
        status, headers, body = cluster.request("GET", f"/c/{name}")
        assert (status, headers["x-object-meta-a"]) == (200, name)
        assert hashlib.md5(body).hexdigest() == headers["etag"]


def test_a_node_that_was_away_catches_up_with_every_kind_of_change(cluster):
    disks = Disks(cluster)
    kept, overwritten, posted, deleted = (f"small-{number}" for number in range(4))
    for name in (kept, overwritten, posted, deleted):
        assert cluster.request("PUT", f"/c/{name}", b"old")[0] == 201
    disks.wait_home([kept, overwritten, posted, deleted])
    with cluster.killed("n2"):
        assert cluster.request("PUT", f"/c/{overwritten}", b"new")[0] == 201
        assert cluster.request("POST", f"/c/{posted}", None, {"X-Object-Meta-A": "posted"})[0] == 202
        assert cluster.request("DELETE", f"/c/{deleted}")[0] == 204
        assert cluster.request("PUT", "/c/made", b"made")[0] == 201
    disks.wait_home([kept, overwritten, posted, deleted, "made"])
    expected = {kept: b"old", overwritten: b"new", posted: b"old", deleted: None, "made": b"made"}
    for name, body in expected.items():
        for node in disks.primaries(name):
            assert disks.body(node, name) == body, (name, node)
    assert all(any(n.endswith(".meta") for n in disks.names(node, posted)) for node in disks.primaries(posted))
    assert cluster.request("GET", f"/c/{deleted}")[0] == 404
    assert cluster.request("HEAD", f"/c/{posted}")[1]["x-object-meta-a"] == "posted"


def test_what_was_written_to_a_handoff_goes_home(cluster):
    disks = Disks(cluster)
    names = [f"small-{number}" for number in range(8)]
    away = disks.primaries(names[0])[0]
    with cluster.killed(away):
        for name in names:
            assert cluster.request("PUT", f"/c/{name}", b"lent")[0] == 201
        until(lambda: disks.body(disks.handoff(names[0]), names[0]) == b"lent", "a handoff has it")
    disks.wait_home(names)
    assert all(disks.body(node, name) == b"lent" for name in names for node in disks.primaries(name))


def test_a_stale_handoff_does_not_bring_back_what_was_deleted(cluster):
    disks = Disks(cluster)
    name = "small-0"
    away, handoff = disks.primaries(name)[0], disks.handoff(name)
    with cluster.killed(away):
        assert cluster.request("PUT", f"/c/{name}", b"stale")[0] == 201
        until(lambda: disks.body(handoff, name) == b"stale", "a handoff has it")
        cluster.kill_node(handoff)
    assert cluster.request("DELETE", f"/c/{name}")[0] == 204
    assert disks.body(handoff, name) == b"stale"
    cluster.start_node(handoff)
    disks.wait_home([name])
    assert [names for node in disks.primaries(name) for names in disks.names(node, name) if ".data" in names] == []
    assert cluster.request("GET", f"/c/{name}")[0] == 404


def test_one_pass_by_command_says_what_it_did(cluster):
    disks = Disks(cluster)
    assert cluster.request("PUT", "/c/small-0", b"x")[0] == 201
    node = disks.primaries("small-0")[0]
    command = [
        sys.executable, "-m", "objstore.cli.object_replicator", str(cluster.directory.server_conf(node, "object")),
        "--once", "--partitions", str(disks.ring.partition(disks.digest("small-0"))),
    ]  # fmt: skip

    def is_clean() -> bool:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return done.returncode == 0 and done.stdout.startswith("object-replicator: 1 jobs")

    until(is_clean, "a pass without failures")
