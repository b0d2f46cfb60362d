"""What an endpoint may have (asked of /info): ETags in quotes (A3.12), accounts as host names (A5.7), read-only
accounts and names that are checked are in tests/unit/middleware."""

import pytest

from tests.functional.api import etag_of, md5

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module", autouse=True)
def described(swift):
    missing = {"etag_quoter", "domain_remap"} - set(swift.info)
    if missing:
        pytest.skip(f"the endpoint has no {', '.join(sorted(missing))}")


@pytest.mark.parametrize(("value", "quoted"), [("true", True), ("yes", True), ("false", False), ("", False)])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_etags_are_quoted_where_the_container_says_so(owner, container, method, value, quoted):
    owner.upload(container, "o", b"x")
    assert owner.post(container, headers={"X-Container-Rfc-Compliant-Etags": value}).status == 204
    etag = owner.request(method, f"{container}/o").headers["etag"]
    assert etag == (f'"{md5("x")}"' if quoted else md5("x"))
    shown = owner.head(container).headers.get("x-container-rfc-compliant-etags")
    assert shown == ({True: "True", False: "False"}[quoted] if value else None)


def test_a_quoted_etag_is_a_condition_like_another(owner, container):
    owner.post(container, headers={"X-Container-Rfc-Compliant-Etags": "true"})
    assert etag_of(owner.put(container, "o", body=b"x")) == md5("x")
    for etag in (md5("x"), f'"{md5("x")}"'):
        assert owner.get(container, "o", headers={"If-None-Match": etag}).status == 304
        assert owner.put(container, "p", body=b"x", headers={"Etag": etag}).status == 201
    assert owner.listing(container)[0]["hash"] == md5("x")


@pytest.mark.parametrize("value", ["true", "false"])
def test_the_account_says_it_for_its_containers(owner, container, value):
    owner.upload(container, "o", b"x")
    assert owner.post("", headers={"X-Account-Rfc-Compliant-Etags": value}).status == 204
    assert owner.head(container, "o").headers["etag"].startswith('"') == (value == "true")
    owner.post("", headers={"X-Account-Rfc-Compliant-Etags": ""})


@pytest.mark.parametrize("form", ["container.account", "account", "ACCOUNT"])
def test_an_account_is_a_host_name(swift, owner, shelf, form):
    owner.upload(shelf, "o", b"by host")
    owner.post(shelf, headers={"X-Container-Read": ".r:*"})
    account = owner.account.replace("_", "-").lower()
    host = {"container.account": f"{shelf}.{account}", "account": account, "ACCOUNT": account.upper()}[form]
    path = "/o" if form == "container.account" else f"/{shelf}/o"
    if form == "ACCOUNT":
        # The case of what follows the prefix is kept: no account is called so.
        assert swift.anonymous.raw("GET", path, {"Host": f"{host}.example.com"}).status in (401, 404)
    else:
        assert swift.anonymous.raw("GET", path, {"Host": f"{host}.example.com"}).body == b"by host"


@pytest.mark.parametrize("host", ["a.b.c.example.com", ".example.com", "a..example.com"])
def test_hosts_that_name_nothing(swift, host):
    assert swift.anonymous.raw("GET", "/o", {"Host": host}).status in (400, 412)


def test_a_site_at_a_host_of_its_own(swift, owner, container):
    owner.post(container, headers={"X-Container-Read": ".r:*", "X-Container-Meta-Web-Index": "index.html"})
    owner.upload(container, "index.html", b"home")
    host = f"{container}.{owner.account.replace('_', '-').lower()}.example.com"
    assert swift.anonymous.raw("GET", "/", {"Host": host}).body == b"home"
