"""objstore-ring-builder: every command, its exit codes, and that an error changes nothing."""

import io
import json
import subprocess
import sys

import pytest

from objstore.cli.ring_builder import main
from objstore.cli.ring_builder_parser import EXAMPLES
from objstore.ring.builder_file import load_builder, save_builder
from objstore.ring.fileformat import load


class Tool:
    """Runs commands on one builder file, and keeps what was printed."""

    def __init__(self, directory):
        self.path = directory / "object.builder"
        self.ring = directory / "object.ring.gz"
        self.backups = directory / "backups"

    def __call__(self, *words, answer="", file=None):
        out, err = io.StringIO(), io.StringIO()
        arguments = [str(file or self.path), *map(str, words)]
        code = main(arguments, stdout=out, stderr=err, environ={}, stdin=io.StringIO(answer))
        self.out, self.err = out.getvalue(), err.getvalue()
        return code

    def json(self, *words, file=None):
        self.code = self(*words, "--json", file=file)
        return json.loads(self.out)

    @property
    def builder(self):
        return load_builder(self.path)


@pytest.fixture
def tool(tmp_path):
    return Tool(tmp_path)


@pytest.fixture
def ring(tool):
    """Four devices in four zones, balanced."""
    assert tool("create", 6, 3, 1) == 0
    for n in range(1, 5):
        assert tool("add", f"r1z{n}-10.0.0.{n}:6200R10.1.0.{n}:6300/sd{n}_rack{n}", 100) == 0
    assert tool("rebalance", "--seed", "s") == 0
    return tool


def test_create_makes_an_empty_builder_and_never_overwrites_one(tool):
    assert tool("create", 10, 3.5, 24) == 0
    builder = tool.builder
    assert (builder.part_power, builder.replicas, builder.min_part_hours) == (10, 3.5, 24)
    assert len(list(tool.backups.iterdir())) == 1
    assert tool("create", 10, 3, 24) == 2
    assert "exists already" in tool.err
    assert tool.builder.replicas == 3.5


@pytest.mark.parametrize("words", [(33, 3, 1), (8, 0, 1), (8, 3, -1), ("x", 3, 1)])
def test_create_refuses_impossible_rings(tool, words):
    assert tool("create", *words) == 2
    assert tool.err
    assert not tool.path.exists()


def test_add_takes_several_pairs_and_says_the_ids(tool):
    tool("create", 6, 3, 1)
    assert (
        tool("add", "r2z3-host.example.com:6200/sda", 50, "z1-[FE80::0:1]:6201R[::1]:6202/sdb_meta_with_x", "1.5") == 0
    )
    assert "got id 0" in tool.out and "got id 1" in tool.out
    assert "no region given" in tool.err
    first, second = tool.builder.live_devices()
    assert (first.region, first.zone, first.ip, first.replication_ip) == (2, 3, "host.example.com", "host.example.com")
    assert (second.region, second.ip, second.replication_ip, second.replication_port) == (1, "fe80::1", "::1", 6202)
    assert (second.device, second.meta, second.weight) == ("sdb", "meta_with_x", 1.5)


def test_add_takes_options(tool):
    tool("create", 6, 3, 1)
    address = "--ip ::1 --port 6200 --replication-ip 10.0.0.1 --replication-port 7"
    words = f"--region 3 --zone 4 {address} --device sda --weight 9".split()
    assert tool("add", *words, "--meta", "a b") == 0
    (device,) = tool.builder.live_devices()
    assert (device.region, device.zone, device.ip, device.replication_port, device.meta) == (3, 4, "::1", 7, "a b")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["r1z1-10.0.0.1:6200/sda"], "expected pairs"),
        ([], "expected pairs"),
        (["r1z1-10.0.0.1:6200", "100"], "describes no device"),
        (["r1z1-10.0.0:6200/sda", "100"], "expected an IPv4 or IPv6 address"),
        (["r1z1-10.0.0.1:0/sda", "100"], "port is 0"),
        (["r1z1-10.0.0.1:6200/..", "100"], "device name is '..'"),
        (["r1z1-10.0.0.1:6200/sda", "heavy"], "weight is 'heavy': expected a number"),
        (["r1z1-10.0.0.1:6200/sda", "nan"], "weight is nan"),
        (["r1z1-10.0.0.1:6200/sda", "1", "r1z2-10.0.0.1:6200/sda", "1"], "is at 10.0.0.1:6200/sda already"),
        (["--zone", "1", "--ip", "10.0.0.1"], "missing --port, --device, --weight"),
        (["r1z1-10.0.0.1:6200/sda", "1", "--zone", "1"], "not both"),
    ],
)
def test_a_bad_add_changes_nothing(tool, words, reason):
    tool("create", 6, 3, 1)
    before = tool.path.read_bytes()
    assert tool("add", *words) == 2
    assert reason in tool.err and tool.err.startswith("error: ") and tool.err.count("\n") == 1
    assert tool.path.read_bytes() == before


