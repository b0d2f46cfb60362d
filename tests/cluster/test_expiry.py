"""Objects that are to go at a time: gone from listings and disks, whoever is down meanwhile, and nothing besides."""

import glob
import json
import time
from contextlib import suppress
from pathlib import Path

import pytest

from objstore.daemon import recon
from tests.cluster.test_replication import Disks
from tests.support.cluster import Cluster, until

pytestmark = pytest.mark.cluster

PATIENCE_S = 120.0


def make_cluster(tmp_path, **intervals):
    made = Cluster(tmp_path / "cluster", part_power=4).init()
    for daemon in ("object-expirer", "object-replicator", "object-updater"):
        made.configure(daemon, "interval", intervals.get(daemon.replace("-", "_"), 1), kind="object")
    made.configure("app:proxy-server", "error_suppression_interval", 1)
    return made


def bodies(cluster, nodes=None):
    """What stands in the data files of some nodes, or of all."""
    found = set()
    for node in cluster.nodes if nodes is None else nodes:
        for name in glob.glob(f"{cluster.device_path(node)}/objects/*/*/*/*.data"):
            with suppress(FileNotFoundError):
                found.add(Path(name).read_bytes())
    return found


def names_listed(cluster):
    status, _, body = cluster.raw_request(
        "GET", "/v1/AUTH_admin/c?format=json", headers={"X-Auth-Token": cluster.token()}
    )
    return [row["name"] for row in json.loads(body)] if status == 200 else None


def report(cluster, node, daemon):
    """What a daemon of a node says of its last pass."""
    return recon.read(recon.recon_file(cluster.directory.cache(node), "daemons")).get(daemon, {})


def count_of(cluster, name):
    """What the expirers have counted in their last passes, added up."""
    return sum(report(cluster, node, "object-expirer").get("counts", {}).get(name, 0) for node in cluster.nodes)


def test_expired_objects_go_though_a_node_is_down_in_between(tmp_path):
    with make_cluster(tmp_path) as cluster:
        assert cluster.request("PUT", "/c")[0] == 201
        assert cluster.request("PUT", "/c/stays", b"stays")[0] == 201
        for number in range(12):
            headers = {"X-Delete-After": "5"}
            assert cluster.request("PUT", f"/c/goes-{number}", b"goes", headers)[0] == 201
        with cluster.killed("n2"):
            until(lambda: names_listed(cluster) == ["stays"], "expired objects have left the listing", PATIENCE_S)
            others = [node for node in cluster.nodes if node != "n2"]
            until(
                lambda: bodies(cluster, others) == {b"stays"},
                "expired objects have left the disks that are there",
                PATIENCE_S,
            )
        until(
            lambda: bodies(cluster) == {b"stays"},
            "they have left the disk of the node that was down",
            PATIENCE_S,
        )
        # Its container's copy is behind until it is brought up to date; any copy may be asked.
        until(
            lambda: all(names_listed(cluster) == ["stays"] for _ in range(8)),
            "they have left every copy of the listing",
            PATIENCE_S,
        )
        assert cluster.request("GET", "/c/goes-0")[0] == 404
        assert cluster.request("GET", "/c/stays")[2] == b"stays"


@pytest.mark.long
def test_a_replica_that_missed_a_longer_life_cannot_end_the_object(tmp_path):
    """Its X-Delete-At is the old one: alone it would take the expirer's delete, and the tombstone would spread."""
    # Nobody repairs the replica, or removes the old entry of the queue, before the expirer comes.
    with make_cluster(tmp_path, object_replicator=3600, object_updater=3600) as cluster:
        disks = Disks(cluster)
        assert cluster.request("PUT", "/c")[0] == 201
        idle = [(node, daemon) for node in cluster.nodes for daemon in ("object-replicator", "object-updater")]
        until(lambda: all(report(cluster, *each).get("passes") for each in idle), "their first passes are over")
        expires = int(time.time()) + 20
        assert cluster.request("PUT", "/c/o", b"precious", {"X-Delete-At": str(expires)})[0] == 201
        behind = disks.primaries("o")[0]
        with cluster.killed(behind):
            assert cluster.request("POST", "/c/o", None, {"X-Delete-At": str(expires + 86_400)})[0] == 202
        assert not any(name.endswith(".meta") for name in disks.names(behind, "o"))
        until(lambda: count_of(cluster, "missing"), "an expirer has looked at the old entry", PATIENCE_S)
        assert cluster.request("GET", "/c/o", None, {"X-Newest": "true"})[2] == b"precious"
        assert glob.glob(f"{cluster.directory.nodes}/*/*/objects/*/*/*/*.ts") == []
