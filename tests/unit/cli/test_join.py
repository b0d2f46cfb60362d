"""objstore init --zone, join, node token and node holder: what they say, without starting anything."""

import re

import pytest

from objstore.cluster import token as tokens
from objstore.cluster.members import read
from tests.support.agents import Agents
from tests.support.cluster import objstore
from tests.support.ports import PortBlock

TOKEN = tokens.new("fe" * 32, "127.0.0.1:6199").text()


@pytest.fixture
def ports():
    block = PortBlock()
    yield ["--agent-port", block.first, "--node-port", block.first + 10, "--port", block.first + 1]
    block.release()


def init(tmp_path, ports, *more):
    drives = tmp_path / "m1" / "d1", tmp_path / "m1" / "d2"
    return objstore("init", tmp_path / "c1", "--zone", "z1", "--drives", *drives, "--ip", "127.0.0.1", *ports, *more)


def test_init_with_a_zone_prints_the_two_lines_to_run_next(tmp_path, ports):
    code, output, error = init(tmp_path, ports)
    assert code == 0, error
    lines = output.splitlines()
    assert lines[-2].strip() == f"objstore up {tmp_path / 'c1'}"
    found = re.fullmatch(
        r"objstore join (127\.0\.0\.1:\d+) --token (\S+) --zone z2 --drives PATH \.\.\.", lines[-1].strip()
    )
    assert tokens.parse(found[2]).address == found[1]
    (node,) = read(tmp_path / "c1" / "etc").nodes
    assert (node.name, node.zone, node.zone_number) == ("n1", "z1", 1)


def test_a_cluster_of_one_node_passes_its_checks_and_says_when_it_is_not_running(tmp_path, ports):
    init(tmp_path, ports)
    assert objstore("config", "check", tmp_path / "c1")[0] == 0
    code, _, error = objstore("node", "token", tmp_path / "c1")
    assert code == 1 and "Connection refused" in error


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--zone", "z 1"], "zone 'z 1': expected 1 to 32 letters, digits and any of ._-"),
        (["--ip", "192.0.2.1"], "no address of this machine; give another with --ip or --agent-port"),
        (["--replicas", "0"], "expected 1 to 100"),
    ],
    ids=["zone", "ip", "replicas"],
)
def test_init_says_what_is_wrong_and_leaves_nothing(tmp_path, ports, arguments, reason):
    code, _, error = init(tmp_path, ports, *arguments)
    assert code == 78 and reason in error
    assert not (tmp_path / "c1" / "etc").exists()


def test_a_zone_without_drives_is_wrong_usage(tmp_path):
    code, _, error = objstore("init", tmp_path / "c", "--zone", "z1")
    assert code == 2 and "--zone and --drives go together" in error


@pytest.mark.parametrize(
    ("address", "token", "code", "reason"),
    [
        ("10.0.0.1", TOKEN, 2, "'10.0.0.1': expected HOST:PORT"),
        ("10.0.0.1:99999", TOKEN, 2, "expected HOST:PORT"),
        ("127.0.0.1:6199", "", 2, "--token is no join token"),
        ("127.0.0.1:6199", TOKEN[:-4], 2, "--token was not copied whole"),
        ("127.0.0.1:1", TOKEN, 1, "127.0.0.1:1: Connection refused"),
    ],
    ids=["no port", "no such port", "no token", "half a token", "nobody there"],
)
def test_join_says_what_is_wrong_without_quoting_the_token(tmp_path, ports, address, token, code, reason):
    found, output, error = objstore(
        "join", address, "--token", token, "--zone", "z2", "--drives", tmp_path / "d1", "--dir", tmp_path / "c",
        "--ip", "127.0.0.1", *ports,
    )  # fmt: skip
    assert found == code and reason in error
    assert TOKEN[20:60] not in output + error
    assert not (tmp_path / "c" / "etc").exists()


def test_join_never_touches_a_directory_that_is_a_node(tmp_path, ports):
    init(tmp_path, ports)
    words = ["join", "127.0.0.1:6199", "--token", TOKEN, "--zone", "z2", "--drives", tmp_path / "d1"]
    code, _, error = objstore(*words, "--dir", tmp_path / "c1")
    assert code == 78 and "a node is here already" in error


