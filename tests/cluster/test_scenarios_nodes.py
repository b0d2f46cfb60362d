"""Nodes and single servers that are away, in every order: after rounds of passes the whole cluster is as it should be.

One cluster for all, without daemons of its own: each scenario has its container, and ends with the final check of
everything (tests/support/final_check.py).
"""

from __future__ import annotations

import os
import threading

import pytest

from tests.support.cluster import until
from tests.support.healing import started

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    with started(tmp_path_factory.mktemp("nodes") / "c") as scene:
        yield scene


@pytest.fixture
def cluster(scene):
    """Every node is there at the beginning and at the end."""
    cluster = scene.site.cluster
    yield cluster
    for node in cluster.nodes:
        if not cluster.pids(node):
            cluster.start_node(node)


def fill(scene, container, count=6, body=b"before"):
    scene.ledger.container(container)
    for number in range(count):
        scene.ledger.put(container, f"o{number}", body * (number + 1))


def test_a_node_is_away_through_every_kind_of_change(scene, cluster):
    ledger = scene.ledger
    fill(scene, "changes")
    ledger.container("goes")
    with cluster.killed("n2"):
        ledger.put("changes", "o0", b"overwritten")
        ledger.post("changes", "o1", {"X-Object-Meta-Colour": "blue"})
        ledger.delete("changes", "o2")
        ledger.delete("changes", "o3")
        ledger.put("changes", "o3", b"made anew")
        ledger.put("changes", "made", b"new")
        ledger.container("made-meanwhile")
        ledger.put("made-meanwhile", "o", b"new")
        assert cluster.request("DELETE", "/goes")[0] == 204
        del ledger.expected["goes"]
    scene.heal()
    assert cluster.request("HEAD", "/changes/o1")[1]["x-object-meta-colour"] == "blue"


@pytest.mark.long
def test_each_node_is_away_in_turn_while_the_same_objects_change(scene, cluster):
    """As in a rolling upgrade without a pause: no copy is ever the newest of all of them."""
    fill(scene, "rolling", 3)
    for node in cluster.nodes:
        with cluster.killed(node):
            scene.ledger.put("rolling", "o0", b"while away: " + node.encode())
            scene.ledger.post("rolling", "o1", {"X-Object-Meta-Away": node})
            scene.ledger.delete("rolling", "o2")
            scene.ledger.put("rolling", "o2", node.encode())
    scene.heal()
    assert cluster.request("HEAD", "/rolling/o1")[1]["x-object-meta-away"] == cluster.nodes[-1]


@pytest.mark.long
def test_two_nodes_are_away_and_writes_go_to_handoffs(scene, cluster):
    fill(scene, "two-away")
    with cluster.killed("n1", "n3"):
        for number in range(12):
            scene.ledger.put("two-away", f"during{number}", b"lent" * number)
        scene.ledger.delete("two-away", "o0")
    scene.heal()


@pytest.mark.long
def test_a_node_is_away_for_longer_than_anything_is_tried_again(scene, cluster):
    """Pass after pass without it: rows that wait are tried, handoffs are offered, and nothing is given up."""
    fill(scene, "long-away")
    others = [node for node in cluster.nodes if node != "n4"]
    with cluster.killed("n4"):
        for number in range(5):
            scene.ledger.put("long-away", f"during{number}", b"x" * number)
            scene.ledger.put("long-away", "o0", b"round %d" % number)
            scene.ledger.delete("long-away", "o1") if number == 0 else None
            scene.round(others)
        scene.ledger.container("made-while-long-away")
        scene.round(others)
    scene.heal()


def test_a_container_server_alone_stands_still(scene, cluster):
    fill(scene, "rows")
    node = scene.homes("rows")[0]
    frozen = cluster.freeze(node, "container-server")
    try:
        for number in range(4):
            scene.ledger.put("rows", f"during{number}", b"row" * number)
        scene.ledger.delete("rows", "o0")
        scene.ledger.put("rows", "o1", b"longer than it was before")
        # With three copies one server had the row of the frozen replica, and keeps it.
        until(lambda: scene.site.disks().pending(), "rows wait")
    finally:
        cluster.thaw(frozen)
    scene.heal()


@pytest.mark.long
def test_every_container_server_of_a_container_but_one_stands_still(scene, cluster):
    fill(scene, "few-rows")
    frozen = [pid for node in scene.homes("few-rows")[:2] for pid in cluster.freeze(node, "container-server")]
    try:
        for number in range(4):
            scene.ledger.put("few-rows", f"during{number}", b"row" * number)
    finally:
        cluster.thaw(frozen)
    scene.heal()


@pytest.mark.long
@pytest.mark.parametrize("away", [1, 2])
def test_account_servers_are_away_while_containers_are_made_and_filled(scene, cluster, away):
    fill(scene, f"told-{away}")
    frozen = [pid for node in cluster.nodes[:away] for pid in cluster.freeze(node, "account-server")]
    try:
        scene.ledger.put(f"told-{away}", "o0", b"a sum changes")
        if away == 1:
            fill(scene, "told-later")
        others = [node for node in cluster.nodes if node not in cluster.nodes[:away]]
        scene.round(others, ("container-updater",))
    finally:
        cluster.thaw(frozen)
    scene.heal()


@pytest.mark.long
def test_servers_stand_still_while_daemons_pass(scene, cluster):
    """Connections are accepted and nothing comes: a pass gives up on that peer, and goes on."""
    fill(scene, "still")
    with cluster.killed("n3"):
        for number in range(6):
            scene.ledger.put("still", f"o{number}", b"newer")
    with cluster.frozen("n2"):
        scene.round([node for node in cluster.nodes if node != "n2"], ("object-replicator", "container-replicator"))
    scene.heal()


@pytest.mark.long
def test_nodes_are_killed_while_clients_write(scene, cluster):
    """What was acknowledged is there; what was not is there whole, or not at all."""
    scene.ledger.container("storm")
    bodies = [os.urandom(100_000) for _ in range(3)]
    is_over = threading.Event()

    def write(writer):
        number = 0
        while not is_over.is_set():
            scene.ledger.may_put("storm", f"w{writer}-{number % 4}", bodies[number % 3] + b"%d" % number)
            number += 1

    writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for writer in writers:
        writer.start()
    try:
        for node in ("n1", "n3"):
            cluster.kill_node(node)
            cluster.start_node(node)
    finally:
        is_over.set()
        for writer in writers:
            writer.join()
    scene.heal()


def test_everything_dies_at_once_and_comes_back(scene, cluster):
    """As when the whole room loses its power, but for what disks lose."""
    fill(scene, "power")
    cluster.kill_node("n2")
    scene.ledger.put("power", "o0", b"last words")
    cluster.crash()
    cluster.start("--no-daemons")
    scene.heal()
