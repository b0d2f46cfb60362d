"""Every recorded client conversation against a real cluster; one test per case."""

from pathlib import Path

import pytest

from tests.replay.cases import load_folder
from tests.replay.run import run_case
from tests.replay.scope import load_scope
from tests.replay.world import TEMPAUTH_SETTINGS, Target
from tests.support.deployment import Deployment, set_option

pytestmark = pytest.mark.cluster

CASES = load_folder(Path(__file__).parents[1] / "vectors" / "http")
SCOPE = load_scope()
# The policies of the recorded cluster. Erasure coding is not built yet: what these cases see of ec42 is its name.
POLICIES = ("--policy", "gold:3", "--policy", "silver:2", "--policy", "ec42:3")


def like_the_recorded_one(etc: Path) -> None:
    proxy = etc / "proxy-server.conf"
    set_option(proxy, "app:proxy-server", "account_autocreate", "true")
    set_option(proxy, "app:proxy-server", "allow_account_management", "true")
    for key, value in TEMPAUTH_SETTINGS.items():
        set_option(proxy, "filter:tempauth", key, value)


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replay") / "cluster"
    with Deployment(folder, options=POLICIES, edit=like_the_recorded_one) as deployment:
        target = Target(*deployment.address)
        target.prepare()
        yield target


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.area}-{case.id}")
def test_recorded_case(case, target):
    result = run_case(case, target, SCOPE)
    if result.skipped:
        pytest.skip(result.skipped)
    assert result.passed, result.report()
