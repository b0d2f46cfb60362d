"""replication/rsync_module.py and rsync_push.py: what rsync is told, and what it must never be told."""

import pytest

from objstore.replication.rsync_module import checked_module, module_of
from objstore.replication.rsync_push import TEMPORARY_PATTERN, Pushed, RsyncPush
from objstore.ring.model import Node
from tests.support.rings import make_device

MODULE = "{replication_ip}::object"


def node(**fields):
    return Node(make_device(3, **fields), index=0)


MODULES = {
    "Swift's default": (MODULE, {"ip": "10.0.0.1"}, "10.0.0.1::object"),
    "IPv6": (MODULE, {"ip": "fe80::1"}, "[fe80::1]::object"),
    "per device": ("{ip}::object_{device}", {"ip": "10.0.0.1"}, "10.0.0.1::object_sd3"),
    "a port": ("rsync://{ip}:8730/object_{replication_port}", {"ip": "10.0.0.1"}, "rsync://10.0.0.1:8730/object_7200"),
    "a slash at the end": ("{ip}::object/", {"ip": "10.0.0.1"}, "10.0.0.1::object"),
}


@pytest.mark.parametrize("template, fields, expected", MODULES.values(), ids=MODULES)
def test_a_template_names_a_nodes_module(template, fields, expected):
    assert module_of(checked_module(template), node(**fields)) == expected


@pytest.mark.parametrize(
    "template",
    ["", "/srv/node", "host:/path", "{ip}:/srv", "-e sh::x", "{nobody}::object", "{ip.__class__}::x", "a b::c", "::x"],
)
def test_what_is_no_module_of_a_daemon_is_refused(template):
    with pytest.raises(ValueError):
        checked_module(template)


@pytest.mark.parametrize("ip", ["-e", "--rsh=sh", "host:/etc", "a/b", "a b"])
def test_a_ring_cannot_turn_a_module_into_something_else(ip):
    with pytest.raises(ValueError):
        module_of(MODULE, node(ip=ip))


def test_a_module_does_not_lead_out_of_itself():
    with pytest.raises(ValueError):
        module_of("{ip}::object/{meta}", node(ip="10.0.0.1", meta="../../etc"))


def test_a_push_is_one_rsync_of_suffixes_into_the_partition():
    push = RsyncPush(MODULE, io_timeout_s=7, bandwidth_kb_s=500)
    command = push.command(node(ip="10.0.0.1"), 1, "220", ["bbb", "aaa"])
    assert command[0] == "rsync"
    assert command[-4:] == ["--", "aaa", "bbb", "10.0.0.1::object/sd3/objects-1/220"]
    assert {"--recursive", "--whole-file", "--xattrs", "--ignore-existing"} <= set(command)
    assert {"--timeout=7", "--contimeout=7", "--bwlimit=500", f"--exclude={TEMPORARY_PATTERN}"} <= set(command)


@pytest.mark.parametrize("is_far, expected", [(True, True), (False, False)])
def test_only_what_goes_far_is_compressed(is_far, expected):
    command = RsyncPush(MODULE, is_compressed=True).command(node(ip="10.0.0.1"), 0, "1", ["aaa"], is_far=is_far)
    assert ("--compress" in command) == expected


@pytest.mark.parametrize(
    "device, partition, suffixes",
    [
        ("..", "1", ["aaa"]),
        ("a/b", "1", ["aaa"]),
        ("sda", "../1", ["aaa"]),
        ("sda", "1", ["../"]),
        ("sda", "1", ["-e"]),
    ],
)
def test_path_tricks_never_reach_a_command(device, partition, suffixes):
    with pytest.raises(ValueError):
        RsyncPush(MODULE).command(node(ip="10.0.0.1", device=device), 0, partition, suffixes)


def script(tmp_path, text):
    path = tmp_path / "rsync"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return [str(path)]


OUTPUT = "echo '<f+++++++++ aaa/h/1.data'; echo 'cd+++++++++ aaa/'; echo '<f+++++++++ aaa/h/1.meta'"
RUNS = {
    "well": (f"{OUTPUT}; exit 0", Pushed(2)),
    "files vanished": (f"{OUTPUT}; exit 24", Pushed(2)),
    "failed": ("echo no room; exit 11", Pushed(0, "rsync ended with 11: no room")),
    "no daemon": ("echo refused; exit 10", Pushed(0, "rsync ended with 10: refused", True)),
    "no such module": ("echo unknown; exit 5", Pushed(0, "rsync ended with 5: unknown", True)),
}


@pytest.mark.parametrize("text, expected", RUNS.values(), ids=RUNS)
def test_how_rsync_ended_is_understood(tmp_path, text, expected):
    assert RsyncPush(MODULE).run(script(tmp_path, text), str(tmp_path)) == expected


def test_a_push_that_takes_too_long_is_ended(tmp_path):
    pushed = RsyncPush(MODULE, timeout_s=0.1).run(script(tmp_path, "exec sleep 60"), str(tmp_path))
    assert "rsync_timeout" in pushed.failure and not pushed.has_no_daemon


def test_a_machine_without_rsync_goes_in_band(tmp_path):
    assert RsyncPush(MODULE).run([str(tmp_path / "absent")], str(tmp_path)).has_no_daemon
