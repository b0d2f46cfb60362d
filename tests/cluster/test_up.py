"""objstore up, status, down: a whole cluster by one command, its errors, and what is left when it ends."""

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time

import pytest

from objstore.runtime.listen import listen
from tests.support.cluster import PATIENCE_S, Cluster, is_alive, objstore, until

pytestmark = pytest.mark.cluster

# The bound in the issue is 2 s; tests trip at five times a bound, so that a busy machine does not fail them.
STOP_TRIPWIRE_S = 10.0


@pytest.fixture
def cluster(tmp_path):
    it = Cluster(tmp_path / "c", nodes=2, replicas=2)
    yield it
    it.close()


def start_fails(cluster):
    """The lines on the terminal of an `up` that must end with exit code 78."""
    process = cluster.start_unready()
    assert process.wait(PATIENCE_S) == 78, cluster.output()
    return cluster.output().splitlines()


def command(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "objstore.cli.main", *map(str, arguments)], capture_output=True, text=True, **options
    )


def test_status_lists_every_process_as_ps_does(cluster):
    cluster.start()
    code, output, _ = objstore("status", cluster.directory.root, "--json")
    # rsync is there where it is installed, and is a program of its own.
    rows = [row for row in json.loads(output)["processes"] if row["role"] != "rsync"]
    assert code in (0, 3)  # OK, or DEGRADED: the machine's disk may be nearly full.
    assert sorted((row["role"], row["node"]) for row in rows) == sorted(
        [("supervisor", "-"), ("proxy-server", "-"), ("steps", "-")]
        + [(f"{kind}-server", node) for kind in ("account", "container", "object") for node in ("n1", "n2")]
        + [("daemons", node) for node in ("n1", "n2")]
    )
    for row in rows:
        with open(f"/proc/{row['pid']}/cmdline") as file:
            assert file.read().rstrip("\0") == f"objstore {row['role']} {row['node']} {cluster.directory.root}"
    storage = [row for row in rows if row["node"] != "-" and row["role"] != "daemons"]
    assert all(row["device"] == "d1" and len(row["ports"]) == 1 for row in storage)
    assert len({row["ports"][0] for row in storage}) == 6


def test_a_cluster_of_one_node_with_three_replicas_starts(tmp_path):
    with Cluster(tmp_path / "c", nodes=1, replicas=3) as cluster:
        assert cluster.raw_request("GET", "/healthcheck")[0] == 200


def test_up_again_resumes_the_same_data_and_keys(cluster):
    cluster.start()
    key = cluster.key()
    files = {path: path.read_bytes() for path in cluster.directory.etc.rglob("*") if path.is_file()}
    assert cluster.request("PUT", "/photos")[0] == 201
    assert cluster.request("PUT", "/photos/a cat", b"meow")[0] == 201
    assert cluster.stop() == 0
    cluster.start()
    assert cluster.key() == key
    assert {path: path.read_bytes() for path in cluster.directory.etc.rglob("*") if path.is_file()} == files
    status, _, body = cluster.request("GET", "/photos/a cat")
    assert (status, body) == (200, b"meow")


def test_a_moved_directory_still_starts(cluster, tmp_path):
    cluster.start()
    assert cluster.request("PUT", "/photos")[0] == 201
    cluster.stop()
    os.rename(cluster.directory.root, tmp_path / "elsewhere")
    with Cluster(tmp_path / "elsewhere") as moved:
        assert moved.request("HEAD", "/photos")[0] == 204


def test_a_worker_that_dies_is_restarted_and_said_so(cluster):
    cluster.start()
    (pid,) = cluster.pids("n1", "object-server")
    os.kill(pid, signal.SIGKILL)
    until(lambda: "object-server n1: running again" in cluster.output(), "restart")
    assert f"object-server n1: pid {pid} died (killed by SIGKILL)" in cluster.output()
    assert f"object-server n1: pid {pid} died" in cluster.logs()


def test_no_process_outlives_a_supervisor_killed_with_9(cluster):
    cluster.start()
    pids = cluster.pids()
    cluster.freeze("n2")
    os.kill(cluster.supervisor_pid, signal.SIGKILL)
    until(lambda: not any(map(is_alive, pids)), "every process is gone")


