"""One cluster for the tests of this directory that hurt nobody, and the clients."""

import pytest

from tests.clients.tools import ToolsMissing, install
from tests.support.cluster import Cluster


@pytest.fixture(scope="session")
def tools():
    try:
        return install()
    except ToolsMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("clients") / "cluster") as found:
        yield found
