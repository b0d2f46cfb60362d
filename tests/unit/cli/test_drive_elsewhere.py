"""objstore drive and node, run on one node for the drives of another: agents of several nodes serve in this process."""

import pytest

from objstore.cluster.local_drives import look_of
from objstore.cluster.members import read
from objstore.cluster.strict_json import BadFields, Fields
from objstore.core.errors import DomainError
from objstore.ring.fileformat import load
from tests.support.agents import Agents
from tests.support.cluster import objstore


@pytest.fixture
def nodes(tmp_path):
    """Three nodes, n1 holds the rings; and what runs a command on one of them."""
    with Agents(tmp_path) as agents:
        first, others = agents.first(), [agents.join("z2"), agents.join("z3")]
        first.round()

        def run(node, command, action, *words):
            code, output, error = agents.blocking(objstore, command, action, node.directory.root, *words)
            first.round()
            return code, output, error

        run.blocking = agents.blocking
        yield first, *others, run


def drives(node):
    return sorted(f"{device.ip} {device.device}" for device in load(node.etc / "object.ring.gz").devices if device)


def home(node, number):
    return node.directory.root.parent / f"m{number}"


def test_a_drive_of_another_node_is_added_and_its_directory_made_there(nodes):
    _, second, third, run = nodes
    code, output, error = run(third, "drive", "add", "n2", "d2", "--yes")
    assert code == 0, error
    assert "n2/d2 gets weight" in output
    assert (home(second, 2) / "d2").is_dir()
    assert "127.0.0.2 d2" in drives(second) and drives(second) == drives(third)


def test_only_a_plan_makes_nothing_there(nodes):
    _, second, third, run = nodes
    code, output, _ = run(third, "drive", "add", "n2", "d2", "--plan")
    assert (code, "n2/d2" in output) == (0, True)
    assert not (home(second, 2) / "d2").exists()


def test_a_drive_of_another_node_with_data_is_refused_by_that_node(nodes):
    _, second, third, run = nodes
    (home(second, 2) / "d2" / "objects" / "7").mkdir(parents=True)
    before = drives(second)
    code, _, error = run(third, "drive", "add", "n2", "d2", "--yes")
    assert (code, "deleted objects may come back" in error) == (1, True)
    assert drives(second) == before
    assert run(third, "drive", "add", "n2", "d2", "--yes", "--keep-data")[0] == 0


def test_no_name_leads_out_of_the_drives_of_a_node(nodes):
    _, second, third, run = nodes
    client = third.client()
    for name in ("../d2", "..", "d/2", "d%2f2"):
        for ask in (
            lambda name=name: client.prepare(client.members.named("n2"), name, may_have_data=True),
            lambda name=name: client.look(client.members.named("n2"), [name], ""),
            lambda name=name: client.look(client.members.named("n2"), [], name),
        ):
            with pytest.raises(DomainError, match="expected the name of a drive"):
                run.blocking(ask)
    assert sorted(path.name for path in home(second, 2).iterdir()) == ["d1"]


def test_a_drive_that_is_no_mount_where_all_are_is_refused(nodes):
    _, second, third, run = nodes
    for conf in (second.etc / "n2").glob("*.conf"):
        conf.write_text(conf.read_text().replace("mount_check = no", "mount_check = yes"))
    code, _, error = run(third, "drive", "add", "n2", "d2", "--yes")
    assert (code, "nothing is mounted there" in error) == (1, True)
    assert not (home(second, 2) / "d2").exists()


def test_a_drained_drive_of_another_node_leaves_when_that_node_has_counted_nothing_on_it(nodes):
    first, second, third, run = nodes
    assert run(third, "drive", "add", "n2", "d2", "--yes", "--weight", "5")[0] == 0
    assert run(third, "drive", "drain", "n2", "d2", "--yes")[0] == 0
    left = home(second, 2) / "d2" / "objects" / "7"
    left.mkdir(parents=True)
    held = sum(row.count(_id(first, "d2")) for row in load(first.etc / "object.ring.gz").rows)
    code, output, _ = run(third, "drive", "remove", "n2", "d2", "--yes")
    text = "drain it first" if held else "1 partitions on disk that replicators have not moved yet"
    assert (code, text in output) == (1, True)
    assert run.blocking(lambda: look(third, "n2", ["d2"])).left == 1
    left.rmdir()
    assert run.blocking(lambda: look(third, "n2", ["d2"])).left == 0
    assert run.blocking(lambda: look(third, "n2", ["d9"])).left is None


def _id(node, name):
    return next(device.id for device in load(node.etc / "object.ring.gz").devices if device and device.device == name)


def look(node, name, held):
    client = node.client()
    return client.look(client.members.named(name), held, "")


def test_a_drive_of_another_node_is_replaced(nodes):
    _, second, third, run = nodes
    assert run(third, "drive", "replace", "n2", "d1", "d7", "--lost", "--yes")[0] == 0
    assert "127.0.0.2 d7" in drives(second) and (home(second, 2) / "d7").is_dir()


def test_a_node_that_does_not_answer_is_believed_empty_by_nobody(nodes):
    first, second, third, run = nodes
    second.stop()
    before = drives(first)
    code, _, error = run(third, "drive", "remove", "n2", "d1", "--yes")
    assert (code, "Connection refused" in error, "say --lost" in error) == (1, True, True)
    code, _, error = run(third, "node", "remove", "n2", "--yes")
    assert (code, "nobody can look at n2" in error) == (1, True)
    assert drives(first) == before


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"left": -1, "usage": {"partition_bytes": {}, "room": []}},
        {"left": 0, "weight": "x", "usage": {"partition_bytes": {}, "room": []}},
        {"left": 0, "weight": 0, "usage": {"partition_bytes": {}, "room": []}},
        {"left": 0, "usage": {"partition_bytes": {"object": -1}, "room": []}},
    ],
)
def test_what_a_node_says_of_its_drives_is_looked_at_before_it_is_believed(answer):
    with pytest.raises(BadFields):
        look_of(Fields(answer, "answer"))


def test_weights_follow_the_way_of_the_cluster(nodes):
    first, second, _, _ = nodes
    assert read(second.etc).weights_by_size
    weights = {device.weight for device in load(first.etc / "object.ring.gz").devices if device}
    assert len(weights) == 1 and weights != {0}


def test_calls_that_hang_at_a_disk_leave_the_agent_its_threads(nodes):
    _, second, third, run = nodes
    with second.agent._at_disks(), second.agent._at_disks():
        code, _, error = run(third, "drive", "add", "n2", "d2", "--yes")
        assert (code, "a disk may hang; try again" in error) == (1, True)
    assert not (home(second, 2) / "d2").exists()
    assert run(third, "drive", "add", "n2", "d2", "--plan")[0] == 0