def test_without_a_command_the_ring_is_shown(ring):
    assert ring() == 0
    assert "64 partitions, 3.000000 replicas, 1 regions, 4 zones, 4 devices, 0.00 balance, 0.00 dispersion" in ring.out
    assert "is up-to-date" in ring.out
    assert "The minimum number of hours before a partition can be reassigned is 1 (" in ring.out
    lines = ring.out.splitlines()
    assert lines[-4].split() == "0 1 1 10.0.0.1:6200 10.1.0.1:6300 sd1 100.00 48 0.00 rack1".split()
    shown = ring.json()
    assert (shown["partitions"], shown["ring_file"], len(shown["devices"])) == (64, "up-to-date", 4)
    ring("set_weight", "d0", 50)
    ring("remove", "d1")
    ring()
    assert "is obsolete" in ring.out and " DEL " in ring.out


def test_meta_cannot_forge_a_line(ring):
    ring("set_info", "d0", "--change-meta", "x\n9 9 9")
    ring("show")
    assert "x\\n9 9 9" in ring.out


SEARCHES = {
    "d2": [2],
    "r1": [0, 1, 2, 3],
    "z2": [1],
    "r1z2": [1],
    "z2-10.0.0.2": [1],
    "10.0.0.3": [2],
    "-10.0.0.3": [2],
    "z2:6200": [1],
    ":6200": [0, 1, 2, 3],
    "R10.1.0.4": [3],
    "R:6300": [0, 1, 2, 3],
    "10.0.0.1R10.1.0.1": [0],
    "10.0.0.1:6200R10.1.0.1:6300/sd1_rack1": [0],
    "d0r1z1-10.0.0.1:6200R10.1.0.1:6300/sd1_rack1": [0],
    "/sd3": [2],
    "_rack": [0, 1, 2, 3],
    "_rack4": [3],
}


@pytest.mark.parametrize(("text", "ids"), SEARCHES.items(), ids=SEARCHES.keys())
def test_search_by_any_part(ring, text, ids):
    assert [device["id"] for device in ring.json("search", text)["devices"]] == ids


def test_search_by_options(ring):
    assert [device["id"] for device in ring.json("search", "--zone", 2, "--port", 6200)["devices"]] == [1]
    assert [device["id"] for device in ring.json("search", "--weight", 100)["devices"]] == [0, 1, 2, 3]
    assert ring("search", "--replication-ip", "10.1.0.2", "--device", "sd2") == 0
    assert "10.1.0.2:6300" in ring.out


@pytest.mark.parametrize(
    ("words", "reason"), [(["z9"], "no device matches"), ([], "which devices"), (["z1:x"], "describes no device")]
)
def test_a_search_without_a_result_is_an_error(ring, words, reason):
    assert ring("search", *words) == 2
    assert reason in ring.err


def test_list_parts_counts_replicas_per_partition(ring):
    listed = ring.json("list_parts", "d0", "d1")["partitions"]
    assert sum(entry["matches"] for entry in listed) == 96
    assert listed[0]["matches"] == 2
    assert ring("list_parts", "d0") == 0
    assert len(ring.out.splitlines()) == 49


def test_set_weight_region_and_zone(ring):
    assert ring("set_weight", "d0", 10, "d1", 20) == 0
    assert ring("set_region", "d2", 7) == 0
    assert ring("set_zone", "--ip", "10.0.0.4", 9) == 0
    devices = list(ring.builder.live_devices())
    assert [device.weight for device in devices] == [10, 20, 100, 100]
    assert (devices[2].region, devices[3].zone) == (7, 9)


def test_several_matches_are_changed_only_on_yes(ring):
    before = ring.path.read_bytes()
    for answer in ("", "\n", "n\n", "maybe\n"):
        assert ring("set_weight", ":6200", 1, answer=answer) == 2
        assert ring.path.read_bytes() == before
    assert "these 4 devices" in ring.out and "not confirmed" in ring.err
    assert ring("set_weight", ":6200", 1, answer="y\n") == 0
    assert ring("remove", "_rack", "--yes") == 0
    assert all(device.weight == 0 for device in ring.builder.live_devices())


