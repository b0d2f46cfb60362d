"""The filters that are off until configured, in a cluster of real processes: features A5.8, A5.19, B4.16, B5.14."""

import json

import pytest

from tests.replay.client import Outgoing, exchange, head_bytes
from tests.support.cluster import PATIENCE_S, Cluster, until

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    made = Cluster(tmp_path_factory.mktemp("optional") / "cluster", nodes=1, replicas=1, part_power=3).init()
    names = made.setting("pipeline:main", "pipeline").split()
    names[names.index("listing_formats") : names.index("listing_formats")] = ["cname_lookup", "domain_remap"]
    names[names.index("tempauth") + 1 : names.index("tempauth") + 1] = ["list-endpoints", "xprofile"]
    made.configure("pipeline:main", "pipeline", " ".join(names))
    for name in ("cname_lookup", "domain_remap", "list-endpoints", "xprofile"):
        made.configure(f"filter:{name}", "use", f"egg:objstore#{name.replace('-', '_')}")
        if name in ("cname_lookup", "domain_remap"):
            made.configure(f"filter:{name}", "storage_domain", "objects.example")
    # Nobody listens there: what has to be looked up cannot be.
    made.configure("filter:cname_lookup", "nameservers", "127.0.0.1:1")
    made.configure("pipeline:main", "pipeline", "healthcheck recon backend_ratelimit object-server", kind="object")
    made.configure("filter:backend_ratelimit", "use", "egg:objstore#backend_ratelimit", kind="object")
    made.add_user("admin:reseller", "key", ".reseller_admin")
    with made:
        assert made.request("PUT", "/c")[0] == 201
        assert made.request("PUT", "/c/o", b"body")[0] == 201
        yield made


def test_endpoints_lead_to_the_object(cluster):
    status, _, body = cluster.raw_request("GET", "/endpoints/v2/AUTH_admin/c/o")
    found = json.loads(body)
    assert status == 200 and len(found["endpoints"]) == 1 and found["endpoints"][0].endswith("/AUTH_admin/c/o")


@pytest.mark.parametrize("target", ["/endpoints/v1/AUTH_admin/c/o", "/__profile__?seconds=0.1"])
def test_operators_alone_are_answered(cluster, target):
    passed_on = {"X-Forwarded-For": "192.0.2.1"}
    assert cluster.raw_request("GET", target, None, passed_on)[0] == 403
    assert cluster.raw_request("GET", target, None, {"X-Auth-Token": cluster.token(), **passed_on})[0] == 403
    reseller = {"X-Auth-Token": cluster.token("admin:reseller"), **passed_on}
    assert cluster.raw_request("GET", target, None, reseller)[0] == 200


def test_a_running_worker_can_be_measured(cluster):
    status, _, body = cluster.raw_request("GET", "/__profile__?seconds=0.2&format=json")
    assert status == 200 and json.loads(body)["pid"] in cluster.pids(role="proxy-server")


def get_of_host(cluster, host):
    headers = [(b"Host", host), (b"X-Auth-Token", cluster.token().encode())]
    head = head_bytes(b"GET", b"/o", b"HTTP/1.1", headers)
    return exchange(cluster.address, Outgoing(head, b"", is_head=False), timeout_s=PATIENCE_S)


def test_hosts_are_taken_for_paths_or_refused(cluster):
    assert get_of_host(cluster, b"c.AUTH-admin.objects.example").body == b"body"
    assert get_of_host(cluster, b"www.unknown.example").status == 503
    assert get_of_host(cluster, b"a..b").status == 400


def test_rates_of_devices_change_while_the_server_runs(cluster):
    for _ in range(5):
        assert cluster.request("GET", "/c/o")[0] == 200
    file = cluster.directory.swift_conf.parent / "backend-ratelimit.conf"
    file.write_text("[backend_ratelimit]\nget_requests_per_device_per_second = 0.001\n")
    cluster.reload()
    until(lambda: cluster.request("GET", "/c/o")[0] == 503, "the one device is asked too much")
    assert cluster.request("HEAD", "/c/o")[0] == 200
    file.unlink()
    cluster.reload()
