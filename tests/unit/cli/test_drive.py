"""objstore drive, node drain|remove and ring: plan first, then a question, then the rings; on directories that rest."""

import argparse
import errno
import io
import json
import shutil

import pytest

from objstore.cli.ring_builder import main as ring_builder
from objstore.cli.ring_session import Rings, carry_out
from objstore.cli.terminal import CommandError, Terminal
from objstore.cluster.change_plan import ChangePlan
from objstore.cluster.changes import Continue
from objstore.cluster.channel import ChannelError
from objstore.cluster.device_changes import ChangeRefused
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.holder import VersionConflict
from objstore.cluster.ring_manifest import RingSet
from objstore.ring.fileformat import load
from tests.support.cluster import objstore


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    root = tmp_path_factory.mktemp("drives") / "c"
    code, _, error = objstore(
        "init", root, "--nodes", 4, "--port", 0, "--part-power", 4, "--policy", "a", "--policy", "b"
    )
    assert code == 0, error
    return root


@pytest.fixture
def root(template, tmp_path):
    """A directory of its own for every test."""
    return shutil.copytree(template, tmp_path / "c")


def drives(root, ring="object"):
    return sorted((d.zone, d.device) for d in load(root / "etc" / f"{ring}.ring.gz").devices if d is not None)


def done(*words):
    code, output, error = objstore(*words)
    assert code == 0, output + error
    return output


def test_a_plan_is_shown_and_nothing_happens_without_yes(root):
    before = drives(root)
    code, output, error = objstore("drive", "add", root, "n2", "d2")
    assert (code, "add --yes" in error) == (2, True)
    assert "plan for rings at version 1" in output and "n2/d2" in output and "one step" in output
    assert drives(root) == before
    assert not (root / "nodes" / "n2" / "d2").exists()


def test_a_drive_is_added_to_every_ring_with_its_directory(root):
    output = done("drive", "add", root, "n2", "d2", "--yes")
    assert "rings are at version 2" in output and "within 15 s" in output
    for ring in ("account", "container", "object", "object-1"):
        assert (2, "d2") in drives(root, ring)
    assert (root / "nodes" / "n2" / "d2").is_dir()
    assert done("config", "check", root)


def test_a_drive_may_be_named_by_its_path_and_a_node_by_nothing_but_its_name(root):
    done("drive", "add", root, "n2", root / "nodes" / "n2" / "d2", "--yes")
    code, _, error = objstore("drive", "add", root, "n2", "/srv/d3", "--yes")
    assert (code, "drives of n2 are directories of" in error) == (78, True)
    code, _, error = objstore("drive", "add", root, "127.0.0.1", "d3", "--yes")
    assert (code, "several nodes have that name or address" in error) == (78, True)


def test_json_has_the_plan_and_whether_it_was_done(root):
    code, _, error = objstore("drive", "drain", root, "n2", "d1", "--json")
    assert (code, "--yes to do it, or --plan" in error) == (2, True)
    planned = json.loads(done("drive", "drain", root, "n2", "d1", "--json", "--plan"))
    assert (planned["applied"], planned["plan"]["version"]) == (False, 1)
    found = json.loads(done("drive", "drain", root, "n2", "d1", "--json", "--yes"))
    assert (found["applied"], found["version"], found["plan"]) == (True, 2, planned["plan"])


def test_a_drive_is_drained_and_then_removed_when_its_disk_is_empty(root):
    left = root / "nodes" / "n2" / "d1" / "objects" / "7"
    left.mkdir(parents=True)
    code, output, _ = objstore("drive", "remove", root, "n2", "d1", "--yes")
    assert (code, "drain it first" in output) == (1, True)
    done("drive", "drain", root, "n2", "d1", "--yes")
    code, output, _ = objstore("drive", "remove", root, "n2", "d1", "--yes")
    assert (code, "1 partitions on disk that replicators have not moved yet" in output) == (1, True)
    left.rmdir()
    done("drive", "remove", root, "n2", "d1", "--yes")
    assert (2, "d1") not in drives(root)


