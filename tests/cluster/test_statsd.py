"""What a StatsD server hears of real processes: the proxy, storage servers, daemons."""

import pytest

from tests.support.cluster import Cluster
from tests.support.statsd import statsd_server

pytestmark = pytest.mark.cluster


def test_servers_and_daemons_tell_what_they_do(tmp_path):
    with statsd_server() as server:
        cluster = Cluster(tmp_path / "c", nodes=1, replicas=1).init()
        try:
            for kind in ("proxy", "object", "account"):
                cluster.configure("DEFAULT", "log_statsd_host", "127.0.0.1", kind=kind)
                cluster.configure("DEFAULT", "log_statsd_port", server.port, kind=kind)
            cluster.configure("account-auditor", "interval", 1, kind="account")
            cluster.start()
            assert cluster.request("PUT", "/c")[0] == 201
            assert cluster.request("PUT", "/c/o", b"x")[0] == 201
            for name in ("object-server.PUT.timing", "account-auditor.timing"):
                assert server.until(name).endswith("|ms")
            cluster.request("GET", "/c/o")
            assert server.until("proxy-server.object.GET.200.xfer").endswith("|c")
        finally:
            cluster.close()
