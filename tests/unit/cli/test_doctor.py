"""What doctor finds, and that it leaves nothing behind."""

import errno
import json
import os
import resource
from pathlib import Path

import pytest

from objstore.cli.doctor_admission import admitted, of_admission
from objstore.cli.doctor_checks import FILES_MIN, of_clock, of_limits, of_modes, of_ports, of_rings, of_rsync
from objstore.cli.doctor_disks import of_disk, of_disks
from objstore.cluster import rsyncd
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.servers import read_servers
from objstore.runtime.fs import Fs
from objstore.runtime.listen import listen
from tests.support.cluster import objstore

NOW_S = 1_800_000_000.0
OF_THE_TEST_MACHINE = {"ports", "space", "rsync", "limits", "fsync", "clock"}


@pytest.fixture
def directory(tmp_path):
    code, _, error = objstore("init", tmp_path / "c", "--nodes", 2, "--port", 0, "--part-power", 4)
    assert code == 0, error
    return ClusterDirectory(tmp_path / "c")


def whats(directory, *words):
    code, output, error = objstore("doctor", directory, *words, "--json")
    found = json.loads(output)["findings"]
    assert (code, error) == (1 if found else 0, "")
    assert all(each["text"] and each["fix"] and "\n" not in each["text"] + each["fix"] for each in found)
    return {each["what"] for each in found} - OF_THE_TEST_MACHINE


def test_a_new_cluster_is_healthy_and_nothing_is_left_on_its_disks(directory):
    assert whats(directory.root) == set()
    assert not list(directory.nodes.rglob(".doctor*"))


def test_a_configuration_that_is_wrong_is_a_finding(directory):
    conf = directory.server_conf("n1", "object")
    conf.write_text(conf.read_text().replace("mount_check", "mount_chek"))
    assert whats(directory.root) == {"configuration"}


def test_root_secrets_that_cannot_be_used_are_a_finding(directory):
    conf = directory.proxy_conf
    conf.write_text(
        conf.read_text().replace("symlink proxy-logging", "symlink keymaster encryption proxy-logging")
        + "\n[filter:encryption]\nuse = egg:objstore#encryption\n"
        + f"\n[filter:keymaster]\nuse = egg:swift#keymaster\nkeymaster_config_path = {conf.parent}/keymaster.conf\n"
    )
    assert whats(directory.root) == {"configuration"}
    secrets = conf.parent / "keymaster.conf"
    secrets.write_text("[keymaster]\nencryption_root_secret = planted\n")
    secrets.chmod(0o600)
    _, output, _ = objstore("doctor", directory.root)
    assert "base64 of 32 bytes or more" in output and "planted" not in output
    secrets.write_text(f"[keymaster]\nencryption_root_secret = {'A' * 43}=\n")
    assert whats(directory.root) == set()


def test_a_machine_is_looked_at_by_its_configuration(directory):
    assert whats("--conf", directory.etc) == set()
    (directory.etc / "swift.conf").unlink()
    assert whats("--conf", directory.etc) == {"configuration"}


def test_it_says_whom_storage_servers_admit(directory):
    code, output, _ = objstore("doctor", directory.root, "--json")
    assert "127.0.0.1" in json.loads(output)["admitted"]
    _, output, _ = objstore("doctor", directory.root)
    assert output.startswith("storage servers admit: ") and "127.0.0.1" in output
    assert "rsync admits" not in output
    served = rsyncd.text(rsyncd.Listening("10.0.0.1", 6203), [], "lock", None, ["10.0.0.2", "10.1.0.0/16"])
    (directory.etc / "rsyncd.conf").write_text(served)
    _, output, _ = objstore("doctor", directory.root)
    assert "rsync admits: 10.0.0.1 10.0.0.2 10.1.0.0/16" in output.splitlines()


def test_storage_servers_that_admit_everybody_are_a_finding(directory):
    for kind in ("object", "container"):
        conf = directory.server_conf("n1", kind)
        conf.write_text(conf.read_text().replace("admit = rings", "admit = all").replace("127.0.0.1", "0.0.0.0", 1))
    (finding,) = of_admission(read_servers(directory))
    assert finding.what == "admission" and "object-server 0.0.0.0:" in finding.text
    assert "admit = rings" in finding.fix
    assert "all" in admitted(read_servers(directory))


