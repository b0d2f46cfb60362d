"""Drives of a running cluster: added, drained, removed and replaced while a client writes and reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from objstore.cli.ring_builder import main as ring_builder
from objstore.config.cluster import load_cluster
from objstore.ring.fileformat import load
from tests.support.cluster import Cluster, objstore, until

pytestmark = pytest.mark.cluster

PATIENCE_S = 240.0
RINGS = ("account", "container", "object")


class Client:
    """Writes and reads all the time. objects: name → body, of everything that was acknowledged."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.objects: dict[str, bytes] = {}
        self._count = 0
        assert cluster.request("PUT", "/c")[0] == 201

    def work(self) -> None:
        """One new object, and an old one is what it was."""
        self._count += 1
        name, body = f"o{self._count % 150}", b"%d " % self._count * (self._count % 5000)
        status, _, _ = self.cluster.request("PUT", f"/c/{name}", body)
        assert status == 201, self.cluster.logs()[-3000:]
        self.objects[name] = body
        self.check(list(self.objects)[self._count * 7 % len(self.objects)])

    def check(self, name: str) -> None:
        status, _, body = self.cluster.request("GET", f"/c/{name}")
        assert (status, body) == (200, self.objects[name]), (name, status, self.cluster.logs()[-3000:])

    def work_until(self, condition: Callable[[], bool], what: str) -> None:
        def worked() -> bool:
            self.work()
            return condition()

        until(worked, what, PATIENCE_S)


def places(cluster: Cluster, name: str) -> dict[Path, list[str]]:
    """Directory of an object's primaries → files there, by the ring as it is now."""
    secrets, ring = load_cluster(cluster.directory.etc).secrets, load(cluster.directory.etc / "object.ring.gz")
    digest = secrets.digest("AUTH_admin", "c", name)
    partition, found = ring.partition(digest), {}
    for node in ring.primaries(partition):
        (path,) = [
            each.parent
            for each in cluster.directory.etc.glob("*/object-server.conf")
            if f"= {node.address[1]}\n" in each.read_text()
        ]
        directory = (
            cluster.device_path(path.name, node.name) / "objects" / str(partition) / digest.hex()[-3:] / digest.hex()
        )
        found[directory] = sorted(each.name for each in directory.glob("*"))
    return found


def is_home(cluster: Cluster, name: str) -> bool:
    files = list(places(cluster, name).values())
    return len(files) == 3 and bool(files[0]) and all(each == files[0] for each in files)


def has_its_share(cluster: Cluster, node: str, device: str) -> bool:
    """Whether a drive has every partition of objects that the ring gives it."""
    ring = load(cluster.directory.etc / "object.ring.gz")
    port = next(p.ports[0] for p in cluster.processes() if (p.role, p.node) == ("object", node))
    (device_id,) = [d.id for d in ring.devices if d is not None and (d.port, d.device) == (port, device)]
    wanted = {str(p) for row in ring.rows for p, held in enumerate(row) if held == device_id}
    assert wanted
    return wanted <= {path.name for path in (cluster.device_path(node, device) / "objects").glob("[0-9]*")}


def let_an_hour_pass(cluster: Cluster) -> None:
    """Work by hand, which the next command takes over."""
    for ring in RINGS:
        path = str(cluster.directory.etc / f"{ring}.builder")
        assert ring_builder([path, "pretend_min_part_hours_passed"]) == 0


def change(cluster: Cluster, *words: object) -> dict:
    command, action, *rest = words
    code, output, error = objstore(command, action, cluster.directory.root, *rest, "--yes", "--json")
    assert code == 0, output + error
    found = json.loads(output)
    assert found["applied"]
    return found


def partitions(device: Path) -> int:
    return sum(1 for kind in ("objects", "containers", "accounts") for _ in (device / kind).glob("[0-9]*"))


@pytest.mark.long
def test_drives_come_and_go_under_a_client_that_writes_and_reads(tmp_path):
    cluster = Cluster(tmp_path / "cluster", part_power=4).init()
    for kind in RINGS:
        cluster.configure(f"{kind}-replicator", "interval", 1, kind=kind)
    with cluster:
        client = Client(cluster)
        client.work_until(lambda: len(client.objects) >= 60, "there is something to move")

        change(cluster, "drive", "add", "n2", "d2")
        client.work_until(lambda: has_its_share(cluster, "n2", "d2"), "the new drive has its share")

        # Not everything may move at once: further steps follow by themselves.
        change(cluster, "drive", "drain", "n2", "d1")
        drained = cluster.device_path("n2", "d1")
        code, output, _ = objstore("drive", "remove", cluster.directory.root, "n2", "d1", "--yes")
        assert (code, "until it is empty" in output) == (1, True)
        remove = ("drive", "remove", cluster.directory.root, "n2", "d1", "--yes")
        # A server with the rings of before, or for want of a primary, may write there until the end.
        client.work_until(
            lambda: partitions(drained) == 0 and objstore(*remove)[0] == 0, "the drained drive is empty and removed"
        )

        let_an_hour_pass(cluster)
        change(cluster, "drive", "replace", "n3", "d1", "d9")
        client.work_until(lambda: has_its_share(cluster, "n3", "d9"), "the replacement is filled")

        until(lambda: all(is_home(cluster, name) for name in client.objects), "all are on their primaries", PATIENCE_S)
        for name in client.objects:
            client.check(name)
        status, _, listing = cluster.request("GET", "/c")
        assert (status, sorted(listing.decode().split())) == (200, sorted(client.objects))
        code, output, error = objstore("ring", "status", cluster.directory.root, "--json")
        assert (code, error) == (0, "")
        assert json.loads(output)["notes"] == []
