"""cluster/settled.py: what counts as evidence that everything is where the rings say."""

import json
import os

import pytest

from objstore.cluster.settled import Settlement, clean_jobs
from objstore.runtime.fs import Fs
from tests.support.agents import Agents
from tests.support.clock import SimClock

NAME = "object-replicator"
GOOD = {"is_complete": True, "is_everything": True, "failures": 0, "started": 120.0, "jobs": 7}


def jobs(entries):
    return clean_jobs(entries, NAME, 100.0, 200.0)


def test_a_whole_pass_without_failures_that_began_afterwards_is_evidence():
    assert jobs({NAME: GOOD}) == 7
    assert jobs({NAME: {**GOOD, "state": "running", "started": 100.0, "jobs": 0}}) == 0


@pytest.mark.parametrize(
    "entry",
    [
        {**GOOD, "failures": 1},
        {**GOOD, "is_complete": False},
        {**GOOD, "is_everything": False},
        {**GOOD, "started": 99.9},
        {**GOOD, "started": 201.0},
        {**GOOD, "started": "120"},
        {**GOOD, "failures": None},
        {**GOOD, "is_complete": 1},
        {name: value for name, value in GOOD.items() if name != "is_everything"},
        {"state": "running"},
        {},
        [],
        None,
    ],
    ids=str,
)
def test_anything_else_is_none(entry):
    assert jobs({NAME: entry}) is None
    assert jobs({f"{NAME} #0": {**GOOD, "workers": 2}, f"{NAME} #1": entry}) is None


def test_every_process_of_a_daemon_must_have_said_so():
    first = {**GOOD, "workers": 2}
    assert jobs({f"{NAME} #0": first, f"{NAME} #1": GOOD}) == 14
    assert jobs({f"{NAME} #0": first}) is None
    assert jobs({f"{NAME} #1": GOOD}) is None
    assert jobs({f"{NAME} #0": GOOD}) is None
    assert jobs({f"{NAME} #0": {**GOOD, "workers": 10**12}}) is None
    assert jobs({}) is None


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    with Agents(tmp_path_factory.mktemp("settled")) as agents:
        first = agents.first()
        first.round()
        yield first.directory


def settled(directory, started_s, node="n1", **changes):
    """With daemons that began their last pass so long after the rings were there; changes: of one of them."""
    installed_s = os.stat(directory.etc / "rings.json").st_mtime
    entry = {**GOOD, "jobs": 0, "started": installed_s + started_s}
    entries = {f"{kind}-replicator": dict(entry) for kind in ("object", "container", "account")}
    entries["account-replicator"] |= changes
    directory.cache("n1").mkdir(parents=True, exist_ok=True)
    (directory.cache("n1") / "daemons.recon").write_text(json.dumps(entries))
    return Settlement(directory, node, Fs(), SimClock(installed_s + 1000)).version()


def test_a_node_is_settled_once_all_its_servers_have_had_the_rings_before_the_pass(directory):
    version = json.loads((directory.etc / "rings.json").read_text())["version"]
    assert settled(directory, 16) == version > 0
    assert settled(directory, 14) == 0
    assert settled(directory, 2000) == 0
    assert settled(directory, 16, failures=1) == 0
    assert settled(directory, 16, node="n9") == 0
    (directory.cache("n1") / "daemons.recon").unlink()
    assert Settlement(directory, "n1", Fs(), SimClock()).version() == 0


def test_a_replicator_that_found_nothing_where_something_is_has_not_found_itself(directory):
    path = directory.root.parent / "m1" / "d1" / "accounts" / "7"
    path.mkdir(parents=True)
    assert settled(directory, 16) == 0
    assert settled(directory, 16, jobs=1) > 0
    path.rmdir()
    assert settled(directory, 16) > 0


def test_servers_that_read_rings_elsewhere_are_no_evidence(directory, tmp_path):
    path = directory.server_conf("n1", "container")
    before = path.read_text()
    path.write_text(before.replace("swift_dir = %(here)s/..", f"swift_dir = {tmp_path}"))
    try:
        assert settled(directory, 16) == 0
    finally:
        path.write_text(before)
    assert settled(directory, 16) > 0
