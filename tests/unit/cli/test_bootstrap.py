"""bin/objstore before anything is installed: a copy of it in a checkout that has nothing else."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

BIN = Path(__file__).parents[3] / "bin"


class Checkout:
    """bin/objstore, a pyproject.toml, and a python3 that does what `answers` say instead of the real one."""

    def __init__(self, root):
        self.root = root
        (root / "bin").mkdir()
        shutil.copy(BIN / "objstore", root / "bin")
        shutil.copy(BIN / "objstore-object-server", root / "bin")
        (root / "pyproject.toml").write_text("[project]\n")
        self.tools = root / "tools"
        self.tools.mkdir()

    def script(self, path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def python3(self, text):
        self.script(self.tools / "python3", text)

    def installed(self):
        """What a finished bootstrap leaves; its python prints what it is called with."""
        self.script(self.root / ".venv/bin/python", 'echo "$OBJSTORE_COMMAND" "$@"')
        stamp = hashlib.sha256((self.root / "pyproject.toml").read_bytes()).hexdigest()
        (self.root / ".venv/.objstore-stamp").write_text(stamp + "\n")

    def run(self, *arguments, name="objstore", cwd="/"):
        path = f"{self.tools}:{os.environ['PATH']}"
        return subprocess.run(
            [self.root / "bin" / name, *arguments], cwd=cwd, env={"PATH": path}, capture_output=True, text=True
        )


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


@pytest.mark.parametrize(
    ("python3", "said"),
    [
        ("case $2 in *version_info*) exit 1;; esac", "Python 3.11 or later is needed as python3"),
        ("case $2 in *ensurepip*) exit 1;; esac", "apt install python3-venv"),
        ("case $2 in venv) exit 1;; esac", "is the checkout writable"),
        (
            'case $2 in venv) mkdir -p "$4/bin"; cp /bin/false "$4/bin/pip";; esac',
            "is the package registry reachable",
        ),
    ],
    ids=["old python", "no venv module", "no room", "no registry"],
)
def test_what_is_missing_is_said_with_exit_code_78(checkout, python3, said):
    checkout.python3(python3)
    result = checkout.run("status", "x")
    assert result.returncode == 78
    assert said in result.stderr.splitlines()[-1]


def test_an_installed_checkout_runs_at_once_from_anywhere(checkout, tmp_path):
    checkout.installed()
    link = tmp_path / "link"
    link.symlink_to(checkout.root / "bin/objstore")
    result = subprocess.run([link, "up", "a b"], cwd="/", capture_output=True, text=True)
    assert result.stdout == f"{checkout.root}/bin/objstore -P -m objstore.cli.main up a b\n"
    assert checkout.run("c", name="objstore-object-server").stdout.endswith("-m objstore.cli.object_server c\n")


def test_a_changed_pyproject_installs_again(checkout):
    checkout.installed()
    (checkout.root / "pyproject.toml").write_text("[project]\n# more\n")
    checkout.script(checkout.root / ".venv/bin/pip", 'echo "pip $*" >> "${0%/*}/../../called"')
    checkout.python3("exit 0")
    assert checkout.run("status").stdout.endswith("objstore.cli.main status\n")
    assert checkout.run("status").returncode == 0
    assert (checkout.root / "called").read_text().count("pip install") == 1
