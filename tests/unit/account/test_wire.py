"""Recorded requests to a reference system's account server, replayed. Malformed ones are 400 instead of 500."""

import pytest

from tests.support.backends import account_server
from tests.support.wire import differences, exchanges, replay
from tests.support.wsgi import call

BETTER = {
    "direct-account.cont-put-missing-headers#1": 400,
    "direct-account.cont-put-bad-timestamp#1": 400,
}
AUTH_WIRE = "/sdb2/114/AUTH_wire"
CONTAINERS = (
    ("acdown", "1795238363.00918", 0, 0, 0),
    ("c1", "1795238358.34697", 17, 91, 0),
    ("g3", "1795238359.00000", 2, 20, 0),
    ("g4", "1795238359.00000", 1, 6, 0),
    ("ec", "1795238359.00000", 2, 105, 1),
    ("s1", "1795238359.00000", 3, 14, 2),
    ("s2", "1795238359.00000", 0, 0, 2),
    ("s3", "1795238359.00000", 0, 0, 2),
)
"""name, put timestamp, objects, bytes, policy: the first two as listed, the rest to make up the recorded counts."""


def seed(app):
    put = {"x-timestamp": "1795238352.73319", "x-account-meta-team": "grÃ¼n"}
    assert call(app, "PUT", AUTH_WIRE, put).status == 201
    for name, at, count, size, policy in CONTAINERS:
        headers = {
            "x-put-timestamp": at,
            "x-delete-timestamp": "0",
            "x-object-count": str(count),
            "x-bytes-used": str(size),
            "x-backend-storage-policy-index": str(policy),
        }
        assert call(app, "PUT", f"{AUTH_WIRE}/{name}", headers).status == 201


@pytest.fixture(scope="module")
def direct(tmp_path_factory):
    app = account_server(tmp_path_factory.mktemp("node"))
    seed(app)
    return {exchange["id"]: replay(app, exchange) for exchange in exchanges("direct-account")}


@pytest.mark.parametrize("exchange", exchanges("direct-account"), ids=lambda exchange: exchange["id"])
def test_direct_request_is_answered_as_recorded(direct, exchange):
    assert differences(exchange, direct[exchange["id"]], BETTER) == []
