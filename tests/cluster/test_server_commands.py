"""objstore-<role>-server CONF, as a service manager runs it."""

import io
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from objstore.cli import agent_server
from tests.support.cluster import PATIENCE_S, Cluster, is_alive, until
from tests.support.machines import Machines

pytestmark = pytest.mark.cluster


class Unit:
    """A server command with a service manager's notify socket and a log of its own."""

    def __init__(self, role, conf, directory):
        self.log = directory / "log"
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.settimeout(PATIENCE_S)
        self.manager.bind(str(directory / "notify"))
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"objstore.cli.{role}_server", str(conf)],
                env={**os.environ, "NOTIFY_SOCKET": str(directory / "notify")},
                stdout=log,
                stderr=log,
            )

    def heard(self):
        """The next message to the service manager."""
        return self.manager.recv(1000).decode()

    def workers(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as file:
            return [int(pid) for pid in file.read().split()]

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.manager.close()


@pytest.fixture
def cluster(tmp_path):
    return Cluster(tmp_path / "c", nodes=1, replicas=1).init()


@pytest.fixture
def unit(cluster, tmp_path):
    cluster.configure("DEFAULT", "workers", 2)
    it = Unit("proxy", cluster.directory.proxy_conf, tmp_path)
    yield it
    it.close()


def test_it_tells_the_service_manager_when_it_serves_and_when_it_stops(cluster, unit):
    assert unit.heard() == "READY=1"
    assert cluster.raw_request("GET", "/healthcheck")[0] == 200
    workers = unit.workers()
    assert len(workers) == 2
    unit.process.send_signal(signal.SIGTERM)
    assert unit.heard() == "STOPPING=1"
    assert unit.process.wait(PATIENCE_S) == 0
    assert not any(map(is_alive, workers))
    assert "stopped role=proxy-server" in unit.log.read_text()


def test_no_request_is_dropped_while_it_reloads(cluster, unit):
    assert unit.heard() == "READY=1"
    is_over, results = threading.Event(), []

    def ask():
        while not is_over.is_set():
            try:
                results.append(cluster.raw_request("GET", "/healthcheck")[0])
            except OSError as error:
                results.append(repr(error))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(3):
            old = unit.workers()
            unit.process.send_signal(signal.SIGHUP)
            assert unit.heard().startswith("RELOADING=1\nMONOTONIC_USEC=")
            assert unit.heard() == "READY=1"
            until(lambda old=old: not any(map(is_alive, old)), "old workers gone")
    finally:
        is_over.set()
        asking.join()
    assert set(results) == {200}


def test_a_request_in_progress_ends_before_its_worker_does(cluster, unit):
    assert unit.heard() == "READY=1"
    host, port = cluster.endpoint.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as sock:
        sock.sendall(b"GET /healthcheck HTTP/1.1\r\nHost: x\r\n")
        # Half a head is not a request yet; a whole one is answered although the reload came in between.
        old = unit.workers()
        sock.sendall(b"\r\n")
        unit.process.send_signal(signal.SIGHUP)
        assert sock.recv(1000).startswith(b"HTTP/1.1 200")
    until(lambda: not any(map(is_alive, old)), "old workers gone")


def test_a_wrong_file_at_a_reload_changes_nothing(cluster, unit):
    assert unit.heard() == "READY=1"
    old = unit.workers()
    cluster.configure("filter:tempauth", "token_life", "forever")
    unit.process.send_signal(signal.SIGHUP)
    assert unit.heard().startswith("RELOADING=1")
    assert unit.heard() == "READY=1"
    assert unit.workers() == old
    assert "reload refused: " in unit.log.read_text()
    assert "token_life = 'forever': expected a whole number, 60 or more" in unit.log.read_text()


@pytest.mark.parametrize("kind", ["account", "container", "object"])
def test_a_storage_server_runs_alone(cluster, tmp_path, kind):
    unit = Unit(kind, cluster.directory.server_conf("n1", kind), tmp_path)
    try:
        assert unit.heard() == "READY=1", unit.log.read_text()
        unit.process.send_signal(signal.SIGTERM)
        assert unit.process.wait(PATIENCE_S) == 0
    finally:
        unit.close()


def test_a_conf_d_directory_is_one_file(cluster, tmp_path):
    parts = tmp_path / "proxy-server.conf.d"
    parts.mkdir()
    text = cluster.directory.proxy_conf.read_text().replace("%(here)s", str(cluster.directory.etc))
    (parts / "10-base.conf").write_text(text)
    (parts / "20-mine.conf").write_text("[DEFAULT]\nworkers = 3\n")
    unit = Unit("proxy", parts, tmp_path)
    try:
        assert unit.heard() == "READY=1", unit.log.read_text()
        assert len(unit.workers()) == 3
    finally:
        unit.close()


def test_a_proxy_without_its_rings_is_refused(cluster, tmp_path):
    (cluster.directory.etc / "object.ring.gz").unlink()
    unit = Unit("proxy", cluster.directory.proxy_conf, tmp_path)
    try:
        assert unit.process.wait(PATIENCE_S) == 78
        (line,) = unit.log.read_text().splitlines()
        assert "object.ring.gz" in line
    finally:
        unit.close()


def test_the_agent_of_a_node_whose_servers_are_units_runs_alone(tmp_path):
    with Machines(tmp_path) as machines:
        first = machines.add(is_started=False)
        unit = Unit("agent", first.directory.root, tmp_path)
        try:
            assert unit.heard() == "READY=1"
            assert first.join_token().startswith("objstore-join-")
            unit.process.send_signal(signal.SIGTERM)
            while (heard := unit.heard()) != "STOPPING=1":
                assert heard == "WATCHDOG=1"
            assert unit.process.wait(PATIENCE_S) == 0
        finally:
            unit.close()
        assert "stopped role=agent" in unit.log.read_text()


def test_an_agent_needs_a_node_of_several_machines(cluster):
    error = io.StringIO()
    assert agent_server.main([str(cluster.directory.root)], stderr=error) == 78
    assert "is no node of a cluster of several machines; see: objstore join" in error.getvalue()
