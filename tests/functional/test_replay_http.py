"""Every recorded client conversation against a real cluster; one test per case."""

from pathlib import Path

import pytest

from tests.replay.cases import load_folder
from tests.replay.run import run_case
from tests.replay.scope import load_scope
from tests.replay.world import TEMPAUTH_SETTINGS, Target
from tests.support.cluster import Cluster

pytestmark = pytest.mark.cluster

CASES = load_folder(Path(__file__).parents[1] / "vectors" / "http")
SCOPE = load_scope()
# The policies of the recorded cluster. Erasure coding is not built yet: what these cases see of ec42 is its name.
POLICIES = ("gold:3", "silver:2", "ec42:3")


def configure(cluster):
    """As the recorded cluster was."""
    cluster.configure("app:proxy-server", "account_autocreate", "true")
    cluster.configure("app:proxy-server", "allow_account_management", "true")
    pipeline = cluster.setting("pipeline:main", "pipeline").replace(
        "listing_formats", "crossdomain domain_remap etag_quoter listing_formats"
    )
    cluster.configure("pipeline:main", "pipeline", " ".join(pipeline.split()))
    for name in ("crossdomain", "domain_remap", "etag_quoter"):
        cluster.configure(f"filter:{name}", "use", f"egg:objstore#{name}")
    realms = "[saio]\nkey = changeme\nkey2 = changeme\ncluster_saio_endpoint = http://127.0.0.1/v1/\n"
    (cluster.directory.etc / "container-sync-realms.conf").write_text(realms)
    cluster.configure("filter:container_sync", "current", "//saio/saio_endpoint")
    for key, value in TEMPAUTH_SETTINGS.items():
        cluster.configure("filter:tempauth", key, value)
    # No daemon ran there: what has ended is still listed.
    cluster.configure("object-expirer", "interval", 3600, kind="object")


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("replay") / "cluster", policies=POLICIES, proxy_workers=2)
    configure(cluster)
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
