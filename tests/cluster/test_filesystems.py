"""The object engine on each file system it is promised for: its whole suites, run once more on a fresh mount."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.packages import ToolsMissing, programs

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
SUITES = ("tests/unit/storage", "tests/unit/object", "tests/unit/test_fs.py")
IMAGE_BYTES = 400 << 20  # xfs refuses less than 300 MiB.
MAKERS = {"ext4": ("mkfs.ext4", "e2fsprogs"), "xfs": ("mkfs.xfs", "xfsprogs")}


@pytest.fixture
def mounted(tmp_path):
    """mounted(kind) → an empty directory on a new file system of that kind."""
    points = []

    def mount(kind):
        point = tmp_path / kind
        point.mkdir()
        if kind == "tmpfs":
            command = ["mount", "-t", "tmpfs", "-o", "size=1g", "none", point]
        else:
            command = ["mount", "-o", "loop", image_of(kind, tmp_path / "image"), point]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"no {kind} mount here: {done.stderr.strip()}")
        points.append(point)
        return point

    yield mount
    for point in points:
        subprocess.run(["umount", "--lazy", point], check=True)


def image_of(kind, path):
    program, package = MAKERS[kind]
    try:
        maker = programs({program: package})[program]
    except ToolsMissing as error:
        pytest.skip(str(error))
    with open(path, "wb") as image:
        image.truncate(IMAGE_BYTES)
    subprocess.run([maker, "-q", path], check=True, capture_output=True)
    return path


@pytest.mark.long
@pytest.mark.parametrize("kind", ["ext4", "xfs", "tmpfs"])
def test_the_engine_keeps_its_contract(mounted, kind):
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    directory = mounted(kind)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--basetemp={directory}/tests", *SUITES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
