"""Two halves of a cluster make the same container with different policies: afterwards everything is in one of them."""

import glob

import pytest

from tests.support.cluster import Cluster, until

pytestmark = pytest.mark.cluster

PATIENCE_S = 180.0


def test_objects_of_both_halves_are_found_after_the_split(tmp_path):
    made = Cluster(tmp_path / "cluster", part_power=4, policies=("gold:3", "tin:2")).init()
    for daemon in ("container-replicator", "container-reconciler"):
        made.configure(daemon, "interval", 1, kind="container")
    for daemon in ("object-replicator", "object-updater"):
        made.configure(daemon, "interval", 1, kind="object")
    made.configure("app:proxy-server", "error_suppression_interval", 1)
    made.configure("app:proxy-server", "recheck_container_existence", 1)
    with made as cluster:
        assert cluster.request("PUT", "/before")[0] == 201  # The account is there on both sides.
        first, second = cluster.nodes[:2], cluster.nodes[2:]
        with cluster.killed(*second):
            assert cluster.request("PUT", "/c", None, {"X-Storage-Policy": "gold"})[0] == 201
            assert cluster.request("PUT", "/c/of-gold", b"gold")[0] == 201
            for node in first:
                cluster.kill_node(node)

        def takes_writes():
            # Seen once on a busy machine: 503 right after their start.
            return cluster.request("PUT", "/c", None, {"X-Storage-Policy": "tin"})[0] in (201, 202)

        until(takes_writes, "the other half takes writes")
        assert cluster.request("PUT", "/c/of-tin", b"tin", {"X-Object-Meta-A": "b"})[0] == 201
        for node in first:
            cluster.start_node(node)

        def is_reconciled():
            answers = [cluster.request("GET", f"/c/{name}") for name in ("of-gold", "of-tin")]
            return [(status, body) for status, _, body in answers] == [(200, b"gold"), (200, b"tin")]

        until(is_reconciled, "both objects are read", PATIENCE_S)
        assert cluster.request("HEAD", "/c")[1]["x-storage-policy"] == "gold"
        assert cluster.request("HEAD", "/c/of-tin")[1]["x-object-meta-a"] == "b"
        left = f"{cluster.directory.nodes}/*/*/objects-1/*/*/*/*.data"
        until(lambda: not glob.glob(left), "no copy is left in the policy that lost", PATIENCE_S)
        until(lambda: cluster.request("GET", "/c")[2].split() == [b"of-gold", b"of-tin"], "both are listed", PATIENCE_S)