@pytest.mark.parametrize("words", [[], ["a", "--conf", "b"]], ids=["neither", "both"])
def test_one_place_is_asked_about(words):
    code, _, error = objstore("doctor", *words)
    assert (code, error) == (2, "objstore: expected DIR or --conf DIR\n")


@pytest.mark.parametrize(
    ("mode", "is_found"), [(0o600, False), (0o640, False), (0o644, True), (0o660, True), (0o604, True)]
)
def test_secrets_are_kept_from_others(tmp_path, mode, is_found):
    file = tmp_path / "swift.conf"
    file.touch()
    file.chmod(mode)
    assert bool(list(of_modes([file, tmp_path / "missing"]))) is is_found


def test_a_clock_of_another_year_is_found():
    (finding,) = of_clock(lambda: 86_400.0, lambda: 0.0, lambda _: None)
    assert "1970-01-02" in finding.text


def test_a_clock_that_steps_is_found():
    walls = iter([NOW_S, NOW_S + 3600])
    assert [each.what for each in of_clock(lambda: next(walls), lambda: 0.0, lambda _: None)] == ["clock"]


@pytest.mark.parametrize(
    ("hard", "count"), [(1024, 1), (FILES_MIN, 0), (resource.RLIM_INFINITY, 0)], ids=["few", "enough", "no limit"]
)
def test_few_open_files_are_found(hard, count):
    assert len(list(of_limits(lambda _: (hard, hard)))) == count


def test_a_missing_rsync_is_said_once(directory):
    assert len(list(of_rsync(read_servers(directory), lambda _: None))) == 1
    assert not list(of_rsync(read_servers(directory), lambda _: "/usr/bin/rsync"))


def test_rings_that_differ_between_two_servers_are_found(directory):
    other = directory.root / "other"
    other.mkdir()
    (other / "object.ring.gz").write_bytes(b"another")
    for name in ("account", "container"):
        os.link(directory.etc / f"{name}.ring.gz", other / f"{name}.ring.gz")
    conf = directory.server_conf("n2", "object")
    conf.write_text(conf.read_text().replace("swift_dir = ", f"swift_dir = {other}\n# "))
    servers = read_servers(directory)
    assert [each.text.count("object.ring.gz") for each in of_rings(servers)] == [2]


def test_ports_are_taken_or_silent(directory):
    (server, *_) = read_servers(directory)
    with listen(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        conf = directory.server_conf(server.node, "object")
        conf.write_text(conf.read_text().replace(f"bind_port = {server.address[1]}", f"bind_port = {port}"))
        moved = [each for each in read_servers(directory) if each.address[1] == port]
        assert [each.what for each in of_ports(moved, False)] == ["ports"]
        assert not list(of_ports(moved, True))
        assert not list(of_ports(moved, None))
    assert [each.what for each in of_ports(moved, True)] == ["ports"]


def of_a_disk(path, **more):
    return [each.what for each in of_disk(path, False, **more) if each.what not in OF_THE_TEST_MACHINE]


def test_a_disk_that_is_not_mounted_is_found(tmp_path):
    assert [each.what for each in of_disk(tmp_path, True)] == ["disks"]


class NoAttributes(Fs):
    def set_attributes(self, target, attributes):
        raise OSError(errno.EOPNOTSUPP, "not supported")


class Broken(Fs):
    def sync(self, fd):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize(("fs", "what"), [(NoAttributes(), "xattrs"), (Broken(), "disks")])
def test_a_disk_that_cannot_do_what_is_needed_is_found_and_left_clean(tmp_path, fs, what):
    assert of_a_disk(tmp_path, fs=fs) == [what]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "is_found"),
    [
        ("1800000300.00000.data", True),
        ("1800000300.00000.ts", True),
        ("1800000030.00000.data", False),
        ("1700000000.00000.meta", False),
        ("strange.data", False),
        ("1800000300.00000.txt", False),
    ],
)
def test_timestamps_of_the_future_are_found(tmp_path, name, is_found):
    file = tmp_path / "objects-1" / "7" / "abc" / ("a" * 32) / name
    file.parent.mkdir(parents=True)
    file.touch()
    assert of_a_disk(tmp_path, now=lambda: NOW_S) == (["timestamps"] if is_found else [])


def test_a_directory_of_devices_that_is_gone_is_found(directory):
    servers = read_servers(directory)
    for path in sorted(Path(directory.nodes / "n1").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (directory.nodes / "n1").rmdir()
    assert "disks" in [each.what for each in of_disks(servers)]
