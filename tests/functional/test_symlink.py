"""Links, from outside: rows A4.9 and A4.10."""

import pytest

from tests.functional.api import etag_of, md5

pytestmark = pytest.mark.cluster

EMPTY = md5("")


@pytest.fixture(scope="module")
def container(owner):
    path = owner.new_container()
    owner.put(f"{path}/o", body=b"hello", headers={"Content-Type": "a/b", "X-Object-Meta-T": "t"})
    assert (
        owner.put(f"{path}/l", body=b"", headers={"X-Symlink-Target": f"{path}/o", "X-Object-Meta-L": "l"}).status
        == 201
    )
    static = {"X-Symlink-Target": f"{path}/o", "X-Symlink-Target-Etag": md5("hello")}
    assert owner.put(f"{path}/s", body=b"", headers=static).status == 201
    return path


@pytest.mark.parametrize("link", ["l", "s"])
@pytest.mark.parametrize(
    ("headers", "status", "body"),
    [
        ({}, 200, b"hello"),
        ({"Range": "bytes=1-2"}, 206, b"el"),
        ({"Range": "bytes=0-0,4-4"}, 206, None),
        ({"Range": "bytes=5-"}, 416, None),
        ({"If-Match": md5("hello")}, 200, b"hello"),
        ({"If-Match": EMPTY}, 412, None),
        ({"If-None-Match": md5("hello")}, 304, b""),
        ({"If-None-Match": EMPTY}, 200, b"hello"),
    ],
)
def test_a_link_reads_as_its_target(owner, container, link, headers, status, body):
    reply = owner.get(f"{container}/{link}", headers=headers)
    assert reply.status == status and (body is None or reply.body == body)
    assert reply.headers["content-location"] == f"/v1/{owner.account}/{container}/o"
    assert etag_of(reply) == md5("hello")


@pytest.mark.parametrize("link", ["l", "s"])
def test_the_link_itself(owner, container, link):
    reply = owner.head(f"{container}/{link}?symlink=get")
    assert reply.headers["x-symlink-target"] == f"{container}/o" and etag_of(reply) == EMPTY
    assert reply.headers.get("x-symlink-target-etag") == (md5("hello") if link == "s" else None)
    assert "x-object-sysmeta-symlink-target" not in reply.headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-Symlink-Target": "c"}, 412),
        ({"X-Symlink-Target": ""}, 412),
        ({"X-Symlink-Target": "/"}, 412),
        ({"X-Symlink-Target": "c/"}, 412),
        ({"X-Symlink-Target": "%FF/o"}, 412),
        ({"X-Symlink-Target": "c/o", "X-Symlink-Target-Account": "a/b"}, 412),
        ({"X-Symlink-Target-Etag": "x"}, 400),
        ({"X-Symlink-Target-Account": "x"}, 400),
    ],
)
def test_targets_that_are_none(owner, container, headers, status):
    assert owner.put(f"{container}/bad", body=b"", headers=headers).status == status
    assert owner.head(f"{container}/bad?symlink=get").status == 404


def test_a_link_has_no_body_and_no_way_to_itself(owner, container):
    target = {"X-Symlink-Target": f"{container}/o"}
    assert owner.put(f"{container}/bad", body=b"x", headers=target).status == 400
    assert owner.put(f"{container}/o", body=b"", headers=target).status == 400
    assert owner.get(f"{container}/o").body == b"hello"


@pytest.mark.parametrize(("etag", "status"), [(md5("hello"), 201), (f'"{md5("hello")}"', 201), ("0" * 32, 409)])
def test_a_static_link_is_checked_when_it_is_made(owner, container, etag, status):
    headers = {"X-Symlink-Target": f"{container}/o", "X-Symlink-Target-Etag": etag}
    assert owner.put(f"{container}/checked", body=b"", headers=headers).status == status


def test_a_static_link_to_nothing_is_refused(owner, container):
    headers = {"X-Symlink-Target": f"{container}/none", "X-Symlink-Target-Etag": EMPTY}
    assert owner.put(f"{container}/bad", body=b"", headers=headers).status == 409


def test_a_static_link_ends_where_its_target_changes(owner):
    c = owner.new_container()
    owner.put(f"{c}/o", body=b"one")
    owner.put(f"{c}/s", body=b"", headers={"X-Symlink-Target": f"{c}/o", "X-Symlink-Target-Etag": md5("one")})
    owner.put(f"{c}/o", body=b"two")
    for headers in ({}, {"Range": "bytes=0-0"}, {"If-None-Match": "x"}, {"If-Match": md5("two")}):
        reply = owner.get(f"{c}/s", headers=headers)
        assert reply.status == 409 and b"two" not in reply.body
    owner.delete(f"{c}/o")
    assert owner.get(f"{c}/s").status == 404


