"""pyproject.toml, setup.cfg, tox.ini, bin/ and the code agree with each other."""

import configparser
import importlib
import os
import tomllib
from pathlib import Path

import pytest

import objstore

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ENTRY_POINTS = [
    (group, name, target)
    for group, names in PROJECT["project"]["entry-points"].items()
    for name, target in names.items()
]


def test_version_is_said_once_and_the_same():
    assert PROJECT["project"]["version"] == objstore.__version__


def test_setup_cfg_says_nothing_that_pyproject_says():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert set(setup.sections()) <= {"sdist"}


def test_tox_runs_what_runtests_runs():
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    commands = "\n".join(tox[section].get("commands", "") for section in tox.sections())
    script = (ROOT / "bin" / "runtests").read_text()
    for tool in ("ruff check", "mypy", "pytest"):
        assert tool in commands
        assert tool in script


@pytest.mark.parametrize(("group", "name", "target"), ENTRY_POINTS, ids=lambda value: value)
def test_every_paste_entry_point_is_a_factory_with_its_settings(group, name, target):
    module, _, attribute = target.partition(":")
    factory = getattr(importlib.import_module(module), attribute)
    assert callable(factory)
    assert factory.settings_class.keys() is not None


def test_commands_in_bin_are_executable_and_short():
    for path in (ROOT / "bin").iterdir():
        assert os.access(path, os.X_OK), f"{path.name} is not executable"
        assert len(path.read_text().splitlines()) < 120, f"{path.name}: logic belongs in objstore/cli"


@pytest.mark.parametrize("module", sorted(path.stem for path in (ROOT / "benchmarks").glob("[a-z]*.py")))
def test_every_benchmark_can_be_imported(module):
    importlib.import_module(f"benchmarks.{module}")
