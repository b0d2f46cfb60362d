"""Objects that rot on their disks, in a cluster that runs as a newcomer's does: found, set aside, and made good."""

import os

import pytest

from tests.cluster.test_replication import Disks
from tests.support.cluster import Cluster, until

pytestmark = pytest.mark.cluster

PATIENCE_S = 120.0
BODY = bytes(range(256)) * 40


@pytest.fixture
def cluster(tmp_path):
    made = Cluster(tmp_path / "cluster", part_power=4).init()
    made.configure("object-replicator", "interval", 1, kind="object")
    made.configure("object-auditor", "interval", 1, kind="object")
    made.configure("object-auditor", "files_per_second", 0, kind="object")
    with made:
        assert made.request("PUT", "/c")[0] == 201
        yield made


def flip_a_bit(path):
    # In one step, as a disk does it: an auditor that looks meanwhile sees the good bytes or the bad ones.
    with open(path, "r+b") as file:
        file.seek(5000)
        byte = file.read(1)[0]
        file.seek(5000)
        file.write(bytes([byte ^ 1]))


def damage_the_metadata(path):
    blob = os.getxattr(path, "user.swift.metadata")
    os.setxattr(path, "user.swift.metadata", blob[:-3] + b"!" + blob[-2:])


def cut_short(path):
    os.truncate(path, 100)


def lose_all_bytes(path):
    os.truncate(path, 0)


DAMAGES = {each.__name__: each for each in (flip_a_bit, damage_the_metadata, cut_short, lose_all_bytes)}


def test_damaged_copies_are_set_aside_and_replaced_while_clients_read_on(cluster):
    disks = Disks(cluster)
    for name in DAMAGES:
        assert cluster.request("PUT", f"/c/{name}", BODY)[0] == 201
    disks.wait_home(DAMAGES)
    for name, damage in DAMAGES.items():
        (path,) = disks.directory(disks.primaries(name)[0], name).glob("*.data")
        damage(path)
    for name in DAMAGES:
        node = disks.primaries(name)[0]
        aside = cluster.device_path(node) / "quarantined" / "objects" / disks.digest(name).hex()
        until(aside.is_dir, f"{name} on {node} is in quarantine\n{cluster.logs()[-3000:]}", PATIENCE_S)
        status, _, body = cluster.request("GET", f"/c/{name}")
        assert (status, body) == (200, BODY)

    def are_whole():
        return all(disks.body(node, name) == BODY for name in DAMAGES for node in disks.primaries(name))

    until(are_whole, "every copy is whole again", PATIENCE_S)
    assert "quarantined to" in cluster.logs()


def test_an_auditor_whose_place_is_damaged_begins_anew(cluster):
    disks = Disks(cluster)
    assert cluster.request("PUT", "/c/o", BODY)[0] == 201
    disks.wait_home(["o"])
    node = disks.primaries("o")[0]
    cluster.kill_node(node)
    state = cluster.device_path(node) / "objects" / "auditor_status_ALL.json"
    state.write_bytes(b'{"partitions": ["1", ')
    (path,) = disks.directory(node, "o").glob("*.data")
    flip_a_bit(path)
    cluster.start_node(node)
    aside = cluster.device_path(node) / "quarantined" / "objects" / disks.digest("o").hex()
    until(aside.is_dir, "the damaged copy is in quarantine", PATIENCE_S)
    until(lambda: "begins anew" in cluster.logs(), "the damaged state was said", PATIENCE_S)
