"""A cluster configured as the recorded one was, and a recorded conversation played against it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.functional.pipelines import with_optional_filters
from tests.replay.cases import Case, load_folder
from tests.replay.run import run_case
from tests.replay.scope import load_scope
from tests.replay.world import TEMPAUTH_SETTINGS, Target
from tests.support.cluster import Cluster

CASES = load_folder(Path(__file__).parents[1] / "vectors" / "http")
_SCOPE = load_scope()
# The policies of the recorded cluster. Erasure coding is not built yet: what these cases see of ec42 is its name.
_POLICIES = ("gold:3", "silver:2", "ec42:3")


def recorded_cluster(directory: Path) -> Cluster:
    """Laid out and not yet started."""
    cluster = Cluster(directory, policies=_POLICIES, proxy_workers=2)
    cluster.configure("app:proxy-server", "account_autocreate", "true")
    cluster.configure("app:proxy-server", "allow_account_management", "true")
    with_optional_filters(cluster)
    realms = "[saio]\nkey = changeme\nkey2 = changeme\ncluster_saio_endpoint = http://127.0.0.1/v1/\n"
    (cluster.directory.etc / "container-sync-realms.conf").write_text(realms)
    cluster.configure("filter:container_sync", "current", "//saio/saio_endpoint")
    for key, value in TEMPAUTH_SETTINGS.items():
        cluster.configure("filter:tempauth", key, value)
    # No daemon ran there: what has ended is still listed.
    cluster.configure("object-expirer", "interval", 3600, kind="object")
    return cluster


@contextmanager
def running(cluster: Cluster) -> Iterator[Target]:
    """The cluster, started, as the endpoint of recorded cases."""
    with cluster:
        target = Target(*cluster.address)
        target.prepare()
        yield target


def play(case: Case, target: Target) -> None:
    """Fails where the answers differ from the recorded ones; skips what is not in scope, with the reason."""
    result = run_case(case, target, _SCOPE)
    if result.skipped:
        pytest.skip(result.skipped)
    assert result.passed, result.report()