def test_set_info_changes_what_is_given(ring):
    assert ring("set_info", "d0", "[::5]:7200R10.9.9.9:7300/sdx_new") == 0
    assert ring("set_info", "d1", "--change-ip", "10.0.0.77", "--change-port", 6999) == 0
    assert ring("set_info", "d2", ":6111") == 0
    first, second, third, _ = ring.builder.live_devices()
    assert (first.ip, first.port, first.replication_ip, first.replication_port) == ("::5", 7200, "10.9.9.9", 7300)
    assert (first.device, first.meta) == ("sdx", "new")
    assert (second.ip, second.port, second.replication_ip) == ("10.0.0.77", 6999, "10.1.0.2")
    assert (third.ip, third.port) == ("10.0.0.3", 6111)
    assert ring("set_info", "d0", "") == 2


def test_remove_and_rebalance(ring):
    assert ring("remove", "d3") == 0
    report = ring.json("rebalance")
    assert ring.code == 0
    assert (report["removed_devices"], report["placed_replicas"], report["moved_replicas"]) == ([3], 48, 0)
    assert ring.builder.devices[3] is None
    assert load(ring.ring).devices[3] is None


def test_rebalance_writes_builder_ring_and_backups(ring):
    assert load(ring.ring).version == ring.builder.version
    kinds = [path.name.split(".", 1) for path in ring.backups.iterdir()]
    assert all(stamp.isdigit() for stamp, _ in kinds)
    assert {name for _, name in kinds} == {"object.builder", "object.ring.gz"}
    newest = max(path for path in ring.backups.iterdir() if path.name.endswith(".ring.gz"))
    assert newest.read_bytes() == ring.ring.read_bytes()


def test_a_rebalance_with_nothing_to_do_is_a_warning(ring):
    before = ring.path.read_bytes()
    assert ring("rebalance") == 1
    assert "No partitions needed to be reassigned" in ring.out
    assert ring.path.read_bytes() == before


def test_a_rebalance_waits_for_min_part_hours_unless_told_otherwise(ring):
    ring("add", "r1z5-10.0.0.5:6200/sd5", 100)
    assert ring("rebalance") == 1
    assert "wait until min_part_hours (1) have passed" in ring.out
    assert ring("pretend_min_part_hours_passed") == 0
    assert ring("rebalance", "--debug") == 0
    assert "Reassigned 38" in ring.out and "moved" in ring.out


def test_a_rebalance_that_leaves_work_is_a_warning(ring):
    for n in range(5, 17):
        ring("add", f"r1z{n}-10.0.0.{n}:6200/sd{n}", 100)
    ring("pretend_min_part_hours_passed")
    assert ring("rebalance") == 1
    assert "push this ring, wait at least 1 hours, and rebalance again" in ring.out


def test_a_small_gain_is_saved_only_by_force(tool):
    tool("create", 10, 1, 0)
    for n in range(4):
        tool("add", f"r1z{n}-10.0.0.{n}:6200/sda", 100)
    tool("rebalance", "--seed", "1")
    tool("set_weight", "d0", 101)
    before = tool.path.read_bytes()
    assert tool("rebalance") == 1
    assert "Not saved" in tool.out and tool.path.read_bytes() == before
    assert tool("rebalance", "--force") == 0
    assert load(tool.ring).version == tool.builder.version


def test_the_seed_decides(tmp_path):
    rings = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        tool = Tool(tmp_path / name)
        tool("create", 6, 3, 1)
        for n in range(5):
            tool("add", f"r1z{n}-10.0.0.{n}:6200/sda", 100)
        tool("rebalance", "--seed", "2026")
        rings.append(tool.ring.read_bytes())
    assert rings[0] == rings[1]


def test_settings(ring):
    assert ring("set_replicas", 3.25) == 0
    assert ring("set_min_part_hours", 5) == 0
    assert ring("set_overload", "10%") == 0
    assert ring.builder.overload == 0.1
    assert ring("set_overload", "0.25") == 0
    assert (ring.builder.overload, ring.builder.replicas, ring.builder.min_part_hours) == (0.25, 3.25, 5)
    assert ring("set_overload", "10") == 1
    assert "means 1000%" in ring.err
    for words in (("set_overload", "much"), ("set_overload", "-1%"), ("set_replicas", 0), ("set_min_part_hours", 999)):
        assert ring(*words) == 2


