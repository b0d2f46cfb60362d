"""tests/support/second_try.py: what failed while others ran is run once more."""

import subprocess
import sys

import pytest

from tests.support.second_try import MOST

TESTS = """
import pathlib

def test_unsteady():
    seen = pathlib.Path(__file__).with_name("seen")
    if not seen.exists():
        seen.touch()
        raise AssertionError("the first time")

def test_right():
    pass

def test_wrong():
    assert False

"""


def run(*arguments, cwd):
    return subprocess.run([sys.executable, "-m", *arguments], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture
def project(tmp_path):
    """(names of tests) → exit codes of a run of them and of the second try, and what the second printed."""
    (tmp_path / "test_them.py").write_text(TESTS)
    (tmp_path / "tests").symlink_to(sys.modules["tests"].__path__[0])

    def twice(*names):
        first = run("pytest", "-o", "cache_dir=cache", *(f"test_them.py::{name}" for name in names), cwd=tmp_path)
        second = run("tests.support.second_try", "cache", "no-cache", cwd=tmp_path)
        return first.returncode, second.returncode, second.stdout

    return twice


def test_what_passes_alone_is_named_and_fails_nothing(project):
    first, second, output = project("test_unsteady", "test_right")
    assert (first, second) == (1, 0)
    assert output.splitlines()[-1].startswith("== UNSTEADY") and output.endswith("test_them.py::test_unsteady\n")
    assert "1 passed" in output


def test_what_fails_twice_fails(project):
    first, second, output = project("test_unsteady", "test_wrong")
    assert (first, second) == (1, 1)
    assert "UNSTEADY" not in output and "1 failed, 1 passed" in output


def test_many_failures_are_no_accident(project, tmp_path):
    many = "".join(f"def test_{number}(): assert False\n" for number in range(MOST + 1))
    (tmp_path / "test_them.py").write_text(many)
    first, second, output = project(*(f"test_{number}" for number in range(MOST + 1)))
    assert (first, second) == (1, 1)
    assert f"{MOST + 1} tests failed: too many" in output


def test_a_run_that_failed_without_a_test_has_failed(project):
    first, second, output = project("test_right")
    assert (first, second, output) == (0, 1, "")