def test_ctrl_c_stops_everything_soon_even_frozen_processes(cluster):
    cluster.start()
    pids = cluster.pids()
    cluster.freeze("n2")
    begin = time.monotonic()
    os.kill(cluster.supervisor_pid, signal.SIGINT)
    until(lambda: not any(map(is_alive, [*pids, cluster.supervisor_pid])), "every process is gone")
    assert time.monotonic() - begin < STOP_TRIPWIRE_S


def test_detach_returns_when_ready_and_down_stops_it(cluster):
    directory = cluster.init().directory.root
    up = command("up", directory, "--detach")
    try:
        assert up.returncode == 0, up.stderr
        assert cluster.raw_request("GET", "/healthcheck")[0] == 200
        assert command("up", directory).stdout.startswith(f"{directory}: already running")
        pids = cluster.pids()
    finally:
        down = command("down", directory)
    assert down.returncode == 0, down.stderr
    assert not any(map(is_alive, pids))
    status = command("status", directory)
    assert (status.returncode, status.stderr.count("\n")) == (1, 1)
    assert "not running; start it with: objstore up" in status.stderr


def test_a_taken_port_is_named_with_the_setting_it_comes_from(cluster):
    port = int(cluster.init().endpoint.rpartition(":")[2])
    with listen(("127.0.0.1", port)):
        (line,) = start_fails(cluster)
    assert re.fullmatch(
        rf"objstore: .*/proxy-server.conf:\d+: \[DEFAULT\] bind_port: cannot listen on 127.0.0.1:{port}: "
        "somebody else listens there",
        line,
    )


def test_a_taken_port_in_the_background_is_said_too(cluster):
    port = int(cluster.init().endpoint.rpartition(":")[2])
    with listen(("127.0.0.1", port)):
        up = command("up", cluster.directory.root, "--detach")
    assert (up.returncode, up.stdout) == (78, "")
    assert f"cannot listen on 127.0.0.1:{port}" in up.stderr


def test_misspelt_settings_of_all_files_come_in_one_report(cluster):
    cluster.configure("DEFAULT", "bind_prot", 1)
    cluster.configure("filter:tempauth", "token_lief", 1)
    cluster.configure("DEFAULT", "workers", "many", kind="object")
    cluster.configure_cluster("swift-constraints", "max_file_sise", 1)
    lines = start_fails(cluster)
    assert len(lines) == 5
    text = "\n".join(lines)
    assert "[DEFAULT] bind_prot = '1': expected a known setting (did you mean 'bind_port'?)" in text
    assert "[filter:tempauth] token_lief = '***': expected a known setting (did you mean 'token_life'?)" in text
    assert "n2/object-server.conf:" in text
    assert "[DEFAULT] workers = 'many': expected auto, or a whole number" in text
    assert "[swift-constraints] max_file_sise = '1': expected a known setting (did you mean 'max_file_size'?)" in text


def test_a_wrong_order_of_filters_is_refused(cluster):
    cluster.configure("pipeline:main", "pipeline", "copy tempauth catch_errors proxy-server")
    text = "\n".join(start_fails(cluster))
    assert "expected another order of filters" in text


def test_secrets_that_do_not_match_the_data_are_refused(cluster):
    cluster.start()
    assert cluster.request("PUT", "/photos")[0] == 201
    cluster.stop()
    cluster.configure_cluster("swift-hash", "swift_hash_path_suffix", "another")
    lines = start_fails(cluster)
    assert all("these secrets do not match the data" in line for line in lines)


@pytest.mark.parametrize("damage", [b"", b"not a ring", None], ids=["empty", "garbage", "missing"])
def test_a_ring_that_cannot_be_read_is_refused(cluster, damage):
    ring = cluster.init().directory.etc / "object.ring.gz"
    ring.unlink()
    if damage is not None:
        ring.write_bytes(damage)
    (line,) = start_fails(cluster)
    assert str(ring) in line


def test_the_ring_of_another_cluster_is_refused(cluster, tmp_path):
    other = Cluster(tmp_path / "other", nodes=3).init()
    ring = cluster.init().directory.etc / "account.ring.gz"
    ring.write_bytes((other.directory.etc / "account.ring.gz").read_bytes())
    (line,) = start_fails(cluster)
    assert "this is the ring of another cluster" in line


def test_files_with_a_key_are_for_their_owner_alone(cluster):
    cluster.start()
    key = cluster.key().encode()
    for path in cluster.directory.root.rglob("*"):
        if path.is_file() and key in path.read_bytes():
            assert path.stat().st_mode & 0o777 == 0o600, path
    assert cluster.directory.swift_conf.stat().st_mode & 0o777 == 0o600
    assert cluster.directory.run.stat().st_mode & 0o777 == 0o700


