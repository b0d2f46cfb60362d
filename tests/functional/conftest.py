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
from tests.support.cluster import Cluster

USERS = {
    "owner": ("black:owner", "owner-key", ".admin"),
    "member": ("black:member", "member-key", ""),
    "stranger": ("white:stranger", "stranger-key", ".admin"),
    "reseller": ("admin:reseller", "reseller-key", ".reseller_admin"),
}


def pytest_addoption(parser):
    group = parser.getgroup("swift", "the endpoint of tests/functional")
    group.addoption("--auth-url", default=None, help="where tokens are given; without it a cluster of ours is started")
    group.addoption("--swift-users", default=None, help="TOML file of users (tests/functional/conftest.py)")


@pytest.fixture(scope="session")
def endpoint(request, tmp_path_factory):
    """(auth URL, users): of the endpoint under test."""
    url = request.config.getoption("--auth-url", default=None)
    if url is not None:
        file = request.config.getoption("--swift-users")
        users = {name: tuple(value) for name, value in tomllib.loads(Path(file).read_text()).items()} if file else {}
        yield url, {**{name: value[:2] for name, value in USERS.items()}, **users}
        return
    cluster = Cluster(tmp_path_factory.mktemp("functional") / "cluster", policies=("gold:3", "silver:2"))
    for name, key, group in USERS.values():
        cluster.add_user(name, key, *([group] if group else []))
    with cluster:
        host, port = cluster.address
        yield f"http://{host}:{port}/auth/v1.0", {name: value[:2] for name, value in USERS.items()}


@pytest.fixture(scope="session")
def swift(endpoint):
    """Who asks whom: swift.owner, swift.member, swift.stranger, swift.reseller, swift.anonymous."""
    url, users = endpoint
    found = Swift(url, users)
    yield found
    found.close()


@pytest.fixture(scope="session")
def owner(swift):
    return swift.owner


@pytest.fixture
def container(owner):
    """A fresh container of the owner's; whatever is in it is gone afterwards."""
    name = owner.new_container()
    yield name
    owner.empty(name)


@pytest.fixture(scope="module")
def shelf(owner):
    """The same for a whole module, whose tests do not get into each other's way there."""
    name = owner.new_container()
    yield name
    owner.empty(name)