def test_a_drive_nobody_can_look_at_is_removed_only_as_lost(root):
    done("drive", "drain", root, "n2", "d1", "--yes")
    (root / "nodes" / "n2" / "d1").rmdir()
    code, output, _ = objstore("drive", "remove", root, "n2", "d1", "--yes")
    assert (code, "nobody has looked" in output) == (1, True)
    done("drive", "remove", root, "n2", "d1", "--lost", "--yes")


def test_a_drive_is_replaced_in_one_step(root):
    output = done("drive", "replace", root, "n3", "d1", "d9", "--yes")
    assert "n3/d9" in output
    assert (3, "d9") in drives(root) and (3, "d1") not in drives(root)
    assert (root / "nodes" / "n3" / "d9").is_dir()


@pytest.mark.parametrize("words", [["add", "n2", "d2"], ["replace", "n2", "d1", "d2"]], ids=["add", "replace"])
def test_a_drive_with_data_of_earlier_days_joins_only_when_asked_to(root, words):
    (root / "nodes" / "n2" / "d2" / "objects" / "7").mkdir(parents=True)
    action, *rest = words
    code, _, error = objstore("drive", action, root, *rest, "--yes")
    assert (code, "deleted objects may come back" in error) == (1, True)
    assert (2, "d2") not in drives(root)
    done("drive", action, root, *rest, "--yes", "--keep-data")
    assert (2, "d2") in drives(root)


def test_a_node_is_drained_and_removed(root):
    done("node", "drain", root, "n4", "--yes")
    done("node", "remove", root, "n4", "--yes")
    assert {zone for zone, _ in drives(root)} == {1, 2, 3}
    code, output, _ = objstore("node", "remove", root, "n3", "--lost", "--yes")
    assert (code, "3 replicas need 3 drives" in output) == (1, True)


def test_what_must_wait_goes_on_with_continue(root):
    done("drive", "add", root, "n2", "d2", "--yes")
    output = done("drive", "drain", root, "n1", "d1", "--yes")
    assert "step 1 of 2" in output and f"objstore ring pause {root}" in output
    assert "not yet: n1, n2, n3, n4" in done("ring", "status", root)
    assert all(ring["draining"] for ring in json.loads(done("ring", "status", root, "--json"))["rings"])
    for ring in ("account", "container", "object", "object-1"):
        assert ring_builder([str(root / "etc" / f"{ring}.builder"), "pretend_min_part_hours_passed"]) == 0
    # Whoever works by hand goes on by hand.
    assert f"objstore ring continue {root}" in done("ring", "status", root)
    assert "one step" in done("ring", "continue", root, "--yes")
    assert "ring continue" not in done("ring", "status", root)
    assert json.loads(done("drive", "remove", root, "n1", "d1", "--plan", "--json"))["plan"]["refusals"] == []


def test_where_nothing_has_to_move_nobody_is_asked(root):
    before = json.loads(done("ring", "status", root, "--json"))
    assert "nothing has to move" in done("ring", "continue", root)
    assert json.loads(done("ring", "continue", root, "--json", "--yes"))["applied"] is False
    assert json.loads(done("ring", "status", root, "--json"))["version"] == before["version"]


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["drive", "drain", "n9", "d1"], 78, "n9: no node has that name or address (n1, n2, n3, n4)"),
        (["drive", "drain", "n1", "d9"], 1, "n1/d9 is not in the rings; n1 has d1"),
        (["drive", "replace", "n1", "d1"], 2, "OLD NEW"),
        (["drive", "add", "n1", "d2", "d3"], 2, "OLD NEW"),
        (["drive", "drain", "n1", "d1", "--weight", "3"], 2, "--weight goes with drive add only"),
        (["drive", "drain", "n1", "d1", "--lost"], 2, "--lost goes with"),
        (["drive", "add", "n1", "d2", "--weight", "-1"], 2, "expected a number above 0"),
        (["drive", "add", "n1", "d2", "--weight", "nan"], 2, "expected a number above 0"),
        (["drive", "add", "n1", "d2", "--zone", "7"], 2, "n1 is in zone 1"),
        (["drive", "add", "n1", "d 2"], 1, "'d 2': expected the name of a drive"),
        (["drive", "drain", "n1", "d1", "--keep-data"], 2, "--keep-data goes with"),
        (["node", "drain", "n1", "--lost"], 2, "--lost goes with node remove"),
    ],
)
def test_what_makes_no_sense_says_why_and_changes_nothing(root, words, code, text):
    command, action, *rest = words
    before = drives(root)
    found, output, error = objstore(command, action, root, *rest, *(["--yes"] if code != 2 else []))
    assert (found, text in output + error) == (code, True), output + error
    assert drives(root) == before


