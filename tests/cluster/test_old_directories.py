"""A directory made by an earlier release starts, serves what is in it, and takes more (tests/vectors/directories)."""

import subprocess
from pathlib import Path

import pytest

from tests.support.cluster import Cluster

pytestmark = pytest.mark.cluster

ARCHIVES = sorted((Path(__file__).parents[1] / "vectors" / "directories").glob("*.tar.gz"))
assert ARCHIVES, "no directories found: the test would check nothing"


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.name.removesuffix(".tar.gz"))
def cluster(request, tmp_path):
    command = ["tar", "--xattrs", "--xattrs-include=user.*", "-xzf", request.param, "-C", tmp_path]
    subprocess.run(command, check=True, timeout=60)
    with Cluster(tmp_path / "cluster") as running:
        yield running


def test_what_it_holds_is_served_and_more_is_taken(cluster):
    status, headers, body = cluster.request("GET", "/old/small name")
    assert (status, body) == (200, b"written by an earlier release")
    assert (headers["content-type"], headers["x-object-meta-colour"]) == ("text/plain", "red")
    status, headers, _ = cluster.request("HEAD", "/silver/large-metadata")
    kept = {name: value for name, value in headers.items() if name.startswith("x-object-meta-")}
    assert (status, kept) == (200, {f"x-object-meta-n{n:02}": "v" * 60 for n in range(60)})
    assert cluster.request("GET", "/old/deleted")[0] == 404
    assert cluster.request("GET", "/old")[2] == b"small name\n"
    assert cluster.request("PUT", "/old/new", b"today")[0] == 201
    assert cluster.request("GET", "/old")[2] == b"new\nsmall name\n"
    assert cluster.request("GET", "/old/new")[2] == b"today"
