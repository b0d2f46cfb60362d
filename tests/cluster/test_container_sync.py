"""Two clusters that are synced to each other come to hold the same, through crashes of both sides."""

import json

import pytest

from objstore.config.sync_realms import FILE_NAME
from tests.support.cluster import Cluster, until

pytestmark = pytest.mark.cluster

PATIENCE_S = 180.0


def pair(tmp_path, nodes):
    """Two clusters that do not run yet, of one realm."""
    made = {
        name: Cluster(tmp_path / name, nodes=nodes, replicas=nodes, part_power=3, policies=(f"gold:{nodes}",)).init()
        for name in ("one", "two")
    }
    realm = "[r]\nkey = secret-of-the-realm\nkey2 = next\n"
    realm += "".join(f"cluster_{name} = {cluster.endpoint}/v1/\n" for name, cluster in made.items())
    for cluster in made.values():
        (cluster.directory.swift_conf.parent / FILE_NAME).write_text(realm)
        cluster.configure("container-sync", "interval", 1, kind="container")
        cluster.configure("container-sync", "conn_timeout", 2, kind="container")
    return made["one"], made["two"]


def join(one, two):
    """Container c here is synced to d there, and back."""
    for cluster, own, other, name in ((one, "c", "d", "two"), (two, "d", "c", "one")):
        headers = {"X-Container-Sync-To": f"//r/{name}/AUTH_admin/{other}", "X-Container-Sync-Key": "of-both"}
        assert cluster.request("PUT", f"/{own}", None, headers)[0] == 201


def listed(cluster, container):
    target = f"/v1/AUTH_admin/{container}?format=json"
    status, _, body = cluster.raw_request("GET", target, None, {"X-Auth-Token": cluster.token()})
    assert status == 200
    return {row["name"]: row["hash"] for row in json.loads(body)}


def settled(one, two, count):
    def is_settled():
        ours, theirs = listed(one, "c"), listed(two, "d")
        return ours == theirs and len(ours) == count

    until(is_settled, f"both clusters list the same {count} objects", PATIENCE_S, poll_s=0.2)


def test_both_come_to_hold_the_same_through_a_crash_of_each(tmp_path):
    one, two = pair(tmp_path, nodes=1)
    with one, two:
        join(one, two)
        for number in range(10):
            assert one.request("PUT", f"/c/a{number}", b"a" * number)[0] == 201
            assert two.request("PUT", f"/d/b{number}", b"b" * number)[0] == 201
        settled(one, two, 20)
        two.crash()
        assert one.request("DELETE", "/c/b0")[0] == 204
        assert one.request("PUT", "/c/é x", b"while it was away", {"X-Object-Meta-Colour": "blue"})[0] == 201
        two.start()
        assert two.request("PUT", "/d/b1", b"changed")[0] == 201
        one.crash()
        one.start()
        settled(one, two, 20)
        status, headers, body = two.request("GET", "/d/é x")
        assert (status, headers["x-object-meta-colour"], body) == (200, "blue", b"while it was away")
        assert two.request("GET", "/d/b0")[0] == 404 and one.request("GET", "/c/b1")[2] == b"changed"
        assert "secret-of-the-realm" not in one.logs() + two.logs() and "of-both" not in one.logs() + two.logs()


@pytest.mark.long
def test_clusters_of_several_nodes_come_to_hold_the_same_while_nodes_are_away(tmp_path):
    one, two = pair(tmp_path, nodes=3)
    with one, two:
        join(one, two)
        with one.killed("n1"), two.killed("n3"):
            for number in range(50):
                assert one.request("PUT", f"/c/a{number}", b"a" * number)[0] == 201
                assert two.request("PUT", f"/d/b{number}", b"b" * number)[0] == 201
            settled(one, two, 100)
            for number in range(0, 50, 2):
                assert one.request("DELETE", f"/c/b{number}")[0] == 204
        settled(one, two, 75)
        for number in range(0, 50, 5):
            assert two.request("POST", f"/d/a{number}", None, {"X-Object-Meta-Colour": "red"})[0] == 202

        def is_posted():
            found = [one.request("HEAD", f"/c/a{number}")[1] for number in range(0, 50, 5)]
            return all(headers.get("x-object-meta-colour") == "red" for headers in found)

        until(is_posted, "the metadata arrived", PATIENCE_S, poll_s=0.2)
        settled(one, two, 75)
