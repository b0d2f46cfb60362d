"""Accounts: rows A1.1, A1.4, A1.5 and what every answer carries (A5.22)."""

import json

import pytest

from tests.support.cluster import until

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize(
    "header",
    [
        "x-account-container-count", "x-account-object-count", "x-account-bytes-used", "x-timestamp", "content-type",
        "content-length", "date", "x-trans-id", "x-openstack-request-id",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_what_an_account_shows(owner, container, method, header):
    answer = owner.request(method, "")
    assert answer.status == (204 if method == "HEAD" else 200) and answer.headers[header]


def test_counts_by_policy(swift, owner):
    policies = [entry["name"] for entry in swift.info["swift"]["policies"]]
    name = owner.new_container({"X-Storage-Policy": policies[-1]})
    headers = owner.head("").headers
    for what in ("container-count", "object-count", "bytes-used"):
        assert int(headers[f"x-account-storage-policy-{policies[-1].lower()}-{what}"]) >= 0
    assert int(headers[f"x-account-storage-policy-{policies[-1].lower()}-container-count"]) >= 1
    owner.tidy(name)


def test_a_new_container_is_counted_and_listed(owner):
    name = owner.new_container()
    until(lambda: name in [row["name"] for row in owner.listing("")], "the container is listed")
    assert int(owner.head("").headers["x-account-container-count"]) >= 1
    owner.empty(name)
    until(lambda: name not in [row["name"] for row in owner.listing("")], "the container is listed no more")


def test_an_account_without_containers_is_empty_in_every_form(swift):
    home = swift.reseller.account
    for text, status, body in (("", 204, b""), ("?format=plain", 204, b""), ("?format=json", 200, b"[]")):
        answer = swift.reseller.get(text, account=home)
        assert (answer.status, answer.body) == (status, body)
    answer = swift.reseller.get("?format=xml", account=home)
    assert answer.status == 200 and f'<account name="{home}">'.encode() in answer.body


def test_metadata_is_merged_and_removed(owner):
    def shown():
        headers = owner.head("").headers
        return {name[-1]: value for name, value in headers.items() if name.startswith("x-account-meta-t-")}

    assert owner.post("", headers={"X-Account-Meta-T-A": "1", "X-Account-Meta-T-B": "2"}).status == 204
    assert owner.post("", headers={"x-account-meta-t-c": "snow ☃", "X-Account-Meta-T-B": "3"}).status == 204
    assert shown() == {"a": "1", "b": "3", "c": "snow ☃"}
    assert owner.post("", headers={"X-Account-Meta-T-A": "", "X-Remove-Account-Meta-T-B": "x"}).status == 204
    assert shown() == {"c": "snow ☃"}
    owner.post("", headers={"X-Remove-Account-Meta-T-C": "x"})
    assert shown() == {}


@pytest.mark.parametrize("user", ["member", "stranger", "anonymous"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE"])
def test_who_has_no_right_to_an_account(swift, user, method):
    answer = swift[user].request(method, "", headers={"X-Account-Meta-T-D": "x"})
    assert answer.status == (401 if user == "anonymous" else 403)
    if user == "anonymous":
        assert answer.headers["www-authenticate"] == f'Swift realm="{swift.home}"'
    assert "x-account-meta-t-d" not in swift.owner.head("").headers


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_an_owner_neither_makes_nor_removes_accounts(owner, container, method):
    assert owner.request(method, "").status in (403, 405)
    assert owner.head(container).status == 204


@pytest.mark.parametrize("method", ["COPY", "PATCH", "REPLICATE", "TRACE", "get"])
@pytest.mark.parametrize("kind", ["account", "container", "object"])
def test_methods_that_are_none(owner, shelf, kind, method):
    if (kind, method) == ("object", "COPY"):
        pytest.skip("copies an object")
    path = {"account": "", "container": shelf, "object": f"{shelf}/o"}[kind]
    answer = owner.request(method, path)
    assert answer.status == 405
    allowed = {name.strip() for name in answer.headers["allow"].split(",")}
    assert allowed >= {"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"}


@pytest.mark.parametrize("value", ["junk", "[]", '"x"', '{"owner": []}', '{"admin": "x"}', '{"admin": [1]}', "{", "1"])
def test_account_acls_that_are_none(owner, value):
    assert owner.post("", headers={"X-Account-Access-Control": value}).status == 400
    assert "x-account-access-control" not in owner.head("").headers


@pytest.fixture
def admitted(swift):
    """Sets the account's ACL to let the stranger in; gone afterwards."""

    def admit(role):
        value = json.dumps({role: [swift.stranger.name]})
        assert swift.owner.post("", headers={"X-Account-Access-Control": value}).status == 204

    yield admit
    swift.owner.post("", headers={"X-Account-Access-Control": ""})


# What each role may do: features A1.6.
REQUESTS = {
    "list": ("GET", "", 200),
    "head": ("HEAD", "{c}", 204),
    "read": ("GET", "{c}/o", 200),
    "write": ("PUT", "{c}/p", 201),
    "post": ("POST", "{c}/o", 202),
    "delete": ("DELETE", "{c}/o", 204),
    "make": ("PUT", "{c}-made", 201),
    "configure": ("POST", "{c}", 204),
    "govern": ("POST", "", 204),
}
READS = ("list", "head", "read")


@pytest.mark.parametrize("what", REQUESTS)
@pytest.mark.parametrize("role", ["read-only", "read-write", "admin"])
def test_what_a_role_in_an_account_may(swift, owner, shelf, admitted, role, what):
    owner.upload(shelf, "o")
    admitted(role)
    method, path, status = REQUESTS[what]
    may = what in READS or role == "admin" or (role == "read-write" and what != "govern")
    answer = swift.stranger.request(method, path.format(c=shelf))
    assert answer.status == (status if may else 403), answer
    owner.delete(f"{shelf}-made")


def test_an_account_acl_is_shown_to_admins_alone(swift, owner, admitted):
    admitted("read-only")
    assert json.loads(owner.head("").headers["x-account-access-control"]) == {"read-only": [swift.stranger.name]}
    assert "x-account-access-control" not in swift.stranger.head("").headers
    admitted("admin")
    assert "x-account-access-control" in swift.stranger.head("").headers
