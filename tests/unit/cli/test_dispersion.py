"""The dispersion tools: names on different partitions, what a report says, and configurations that cannot be used."""

import io
from itertools import islice

import pytest

from objstore.cli import dispersion_populate, dispersion_report
from objstore.cli.dispersion_names import is_container_sample, object_container, sample_names, wanted_count
from objstore.cli.dispersion_report import Dispersion, as_json, lines
from objstore.core.policy import Policies, Policy
from tests.support.rings import make_ring


def partition_of(name):
    return int(name.rpartition("_")[2]) * 7 % 16 // 2


def test_samples_fall_on_different_partitions_and_are_the_same_every_time():
    names = list(sample_names(partition_of, 8))
    assert sorted(map(partition_of, names)) == list(range(8))
    assert list(sample_names(partition_of, 8)) == names
    assert list(sample_names(partition_of, 3)) == names[:3]


def test_what_is_covered_is_passed_over():
    names = list(sample_names(partition_of, 6, 100, {0, 1}))
    assert sorted(map(partition_of, names)) == [2, 3, 4, 5, 6, 7]
    assert all(int(name.rpartition("_")[2]) >= 100 for name in names)
    assert list(sample_names(partition_of, 0)) == list(sample_names(partition_of, -3)) == []


def test_names_are_drawn_lazily():
    assert len(list(islice(sample_names(lambda name: int(name.rpartition("_")[2]), 10**9), 5))) == 5


@pytest.mark.parametrize(
    "count, percent, expected", [(1024, 1, 10), (16, 1, 1), (16, 100, 16), (16, 0, 0), (16, 50, 8)]
)
def test_how_many_partitions_get_a_sample(count, percent, expected):
    assert wanted_count(count, percent) == expected


def test_each_policy_has_a_container_of_its_own():
    policies = Policies([Policy(0, "gold", is_default=True), Policy(1, "silver")])
    assert [object_container(policy, policies) for policy in policies] == [
        "dispersion_objects",
        "dispersion_objects_silver",
    ]
    assert [name for name in ("dispersion_7", "dispersion_objects", "other") if is_container_sample(name)] == [
        "dispersion_7"
    ]


def found(**more):
    values = {"samples": 5, "copies_found": 9, "copies_expected": 15, "elapsed_s": 2.0, "retries": 1}
    values |= {"missing": {3: 1, 4: 2, 9: 3}, "replicas": dict.fromkeys((1, 2, 3, 4, 9), 3)}
    return Dispersion("object", make_ring(part_power=6), **(values | more))


def test_a_report_for_a_person():
    assert lines(found(), True) == [
        "Queried 5 objects for dispersion reporting, 2s, 1 retries",
        "There were 1 partitions missing one copy.",
        "There were 1 partitions missing two copies.",
        "!!! There were 1 partitions missing all copies.",
        "60.00% of object copies found (9 of 15)",
        "Sample represents 7.81% of the object partition space",
        "Missing object partitions: 3 4 9",
    ]


def test_a_report_for_a_script():
    assert as_json(found(), True) == {
        "retries": 1,
        "overlapping": 0,
        "missing_one": 1,
        "missing_two": 1,
        "missing_all": 1,
        "copies_found": 9,
        "copies_expected": 15,
        "pct_found": 60.0,
        "partitions": [3, 4, 9],
    }
    whole = as_json(found(missing={}, copies_found=15), False)
    assert (whole["missing_one"], whole["missing_all"], whole["pct_found"], "partitions" in whole) == (
        0,
        0,
        100.0,
        False,
    )


def test_without_samples_nothing_is_whole():
    empty = found(samples=0, missing={}, copies_found=0, copies_expected=0, replicas={})
    assert (empty.is_whole, empty.pct_found) == (False, 0.0)


@pytest.fixture
def conf(tmp_path):
    (tmp_path / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = s\n")
    path = tmp_path / "dispersion.conf"
    path.write_text(
        "[dispersion]\nauth_url = http://127.0.0.1:1/auth/v1.0\nauth_key = geheim\n"
        f"swift_dir = {tmp_path}\nretries = 0\n"
    )
    return path


def run(main, *words):
    out, err = io.StringIO(), io.StringIO()
    code = main([str(word) for word in words], stdout=out, stderr=err, environ={})
    return code, out.getvalue(), err.getvalue()


@pytest.mark.parametrize("main", [dispersion_populate.main, dispersion_report.main])
@pytest.mark.parametrize(
    "old, new, code, expected",
    [
        ("retries", "retires", 78, "did you mean 'retries'?"),
        ("retries = 0", "auth_version = 3", 78, "need Keystone"),
        ("retries = 0", "dispersion_coverage = 101", 78, "a number from 0 to 100"),
        ("[dispersion]", "[other]", 78, "a section [dispersion]"),
        ("http:", "gopher:", 1, "begins with http:// or https://"),
        ("xxx", "", 1, "127.0.0.1:1/auth/v1.0: "),
    ],
)
def test_what_is_wrong_is_said_without_the_key(conf, main, old, new, code, expected):
    conf.write_text(conf.read_text().replace(old, new))
    found, output, error = run(main, conf)
    assert (found, output, expected in error, "geheim" in error) == (code, "", True, False), error


def test_a_policy_that_there_is_not(conf):
    code, _, error = run(dispersion_report.main, conf, "-P", "silver")
    assert (code, "has no policy named 'silver'" in error) == (78, True)