def test_validate(ring):
    assert ring("validate") == 0
    ring("set_replicas", 4)
    assert ring("validate") == 1
    assert "number of replicas" in ring.out
    builder = ring.builder
    builder.rows[0][5] = 0xFFFF
    save_builder(builder, ring.path)
    assert ring("dispersion") in (0, 1)
    report = ring.json("validate")
    assert ring.code == 2
    assert report["errors"] == ["1 replicas are on no device: rebalance the ring"]


def test_dispersion_by_tier(ring):
    assert ring("dispersion") == 0
    assert "Dispersion is 0.000000" in ring.out
    tiers = ring.json("dispersion", "r1z[12]$")["tiers"]
    assert [tier["tier"] for tier in tiers] == ["r1z1", "r1z2"]
    assert tiers[0]["partitions_by_replicas"] == [16, 48, 0, 0]
    assert len(ring.json("dispersion", "-v")["tiers"]) == 13
    ring("set_zone", "d1", 1)
    assert ring("dispersion", "--recalculate") == 1
    assert "r1z1" in ring.out
    assert ring.builder.dispersion > 0
    assert ring("dispersion", "[") == 2


def test_version(ring):
    version = ring.builder.version
    assert ring("version") == 0
    assert f"build version {version}" in ring.out
    assert ring.json("version")["version"] == version


def test_write_ring_in_both_formats(ring):
    ring("set_info", "d0", ":6999")
    assert ring("write_ring") == 0
    one = load(ring.ring)
    assert one.devices[0].port == 6999
    assert ring("write_ring", "--format-version", 2, "--dev-id-bytes", 4) == 0
    two = load(ring.ring)
    assert [list(row) for row in two.rows] == [list(row) for row in one.rows]
    assert two.rows[0].itemsize == 4
    assert ring("write_ring", "--dev-id-bytes", 4) == 2
    ring("set_weight", "d0", 1)
    assert ring("write_ring") == 1


def test_write_ring_before_a_rebalance_is_an_error(tool):
    tool("create", 6, 3, 1)
    assert tool("write_ring") == 2
    assert "rebalance it first" in tool.err
    assert not tool.ring.exists()


def test_write_builder_brings_a_lost_builder_back(ring):
    lost = ring.builder
    assert ring("write_builder", file=ring.ring) == 2
    ring.path.unlink()
    assert ring("write_builder", 12, file=ring.ring) == 0
    found = ring.builder
    assert (found.rows, found.devices, found.replicas) == (lost.rows, lost.devices, lost.replicas)
    assert (found.version, found.min_part_hours) == (lost.version, 12)


@pytest.mark.parametrize("data", [b"", b"garbage", b"cos\nsystem\n(S'true'\ntR."])
@pytest.mark.parametrize("command", [["show"], ["rebalance"], ["search", "d1"], ["set_replicas", "2"]])
def test_a_corrupt_builder_is_one_clear_error(tool, data, command):
    tool.path.write_bytes(data)
    assert tool(*command) == 2
    assert tool.err.startswith(f"error: {tool.path}: bad builder file: ") and tool.err.count("\n") == 1
    assert tool.path.read_bytes() == data


def test_a_missing_builder_and_directory_are_clear_errors(tool, tmp_path):
    assert tool() == 2
    assert "No such file" in tool.err
    assert tool("create", 6, 3, 1, file=tmp_path / "none" / "object.builder") == 2
    assert "No such file" in tool.err


def test_a_corrupt_ring_does_not_stop_the_builder(ring):
    ring.ring.write_bytes(b"garbage")
    assert ring() == 0
    assert "is unreadable" in ring.out


@pytest.mark.parametrize("command", sorted(EXAMPLES))
def test_help_has_an_example_of_every_command(tool, command):
    assert tool(command, "--help") == 0
    assert f"example: objstore-ring-builder {EXAMPLES[command]}" in tool.out
    assert "exit codes:" in tool.out


def test_help_and_unknown_commands(tool):
    assert tool("--help") == 0
    assert "rebalance" in tool.out
    assert tool("frobnicate") == 2
    assert "invalid choice" in tool.err


def test_a_reader_that_leaves_early_is_no_error(ring):
    """objstore-ring-builder … | head -1"""
    command = [sys.executable, "-m", "objstore.cli.ring_builder", str(ring.path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    _, complaint = process.communicate(timeout=60)
    assert (process.returncode, complaint) == (0, b"")
