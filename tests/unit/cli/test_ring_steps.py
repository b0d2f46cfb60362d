"""objstore ring status|pause|resume while a change has further steps: agents of three nodes serve in this process."""

import json
import os
import time

import pytest

from objstore.ring.fileformat import load
from tests.support.agents import Agents
from tests.support.cluster import objstore

GOOD = {"is_complete": True, "is_everything": True, "failures": 0, "jobs": 1}


class Nodes:
    def __init__(self, agents):
        self.agents = agents
        self.all = [agents.first(), agents.join("z2"), agents.join("z3")]
        self.round()

    def round(self):
        self.all[0].round()

    def run(self, number, *words):
        code, output, error = self.agents.blocking(
            objstore, *words[:2], self.all[number - 1].directory.root, *words[2:]
        )
        self.round()
        return code, output + error

    def status(self, number):
        return json.loads(self.run(number, "ring", "status", "--json")[1])

    def draining(self):
        return sum(ring["draining"] for ring in self.status(1)["rings"])

    def settle(self, *numbers):
        """As if the rings had been there for a while, and the replicators of these nodes had made a pass since."""
        for number in numbers:
            node, long_ago_s = self.all[number - 1], time.time() - 100
            os.utime(node.etc / "rings.json", (long_ago_s, long_ago_s))
            cache = node.directory.cache(f"n{number}")
            cache.mkdir(parents=True, exist_ok=True)
            entry = {**GOOD, "started": long_ago_s + 50}
            entries = {f"{kind}-replicator": entry for kind in ("object", "container", "account")}
            (cache / "daemons.recon").write_text(json.dumps(entries))


@pytest.fixture
def nodes(tmp_path):
    """n2 has got a drive and gives another away: that takes two steps."""
    with Agents(tmp_path) as agents:
        nodes = Nodes(agents)
        assert nodes.run(3, "drive", "add", "n2", "d2", "--yes")[0] == 0
        code, output = nodes.run(3, "drive", "drain", "n2", "d1", "--yes")
        assert (code, "the next step follows by itself when everything is in its place" in output) == (0, True)
        yield nodes


def test_the_next_step_follows_when_every_nodes_replicators_have_been_round(nodes):
    assert nodes.draining() > 0
    nodes.settle(1, 2)
    nodes.round()
    assert "not yet: n3" in nodes.status(2)["steps"]
    assert "steps: the next step follows when" in nodes.run(3, "ring", "status")[1]
    assert nodes.draining() > 0
    for _ in range(4):
        nodes.settle(1, 2, 3)
        nodes.round()
    assert nodes.draining() == 0
    assert nodes.status(3)["steps"] == ""
    assert load(nodes.all[2].etc / "object.ring.gz").rows == load(nodes.all[0].etc / "object.ring.gz").rows


def test_a_look_that_hangs_at_a_disk_is_no_evidence_and_holds_up_nobody(nodes):
    second = nodes.all[1].agent
    nodes.settle(1, 2, 3)
    with second._settling:
        nodes.round()
        nodes.round()
        assert "not yet: n2" in nodes.status(3)["steps"]
    assert second._settled() > 0


def test_steps_are_paused_and_resumed_from_any_node(nodes):
    code, output = nodes.run(3, "ring", "pause")
    assert (code, "wait for: objstore ring resume" in output) == (0, True)
    before = nodes.draining()
    for _ in range(2):
        nodes.settle(1, 2, 3)
        nodes.round()
    assert nodes.draining() == before > 0
    assert "paused" in nodes.status(2)["steps"]
    assert nodes.run(2, "ring", "resume")[0] == 0
    for _ in range(4):
        nodes.settle(1, 2, 3)
        nodes.round()
    assert nodes.draining() == 0


@pytest.fixture
def root(tmp_path):
    """All nodes in one directory, at rest; n2 has got a drive, and n1 gives one away."""
    root = tmp_path / "c"
    for words in (
        ("init", root, "--nodes", 4, "--port", 0, "--part-power", 4),
        ("drive", "add", root, "n2", "d2", "--yes"),
        ("drive", "drain", root, "n1", "d1", "--yes"),
    ):
        assert objstore(*words)[0] == 0
    return root


def test_in_one_directory_steps_are_paused_and_resumed_too_and_nothing_follows_while_it_rests(root):
    text = json.loads(objstore("ring", "status", root, "--json")[1])["steps"]
    assert "not yet: n1, n2, n3, n4; nothing follows before this runs: objstore up" in text
    code, output, _ = objstore("ring", "pause", root)
    assert (code, "wait for: objstore ring resume" in output) == (0, True)
    assert "steps: paused" in objstore("ring", "status", root)[1]
    assert objstore("ring", "resume", root)[0] == 0
    assert "steps: the next step follows when" in objstore("ring", "status", root)[1]


def test_the_plan_says_how_the_next_step_follows_in_one_directory(root):
    output = objstore("drive", "drain", root, "n3", "d1", "--yes")[1]
    assert "the next step follows by itself when everything is in its place, while objstore up runs" in output
