"""cluster/rsyncd.py: the rsync daemon of a directory, and the sample for a node."""

from pathlib import Path

from objstore.cli.ring_builder import main as ring_builder
from objstore.cluster import members, rsyncd
from objstore.cluster.admission import address_of
from objstore.cluster.changes import RemoveNode
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.peer_gate import rsync_gate
from objstore.cluster.servers import read_servers
from tests.support.agents import Agents
from tests.support.cluster import Cluster

SAMPLE = Path(__file__).parents[3] / "etc" / "rsyncd.conf-sample"


def test_the_sample_is_what_is_generated():
    assert SAMPLE.read_text() == rsyncd.sample()


def test_a_new_directory_has_one_daemon_on_loopback_and_a_module_per_server(tmp_path):
    directory = Cluster(tmp_path / "c", nodes=2, replicas=2).init().directory
    servers = read_servers(directory)
    where = rsyncd.listening(servers)
    assert where is not None and where.ip == "127.0.0.1"
    assert where.port not in {server.address[1] for server in servers}
    modules = rsyncd.modules(servers)
    ports = {server.role: server.address[1] for server in servers if server.node == "n1"}
    assert {module.name for module in modules if "n1" in module.path} == {
        f"{kind}_{ports[f'{kind}-server']}" for kind in ("object", "container", "account")
    }
    text = rsyncd.text(where, modules, "/run/lock", (7, 8))
    assert f"port = {where.port}\n" in text and "address = 127.0.0.1\n" in text and "uid = 7\n" in text
    assert text.count("filter = ") == len(modules) == 6


def test_a_directory_that_names_no_port_has_no_daemon(tmp_path):
    cluster = Cluster(tmp_path / "c", nodes=1, replicas=1).init()
    for file in (cluster.directory.etc / "n1").glob("*.conf"):
        file.write_text("\n".join(line for line in file.read_text().split("\n") if "rsync_module" not in line))
    assert rsyncd.listening(read_servers(ClusterDirectory(tmp_path / "c"))) is None


def test_a_node_among_others_listens_on_its_own_address_and_admits_the_others(tmp_path):
    with Agents(tmp_path) as agents:
        first = agents.first()
        servers = read_servers(first.directory)
        where = rsyncd.listening(servers, is_of_several=True)
        assert (where.ip, where.port) == ("127.0.0.1", members.read(first.etc).rsync_port)
        # On its own that template may as well be about the system's rsync: nothing is started for it.
        assert rsyncd.listening(servers) is None
        text = rsyncd.text(where, rsyncd.modules(servers), "/run/lock", None, ["127.0.0.2", "127.0.0.1"])
        assert "hosts allow = 127.0.0.1 127.0.0.2\n" in text
        assert f"path = {tmp_path / 'm1'}\n" in text


def test_rsync_admits_whom_the_rings_name_and_the_files_list_and_no_longer_who_left(tmp_path):
    with Agents(tmp_path) as agents:
        first = agents.first(replicas=2.0)
        agents.join("z2"), agents.join("z3")
        conf = first.directory.server_conf("n1", "object")
        conf.write_text(conf.read_text().replace("admit = rings", "admit = rings\nadmit_hosts = 192.0.2.7 fd00:1::/64"))
        servers = read_servers(first.directory)
        gate = rsync_gate(first.etc, servers)
        assert {"127.0.0.1", "127.0.0.3", "192.0.2.7/32", "fd00:1::/64"} <= set(gate.addresses())
        # By hand, as with a node of Swift that is no member.
        builder = str(first.etc / "object.builder")
        assert ring_builder([builder, "add", "r1z9-203.0.113.5:6200R198.51.100.5:6200/sdb1", "5000"]) == 0
        assert ring_builder([builder, "pretend_min_part_hours_passed"]) == 0
        assert ring_builder([builder, "rebalance", "--force"]) in (0, 1)
        assert {"203.0.113.5", "198.51.100.5"} <= set(gate.addresses())
        where = rsyncd.listening(servers, is_of_several=True)
        text = rsyncd.text(where, rsyncd.modules(servers), "/run/lock", None, gate.addresses())
        (hosts,) = [line.split(" = ")[1].split() for line in text.splitlines() if line.startswith("hosts allow")]
        assert {"203.0.113.5", "192.0.2.7/32", "127.0.0.2"} <= set(hosts) and "0.0.0.0/0" not in hosts
        node = first.client().members.named("n3")
        agents.blocking(
            lambda: first.client().apply(RemoveNode(address_of(node), None, True), first.client().version())
        )
        assert "127.0.0.3" not in gate.addresses() and "203.0.113.5" in gate.addresses()
