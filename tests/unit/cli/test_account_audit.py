"""objstore-account-audit against real storage servers: whole copies, missing ones, ones that differ, servers away."""

import io
import json
from dataclasses import replace

import pytest

from objstore.cli.account_audit import main, parsed
from objstore.cli.replica_survey import Survey, tool_client, where
from objstore.cli.terminal import CommandError
from objstore.config.cluster import load_cluster
from objstore.ring.fileformat import load, save
from objstore.ring.model import Ring
from objstore.runtime.clock import SystemClock
from tests.support.ports import PortBlock
from tests.support.storage_nodes import StorageNodes


@pytest.fixture
def nodes(tmp_path):
    with StorageNodes(tmp_path, nodes=3, replicas=3) as found:
        yield found


@pytest.fixture
def proxy(nodes):
    proxy = nodes.proxy()
    assert proxy.put("/v1/AUTH_a/c d").status == 201
    for name in ("one", "two/three", "\xc3\xbc 4"):
        assert proxy.put(f"/v1/AUTH_a/c d/{name}", body=b"hello").status == 201
    return proxy


def run(nodes, *words):
    out, err = io.StringIO(), io.StringIO()
    code = main([*map(str, words), "-r", str(nodes.directory)], stdout=out, stderr=err, environ={})
    return code, out.getvalue(), err.getvalue()


def audit(nodes, *words):
    code, output, error = run(nodes, *words, "--json")
    assert not error
    return code, json.loads(output)


def files(nodes, node, pattern):
    return sorted(nodes.device_root(node).glob(f"*/{pattern}"))


def data(nodes, node):
    return files(nodes, node, "objects/*/*/*/*.data")


@pytest.mark.parametrize("name", ["AUTH_a", "/v1/AUTH_a/c%20d"])
@pytest.mark.parametrize("options", [[], ["-d"]])
def test_whole_copies_are_nothing_to_say(nodes, proxy, name, options):
    code, found = audit(nodes, name, *options)
    assert (code, found["objects"], found["problems"]) == (0, 3, [])


def test_a_missing_copy_is_named_and_can_be_audited_again(nodes, proxy, tmp_path):
    data(nodes, 1)[0].unlink()
    code, found = audit(nodes, "AUTH_a", "-e", tmp_path / "errors")
    (problem,) = found["problems"]
    assert (code, problem["text"]) == (1, "missing")
    assert problem["where"].endswith("/sd1")
    again = (tmp_path / "errors").read_text().splitlines()
    assert len(again) == 1
    code, found = audit(nodes, *again)
    assert (code, found["objects"], found["problems"]) == (1, 1, [problem])
    assert "1 problems" in run(nodes, *again)[1]


def test_bodies_that_are_not_what_was_written_are_found_by_reading_them(nodes, proxy):
    file = data(nodes, 2)[0]
    file.write_bytes(b"hellO")
    assert audit(nodes, "AUTH_a")[0] == 0
    code, found = audit(nodes, "AUTH_a", "-d")
    assert code == 1 and found["problems"], found


def test_a_replica_whose_listing_lacks_rows(nodes, proxy):
    cluster = load_cluster(nodes.directory)
    ring = load(nodes.directory / "container.ring.gz")
    partition = ring.partition(cluster.secrets.digest("AUTH_a", "c d"))
    node = ring.primaries(partition)[2]
    later = SystemClock().now().internal
    path = f"/{partition}/AUTH_a/c%20d/one"
    assert tool_client("test", 60).ask(node, "DELETE", path, [("X-Timestamp", later)]).is_success
    code, found = audit(nodes, "AUTH_a/c%20d")
    (problem,) = found["problems"]
    assert (code, problem["path"], problem["text"]) == (1, "AUTH_a/c d/one", "not in this listing of the container")
    assert problem["where"] == where(node)


def test_a_server_that_is_away_is_said_and_nothing_more_of_it(nodes, proxy):
    block = PortBlock()
    try:
        for kind in ("account", "container", "object"):
            path = nodes.directory / f"{kind}.ring.gz"
            ring = load(path)
            devices = [replace(ring.devices[0], port=block.first, replication_port=block.first), *ring.devices[1:]]
            save(Ring(ring.header, ring.rows, devices), path)
        code, found = audit(nodes, "AUTH_a")
    finally:
        block.release()
    assert code == 1
    assert {problem["where"].rpartition("/")[2] for problem in found["problems"]} == {"sd0"}
    assert not any("not in this listing" in problem["text"] for problem in found["problems"])


@pytest.mark.parametrize("page_rows", [1, 2, 3, 4])
def test_listings_are_read_to_their_end_whatever_a_page_holds(nodes, proxy, page_rows):
    survey = Survey(load_cluster(nodes.directory), tool_client("test", 60), page_rows)
    rows = list(survey.rows(("AUTH_a", "c d")))
    assert [name for name, _, _ in rows] == ["one", "two/three", "\u00fc 4"]
    assert all(len(mine) == len(answering) == 3 for _, mine, answering in rows)
    assert survey.problems == []


def test_what_is_not_there_is_missing_everywhere(nodes, proxy):
    code, found = audit(nodes, "AUTH_nobody")
    assert (code, [problem["text"] for problem in found["problems"]]) == (1, ["missing"] * 3)


@pytest.mark.parametrize(
    "text, names",
    [
        ("AUTH_a", ("AUTH_a",)),
        ("/v1/AUTH_a/c%20d/o/p%2Fq/", ("AUTH_a", "c d", "o/p/q/")),
        ("AUTH_a/c/", ("AUTH_a", "c")),
    ],
)
def test_names_are_as_in_urls(text, names):
    assert parsed(text) == names


@pytest.mark.parametrize("text", ["", "/", "AUTH_a//o", "/v1/"])
def test_names_that_are_none(text):
    with pytest.raises(CommandError):
        parsed(text)


def test_rings_and_usage(nodes, proxy, tmp_path):
    assert run(nodes, "AUTH_a", "-r", tmp_path / "none")[0] in (0, 78)
    (nodes.directory / "container.ring.gz").write_bytes(b"cut")
    code, _, error = run(nodes, "AUTH_a")
    assert (code, "container.ring.gz" in error) == (78, True)
