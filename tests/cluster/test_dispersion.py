"""objstore-dispersion-populate and -report against a running cluster."""

import json
import shutil
import subprocess
import sys

import pytest

from tests.support.cluster import PATIENCE_S, Cluster

pytestmark = pytest.mark.cluster


@pytest.fixture
def cluster(tmp_path):
    it = Cluster(tmp_path / "c", nodes=3, replicas=3, part_power=4, policies=["gold", "silver"]).init()
    # Every copy arrives at once, however busy the machine is: nobody would bring it later.
    for name in ("lend_timeout", "post_quorum_timeout", "conn_timeout"):
        it.configure("app:proxy-server", name, 60)
    for kind in ("container", "object"):
        it.configure(f"app:{kind}-server", "conn_timeout", 60, kind=kind)
    try:
        yield it.start("--no-daemons")
    finally:
        it.close()


@pytest.fixture
def conf(cluster, tmp_path):
    path = tmp_path / "dispersion.conf"
    path.write_text(
        f"[dispersion]\nauth_url = {cluster.auth_url}\nauth_user = admin:admin\nauth_key = {cluster.key()}\n"
        f"swift_dir = {cluster.directory.etc}\ndispersion_coverage = 50\nretries = 1\n"
    )
    return path


def populate(conf, *words):
    return run("populate", conf, *words)


def report(conf, *words):
    return run("report", conf, *words)


def run(name, *words):
    command = [sys.executable, "-m", f"objstore.cli.dispersion_{name}", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE_S)
    return done.returncode, done.stdout, done.stderr


def test_copies_that_are_gone_are_missed_in_their_ring(cluster, conf):
    code, _, error = report(conf, "-j")
    assert (code, "there are no samples" in error) == (1, True)
    code, output, error = populate(conf)
    assert (code, error) == (0, "")
    assert populate(conf)[0] == 0, "once more changes nothing"
    assert "Created 0 containers" in populate(conf, "--no-overlap")[1]
    code, output, error = report(conf, "-j")
    whole = json.loads(output)
    assert (code, set(whole)) == (0, {"container", "object", "object:silver"}), error
    assert all(each["pct_found"] == 100.0 and each["overlapping"] == 0 for each in whole.values())
    (disk,) = cluster.directory.nodes.glob("n1/*")
    shutil.rmtree(disk / "objects-1")
    code, output, _ = report(conf, "-j", "-p")
    found = json.loads(output)
    assert (code, found["container"], found["object"]) == (
        1,
        {**whole["container"], "partitions": []},
        {**whole["object"], "partitions": []},
    )
    lacking = found["object:silver"]
    assert lacking["missing_one"] == len(lacking["partitions"]) == lacking["copies_expected"] // 3
    code, output, error = report(conf, "-P", "silver", "--object-only", "-d")
    assert code == 1 and "partitions missing one copy." in output and "returned a 404" in error
    conf.write_text(conf.read_text().replace("auth_key = ", "auth_key = not"))
    code, _, error = populate(conf)
    assert (code, "user admin:admin is not let in (answered 401)" in error) == (1, True)
