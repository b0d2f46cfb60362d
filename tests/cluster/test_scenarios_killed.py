"""Daemons and rsync that die by SIGKILL in the middle of their work: nothing is lost, and the next pass ends it."""

from __future__ import annotations

import importlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from objstore.daemon import recon
from objstore.replication.plan import SMALL_BYTES
from tests.soak.faults import empty
from tests.support.cluster import until
from tests.support.healing import started
from tests.support.packages import ToolsMissing, programs
from tests.support.rounds import ORDER

pytestmark = pytest.mark.cluster


@pytest.fixture
def scene(tmp_path):
    with started(tmp_path / "c") as scene:
        yield scene


def start(scene, node, daemon):
    conf = scene.site.cluster.directory.server_conf(node, daemon.partition("-")[0])
    module = f"objstore.cli.{daemon.replace('-', '_')}"
    importlib.import_module(module)
    return subprocess.Popen(
        [sys.executable, "-m", module, str(conf), "--once"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def is_in_its_pass(scene, node, daemon, process):
    entry = recon.read(recon.recon_file(scene.site.cluster.directory.cache(node), "daemons")).get(daemon, {})
    return process.poll() is not None or (entry.get("pid"), entry.get("state")) == (process.pid, "running")


@pytest.mark.long
def test_every_daemon_is_killed_in_the_middle_of_its_pass(scene):
    """All kinds of work wait when they begin: a disk to fill, handoffs to empty, rows to send, objects to expire."""
    cluster, ledger = scene.site.cluster, scene.ledger
    moment = random.Random(7)
    ledger.container("c")
    for number in range(40):
        ledger.put("c", f"o{number}", os.urandom(3000 * number))
    scene.heal()
    with cluster.killed("n3"):
        for number in range(20):
            ledger.put("c", f"during{number}", os.urandom(50_000))
            ledger.delete("c", f"o{number}")
        for number in range(5):
            ledger.put("c", f"expires{number}", b"short", {"X-Delete-After": "1"})
            ledger.is_gone("c", f"expires{number}")
    empty(cluster.device_path("n1"))
    until(lambda: cluster.request("GET", "/c/expires4")[0] == 404, "they have expired")
    for daemon in ORDER:
        running = {node: start(scene, node, daemon) for node in cluster.nodes}
        for node, process in running.items():
            until(lambda: is_in_its_pass(scene, node, daemon, process), f"{daemon} {node} runs")  # noqa: B023
            time.sleep(moment.uniform(0, 0.1))  # Into the pass: wherever it then is.
            process.kill()
            process.wait()
    scene.heal()


@pytest.mark.long
def test_rsync_is_killed_in_mid_transfer(scene):
    try:
        programs({"rsync": "rsync"})
    except ToolsMissing as error:
        pytest.skip(str(error))
    cluster = scene.site.cluster
    scene.ledger.container("c")
    body = os.urandom(SMALL_BYTES + 1)  # Less would go in-band.
    scene.ledger.put("c", "large", b"small as yet")
    scene.heal()
    away = scene.homes("c", "large")[0]
    with cluster.killed(away):
        scene.ledger.put("c", "large", body)
    cluster.configure("object-replicator", "rsync_bwlimit", "8000", kind="object")
    passing = threading.Thread(target=scene.round, args=((), ("object-replicator",)))
    passing.start()
    try:
        device = cluster.device_path(away)
        until(lambda: list(device.glob("objects/*/*/*/.*.data.*")), "rsync is bringing it")
        for pid in pushing(cluster.directory.root):
            os.kill(pid, signal.SIGKILL)
    finally:
        passing.join()
    assert cluster.request("GET", "/c/large")[2] == body
    cluster.configure("object-replicator", "rsync_bwlimit", "0", kind="object")
    scene.heal()


def pushing(root):
    """Processes of rsync that read or write below a directory."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
            if command.startswith(b"rsync\0") and str(root) in os.readlink(entry / "cwd"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found
