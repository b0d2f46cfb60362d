"""Daemons as processes: in `objstore up`, and by their own commands."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from objstore.daemon import recon
from tests.support.cluster import PATIENCE_S, Cluster, is_alive, objstore, until

pytestmark = pytest.mark.cluster


@pytest.fixture
def cluster(tmp_path):
    it = Cluster(tmp_path / "c", nodes=2, replicas=2)
    yield it
    it.close()


def pending(cluster):
    return list(cluster.directory.nodes.glob("*/*/async_pending*/*/*"))


def daemon_rows(cluster):
    code, output, _ = objstore("status", cluster.directory.root, "--json")
    assert code in (0, 3)  # OK, or DEGRADED: the machine's disk may be nearly full.
    return json.loads(output)["daemons"]


def updater(cluster, *arguments, **options):
    conf = cluster.directory.server_conf("n1", "object")
    command = [sys.executable, "-m", "objstore.cli.object_updater", str(conf), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, **options)


def test_rows_that_a_container_server_missed_arrive_when_it_is_back(cluster):
    cluster.init()
    cluster.configure("object-updater", "interval", 1, kind="object")
    cluster.start()
    assert cluster.request("PUT", "/c")[0] == 201
    cluster.kill_node("n2")
    assert cluster.request("PUT", "/c/o", b"x")[0] == 201
    assert pending(cluster)
    cluster.start_node("n2")
    until(lambda: not pending(cluster), "the rows have been delivered")


def test_status_tells_how_the_last_pass_of_each_daemon_went(cluster):
    cluster.init()
    cluster.configure("object-updater", "interval", 1, kind="object")
    cluster.start()
    done = []

    def has_run():
        rows = [row for row in daemon_rows(cluster) if (row["daemon"], row["node"]) == ("object-updater", "n1")]
        done[:] = [row for row in rows if row["passes"]]
        return done

    until(has_run, "the updater of n1 has had a pass")
    assert (done[0]["failures"], done[0]["is_complete"]) == (0, True)
    code, output, _ = objstore("status", cluster.directory.root)
    assert code in (0, 3) and "verdict: " in output
    line = next(line for line in output.splitlines() if line.startswith("object-updater") and " n1 " in line)
    assert " s ago " in line


def test_a_daemon_process_that_dies_is_started_again(cluster):
    cluster.start()
    (before,) = cluster.pids("n1", "daemons")
    os.kill(before, signal.SIGKILL)
    until(lambda: cluster.pids("n1", "daemons") not in ([], [before]), "another one runs")


def test_an_old_directory_without_sections_of_daemons_starts(cluster):
    cluster.init()
    for node in cluster.directory.node_names():
        for kind in ("object", "container", "account"):
            conf = cluster.directory.server_conf(node, kind)
            text = conf.read_text().partition("[object-updater]")[0]
            conf.write_text("".join(line for line in text.splitlines(True) if "recon_cache_path" not in line))
    cluster.start()
    until(lambda: (cluster.directory.cache("n1") / "daemons.recon").exists(), "its daemons say what they do")


def test_a_section_that_cannot_be_used_is_told_before_anything_starts(cluster):
    cluster.init()
    cluster.configure("object-updater", "interval", "soon", kind="object")
    code, _, error = objstore("up", cluster.directory.root)
    assert code == 78
    assert "[object-updater] interval = 'soon': expected a number" in error


def test_once_ends_with_a_word_about_what_was_done(cluster):
    cluster.init()
    done = updater(cluster, "--once")
    assert (done.returncode, done.stdout.split(" in ")[0]) == (0, "object-updater: 0 jobs")


def test_once_fails_when_something_could_not_be_done(cluster):
    cluster.init()
    cluster.directory.nodes.joinpath("n1", "d1").rename(cluster.directory.root / "away")
    cluster.directory.nodes.joinpath("n1").rmdir()
    done = updater(cluster, "--once")
    assert done.returncode == 1
    assert "not everything was done" in done.stderr


def test_a_daemon_command_without_its_file_says_so(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "objstore.cli.object_updater", str(tmp_path / "no.conf")], capture_output=True, text=True
    )
    assert done.returncode == 78
    assert "no.conf" in done.stderr


class Unit:
    """The updater's command of n1, with a service manager's notify socket."""

    def __init__(self, cluster, directory, **environ):
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(directory / "notify"))
        self.manager.settimeout(PATIENCE_S)
        conf = cluster.directory.server_conf("n1", "object")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "objstore.cli.object_updater", str(conf)],
            env={**os.environ, "NOTIFY_SOCKET": str(directory / "notify"), **environ},
            stderr=subprocess.DEVNULL,
        )

    def heard(self):
        return self.manager.recv(1000)

    def children(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as file:
            return {int(pid) for pid in file.read().split()}

    def child(self):
        (pid,) = self.children()
        return pid

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.manager.close()


def test_its_service_manager_hears_of_its_life_and_sigterm_ends_it(cluster, tmp_path):
    cluster.init()
    unit = Unit(cluster, tmp_path, WATCHDOG_USEC="200000")
    try:
        heard = set()
        while heard != {b"READY=1", b"WATCHDOG=1"}:
            heard.add(unit.heard())
        child = unit.child()
        with open(f"/proc/{child}/cmdline") as file:
            assert file.read().startswith("objstore object-updater - ")
        unit.process.send_signal(signal.SIGTERM)
        assert unit.process.wait(PATIENCE_S) == 0
        assert not is_alive(child)
    finally:
        unit.close()


def test_a_reload_takes_over_what_is_right_and_leaves_the_old_where_it_is_wrong(cluster, tmp_path):
    cluster.init()
    unit = Unit(cluster, tmp_path)
    try:
        assert unit.heard() == b"READY=1"
        first = unit.child()
        cluster.configure("object-updater", "interval", "soon", kind="object")
        unit.process.send_signal(signal.SIGHUP)
        assert unit.heard().startswith(b"RELOADING=1")
        assert unit.heard() == b"READY=1"
        assert unit.child() == first
        cluster.configure("object-updater", "interval", 2, kind="object")
        unit.process.send_signal(signal.SIGHUP)
        assert unit.heard().startswith(b"RELOADING=1")
        assert unit.heard() == b"READY=1"
        until(lambda: first not in unit.children(), "the old process has ended")
        assert is_alive(unit.child())
    finally:
        unit.close()


def test_sigterm_ends_a_daemon_that_waits_for_a_frozen_server(cluster, tmp_path):
    cluster.init()
    cluster.configure("object-updater", "interval", 0, kind="object")
    cluster.configure("object-updater", "node_timeout", 3600, kind="object")
    cluster.start("--no-daemons")
    assert cluster.request("PUT", "/c")[0] == 201
    cluster.kill_node("n2")
    assert cluster.request("PUT", "/c/o", b"x")[0] == 201
    cluster.start_node("n2")
    frozen = cluster.pids(role="container-server")
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    unit = Unit(cluster, tmp_path)
    try:
        assert unit.heard() == b"READY=1"
        progress = cluster.directory.cache("n1") / "daemons.recon"
        until(lambda: progress.exists() and '"running"' in progress.read_text(), "a pass has begun")
        unit.process.send_signal(signal.SIGTERM)
        assert unit.process.wait(PATIENCE_S) == 0
        assert pending(cluster), "what was not delivered is kept"
    finally:
        unit.close()
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)


def test_a_container_that_an_account_server_missed_is_told_to_it(cluster):
    cluster.init()
    cluster.configure("container-updater", "interval", 1, kind="container")
    cluster.configure("container-updater", "account_suppression_time", 0, kind="container")
    cluster.configure("app:container-server", "report_interval", 0, kind="container")
    cluster.start()
    assert cluster.request("PUT", "/c")[0] == 201
    assert cluster.request("PUT", "/c/o", b"12345")[0] == 201

    def bytes_used():
        return cluster.request("HEAD", "")[1]["x-account-bytes-used"]

    until(lambda: bytes_used() == "5", "the account knows")


@pytest.fixture
def three_disks(cluster):
    cluster.init()
    cluster.configure("object-updater", "updater_workers", 2, kind="object")
    cluster.configure("object-updater", "interval", 0, kind="object")
    for name in ("d1", "d2", "d3"):
        (cluster.directory.nodes / "n1" / name).mkdir(parents=True, exist_ok=True)
    return cluster


def test_workers_share_the_disks_and_one_that_dies_is_started_again(three_disks, tmp_path):
    cache = three_disks.directory.cache("n1")

    def shares():
        found = recon.read(recon.recon_file(cache, "object")).get("object_updater_workers", {})
        return sorted(report["devices"] for report in found.values())

    unit = Unit(three_disks, tmp_path)
    try:
        assert unit.heard() == b"READY=1"
        before = unit.children()
        assert len(before) == 2
        until(lambda: shares() == [["d1", "d3"], ["d2"]], "both have done their disks")
        assert "object_updater_sweep" in recon.read(recon.recon_file(cache, "object"))
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        until(lambda: len(unit.children()) == 2 and victim not in unit.children(), "another one runs")
        assert before - {victim} <= unit.children()
        until(lambda: {"object-updater #0", "object-updater #1"} == set(entries(cache)), "each tells of itself")
        unit.process.send_signal(signal.SIGTERM)
        assert unit.process.wait(PATIENCE_S) == 0
    finally:
        unit.close()


def entries(cache):
    return recon.read(recon.recon_file(cache, "daemons"))


def test_once_waits_for_all_workers(three_disks):
    for name in ("d1", "d2", "d3"):
        broken = three_disks.directory.nodes / "n1" / name / "async_pending" / "abc"
        broken.mkdir(parents=True)
        (broken / f"{'f' * 29}abc-1700000000.00000").write_bytes(b"no pickle")
    done = updater(three_disks, "--once")
    # Three files that were set aside, by two processes.
    assert "quarantined=3" in done.stdout, (done.stdout, done.stderr)
