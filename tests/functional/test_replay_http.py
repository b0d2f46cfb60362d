"""Every recorded client conversation against a real cluster; one test per case."""

import pytest

from tests.functional.recorded import CASES, play, recorded_cluster, running

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    with running(recorded_cluster(tmp_path_factory.mktemp("replay") / "cluster")) as target:
        yield target


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.area}-{case.id}")
def test_recorded_case(case, target):
    play(case, target)
