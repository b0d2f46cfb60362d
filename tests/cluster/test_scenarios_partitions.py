"""Links that are cut, both ways or one way, while clients of every side go on: four machines in network namespaces.

Each has a proxy of its own. Where namespaces cannot be made the tests are skipped and say why; partitions by killed
processes are then those of test_reconcile.py and test_scenarios_nodes.py.
"""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest

from objstore.ring.fileformat import load, save
from objstore.ring.model import Ring
from tests.support.healing import Scene
from tests.support.ledger import Ledger
from tests.support.namespaces import Network, why_not
from tests.support.network_cluster import NetworkCluster
from tests.support.packages import ToolsMissing, programs

pytestmark = pytest.mark.cluster

NODES = ["n1", "n2", "n3", "n4"]
LEFT, RIGHT = NODES[:2], NODES[2:]


def configure(template):
    template.configure("app:proxy-server", "conn_timeout", 0.3)
    template.configure("app:proxy-server", "recheck_container_existence", 1)
    template.configure("app:proxy-server", "recheck_account_existence", 1)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    reason = why_not()
    if reason:
        pytest.skip(reason)
    directory = tmp_path_factory.mktemp("network")
    with Network(NODES) as network, NetworkCluster(directory, network, configure=configure) as made:
        yield made


@pytest.fixture(scope="module")
def whole(cluster):
    return Scene(cluster)


@pytest.fixture
def scene(whole):
    return whole


def of(scene, node):
    """What a client of this node's proxy is told, in the same ledger."""
    ledger = Ledger(scene.site.through(node).request)
    ledger.expected = scene.ledger.expected
    return ledger


def majority(scene, sides, container, name):
    """(a node of the side with two or three of an object's primaries, one of the other side). There a DELETE or POST
    finds its quorum; on the other side handoffs, which have no such object, take only a PUT."""
    homes = scene.homes(container, name)
    small, large = sorted(sides, key=lambda side: len(set(side) & set(homes)))
    return of(scene, large[0]), of(scene, small[0])


def fill(scene, container, count=5):
    scene.ledger.container(container)
    for number in range(count):
        scene.ledger.put(container, f"o{number}", b"before" * (number + 1))


@pytest.mark.long
def test_both_halves_are_written_to(scene):
    fill(scene, "halves")
    left, right = of(scene, "n1"), of(scene, "n3")
    with scene.site.network.split(LEFT, RIGHT):
        left.put("halves", "of-left", b"left")
        right.put("halves", "of-right", b"right")
        # Of one name the later write wins, whoever took it; a delete is a write.
        left.put("halves", "o0", b"left, earlier")
        right.put("halves", "o0", b"right, later")
        right.put("halves", "o1", b"right, earlier")
        left.put("halves", "o1", b"left, later")
        large, small = majority(scene, (LEFT, RIGHT), "halves", "o2")
        small.put("halves", "o2", b"earlier than the delete")
        large.delete("halves", "o2")
        large, small = majority(scene, (LEFT, RIGHT), "halves", "o3")
        large.delete("halves", "o3")
        small.put("halves", "o3", b"later than the delete")
        large, small = majority(scene, (LEFT, RIGHT), "halves", "o4")
        small.may_post("halves", "o4", {"X-Object-Meta-Side": "earlier"})
        large.post("halves", "o4", {"X-Object-Meta-Side": "later"})
        left.container("made-left")
        right.container("made-right")
        left.container("made-by-both")
        right.container("made-by-both")
        left.put("made-by-both", "left", b"l")
        right.put("made-by-both", "right", b"r")
    scene.heal()
    assert scene.site.request("HEAD", "/halves/o4")[1]["x-object-meta-side"] == "later"


@pytest.mark.long
@pytest.mark.parametrize("sides", [LEFT + RIGHT, RIGHT + LEFT], ids=["left first", "right first"])
def test_a_container_is_deleted_in_one_half_and_filled_in_the_other(scene, sides):
    name = f"contended-{sides[0]}"
    fill(scene, name, 1)
    scene.ledger.delete(name, "o0")
    scene.heal()
    filling, deleting = of(scene, sides[0]), scene.site.through(sides[2])
    with scene.site.network.split(LEFT, RIGHT):
        filling.put(name, "kept", b"acknowledged")
        assert deleting.request("DELETE", f"/{name}")[0] in (204, 409, 503)
    # An acknowledged object keeps its container: its row is newer than the deletion, or makes it anew.
    scene.ledger.container(name)
    scene.heal()


@pytest.mark.long
def test_a_node_that_nobody_hears_refuses_writes_and_the_others_go_on(scene):
    fill(scene, "alone")
    others = of(scene, "n2")
    with scene.site.network.split(["n1"], NODES[1:]):
        for number in range(4):
            others.put("alone", f"during{number}", b"three are enough" * number)
        others.delete("alone", "o0")
        refused = {of(scene, "n1").may_put("alone", f"refused{number}", b"no quorum") for number in range(4)}
        assert refused == {503}
    scene.heal()