def test_tokens_and_holders_are_for_clusters_of_several_machines(tmp_path):
    objstore("init", tmp_path / "c", "--port", 0, "--nodes", 1)
    for action in ("token", "holder"):
        code, _, error = objstore("node", action, tmp_path / "c")
        assert code == 78 and "a cluster that others can join is made by: objstore init DIR --zone" in error


def test_a_pipe_gets_the_token_alone_and_another_each_time(tmp_path):
    with Agents(tmp_path) as agents:
        root = agents.first().directory.root
        texts = [agents.blocking(objstore, "node", "token", root)[1] for _ in range(2)]
        assert len({tokens.parse(text).secret for text in texts}) == 2


def test_ring_status_names_nodes_and_their_rings(tmp_path):
    with Agents(tmp_path) as agents:
        first, second = agents.first(), agents.join("z2")
        first.round()
        code, output, error = agents.blocking(objstore, "ring", "status", second.directory.root)
        assert code == 0, output + error
        assert [line.split()[:3] for line in output.splitlines() if " 127.0.0." in line] == [
            ["n1", "127.0.0.1", "2"],
            ["n2", "127.0.0.2", "2"],
        ]
        (second.etc / "object.ring.gz").write_bytes(second.ring("account"))
        first.round()
        code, output, error = agents.blocking(objstore, "ring", "status", first.directory.root)
        (line,) = [line for line in output.splitlines() if line.startswith("object ")]
        assert code == 1 and line.endswith("n2")
        by_hand = second.ring()
        for words, code_wanted in ((["--plan"], 1), ([], 2), (["--json"], 2)):
            code, output, error = agents.blocking(objstore, "ring", "push", second.directory.root, *words)
            assert code == code_wanted and second.ring() == by_hand, output + error
            assert "replace what was put there by hand:\n  n2: object.ring.gz" in output or "--json" in words
        code, output, error = agents.blocking(objstore, "ring", "push", second.directory.root, "--yes")
        assert code == 0 and "n2: has them" in output, error
        assert second.ring() == first.ring()
        code, output, error = agents.blocking(objstore, "ring", "push", second.directory.root)
        assert code == 0 and "plan" not in output, error


def test_a_ring_that_came_by_hand_to_the_holder_is_said_everywhere_and_not_pushed(tmp_path):
    with Agents(tmp_path) as agents:
        first, second = agents.first(), agents.join("z2")
        first.round()
        before = second.ring()
        (first.etc / "object.ring.gz").write_bytes(first.ring("account"))
        first.round()
        code, output, _ = agents.blocking(objstore, "ring", "status", second.directory.root)
        assert code == 1 and "note: n1: " in output and "was not made from a builder here" in output
        assert "newer than the holder's" not in output
        code, output, error = agents.blocking(objstore, "ring", "push", second.directory.root, "--yes")
        assert (code, output) == (1, "") and "nothing was pushed: n1: " in error
        assert second.ring() == before


def test_a_holder_that_does_not_answer_is_named_with_what_to_do(tmp_path):
    with Agents(tmp_path) as agents:
        first, second = agents.first(), agents.join("z2")
        first.stop()
        for words in (("drive", "drain", second.directory.root, "n1", "d1"), ("node", "token", second.directory.root)):
            code, _, error = agents.blocking(objstore, *words)
            assert code == 1
            assert "there n1 holds the ring builders: start it" in error and "objstore node holder DIR --lost" in error


def test_builders_are_made_anew_on_the_holder_only(tmp_path):
    with Agents(tmp_path) as agents:
        agents.first()
        second = agents.join("z2")
        code, _, error = agents.blocking(objstore, "ring", "rebuild", second.directory.root, "--yes")
        assert code == 78 and "another node holds the builders; when that one is lost: objstore node holder" in error
        assert not list(second.etc.glob("*.builder"))


def test_a_node_that_is_removed_leaves_the_members(tmp_path):
    with Agents(tmp_path) as agents:
        first = agents.first()
        for zone in ("z2", "z3", "z4"):
            agents.join(zone)
        code, _, error = agents.blocking(objstore, "node", "remove", first.directory.root, "n1", "--lost", "--yes")
        assert code == 1 and "n1 holds the ring builders; first, on another node: objstore node holder" in error
        agents.nodes[-1].stop()
        code, output, error = agents.blocking(objstore, "node", "remove", first.directory.root, "n4", "--lost", "--yes")
        assert code == 0, output + error
        assert [node.name for node in read(first.etc).nodes] == ["n1", "n2", "n3"]
