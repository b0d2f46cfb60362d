"""middleware/container_quotas.py and account_quotas.py: features A2.7 and A1.7."""

import pytest

from objstore.core.errors import BodyTooLarge
from objstore.core.info import AccountInfo, ContainerInfo
from objstore.core.policy import Policies, Policy
from objstore.http.environ import ACL, AUTHORIZE, INFO, RESELLER
from objstore.http.response import Response
from objstore.middleware.account_quotas import AccountQuotas
from objstore.middleware.container_quotas import ContainerQuotas
from tests.support.infos import FixedInfos
from tests.support.pipeline import RecordingApp, send
from tests.support.wsgi import MemoryBody

OBJECT, CONTAINER, ACCOUNT = "/v1/a/c/o", "/v1/a/c", "/v1/a"
POLICIES = Policies([Policy(0, "gold", is_default=True), Policy(1, "Silver")])


def container(meta, bytes_used=90, object_count=9, **more):
    return FixedInfos(
        {"a": AccountInfo(204)},
        {("a", "c"): ContainerInfo(204, bytes_used=bytes_used, object_count=object_count, meta=meta, **more)},
    )


def account(meta=None, sysmeta=None, usage=None, policy=0):
    info = AccountInfo(204, 1, 9, 90, meta or {}, sysmeta or {}, policy_usage=usage or {})
    return FixedInfos({"a": info}, {("a", "c"): ContainerInfo(204, policy_index=policy, write_acl="w")})


def to_container(infos, method="PUT", path=OBJECT, **options):
    return send(ContainerQuotas(RecordingApp()), method, path, **{INFO: infos}, **options)


def to_account(infos, method="PUT", path=OBJECT, **options):
    return send(AccountQuotas(RecordingApp(), POLICIES), method, path, **{INFO: infos}, **options)


@pytest.mark.parametrize(
    ("meta", "body", "status"),
    [
        ({}, b"x" * 99, 200),
        ({"quota-bytes": "100"}, b"x" * 10, 200),
        ({"quota-bytes": "100"}, b"x" * 11, 413),
        ({"quota-bytes": "90"}, b"", 200),
        ({"quota-bytes": "89"}, b"", 413),
        ({"quota-bytes": "0"}, b"", 413),
        ({"quota-bytes": "many"}, b"x" * 99, 200),
        ({"quota-count": "10"}, b"", 200),
        ({"quota-count": "9"}, b"", 413),
    ],
)
def test_a_container_takes_what_its_quota_allows(meta, body, status):
    reply = to_container(container(meta), body=body)
    assert reply.status == status
    if status == 413:
        assert b"Upload exceeds quota." in reply.body


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", OBJECT), ("GET", OBJECT), ("POST", OBJECT), ("PUT", CONTAINER)]
)
def test_a_full_container_lets_other_requests_through(method, path):
    assert to_container(container({"quota-bytes": "0", "quota-count": "0"}), method, path).status == 200


def test_an_upload_to_a_container_that_is_missing_is_not_ours_to_answer():
    assert to_container(FixedInfos()).status == 200


@pytest.mark.parametrize("name", ["Bytes", "Count"])
@pytest.mark.parametrize(
    ("value", "status"), [("0", 200), ("12", 200), ("", 200), ("-1", 400), ("1.5", 400), ("x", 400)]
)
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_quota_is_a_whole_number(name, value, status, method):
    reply = to_container(container({}), method, CONTAINER, headers={f"X-Container-Meta-Quota-{name}": value})
    assert reply.status == status


def test_who_may_not_write_learns_nothing_about_quotas():
    def stranger(request):
        assert request.environ[ACL] == "w"
        return Response(401, {}, b"who are you")

    reply = to_container(container({"quota-bytes": "0"}, write_acl="w"), **{AUTHORIZE: stranger})
    assert reply.status == 401


