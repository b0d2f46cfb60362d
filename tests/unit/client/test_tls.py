"""client/connections.py over TLS: whose certificate counts (CVE-2013-6396)."""

import pytest

from objstore.client.account import Account
from objstore.client.connections import Trust
from objstore.client.errors import ClientError
from objstore.client.login import PasswordV1
from objstore.client.session import Session
from tests.support.certificates import make_authority
from tests.support.scripted_swift import ScriptedSwift


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return make_authority(tmp_path_factory.mktemp("authority"))


def put(proxy, trust):
    session = Session(PasswordV1(proxy.url, "a:b", "k"), trust)
    try:
        Account(session).put("/c")
    finally:
        session.close()
    return proxy.requests


@pytest.fixture
def proxy(authority, request):
    it = ScriptedSwift(authority.issue(request.param))
    yield it
    it.close()


@pytest.mark.parametrize("proxy", ["127.0.0.1"], indirect=True)
def test_who_is_vouched_for_is_talked_to(proxy, authority):
    assert len(put(proxy, Trust(authority.ca_file))) == 1


@pytest.mark.parametrize(("proxy", "is_known"), [("127.0.0.1", False), ("other.example", True)], indirect=["proxy"])
def test_cve_2013_6396_who_is_not_gets_no_key(proxy, authority, is_known):
    with pytest.raises(ClientError, match="CERTIFICATE_VERIFY_FAILED"):
        put(proxy, Trust(authority.ca_file if is_known else ""))
    assert (proxy.requests, proxy.tokens) == ([], 0)
    assert len(put(proxy, Trust(is_insecure=True))) == 1


def test_a_file_without_certificates_is_said(tmp_path):
    (tmp_path / "none.pem").write_text("nothing")
    session = Session(PasswordV1("https://127.0.0.1:1/", "a:b", "k"), Trust(str(tmp_path / "none.pem")))
    with pytest.raises(ClientError, match="none.pem: no certificates in PEM"):
        Account(session).put("/c")
