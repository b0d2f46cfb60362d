"""Who may do what by the ACLs of containers: row A2.6."""

import pytest

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def book(owner, shelf):
    owner.upload(shelf, "o", b"page")
    return shelf


# An ACL for reading, with {member}, {stranger} and their accounts; who asks, and what a GET of an object and a listing
# are answered.
READERS = [
    ("", "member", 403, 403),
    ("", "anonymous", 401, 401),
    (".r:*", "anonymous", 200, 401),
    (".r:*", "stranger", 200, 403),
    (".r:*,.rlistings", "anonymous", 200, 200),
    (".r:*,.rlistings", "stranger", 200, 200),
    (".rlistings", "anonymous", 401, 401),
    (".r:*,.r:-page.example", "anonymous", 200, 401),
    (".r:page.example", "anonymous", 401, 401),
    ("{stranger}", "stranger", 200, 200),
    ("{stranger}", "member", 403, 403),
    ("{stranger}", "anonymous", 401, 401),
    ("{stranger_account}", "stranger", 200, 200),
    ("{stranger_account}:*", "stranger", 403, 403),
    ("{member}", "member", 200, 200),
    ("{member_account}", "member", 200, 200),
    ("{member},{stranger}", "stranger", 200, 200),
    (" {member} , {stranger} ", "stranger", 200, 200),
    ("{member}x", "member", 403, 403),
    ("nobody:nowhere", "member", 403, 403),
]


def named(swift, acl):
    member, stranger = swift.member.name, swift.stranger.name
    return acl.format(
        member=member,
        stranger=stranger,
        member_account=member.partition(":")[0],
        stranger_account=stranger.partition(":")[0],
    )


@pytest.mark.parametrize(("acl", "user", "reads", "lists"), READERS)
def test_who_reads(swift, owner, book, acl, user, reads, lists):
    assert owner.post(book, headers={"X-Container-Read": named(swift, acl), "X-Container-Write": ""}).status == 204
    asks = swift[user]
    assert asks.get(book, "o").status == asks.head(book, "o").status == reads
    assert asks.get(book).status == lists
    for method in ("PUT", "POST", "DELETE"):
        assert asks.request(method, f"{book}/o").status in (401, 403)
    assert asks.post(book, headers={"X-Container-Read": ".r:*"}).status in (401, 403)


@pytest.mark.parametrize(
    ("acl", "host", "status"),
    [
        (".r:page.example", "http://page.example/x", 200),
        (".r:page.example", "http://page.example:8080/x", 200),
        (".r:page.example", "http://other.example/x", 401),
        (".r:page.example", "http://sub.page.example/x", 401),
        (".r:.page.example", "http://sub.page.example/x", 200),
        (".r:*.page.example", "http://sub.page.example/x", 200),
        (".r:*,.r:-bad.example", "http://bad.example/", 401),
        (".r:*,.r:-bad.example", "http://good.example/", 200),
        (".r:-bad.example,.r:*", "http://bad.example/", 200),
        (".referrer:page.example", "http://page.example/", 200),
        (".ref:page.example", "http://page.example/", 200),
    ],
)
def test_pages_that_refer(swift, owner, book, acl, host, status):
    assert owner.post(book, headers={"X-Container-Read": acl}).status == 204
    assert swift.anonymous.get(book, "o", headers={"Referer": host}).status == status


@pytest.mark.parametrize(
    ("acl", "user", "may"),
    [
        ("{stranger}", "stranger", True),
        ("{stranger_account}", "stranger", True),
        ("{member}", "stranger", False),
        ("{member}", "member", True),
        ("{member}", "anonymous", False),
        (".rlistings", "anonymous", False),
        (".rlistings,{member}", "member", True),
    ],
)
def test_who_writes(swift, owner, container, acl, user, may):
    owner.upload(container, "o")
    assert owner.post(container, headers={"X-Container-Write": named(swift, acl)}).status == 204
    asks, refused = swift[user], 401 if user == "anonymous" else 403
    assert asks.put(container, "p", body=b"theirs").status == (201 if may else refused)
    assert asks.post(container, "o", headers={"X-Object-Meta-A": "b"}).status == (202 if may else refused)
    assert asks.delete(container, "o").status == (204 if may else refused)
    assert asks.get(container, "o").status == refused, "writing is not reading"
    assert asks.get(container).status == asks.delete(container).status == refused
    assert owner.names(container) == (["p"] if may else ["o"])


@pytest.mark.parametrize("token", ["junk", "AUTH_tk00000000000000000000000000000000", "", "é", "a" * 300])
@pytest.mark.parametrize("header", ["X-Auth-Token", "X-Storage-Token"])
def test_tokens_that_are_none(swift, book, header, token):
    asks = swift.anonymous
    for path in ("", book, f"{book}/o"):
        assert asks.get(path, headers={header: token}).status == 401


def test_a_storage_token_is_a_token(swift, owner, book):
    assert swift.anonymous.get(book, "o", headers={"X-Storage-Token": owner.token}).status == 200


def test_a_bad_token_reads_no_more_than_none(swift, owner, book):
    owner.post(book, headers={"X-Container-Read": ".r:*"})
    assert swift.anonymous.get(book, "o", headers={"X-Auth-Token": "junk"}).status in (200, 401)
    assert swift.anonymous.get(book, headers={"X-Auth-Token": "junk"}).status == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-Auth-User": "{name}", "X-Auth-Key": "wrong"}, 401),
        ({"X-Auth-User": "{name}", "X-Auth-Key": ""}, 401),
        ({"X-Auth-User": "{name}"}, 401),
        ({"X-Auth-User": "nobody:here", "X-Auth-Key": "x"}, 401),
        ({"X-Auth-User": "nocolon", "X-Auth-Key": "x"}, 401),
        ({"X-Auth-Key": "x"}, 401),
        ({}, 401),
        ({"X-Auth-User": "ü:ñ", "X-Auth-Key": "é"}, 401),
    ],
)
def test_log_ins_that_fail(swift, owner, headers, status):
    sent = {name: value.format(name=owner.name) for name, value in headers.items()}
    newcomer = swift.newcomer()
    answer = newcomer.raw("GET", "/auth/v1.0", sent)
    newcomer.close()
    assert answer.status == status and answer.headers["www-authenticate"].startswith("Swift realm=")
    assert "x-auth-token" not in answer.headers


def test_a_log_in_tells_token_and_place(swift, owner):
    user, key = swift.users["owner"]
    for names in (("X-Auth-User", "X-Auth-Key"), ("X-Storage-User", "X-Storage-Pass")):
        answer = swift.anonymous.raw("GET", "/auth/v1.0", dict(zip(names, (user, key), strict=True)))
        assert answer.status == 200 and answer.headers["x-storage-url"].endswith(f"/v1/{owner.account}")
        assert answer.headers["x-auth-token"] == answer.headers["x-storage-token"]
        assert int(answer.headers["x-auth-token-expires"]) > 0
