"""A client that logs in to Keystone by itself, and finds the store in its catalogue: rclone, unmodified."""

import os
import subprocess

import pytest

from objstore.runtime import green
from tests.support.http import running_server
from tests.support.keystone import running_keystone
from tests.support.packages import ToolsMissing, programs
from tests.support.storage_nodes import StorageNodes
from tests.unit.middleware.keystone.test_whole_pipeline import Site

pytestmark = pytest.mark.long
_threads = green.ThreadPool(1)


@pytest.fixture(scope="module")
def rclone():
    try:
        return str(programs({"rclone": "rclone"})["rclone"])
    except ToolsMissing as error:
        pytest.skip(str(error))


@pytest.fixture
def store(tmp_path):
    """(keystone, site), served over HTTP."""
    users = {"alice": ("alices-password", ("admin",)), "mallory": ("mallorys-password", ("Member",))}
    with StorageNodes(tmp_path) as nodes, running_keystone(users=users) as keystone:
        site = Site(nodes.proxy(), keystone)
        with running_server(site.app) as server:
            keystone.object_store = f"http://{server.host}:{server.port}/v1/AUTH_p1-id"
            yield keystone, site
        site.outgoing.close()


def run(rclone, keystone, user, password, *arguments):
    """In a native thread: Keystone and the store answer in this one."""
    remote = {
        "TYPE": "swift",
        "AUTH": f"{keystone.url}/v3",
        "USER": user,
        "KEY": password,
        "DOMAIN": "default",
        "TENANT": "p1",
        "TENANT_DOMAIN": "default",
        "AUTH_VERSION": "3",
    }
    environ = {**os.environ, **{f"RCLONE_CONFIG_K_{name}": value for name, value in remote.items()}}
    command = [rclone, "--config", "/dev/null", "--retries", "1", "--low-level-retries", "1", *arguments]
    call = _threads.start(_finished, command, environ)
    return call.join()


def _finished(command, environ):
    return subprocess.run(command, env=environ, capture_output=True, timeout=120)


def test_rclone_logs_in_and_keeps_files(rclone, store, tmp_path):
    keystone, _ = store
    alice = ("alice", "alices-password")
    (tmp_path / "file").write_bytes(b"kept" * 1000)
    for arguments in (("mkdir", "K:c"), ("copyto", str(tmp_path / "file"), "K:c/folder/file")):
        done = run(rclone, keystone, *alice, *arguments)
        assert done.returncode == 0, done.stderr.decode()
    assert run(rclone, keystone, *alice, "cat", "K:c/folder/file").stdout == b"kept" * 1000
    assert sorted(run(rclone, keystone, *alice, "lsf", "-R", "K:c").stdout.split()) == [b"folder/", b"folder/file"]
    checked = run(rclone, keystone, *alice, "check", "--include", "file", str(tmp_path), "K:c/folder")
    assert checked.returncode == 0, checked.stderr.decode()


@pytest.mark.parametrize(("user", "password"), [("alice", "wrong"), ("mallory", "mallorys-password")])
def test_rclone_is_refused_for_others(rclone, store, user, password):
    keystone, site = store
    assert site.ask("PUT", "/v1/AUTH_p1-id/c", user="owner", project="p1").status == 201
    assert site.ask("PUT", "/v1/AUTH_p1-id/c/o", body=b"mine", user="owner", project="p1").status == 201
    done = run(rclone, keystone, user, password, "cat", "K:c/o")
    assert done.returncode != 0 and b"mine" not in done.stdout
