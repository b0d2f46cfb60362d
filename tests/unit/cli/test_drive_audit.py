"""objstore-drive-audit: what it finds in a log, which disks it would unmount, and when it refuses to."""

import io
import json
import time

import pytest

from objstore.cli.drive_audit import disks_below, judge, main, unmount
from objstore.daemon import recon

MOUNTS = [
    ("/dev/sda1", "/"),
    ("/dev/sdb1", "/srv/node/d1"),
    ("/dev/sdc", "/srv/node/d2"),
    ("/dev/sdd1", "/srv/node/d3/below"),
    ("tmpfs", "/srv/node/d4"),
]


def disks():
    return disks_below("/srv/node", MOUNTS)


def is_part_of(part, disk):
    return part.rstrip("0123456789") == disk != part


def judged(counts, limit=1, fails=""):
    found, done = disks(), []
    problems = judge(found, counts, limit, lambda path: done.append(path) or fails, is_part_of)
    return found, done, problems


def test_disks_are_what_is_mounted_right_below_the_directory():
    assert [(disk.path, disk.kernel_name) for disk in disks()] == [
        ("/srv/node/d1", "sdb1"),
        ("/srv/node/d2", "sdc"),
        ("/srv/node/d4", "tmpfs"),
    ]


@pytest.mark.parametrize(
    "counts, limit, unmounted",
    [
        ({"sdb1": 1}, 1, ["/srv/node/d1"]),
        ({"sdb": 1}, 1, ["/srv/node/d1"]),
        ({"sdb": 1, "sdb1": 1}, 2, ["/srv/node/d1"]),
        ({"sdb1": 1}, 2, []),
        ({"sda1": 9, "sdd1": 9, "sdzz": 9}, 1, []),
        ({}, 1, []),
    ],
)
def test_which_disks_are_unmounted(counts, limit, unmounted):
    found, done, problems = judged(counts, limit)
    assert (done, problems) == (unmounted, [])
    assert [disk.path for disk in found if disk.is_unmounted] == unmounted


def test_most_disks_at_once_are_no_fault_of_the_disks():
    found, done, (problem,) = judged({"sdb1": 1, "sdc": 1})
    assert done == [] and "2 of 3 disks have errors: nothing is unmounted" in problem
    assert [disk.is_bad for disk in found] == [True, True, False]


def test_one_that_cannot_be_unmounted_is_said():
    found, _, problems = judged({"sdc": 1}, fails="target is busy")
    assert problems == ["/srv/node/d2: cannot be unmounted (target is busy)"]
    assert not any(disk.is_unmounted for disk in found)


def test_what_is_not_mounted_cannot_be_unmounted(tmp_path):
    assert unmount(str(tmp_path)) != ""


@pytest.fixture
def conf(tmp_path):
    log = tmp_path / "kern.log"
    stamp = time.strftime("%b %e %H:%M:%S", time.localtime())
    log.write_text(f"{stamp} h kernel: end_request: I/O error, dev sdq1, sector 1\n{stamp} h kernel: all is well\n")
    path = tmp_path / "drive-audit.conf"
    path.write_text(
        f"[drive-audit]\ndevice_dir = {tmp_path}\nrecon_cache_path = {tmp_path}/cache\n"
        f"log_file_pattern = {tmp_path}/kern.*[!.][!g][!z]\n"
    )
    return path


def run(conf, *words):
    out, err = io.StringIO(), io.StringIO()
    code = main([str(conf), *words], stdout=out, stderr=err, environ={})
    return code, out.getvalue(), err.getvalue()


def test_errors_of_disks_that_hold_no_data_are_nothing_to_do(conf):
    code, output, error = run(conf, "--json")
    assert (code, json.loads(output), error) == (0, {"disks": [], "problems": []}, "")
    assert recon.read(recon.recon_file(conf.parent / "cache", "drive")) == {
        "drive_audit_errors": 0,
        "drive_audit_devices": [],
    }


def test_a_dry_run_leaves_no_trace(conf):
    assert run(conf, "--dry-run")[0] == 0
    assert not (conf.parent / "cache").exists()


@pytest.mark.parametrize(
    "line, expected",
    [
        ("error_limt = 1", "did you mean 'error_limit'?"),
        ("error_limit = 0", "a whole number, 1 or more"),
        ("regex_pattern_1 = (", "a regular expression"),
        ("regex_pattern_1 = error", "one group in it"),
        (r"regex_pattern_1 = (\w+).*(\w+)", "one group in it"),
    ],
)
def test_a_file_that_cannot_be_used_is_said(conf, line, expected):
    conf.write_text(conf.read_text() + line + "\n")
    code, _, error = run(conf)
    assert (code, expected in error) == (78, True), error


def test_no_section_no_file_no_log(conf, tmp_path):
    assert run(tmp_path / "none.conf")[0] == 78
    (tmp_path / "empty.conf").write_text("[other]\n")
    assert "a section [drive-audit]" in run(tmp_path / "empty.conf")[2]
    (tmp_path / "kern.log").unlink()
    code, _, error = run(conf)
    assert (code, "no log; see log_file_pattern" in error) == (1, True)
    (tmp_path / "kern.log").mkdir()
    assert "cannot be read (Is a directory)" in run(conf)[2]
