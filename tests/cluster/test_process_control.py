"""objstore-init: real processes started, asked about and ended by their pid files."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cluster import PATIENCE_S, Cluster, is_alive, until

pytestmark = pytest.mark.cluster


class Machine:
    """A swift directory with the files of a cluster's first node, and a run directory."""

    def __init__(self, cluster, root):
        self.swift_dir, self.run_dir = root / "swift", root / "run"
        self.swift_dir.mkdir()
        files = [cluster.directory.server_conf("n1", kind) for kind in ("account", "container", "object")]
        for file in (*files, cluster.directory.proxy_conf):
            (self.swift_dir / file.name).write_text(file.read_text().replace("%(here)s", str(file.parent)))

    def init(self, *words):
        command = [sys.executable, "-m", "objstore.cli.process_control", *words]
        where = ["-r", str(self.run_dir), "-d", str(self.swift_dir)]
        done = subprocess.run([*command, *where], capture_output=True, text=True, timeout=2 * PATIENCE_S)
        return done.returncode, done.stdout, done.stderr

    def pids(self):
        return {path.stem: int(path.read_text()) for path in self.run_dir.glob("**/*.pid")}


@pytest.fixture
def cluster(tmp_path):
    return Cluster(tmp_path / "c", nodes=1, replicas=1).init()


@pytest.fixture
def machine(cluster, tmp_path):
    it = Machine(cluster, tmp_path)
    yield it
    if it.run_dir.is_dir():
        it.init("all", "kill")


def reload(pid):
    command = [sys.executable, "-m", "objstore.cli.reload", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10 * PATIENCE_S)
    return done.returncode, done.stdout, done.stderr


def test_servers_start_serve_reload_and_stop(machine, cluster):
    for kind in ("account", "container"):
        (machine.swift_dir / f"{kind}-server.conf").unlink()
    code, output, error = machine.init("main", "start")
    assert (code, output.count(": running, pid")) == (0, 2), error
    assert cluster.raw_request("GET", "/healthcheck")[0] == 200
    pids = machine.pids()
    assert set(pids) == {"proxy-server", "object-server"}
    assert machine.init("main", "start")[1].count("already running") == 2, "nothing is started twice"
    assert machine.init("proxy", "reload")[0] == 0
    code, output, error = reload(pids["object-server"])
    assert (code, "object-server: reloaded" in output) == (0, True), error
    conf = machine.swift_dir / "object-server.conf"
    conf.write_text(conf.read_text().replace("mount_check", "mount_chek"))
    assert reload(pids["object-server"])[0] == 78
    code, output, _ = machine.init("main", "status", "--json")
    assert (code, {row["server"]: row["pid"] for row in json.loads(output)}) == (0, pids)
    code, output, _ = machine.init("*-server", "stop")
    assert (code, machine.pids()) == (0, {})
    assert not any(map(is_alive, pids.values()))
    assert machine.init("main", "status")[0] == 1


def test_a_daemon_once_and_in_the_background(machine):
    code, output, error = machine.init("object-updater", "once")
    assert (code, "object-updater: 0 jobs" in output, machine.pids()) == (0, True, {}), error
    assert machine.init("object-updater", "no-wait")[0] == 0
    (pid,) = machine.pids().values()
    until(lambda: "object-updater - " in Path(f"/proc/{pid}/cmdline").read_text(), "it has its title")
    assert machine.init("object-updater", "restart")[0] == 0
    assert machine.pids()["object-updater"] != pid and not is_alive(pid)
    assert machine.init("rest", "kill")[0] == 0
    assert machine.pids() == {}


@pytest.mark.long
def test_several_configurations_are_a_process_each(machine):
    several = machine.swift_dir / "object-server"
    several.mkdir()
    conf = machine.swift_dir / "object-server.conf"
    (several / "2.conf.d").mkdir()
    shutil.copy(conf, several / "2.conf.d" / "00.conf")
    conf.rename(several / "1.conf")
    assert machine.init("object-updater", "start")[0] == 0
    assert set(machine.pids()) == {"1", "2"}
    assert machine.init("object-updater.2", "stop")[0] == 0
    assert set(machine.pids()) == {"1"}
    assert machine.init("object-updater", "stop", "-c", "1")[0] == 0
    assert machine.pids() == {}


def test_a_file_that_cannot_be_used_is_said_and_leaves_nothing(machine):
    conf = machine.swift_dir / "object-server.conf"
    conf.write_text(conf.read_text().replace("mount_check", "mount_chek"))
    code, _, error = machine.init("object", "start")
    assert (code, machine.pids()) == (1, {})
    assert "exit code 78" in error and "mount_chek" in error


@pytest.mark.long
def test_a_server_that_does_not_end_in_time_is_said(machine):
    assert machine.init("object-updater", "start")[0] == 0
    (pid,) = machine.pids().values()
    os.kill(pid, signal.SIGSTOP)
    try:
        code, _, error = machine.init("object-updater", "stop", "--kill-wait", "0.3")
        assert (code, "still there after 0.3 s" in error, is_alive(pid)) == (1, True, True)
        assert machine.init("object-updater", "stop", "-k", "0.3", "--kill-after-timeout")[0] == 0
        assert not is_alive(pid)
    finally:
        if is_alive(pid):
            os.kill(pid, signal.SIGCONT)