@pytest.mark.parametrize(
    ("infos", "status"),
    [
        (account(), 200),
        (account({"quota-bytes": "95"}), 200),
        (account({"quota-bytes": "94"}), 413),
        (account(sysmeta={"quota-count": "10"}), 200),
        (account(sysmeta={"quota-count": "9"}), 413),
        (account(sysmeta={"quota-bytes-policy-0": "10"}, usage={"gold-bytes-used": 5}), 200),
        (account(sysmeta={"quota-bytes-policy-0": "10"}, usage={"gold-bytes-used": 6}), 413),
        (account(sysmeta={"quota-bytes-policy-1": "10"}, usage={"silver-bytes-used": 6}, policy=1), 413),
        (account(sysmeta={"quota-bytes-policy-1": "10"}, usage={"silver-bytes-used": 6}, policy=0), 200),
        (account(sysmeta={"quota-count-policy-1": "2"}, usage={"silver-object-count": 2}, policy=1), 413),
        (account(sysmeta={"quota-count-policy-1": "0"}, policy=7), 200),
    ],
)
def test_an_account_takes_what_its_quotas_allow(infos, status):
    assert to_account(infos, body=b"12345").status == status


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", CONTAINER, 413),
        ("POST", CONTAINER, 413),
        ("POST", OBJECT, 413),
        ("DELETE", OBJECT, 200),
        ("GET", OBJECT, 200),
        ("DELETE", CONTAINER, 200),
    ],
)
def test_an_account_over_its_quota_can_only_read_and_delete(method, path, status):
    assert to_account(account({"quota-bytes": "89"}), method, path).status == status


def test_reseller_administrators_are_not_bound():
    assert to_account(account({"quota-bytes": "0"}), **{RESELLER: True}).status == 200


HEADERS = {
    "X-Account-Quota-Bytes": "HTTP_X_ACCOUNT_META_QUOTA_BYTES",
    "X-Account-Meta-Quota-Bytes": "HTTP_X_ACCOUNT_META_QUOTA_BYTES",
    "X-Account-Quota-Count": "HTTP_X_ACCOUNT_SYSMETA_QUOTA_COUNT",
    "X-Account-Quota-Bytes-Policy-Gold": "HTTP_X_ACCOUNT_SYSMETA_QUOTA_BYTES_POLICY_0",
    "X-Account-Quota-Count-Policy-silver": "HTTP_X_ACCOUNT_SYSMETA_QUOTA_COUNT_POLICY_1",
}


@pytest.mark.parametrize("header", HEADERS)
def test_reseller_administrators_set_and_remove_quotas(header):
    reply = to_account(account(), "POST", ACCOUNT, headers={header: " 12 "}, **{RESELLER: True})
    assert reply.status == 200 and reply.environ[HEADERS[header]] == "12"
    gone = header.replace("X-", "X-Remove-", 1)
    reply = to_account(account(), "POST", ACCOUNT, headers={gone: "x"}, **{RESELLER: True})
    assert reply.status == 200 and reply.environ[HEADERS[header]] == ""
    assert to_account(account(), "POST", ACCOUNT, headers={header: "x"}, **{RESELLER: True}).status == 400


@pytest.mark.parametrize("header", [*HEADERS, *(name.replace("X-", "X-Remove-", 1) for name in HEADERS)])
def test_nobody_else_sets_or_removes_a_quota(header):
    assert to_account(account(), "POST", ACCOUNT, headers={header: "12"}).status == 403


def test_quotas_are_shown_under_the_names_by_which_they_are_set():
    kept = {"X-Account-Meta-Quota-Bytes": "1", "X-Account-Sysmeta-Quota-Count-Policy-1": "2"}
    app = AccountQuotas(RecordingApp(Response(204, kept)), POLICIES)
    reply = send(app, "HEAD", ACCOUNT, **{INFO: account()})
    assert reply.headers["x-account-quota-bytes"] == "1"
    assert reply.headers["x-account-quota-count-policy-silver"] == "2"


def test_nothing_is_asked_for_a_read():
    infos = account({"quota-bytes": "0"})
    to_account(infos, "GET")
    to_container(infos, "GET")
    assert not infos.asked


@pytest.mark.parametrize(
    ("ask", "infos"),
    [
        (to_container, container({"quota-bytes": "100"})),
        (to_account, account({"quota-bytes": "100"})),
        (to_account, account({"quota-bytes": "500"}, {"quota-bytes-policy-0": "15"}, {"gold-bytes-used": 5})),
    ],
    ids=["container", "account", "policy"],
)
@pytest.mark.parametrize("size", [10, 11])
def test_an_upload_of_unknown_length_may_send_what_is_left(ask, infos, size):
    chunked = {"wsgi.input": MemoryBody(b"x" * size)}
    if size == 10:
        assert ask(infos, headers={"Transfer-Encoding": "chunked"}, **chunked).status == 200
    else:
        with pytest.raises(BodyTooLarge):
            ask(infos, headers={"Transfer-Encoding": "chunked"}, **chunked)
