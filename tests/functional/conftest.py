"""The endpoint of the black-box suite: ours by default, any by --auth-url.

    pytest tests/functional                                    starts a cluster of ours for the whole run
    pytest tests/functional --auth-url http://host:8080/auth/v1.0 --swift-users users.toml

users.toml names who does what, each as `name = ["account:user", "key"]`: owner (of an account), member (of the same,
without rights), stranger (owner of another account), reseller (administrator of all). Without it they are those below.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.functional.api import Swift
from tests.functional.pipelines import with_optional_filters
from tests.support.cluster import Cluster

USERS = {
    "owner": ("black:owner", "key-of-the-owner-0123456789", ".admin"),
    "member": ("black:member", "key-of-the-member-0123456789", ""),
    "stranger": ("white:stranger", "key-of-the-stranger-0123456789", ".admin"),
    "reseller": ("admin:reseller", "key-of-the-reseller-0123456789", ".reseller_admin"),
}


def pytest_addoption(parser):
    group = parser.getgroup("swift", "the endpoint of tests/functional")
    group.addoption("--auth-url", default=None, help="where tokens are given; without it a cluster of ours is started")
    group.addoption("--swift-users", default=None, help="TOML file of users (tests/functional/conftest.py)")


@pytest.fixture(scope="session")
def our_cluster(request, tmp_path_factory):
    """The cluster that is started where no other endpoint is given; None where one is."""
    if request.config.getoption("--auth-url", default=None) is not None:
        yield None
        return
    cluster = Cluster(tmp_path_factory.mktemp("functional") / "cluster", policies=("gold:3", "silver:2"))
    for name, key, group in USERS.values():
        cluster.add_user(name, key, *([group] if group else []))
    with_optional_filters(cluster)
    for kind in ("account", "container", "object"):
        # What the suite makes need not be compared again every half minute.
        cluster.configure(f"{kind}-replicator", "interval", 3600, kind=kind)
    with cluster:
        yield cluster


@pytest.fixture(scope="session")
def endpoint(request, our_cluster):
    """(auth URL, users): of the endpoint under test."""
    users = {name: value[:2] for name, value in USERS.items()}
    file = request.config.getoption("--swift-users", default=None)
    if file is not None:
        users |= {name: tuple(value) for name, value in tomllib.loads(Path(file).read_text()).items()}
    return request.config.getoption("--auth-url", default=None) or our_cluster.auth_url, users


@pytest.fixture(scope="session")
def swift(endpoint, our_cluster):
    """Who asks whom: swift.owner, swift.member, swift.stranger, swift.reseller, swift.anonymous.

    At the end, the logs of a cluster of ours are searched for every secret that was sent (tests/functional/secrets.py).
    """
    found = Swift(*endpoint, is_thrown_away=our_cluster is not None)
    yield found
    found.close()
    if our_cluster is not None:
        told = found.secrets.in_text(our_cluster.logs())
        assert not told, f"in the logs of the cluster: {told}"


@pytest.fixture(scope="session")
def owner(swift):
    return swift.owner


@pytest.fixture
def container(owner):
    """A fresh container of the owner's; whatever is in it is gone afterwards."""
    name = owner.new_container()
    yield name
    owner.tidy(name)


@pytest.fixture(scope="module")
def shelf(owner):
    """The same for a whole module, whose tests do not get into each other's way there."""
    name = owner.new_container()
    yield name
    owner.tidy(name)