def test_ring_status_says_how_every_ring_is(root):
    done("drive", "add", root, "n2", "d2", "--yes")
    found = json.loads(done("ring", "status", root, "--json"))
    assert found["version"] == 2
    assert [ring["ring"] for ring in found["rings"]] == ["account", "container", "object-1", "object"]
    ring = found["rings"][3]
    assert (ring["drives"], ring["dispersion"], ring["differs"]) == (5, 0.0, [])
    assert ring["waiting"] > 0 and 0 < ring["wait_s"] <= 3600
    assert "object-1" in done("ring", "status", root)


def test_a_ring_made_elsewhere_is_reported_kept_and_taken_only_when_asked_to(root):
    done("ring", "push", root)
    path = str(root / "etc" / "object.builder")
    builder = (root / "etc" / "object.builder").read_bytes()
    assert ring_builder([path, "set_weight", "d0", "50"]) == 0
    assert ring_builder([path, "rebalance", "--force"]) in (0, 1)
    (root / "etc" / "object.builder").write_bytes(builder)
    ring = (root / "etc" / "object.ring.gz").read_bytes()
    code, output, _ = objstore("ring", "status", root)
    assert (code, "was not made from a builder here" in output) == (1, True)
    code, output, _ = objstore("drive", "add", root, "n2", "d2", "--yes")
    assert (code, f"objstore ring rebuild {root}" in output) == (1, True)
    assert objstore("ring", "push", root)[0] == 1
    assert (root / "etc" / "object.ring.gz").read_bytes() == ring
    code, _, error = objstore("ring", "rebuild", root)
    assert (code, "add --yes" in error) == (2, True)
    done("ring", "rebuild", root, "--yes")
    assert objstore("ring", "status", root)[0] == 0


def test_a_node_with_rings_of_its_own_is_named(root):
    other = root / "etc" / "n2" / "rings"
    other.mkdir()
    for path in [*(root / "etc").glob("*.ring.gz"), root / "etc" / "swift.conf"]:
        (other / path.name).write_bytes(path.read_bytes())
    for conf in (root / "etc" / "n2").glob("*.conf"):
        conf.write_text(conf.read_text().replace("swift_dir = %(here)s/..", "swift_dir = %(here)s/rings"))
    done("ring", "status", root)
    done("drive", "add", root, "n1", "d2", "--yes")
    code, output, _ = objstore("ring", "status", root, "--json")
    assert code == 1
    assert {ring["ring"]: ring["differs"] for ring in json.loads(output)["rings"]}["object"] == ["n2"]