@pytest.mark.long
@pytest.mark.parametrize("deaf", ["n1", "n3"])
def test_a_link_is_cut_one_way(scene, deaf):
    """It sends and is heard, and never hears an answer."""
    name = f"one-way-{deaf}"
    fill(scene, name)
    with scene.site.network.deaf(deaf, [node for node in NODES if node != deaf]):
        other = of(scene, "n2")
        for number in range(3):
            other.put(name, f"during{number}", b"x" * number)
        other.put(name, "o0", b"overwritten")
        other.delete(name, "o1")
        of(scene, deaf).may_put(name, "o2", b"from who hears nobody")
    scene.heal()


@pytest.mark.long
def test_daemons_pass_while_the_network_is_split(scene):
    """Each half does what it can; nothing is given up for what the other has."""
    fill(scene, "passes")
    left, right = of(scene, "n1"), of(scene, "n3")
    with scene.site.network.split(LEFT, RIGHT):
        left.put("passes", "o0", b"left")
        majority(scene, (LEFT, RIGHT), "passes", "o1")[0].delete("passes", "o1")
        right.put("passes", "made", b"right")
        scene.round()
        left.put("passes", "o2", b"after a pass")
        scene.round()
    scene.heal()


@pytest.mark.long
def test_the_split_moves_before_it_heals(scene):
    """First two against two, then another two against two: no half ever saw everything."""
    fill(scene, "moves")
    network = scene.site.network
    first, second, third = (["n1", "n2"], ["n3", "n4"]), (["n1", "n3"], ["n2", "n4"]), (["n1", "n4"], ["n2", "n3"])
    with network.split(*first):
        of(scene, "n1").put("moves", "o0", b"first")
        majority(scene, first, "moves", "o1")[0].delete("moves", "o1")
    with network.split(*second):
        of(scene, "n3").put("moves", "o1", b"second")
        of(scene, "n4").put("moves", "o0", b"second")
    with network.split(*third):
        majority(scene, third, "moves", "o0")[0].delete("moves", "o0")
        majority(scene, third, "moves", "o2")[0].post("moves", "o2", {"X-Object-Meta-Split": "third"})
    scene.heal()
    assert scene.site.request("HEAD", "/moves/o2")[1]["x-object-meta-split"] == "third"


def turned(ring):
    """The same devices, every partition one device further on."""
    count = len(ring.devices)
    rows = [array(row.typecode, ((device + 1) % count for device in row)) for row in ring.rows]
    return Ring(ring.header._replace(version=(ring.header.version or 0) + 1), rows, ring.devices)


@pytest.mark.long
def test_rings_are_pushed_to_some_nodes_only(scene):
    """Half of the cluster places things by other rings; when all have the same ones everything is where those say."""
    cluster = scene.site
    fill(scene, "rings", 8)
    scene.heal()
    etc = {node: cluster.through(node).directory.etc for node in NODES}
    new = {name: turned(load(etc["n1"] / name)) for name in ("object.ring.gz", "container.ring.gz", "account.ring.gz")}

    def push(nodes):
        for node in nodes:
            for name, ring in new.items():
                save(ring, etc[node] / name)

    push(RIGHT)
    for node in NODES:
        of(scene, node).put("rings", f"through-{node}", node.encode())
        of(scene, node).put("rings", "o0", b"by every ring: " + node.encode())
        scene.round()
    push(LEFT)
    of(scene, "n1").put("rings", "after", b"after")
    scene.heal()


@pytest.mark.long
def test_the_clock_of_a_node_is_an_hour_ahead(cluster, scene):
    """Its servers and daemons, not its proxy: what they hold and do is what the others hold and do."""
    try:
        programs({"faketime": "faketime"})
    except ToolsMissing as error:
        pytest.skip(str(error))
    (library,) = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    machine = cluster.through("n2")
    # Not by the command of that name: it stays between us and what it runs.
    ahead = ["env", f"LD_PRELOAD={library}", "FAKETIME=+3600s", "FAKETIME_DONT_FAKE_MONOTONIC=1"]
    cluster.kill_node("n2")
    before = machine.within
    machine.within = (*before, *ahead)
    try:
        cluster.start_node("n2")
        fill(scene, "clock")
        scene.ledger.put("clock", "o0", b"overwritten")
        scene.ledger.delete("clock", "o1")
        # Half an hour over, by its clock: its expirer must not believe that.
        scene.ledger.put("clock", "short-lived", b"still there", {"X-Delete-After": "1800"})
        scene.heal()
    finally:
        cluster.kill_node("n2")
        machine.within = before
        cluster.start_node("n2")
    scene.heal()