def test_rows_of_links(owner, container):
    rows = {row["name"]: row for row in owner.listing(container)}
    path = f"/v1/{owner.account}/{container}/o"
    assert rows["l"]["symlink_path"] == rows["s"]["symlink_path"] == path
    assert rows["l"]["hash"] == rows["s"]["hash"] == EMPTY
    assert (rows["s"]["symlink_etag"], rows["s"]["symlink_bytes"]) == (md5("hello"), 5)
    assert "symlink_etag" not in rows["l"] and "symlink_path" not in rows["o"]


def test_the_rights_of_the_target_count(swift, owner):
    c, secret = owner.new_container({"X-Container-Read": ".r:*"}), owner.new_container()
    owner.put(f"{secret}/o", body=b"secret")
    owner.put(f"{c}/l", body=b"", headers={"X-Symlink-Target": f"{secret}/o"})
    for headers in ({}, {"Range": "bytes=0-1"}, {"If-None-Match": "*"}):
        reply = swift.anonymous.get(f"{c}/l", headers=headers)
        assert reply.status == 401 and b"secret" not in reply.body


def test_copies(owner, container):
    assert owner.copy(f"{container}/l", to=f"{container}/data").status == 201
    assert owner.get(f"{container}/data?symlink=get").body == b"hello"
    assert owner.copy(f"{container}/s?symlink=get", to=f"{container}/s2").status == 201
    copied = owner.head(f"{container}/s2?symlink=get").headers
    assert copied["x-symlink-target"] == f"{container}/o" and copied["x-symlink-target-etag"] == md5("hello")
    rows = {row["name"]: row for row in owner.listing(container, "&prefix=s2")}
    assert rows["s2"]["symlink_etag"] == md5("hello")


def test_a_link_into_a_reserved_name_opens_nothing(swift, owner):
    c, own = owner.new_container({"X-Versions-Enabled": "true"}), owner.new_container({"X-Container-Read": ".r:*"})
    seconds, _, ticks = owner.put(f"{c}/o", body=b"secret").headers["x-object-version-id"].partition(".")
    stored = f"{999_999_999_999_999 - int(seconds + ticks):015d}"
    name = f"%00versions%00{c}/%00o%00{stored[:10]}.{stored[10:]}"
    owner.put(f"{own}/l", body=b"", headers={"X-Symlink-Target": name})
    for user in ("anonymous", "member", "owner"):
        reply = swift[user].get(f"{own}/l")
        assert reply.status in (401, 403, 404, 412) and b"secret" not in reply.body


@pytest.mark.parametrize("link", ["l", "s"])
def test_metadata_is_posted_to_the_target_not_to_the_link(owner, container, link):
    answer = owner.post(f"{container}/{link}", headers={"X-Object-Meta-New": "x"})
    assert answer.status == 307 and answer.headers["location"].endswith(f"/v1/{owner.account}/{container}/o")
    assert "x-object-meta-new" not in owner.head(f"{container}/o").headers


def test_a_link_into_another_account(swift, owner, container):
    stranger, there = swift.stranger, swift.stranger.account
    assert stranger.put("linked", account=there, headers={"X-Container-Read": owner.name}).status in (201, 202)
    assert stranger.put("linked", "o", account=there, body=b"theirs").status == 201
    headers = {"X-Symlink-Target": "linked/o", "X-Symlink-Target-Account": there}
    assert owner.put(f"{container}/far", headers=headers).status == 201
    assert owner.get(f"{container}/far").body == b"theirs"
    shown = owner.head(f"{container}/far?symlink=get").headers
    assert shown["x-symlink-target-account"] == there
    assert stranger.post("linked", account=there, headers={"X-Container-Read": ""}).status == 204
    assert owner.get(f"{container}/far").status == 403
    assert stranger.delete("linked", "o", account=there).status == 204
    assert stranger.delete("linked", account=there).status == 204


def test_links_that_go_round(owner, container):
    for name, target in (("x", "y"), ("y", "x")):
        owner.put(f"{container}/{name}", headers={"X-Symlink-Target": f"{container}/{target}"})
    assert owner.get(f"{container}/x").status == 409
