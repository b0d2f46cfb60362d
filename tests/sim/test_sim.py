"""The simulator itself: many seeds are fine, one seed is always the same, and what is broken on purpose is noticed.

A run wants a process that has not seen the real clock (tests/sim/host.py): each test starts one.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE_S = 1800

CAUGHT_BY = {
    "no fsync": "8..20",
    "lost on the way": "6..12",
    "tombstones forgotten": "4..12",
    "oldest wins": "1..6",
    "last row wins": "1..6",
    "early removal": "55..70",
}
"""Mutations, and seeds among which one notices."""

FOUND = {
    66: "a lent server that stores a PUT of which the client hears 503 knew of no container server to tell",
    73: "the container servers of those lost after the footers were told of by nobody when the client heard 503",
}
"""Seeds that found something, and what."""


def simulate(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tests.sim", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S
    )


def passes(*arguments):
    found = simulate(*arguments)
    assert found.returncode == 0, found.stdout[-20_000:] + found.stderr[-5_000:]
    return found.stdout


def test_after_all_faults_everything_acknowledged_is_there_whole_and_counted():
    assert "50 seeds, 0 failed" in passes("--seeds", "1..50", "--jobs", "2")


@pytest.mark.long
def test_after_all_faults_everything_is_there_in_many_more_runs():
    assert "200 seeds, 0 failed" in passes("--seeds", "51..250", "--jobs", "2")


@pytest.mark.long
@pytest.mark.parametrize("seed", FOUND, ids=str)
def test_what_a_seed_has_found_stays_mended(seed):
    assert "1 seeds, 0 failed" in passes("--seed", str(seed))


def test_a_seed_is_the_same_run_again_whatever_ran_before_it():
    first, second = passes("--seeds", "6..8", "--digest"), passes("--seeds", "7..8", "--digest")
    assert first.splitlines()[1:3] == second.splitlines()[:2]


@pytest.mark.parametrize("mutation", CAUGHT_BY)
def test_what_is_broken_on_purpose_is_noticed(mutation):
    found = simulate("--mutation", mutation, "--seeds", CAUGHT_BY[mutation], "--failures", "1")
    assert found.returncode == 1 and ", 1 failed: " in found.stdout, found.stdout[-3_000:] + found.stderr[-3_000:]
