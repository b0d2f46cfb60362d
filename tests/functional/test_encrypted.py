"""Every recorded client conversation again, against a cluster that encrypts: no client notices."""

import pytest

from tests.functional.test_replay_http import CASES, POLICIES, SCOPE, configure
from tests.replay.run import run_case
from tests.replay.world import Target
from tests.support import encryption
from tests.support.cluster import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.long]


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("encrypted") / "cluster", policies=POLICIES, proxy_workers=2)
    configure(cluster)
    encryption.configure(cluster)
    with cluster:
        target = Target(*cluster.address)
        target.prepare()
        yield target


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.area}-{case.id}")
def test_recorded_case(case, target):
    result = run_case(case, target, SCOPE)
    if result.skipped:
        pytest.skip(result.skipped)
    assert result.passed, result.report()