def test_no_key_is_in_a_log_or_in_what_a_pipe_gets(cluster):
    cluster.start()
    token = cluster.token()
    assert cluster.request("PUT", "/photos")[0] == 201
    cluster.stop()
    for secret in (cluster.key(), token):
        assert secret not in cluster.logs()
        assert secret not in cluster.output()


def test_a_terminal_gets_the_key_and_lines_that_work(cluster):
    directory = cluster.init().directory.root
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "objstore.cli.main", "up", str(directory)], stdin=slave, stdout=slave, stderr=slave
    )
    os.close(slave)
    seen = ""
    try:
        while "rclone" not in seen or not seen.endswith("\n"):
            seen += os.read(master, 65536).decode()
        assert f"  key        {cluster.key()}\r\n" in seen
        (line,) = re.findall(r"^  (curl .*)\r$", seen, re.M)
        answer = subprocess.run(line.replace("curl", "curl -s"), shell=True, capture_output=True, text=True)
        assert answer.stdout.startswith("HTTP/1.1 200"), answer
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE_S)
        os.close(master)


def test_the_printed_lines_work_from_a_pipe_too(cluster):
    cluster.start()
    (words,) = re.findall(r"^  objstore (ls --cluster .*)$", cluster.output(), re.M)
    assert cluster.request("PUT", "/listed")[0] == 201
    until(lambda: objstore(*shlex.split(words)) == (0, "listed\n", ""), "the container is listed")
    (line,) = re.findall(r"^  (curl .*)$", cluster.output(), re.M)
    here = f"{sys.executable} -m objstore.cli.main"
    line = line.replace("$(objstore ", f"$({here} ").replace("curl", "curl -s", 1)
    answer = subprocess.run(line, shell=True, capture_output=True, text=True)
    assert answer.stdout.startswith("HTTP/1.1 200"), answer


def test_a_user_added_to_a_running_cluster_can_log_in(cluster):
    cluster.start()
    cluster.add_user("photos:alice", "wonder", ".admin")
    headers = {"X-Storage-User": "photos:alice", "X-Storage-Pass": "wonder"}
    until(lambda: cluster.raw_request("GET", "/auth/v1.0", headers=headers)[0] == 200, "alice can log in")


def test_a_held_node_comes_back_with_its_data(cluster):
    cluster.start()
    cluster.kill_node("n1")
    status = cluster.status()
    assert {row["state"] for row in status["processes"] if row["node"] == "n1"} == {"held"}
    cluster.start_node("n1")
    assert len(cluster.pids("n1")) == 4


def test_a_reload_takes_a_new_setting_over(cluster):
    cluster.start()
    cluster.configure("filter:healthcheck", "disable_path", cluster.directory.root / "closed")
    (cluster.directory.root / "closed").touch()
    cluster.reload()
    assert cluster.raw_request("GET", "/healthcheck")[0] == 503


def test_policies_and_fractional_counts_of_nodes(tmp_path):
    with Cluster(tmp_path / "c", nodes=3, policies=("gold:3", "tin:2")) as cluster:
        assert cluster.request("PUT", "/tins", headers={"X-Storage-Policy": "tin"})[0] == 201
        assert cluster.request("HEAD", "/tins")[1]["x-storage-policy"] == "tin"


def test_tls_by_cert_file_and_key_file(cluster, tmp_path):
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1"]
        + ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"],
        capture_output=True,
    )
    if made.returncode:
        pytest.skip("no openssl command")
    cluster.configure("DEFAULT", "cert_file", tmp_path / "cert.pem")
    cluster.configure("DEFAULT", "key_file", tmp_path / "key.pem")
    cluster.start()
    url = cluster.endpoint.replace("http:", "https:")
    answer = subprocess.run(["curl", "-sk", f"{url}/healthcheck"], capture_output=True, text=True)
    assert answer.stdout == "OK"


def test_a_certificate_that_is_not_there_is_a_problem(cluster):
    cluster.configure("DEFAULT", "cert_file", "/nowhere.pem")
    lines = start_fails(cluster)
    assert "cert_file = '/nowhere.pem': expected a PEM file that is there" in lines[0]
    assert "key_file = '': expected a file, because cert_file is set" in "\n".join(lines)
