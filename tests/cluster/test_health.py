"""status, doctor and recon on real processes."""

import json

import pytest

from objstore.cli.recon import main as recon
from tests.support.cluster import Cluster, objstore, until

pytestmark = pytest.mark.cluster


@pytest.fixture
def cluster(tmp_path):
    with Cluster(tmp_path / "c", nodes=3) as it:
        yield it


def status(cluster):
    code, output, _ = objstore("status", cluster.directory.root, "--json")
    return code, json.loads(output)


def copies(found):
    return [reason["text"] for reason in found["reasons"] if reason["what"] == "copies"]


def test_the_verdict_follows_the_nodes_that_answer(cluster):
    _, found = status(cluster)
    assert copies(found) == []
    cluster.kill_node("n2")
    code, found = status(cluster)
    assert (code, found["verdict"]) == (3, "DEGRADED")
    assert "object ring: 64 partitions of which 2 of 3 copies answer" in copies(found)
    cluster.kill_node("n3")
    code, found = status(cluster)
    assert (code, found["verdict"]) == (1, "DATA AT RISK")
    cluster.start_node("n2")
    cluster.start_node("n3")
    until(lambda: copies(status(cluster)[1]) == [], "every copy answers again")


def test_doctor_and_recon_agree_that_all_servers_answer(cluster, capsys):
    _, output, _ = objstore("doctor", cluster.directory.root, "--json")
    wrong = {finding["what"] for finding in json.loads(output)["findings"]}
    assert not wrong & {"ports", "rings", "secrets", "configuration", "xattrs"}
    etc = str(cluster.directory.etc)
    assert recon(["--md5", "--validate-servers", "--timeout", "30", "--swiftdir", etc]) == 0
    assert capsys.readouterr().out.count("3/3 hosts matched") == 3
