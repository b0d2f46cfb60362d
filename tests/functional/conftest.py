"""The endpoint that functional tests ask: a cluster of ours, or any that is named.

pytest tests/functional                                            ours, started for the session
pytest tests/functional --endpoint http://host:8080 [--users FILE]  another one; users as python -m tests.replay
"""

from __future__ import annotations

import urllib.parse
from pathlib import Path

import pytest

from tests.functional.site import Site
from tests.replay.world import TEMPAUTH_SETTINGS, USERS, Target, load_users
from tests.support.cluster import Cluster

# The policies of the recorded cluster. Erasure coding is not built yet: what these cases see of ec42 is its name.
POLICIES = ("gold:3", "silver:2", "ec42:3")


def pytest_addoption(parser):
    parser.addoption("--endpoint", help="http://host:port of the proxy to test, instead of a cluster of our own")
    parser.addoption("--users", help='TOML file of name = ["account:user", "key"], on top of the recorded users')


@pytest.fixture(scope="session")
def target(request, tmp_path_factory):
    endpoint = request.config.getoption("--endpoint", default=None)
    if endpoint:
        parts = urllib.parse.urlsplit(endpoint)
        users = request.config.getoption("--users", default=None)
        found = Target(parts.hostname, parts.port or 80, users=load_users(Path(users)) if users else USERS)
        found.prepare()
        yield found
        return
    cluster = Cluster(tmp_path_factory.mktemp("replay") / "cluster", policies=POLICIES, proxy_workers=2)
    cluster.configure("app:proxy-server", "account_autocreate", "true")
    cluster.configure("app:proxy-server", "allow_account_management", "true")
    for key, value in TEMPAUTH_SETTINGS.items():
        cluster.configure("filter:tempauth", key, value)
    with cluster:
        found = Target(*cluster.address)
        found.prepare()
        yield found


@pytest.fixture
def site(target):
    return Site(target)
