import hashlib
import hmac
import json

import pytest

from objstore.config.cluster import Cluster
from objstore.core.hashing import HashSecrets
from objstore.core.limits import Limits
from objstore.core.policy import Policies, Policy
from objstore.http.request import Request
from objstore.proxy import discovery
from objstore.proxy.settings import ProxySettings
from tests.support.clock import SimClock
from tests.support.pipeline import make_environ

POLICIES = Policies([Policy(0, "gold", is_default=True), Policy(1, "old", is_deprecated=True)])


@pytest.fixture
def cluster(tmp_path):
    return Cluster(tmp_path, HashSecrets(b"", b"x"), POLICIES, Limits())


def ask(cluster, method="GET", query="", **settings):
    chosen, problems = ProxySettings.from_pairs(settings)
    assert not problems
    discovery.register(cluster, chosen)
    request = Request(make_environ(method, "/info", query))
    return discovery.Discovery(chosen, SimClock()).respond(request)


def signed(method="GET", key="k", expires="1900000000"):
    signature = hmac.new(key.encode(), f"{method}\n{expires}\n/info".encode(), hashlib.sha1).hexdigest()
    return f"swiftinfo_sig={signature}&swiftinfo_expires={expires}"


def test_info_tells_limits_and_policies_that_can_be_chosen(cluster):
    answer = ask(cluster)
    section = json.loads(answer.body)["swift"]
    assert answer.status == 200
    assert section["max_file_size"] == 5368709122
    assert section["policies"] == [{"name": "gold", "aliases": "gold", "default": True}]
    assert "valid_api_versions" not in section


def test_sections_and_keys_can_be_hidden(cluster):
    answer = ask(cluster, disallowed_sections="swift.max_file_size")
    assert "max_file_size" not in json.loads(answer.body)["swift"]
    assert "swift" not in json.loads(ask(cluster, disallowed_sections="swift").body)


def test_head_has_the_length_and_no_body(cluster):
    answer = ask(cluster, "HEAD")
    assert answer.body == b""
    assert int(answer.headers["content-length"]) == len(ask(cluster).body)


@pytest.mark.parametrize(("method", "status"), [("OPTIONS", 200), ("POST", 405), ("PUT", 405)])
def test_other_methods(cluster, method, status):
    answer = ask(cluster, method)
    assert answer.status == status
    assert "GET" in answer.headers["allow"]


def test_info_can_be_switched_off(cluster):
    assert ask(cluster, expose_info="no").status == 403


@pytest.mark.parametrize(("method", "signer"), [("GET", "GET"), ("HEAD", "HEAD"), ("HEAD", "GET")])
def test_a_signed_request_sees_the_admin_view(cluster, method, signer):
    assert ask(cluster, method, signed(signer), admin_key="k").status == 200


def test_the_admin_view_names_what_is_hidden(cluster):
    answer = ask(cluster, "GET", signed(), admin_key="k", disallowed_sections="slo")
    assert json.loads(answer.body)["admin"]["disallowed_sections"] == ["slo"]


@pytest.mark.parametrize(
    "query",
    [
        signed("HEAD"),
        signed(key="other"),
        signed(expires="1"),
        "swiftinfo_sig=abc",
        "swiftinfo_expires=1900000000",
        "swiftinfo_sig=abc&swiftinfo_expires=junk",
        "swiftinfo_sig=%ff&swiftinfo_expires=1900000000",
    ],
    ids=["other method", "other key", "expired", "no expiry", "no signature", "junk expiry", "bytes"],
)
def test_a_bad_signature_is_403(cluster, query):
    assert ask(cluster, "GET", query, admin_key="k").status == 403


def test_without_an_admin_key_nothing_is_signed(cluster):
    assert ask(cluster, "GET", signed(key="")).status == 403
