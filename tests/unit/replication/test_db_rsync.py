"""rsync of database files: the command, modules, and a real daemon where rsync is installed."""

import os
import socket
import subprocess
import time

import pytest

from objstore.replication.db_rsync import Rsync
from objstore.replication.rsync_module import is_installed
from objstore.ring.model import Node
from tests.support.rings import make_device

NODE = Node(make_device(3, ip="10.0.0.1", replication_ip="fe80::1", zone=2, meta="m"), index=0)


def test_the_command_is_the_recorded_one():
    command = Rsync("{replication_ip}::container", 10, 3).command("/srv/sdb1/x.tmp", NODE, "id-sdb1")
    assert command == [
        "rsync", "--quiet", "--no-motd", "--timeout=10", "--contimeout=3", "--whole-file", "--times", "--",
        "/srv/sdb1/x.tmp", "[fe80::1]::container/sd3/tmp/id-sdb1",
    ]  # fmt: skip


def test_compression_is_for_other_regions():
    rsync = Rsync("h::m", is_compressed=True)
    assert "--compress" in rsync.command("s", NODE, "n", is_far=True)
    assert "--compress" not in rsync.command("s", NODE, "n")


def test_nobody_listening_is_a_problem_in_words(tmp_path):
    if not is_installed():
        pytest.skip("rsync is not installed")
    (tmp_path / "file").write_bytes(b"x")
    problem = Rsync("x", 5, 1).push(["rsync", "--quiet", str(tmp_path / "file"), "rsync://127.0.0.1:1/m/x"])
    assert problem.startswith("exit code")


def test_a_missing_program_is_a_problem_in_words():
    assert "No such file" in Rsync("x").push(["/nonexistent/rsync"])


def test_a_file_reaches_a_daemon(tmp_path):
    if not is_installed():
        pytest.skip("rsync is not installed")
    (tmp_path / "sd3" / "tmp").mkdir(parents=True)
    (tmp_path / "source").write_bytes(b"database")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    conf = tmp_path / "rsyncd.conf"
    user = "uid = root\ngid = root\n" if os.geteuid() == 0 else ""
    conf.write_text(
        f"use chroot = no\nlog file = {tmp_path}/log\n[container]\npath = {tmp_path}\nread only = no\n{user}"
    )
    daemon = subprocess.Popen(
        ["rsync", "--daemon", "--no-detach", f"--config={conf}", f"--port={port}", "--address=127.0.0.1"]
    )
    try:
        rsync = Rsync(f"rsync://127.0.0.1:{port}/container", 10, 5)
        command = rsync.command(str(tmp_path / "source"), NODE, "id")
        deadline = time.monotonic() + 20
        while (problem := rsync.push(command)) and time.monotonic() < deadline:
            pass
        assert problem == ""
        assert (tmp_path / "sd3" / "tmp" / "id").read_bytes() == b"database"
    finally:
        daemon.kill()
        daemon.wait()
