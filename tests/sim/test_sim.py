"""The simulator itself: many seeds are fine, one seed is always the same, and what is broken on purpose is noticed.

A run wants a process that has not seen the real clock (tests/sim/host.py): each test starts one.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE_S = 1800

CAUGHT_BY = {
    "no fsync": ("plain", "8..20"),
    "tombstones forgotten": ("plain", "4..12"),
    "oldest wins": ("plain", "1..6"),
}
"""Mutations, and the mix and seeds among which one notices."""
CAUGHT_BY_MORE = {
    "lost on the way": ("plain", "6..12"),
    "last row wins": ("plain", "1..6"),
    "early removal": ("deep", "80..120"),
    "one is enough": ("plain", "50..130"),
    "rows dropped": ("plain", "100..150"),
    "unchecked reads": ("deep", "1..60"),
    "rows unsynced": ("deep", "150..230"),
    "early database removal": ("deep", "6..12"),
    "reaped in name only": ("accounts", "1..4"),
    "rsync is believed": ("rsync", "1..20"),
    "never told again": ("deep", "1..20"),
    "deleted before it was moved": ("policies", "1..12"),
}
"""Others, not always tried."""
FOUND = {
    ("plain", 66): "a lent server that stores a PUT of which the client hears 503 knew of no container server to tell",
    (
        "plain",
        73,
    ): "the container servers of those lost after the footers were told by nobody when the client heard 503",
    ("deep", 95): "a server killed between an object's name and its row told nobody, ever",
    ("policies", 1): "a database that was brought, and vanished with its disk, was an unexpected error",
}
"""Seeds that found something, and what."""


def simulate(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tests.sim", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S
    )


def assert_noticed(mutation, mix, seeds):
    found = simulate("--mix", mix, "--mutation", mutation, "--seeds", seeds, "--failures", "1")
    assert found.returncode == 1 and ", 1 failed: " in found.stdout, found.stdout[-3_000:] + found.stderr[-3_000:]


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
def test_after_faults_that_look_for_certain_losses_everything_is_there():
    assert "100 seeds, 0 failed" in passes("--mix", "deep", "--seeds", "1..100", "--jobs", "2")


@pytest.mark.long
def test_after_all_faults_nothing_is_left_of_accounts_that_were_deleted():
    assert "40 seeds, 0 failed" in passes("--mix", "accounts", "--seeds", "1..40", "--jobs", "2")


@pytest.mark.long
@pytest.mark.parametrize("mix", ["rsync", "policies"])
def test_after_all_faults_everything_is_there_by_rsync_and_with_two_policies(mix):
    assert "20 seeds, 0 failed" in passes("--mix", mix, "--seeds", "1..20", "--jobs", "2")


@pytest.mark.long
@pytest.mark.parametrize(("mix", "seed"), FOUND)
def test_what_a_seed_has_found_stays_mended(mix, seed):
    assert "1 seeds, 0 failed" in passes("--mix", mix, "--seed", str(seed))


def test_a_seed_is_the_same_run_again_whatever_ran_before_it():
    first, second = passes("--seeds", "6..8", "--digest"), passes("--seeds", "7..8", "--digest")
    assert first.splitlines()[1:3] == second.splitlines()[:2]


@pytest.mark.parametrize("mutation", CAUGHT_BY)
def test_what_is_broken_on_purpose_is_noticed(mutation):
    assert_noticed(mutation, *CAUGHT_BY[mutation])


@pytest.mark.long
@pytest.mark.parametrize("mutation", CAUGHT_BY_MORE)
def test_what_is_broken_on_purpose_in_other_places_is_noticed(mutation):
    assert_noticed(mutation, *CAUGHT_BY_MORE[mutation])


def test_every_mutation_is_tried():
    assert not CAUGHT_BY.keys() & CAUGHT_BY_MORE.keys()
    known = re.findall(r'^    "(.+)": _\w+,$', (ROOT / "tests/sim/mutations.py").read_text(), re.MULTILINE)
    assert sorted(known) == sorted(CAUGHT_BY | CAUGHT_BY_MORE)
