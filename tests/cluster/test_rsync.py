"""The rsync daemon that `objstore up` runs: what another node may bring, and what nobody may do. Needs rsync."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from objstore.cluster import rsyncd
from objstore.cluster.servers import read_servers
from objstore.core.timestamp import Timestamp
from objstore.replication.rsync_push import RsyncPush
from objstore.ring.model import Node
from tests.support.cluster import Cluster, is_alive, until
from tests.support.objects import LARGE_METADATA, make_address, make_disk_engine, put
from tests.support.packages import ToolsMissing, programs
from tests.support.rings import make_device

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    try:
        programs({"rsync": "rsync"})
    except ToolsMissing as error:
        pytest.skip(str(error))
    with Cluster(tmp_path_factory.mktemp("rsync") / "c", nodes=2, replicas=2) as made:
        until(lambda: answers(made), "rsync listens")
        yield made


def url(cluster, node="n1", kind="object"):
    """The module of a node's server."""
    servers = read_servers(cluster.directory)
    where = rsyncd.listening(servers)
    (port,) = [each.address[1] for each in servers if (each.node, each.role) == (node, f"{kind}-server")]
    return f"rsync://127.0.0.1:{where.port}/{kind}_{port}"


def rsync(*arguments, cwd=None):
    done = subprocess.run(["rsync", *arguments], cwd=cwd, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def answers(cluster):
    where = rsyncd.listening(read_servers(cluster.directory))
    return rsync(f"rsync://127.0.0.1:{where.port}/")[0] == 0


def test_it_gives_way_to_who_answers_clients(cluster):
    niceness = {each.role: os.getpriority(os.PRIO_PROCESS, each.pid) for each in cluster.processes()}
    assert niceness["rsync"] == max(5, niceness["object"])


@pytest.fixture
def source(tmp_path):
    (tmp_path / "aaa" / "h").mkdir(parents=True)
    (tmp_path / "aaa" / "h" / "1700000000.00000.data").write_bytes(b"x")
    return tmp_path


def test_a_push_brings_bodies_metadata_and_side_files(cluster, tmp_path):
    engine = make_disk_engine(tmp_path)
    address = make_address("large")
    put(engine, address, b"hello", 1_700_000_000.0, **LARGE_METADATA)
    target = cluster.device_path("n1") / "objects" / "5"
    target.mkdir(parents=True)
    push = RsyncPush(url(cluster))
    command = push.command(Node(make_device(0, device="d1"), index=0), 0, "5", [address.suffix])
    pushed = push.run(command, str(tmp_path / "sda" / "objects" / "5"))
    assert pushed.failure == "" and pushed.file_count >= 1
    arrived = make_disk_engine(tmp_path / "other")
    (tmp_path / "other" / "sda").rmdir()
    (tmp_path / "other" / "sda").symlink_to(cluster.device_path("n1"))
    with arrived.open(address) as found, engine.open(address) as sent:
        assert found.headers == sent.headers
        assert found.data_timestamp == Timestamp.from_seconds(1_700_000_000.0)


@pytest.mark.parametrize(
    "kind, path",
    [
        ("object", "d1/containers/5"),
        ("object", "d1/tmp"),
        ("object", "d1"),
        ("object", "../n2/d1/objects"),
        ("object", "d1/objects/../containers"),
        ("container", "d1/objects/5"),
        ("account", "d1/accounts/5"),
    ],
)
def test_a_module_admits_only_its_own_directories(cluster, source, kind, path):
    code, _ = rsync("-r", "aaa", f"{url(cluster, kind=kind)}/{path}", cwd=source)
    assert code != 0
    assert list(Path(cluster.directory.nodes).rglob("aaa")) == []


def test_nobody_reads_lists_or_deletes(cluster, source):
    (cluster.device_path("n1") / "objects" / "7").mkdir(parents=True, exist_ok=True)
    where = rsyncd.listening(read_servers(cluster.directory))
    assert rsync(f"rsync://127.0.0.1:{where.port}/")[1] == ""
    assert rsync("-r", f"{url(cluster)}/d1/objects/", str(source / "out"))[0] != 0
    assert rsync("-r", "--delete", "aaa", f"{url(cluster)}/d1/objects/7", cwd=source)[0] != 0
    assert rsync("-r", "--inplace", "aaa", f"{url(cluster)}/d1/objects/7", cwd=source)[0] != 0


def _contents(directory: Path) -> list[bytes]:
    """What the files below `directory` hold; the node's own daemons make and remove some meanwhile."""
    contents = []
    for parent, _, names in os.walk(directory):
        for name in names:
            with suppress(FileNotFoundError):
                contents.append((Path(parent) / name).read_bytes())
    return contents


def test_digests_and_locks_are_not_brought(cluster, source):
    target = cluster.device_path("n1") / "objects" / "8"
    target.mkdir(parents=True)
    for name in ("hashes.pkl", "hashes.invalid", ".lock"):
        (source / name).write_bytes(b"forged")
    rsync("-r", "hashes.pkl", "hashes.invalid", ".lock", f"{url(cluster)}/d1/objects/8", cwd=source)
    assert b"forged" not in _contents(target)


def test_a_link_that_is_brought_leads_nowhere(cluster, source):
    target = cluster.device_path("n1") / "objects" / "9"
    target.mkdir(parents=True)
    (source / "bbb").symlink_to("/etc")
    rsync("-rl", "bbb", f"{url(cluster)}/d1/objects/9", cwd=source)
    assert not (target / "bbb" / "passwd").exists()


def test_rsync_is_started_again_and_ends_with_the_others(cluster):
    (pid,) = cluster.pids(role="rsync")
    os.kill(pid, signal.SIGKILL)
    until(lambda: cluster.pids(role="rsync") not in ([], [pid]), "another one runs")
    until(lambda: answers(cluster), "it listens")
    cluster.reload()
    until(lambda: answers(cluster), "it listens after a reload")
    (last,) = cluster.pids(role="rsync")
    assert is_alive(last)
