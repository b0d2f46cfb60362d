"""An account server that accepts connections and never answers does not hold container requests."""

import socket
import time

from objstore.config.cluster import Cluster
from objstore.container.app import make_app
from objstore.container.settings import ContainerServerSettings
from objstore.core.limits import Limits
from objstore.runtime.clock import SystemClock
from tests.support.backends import POLICIES, SECRETS
from tests.support.wsgi import call

TRIPWIRE_S = 5.0


def test_container_put_goes_on_without_a_frozen_account_server(tmp_path):
    (tmp_path / "sdb1").mkdir()
    frozen = socket.create_server(("127.0.0.1", 0))
    settings, problems = ContainerServerSettings.from_pairs(
        {"devices": str(tmp_path), "mount_check": "no", "fallocate_reserve": "0", "node_timeout": "0.2"}
    )
    assert not problems
    app = make_app(settings, Cluster(tmp_path, SECRETS, POLICIES, Limits()), SystemClock())
    headers = {
        "x-account-host": f"127.0.0.1:{frozen.getsockname()[1]}",
        "x-account-device": "sdb1",
        "x-account-partition": "7",
    }
    began = time.monotonic()
    try:
        for number in range(5):
            answer = call(app, "PUT", f"/sdb1/7/AUTH_a/c{number}", {"x-timestamp": "1700000010.00000", **headers})
            assert answer.status == 201
    finally:
        frozen.close()
    assert time.monotonic() - began < TRIPWIRE_S
