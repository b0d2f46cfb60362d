"""object/passes/replicate.py over real object servers on loopback, in-band."""

import pytest

from tests.support.replication import RECENT, Copies, make_replicator, run_pass
from tests.support.storage_nodes import StorageNodes

NAME = "/AUTH_r/c/o"


@pytest.fixture
def nodes(tmp_path):
    with StorageNodes(tmp_path, nodes=4) as nodes:
        yield nodes


@pytest.fixture
def copies(nodes):
    return Copies(nodes)


def test_an_object_on_one_primary_comes_to_the_others(nodes, copies):
    first, *others = copies.primaries(NAME)
    copies.put(first, NAME, b"hello", x_object_meta_color="rot")
    counts = run_pass(make_replicator(nodes, first))
    assert counts.get("failures", 0) == 0, counts
    for node in others:
        body, headers = copies.read(node, NAME)
        assert (body, headers["x-object-meta-color"]) == (b"hello", "rot")
        assert copies.names(node, NAME) == copies.names(first, NAME)


def test_a_second_pass_finds_nothing_to_do(nodes, copies):
    first, *others = copies.primaries(NAME)
    copies.put(first, NAME)
    run_pass(make_replicator(nodes, first))
    counts = run_pass(make_replicator(nodes, first))
    assert counts["hashmatch"] == len(others)
    assert counts.get("objects", 0) == 0


def test_posts_and_tombstones_travel(nodes, copies):
    first, *others = copies.primaries(NAME)
    for node in (first, *others):
        copies.put(node, NAME)
        copies.put(node, NAME + "2")
    copies.post(first, NAME, RECENT + 10, x_object_meta_a="1")
    copies.delete(copies.primaries(NAME + "2")[0], NAME + "2", RECENT + 20)
    for node in range(4):
        run_pass(make_replicator(nodes, node))
    for node in others:
        assert copies.names(node, NAME) == [f"{RECENT:.5f}.data", f"{RECENT + 10:.5f}.meta"]
    for node in copies.primaries(NAME + "2"):
        assert copies.names(node, NAME + "2") == [f"{RECENT + 20:.5f}.ts"]


def test_a_handoff_goes_home_and_is_removed(nodes, copies):
    handoff = copies.handoff(NAME)
    copies.put(handoff, NAME)
    counts = run_pass(make_replicator(nodes, handoff))
    assert counts.get("failures", 0) == 0, counts
    assert copies.names(handoff, NAME) == []
    assert not copies.directory(handoff, NAME).parents[1].exists()
    assert all(copies.read(node, NAME) is not None for node in copies.primaries(NAME))
