"""Every recorded client conversation again, against a cluster that encrypts: no client notices."""

import pytest

from tests.functional.recorded import CASES, play, recorded_cluster, running
from tests.support import encryption

pytestmark = [pytest.mark.cluster, pytest.mark.long]


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    cluster = recorded_cluster(tmp_path_factory.mktemp("encrypted") / "cluster")
    encryption.configure(cluster)
    with running(cluster) as target:
        yield target


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.area}-{case.id}")
def test_recorded_case(case, target):
    play(case, target)
