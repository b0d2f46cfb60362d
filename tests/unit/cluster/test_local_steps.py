"""cluster/local_steps.py: further steps in a directory with all nodes, on what each node's replicators have written."""

import json
import os
import shutil

import pytest

from objstore.cluster.directory import STORAGE_KINDS, ClusterDirectory
from objstore.cluster.holder import Holder
from objstore.cluster.local_steps import LocalSteps
from objstore.ring.fileformat import load
from objstore.runtime.fs import Fs
from tests.support.clock import SimClock
from tests.support.cluster import objstore

NODES = ("n1", "n2", "n3", "n4")
GOOD = {"is_complete": True, "is_everything": True, "failures": 0, "jobs": 1}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """n2 has got a drive and n1 gives one away: that takes two steps."""
    root = tmp_path_factory.mktemp("steps") / "c"
    for words in (
        ("init", root, "--nodes", 4, "--port", 0, "--part-power", 4),
        ("drive", "add", root, "n2", "d2", "--yes"),
        ("drive", "drain", root, "n1", "d1", "--yes"),
    ):
        code, _, error = objstore(*words)
        assert code == 0, error
    return root


def nobody_is_asked(asked, deadline_s):
    """Other tests' servers may listen where nobody should."""
    return {}


class Local:
    def __init__(self, root):
        self.directory = ClusterDirectory(root)
        self.clock = SimClock(self.installed_s() + 100)
        self.steps = LocalSteps(self.directory, nobody_is_asked, None, self.clock)

    def installed_s(self):
        return os.stat(self.directory.etc / "rings.json").st_mtime

    def settle(self, *nodes, **changes):
        """As if the replicators of these nodes had made a pass since the rings were there."""
        entry = {**GOOD, "started": self.installed_s() + 50} | changes
        self.clock.advance(max(0.0, self.installed_s() + 100 - self.clock.now().seconds))
        for node in nodes or NODES:
            cache = self.directory.cache(node)
            cache.mkdir(parents=True, exist_ok=True)
            entries = {f"{kind}-replicator": entry for kind in STORAGE_KINDS}
            (cache / "daemons.recon").write_text(json.dumps(entries))

    def draining(self):
        total = 0
        for kind in STORAGE_KINDS:
            ring = load(self.directory.etc / f"{kind}.ring.gz")
            drained = {device.id for device in ring.devices if device is not None and not device.weight}
            total += sum(row.count(device) for row in ring.rows for device in drained)
        return total


@pytest.fixture
def local(template, tmp_path):
    return Local(shutil.copytree(template, tmp_path / "c"))


def test_steps_follow_when_the_replicators_of_all_nodes_have_been_round(local):
    assert local.draining() > 0
    for _ in range(4):
        local.settle()
        local.steps.go_on()
    assert local.draining() == 0
    assert local.steps.text() == ""


@pytest.mark.parametrize("changes", [{"failures": 1}, {"is_complete": False}, {"started": 0.0}], ids=str)
def test_nothing_follows_while_a_nodes_replicators_have_not(local, changes):
    before = local.draining()
    local.settle()
    local.settle("n3", **changes)
    local.clock.advance(48 * 3600)
    assert not local.steps.go_on()
    assert local.steps.text().endswith("not yet: n3")
    assert local.draining() == before
    local.settle("n3")
    assert local.steps.text() == "the next step follows now"
    assert local.steps.go_on()


def test_paused_steps_wait(local):
    Holder(local.directory.etc).pause(True)
    local.settle()
    assert not local.steps.go_on()
    assert local.steps.text().startswith("paused")


def test_a_node_whose_servers_are_no_more_described_here_holds_a_step_up_for_min_part_hours(local):
    shutil.rmtree(local.directory.etc / "n4")
    local.settle()
    assert not local.steps.go_on()
    assert "(no member)" in local.steps.text()
    local.clock.advance(3600)
    assert local.steps.go_on()


def test_where_nothing_is_to_follow_one_small_file_is_read(local):
    class Counting(Fs):
        reads: list[str] = []

        def content(self, path):
            self.reads.append(path)
            return super().content(path)

        def lock(self, *arguments):
            raise AssertionError("nothing is to be changed")

    (local.directory.etc / "rings.json").write_text('{"version": 1, "rings": {}}')
    assert not LocalSteps(local.directory, nobody_is_asked, Counting()).go_on()
    assert Counting.reads == [str(local.directory.etc / "rings.json")]