class Breaking:
    """A planner whose holder breaks off in the middle of a change."""

    def __init__(self, error):
        self._error = error

    def version(self):
        return 1

    def plan(self, change, usage=None):
        return ChangePlan(1, ())

    def apply(self, change, expected_version, usage=None):
        raise self._error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ChannelError("10.0.0.1:6199 does not answer"), "it may have been done or not; see: objstore ring status"),
        (OSError(errno.ENOSPC, "No space left on device"), "it may have been done or not; see: objstore ring status"),
        (VersionConflict(1, 2), "nothing was changed"),
        (ChangeRefused("no"), "refused: no"),
    ],
)
def test_a_change_that_breaks_off_is_not_called_undone(root, error, said):
    class Remote(Rings):
        def planner(self):
            return Breaking(error)

    arguments = argparse.Namespace(yes=True, plan=False, json=False, rate=50.0)
    terminal = Terminal(io.StringIO(), io.StringIO(), {})
    with pytest.raises(CommandError) as raised:
        carry_out(Remote(ClusterDirectory(root)), Continue(), arguments, terminal)
    assert any(said in line for line in raised.value.lines)


class Overtaken(Breaking):
    """A planner whose rings change between plan and execution, so many times."""

    def __init__(self, times):
        self.times, self.applied = times, []

    def plan(self, change, usage=None):
        return ChangePlan(len(self.applied) + 1, ())

    def apply(self, change, expected_version, usage=None):
        self.applied.append(expected_version)
        if len(self.applied) <= self.times:
            raise VersionConflict(expected_version, expected_version + 1)
        return RingSet(expected_version + 1, {})


@pytest.mark.parametrize(
    ("yes", "times", "applied", "is_done"),
    [(True, 2, [1, 2, 3], True), (True, 99, [1, 2, 3, 4, 5], False), (False, 1, [1], False)],
)
def test_a_change_that_is_overtaken_is_planned_again_when_nobody_looks_at_the_plan(root, yes, times, applied, is_done):
    planner = Overtaken(times)

    class Remote(Rings):
        def planner(self):
            return planner

    arguments = argparse.Namespace(yes=yes, plan=False, json=False, rate=50.0)
    terminal = Terminal(Console(), io.StringIO(), {}, Console("y\n"))
    if is_done:
        assert carry_out(Remote(ClusterDirectory(root)), Continue(), arguments, terminal) == 0
    else:
        with pytest.raises(CommandError, match="nothing was changed: the rings are at version"):
            carry_out(Remote(ClusterDirectory(root)), Continue(), arguments, terminal)
    assert planner.applied == applied


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "fast"])
def test_a_rate_that_is_none_is_wrong_usage(root, rate, capsys):
    with pytest.raises(SystemExit) as raised:
        objstore("drive", "add", root, "n2", "d2", "--plan", "--rate", rate)
    assert raised.value.code == 2


class Console(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("answer", "is_done"), [("y\n", True), ("yes\n", True), ("n\n", False), ("", False), ("\n", False)]
)
def test_on_a_terminal_it_asks(answer, is_done):
    terminal = Terminal(Console(), io.StringIO(), {}, Console(answer))
    assert terminal.can_ask
    assert terminal.confirm("Do it?") is is_done
    assert terminal.stdout.getvalue() == "Do it? (y/N) "


def test_without_a_terminal_nobody_is_asked():
    assert not Terminal(io.StringIO(), io.StringIO(), {}, Console()).can_ask
    assert not Terminal(Console(), io.StringIO(), {}, io.StringIO()).can_ask


def test_bytes_are_measured_on_the_drives(root):
    rings = Rings(ClusterDirectory(root))
    for node in ("n1", "n2", "n3", "n4"):
        for partition in range(12):
            directory = root / "nodes" / node / "d1" / "objects" / str(partition) / "abc" / "hash"
            directory.mkdir(parents=True)
            (directory / "1.data").write_bytes(b"x" * 40_000)
    usage = rings.usage([root / "nodes" / "n2"])
    assert 36_000 < usage.partition_bytes["object"] < 140_000  # Blocks differ among file systems.
    assert usage.partition_bytes["object-1"] == usage.partition_bytes["account"] == 0
    assert len(usage.room) == 12 and all(room > 0 for room in usage.room.values())
    output = done("drive", "drain", root, "n2", "d1", "--plan")
    assert "KiB" in output and "MB/s" in output
