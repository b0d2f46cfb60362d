"""Links, from outside: rows A4.9 and A4.10."""

import pytest

from tests.functional.site import Site, etag_of, md5

pytestmark = pytest.mark.cluster

EMPTY = md5("")


@pytest.fixture(scope="module")
def container(swift):
    site = Site(swift)
    path = site.container()
    site.put(f"{path}/o", b"hello", {"Content-Type": "a/b", "X-Object-Meta-T": "t"})
    assert site.put(f"{path}/l", b"", {"X-Symlink-Target": f"{path[1:]}/o", "X-Object-Meta-L": "l"}).status == 201
    static = {"X-Symlink-Target": f"{path[1:]}/o", "X-Symlink-Target-Etag": md5("hello")}
    assert site.put(f"{path}/s", b"", static).status == 201
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
def test_a_link_reads_as_its_target(site, container, link, headers, status, body):
    reply = site.get(f"{container}/{link}", headers)
    assert reply.status == status and (body is None or reply.body == body)
    assert reply.headers["content-location"] == f"/v1/{site.account()}{container}/o"
    assert etag_of(reply) == md5("hello")


@pytest.mark.parametrize("link", ["l", "s"])
def test_the_link_itself(site, container, link):
    reply = site.head(f"{container}/{link}?symlink=get")
    assert reply.headers["x-symlink-target"] == f"{container[1:]}/o" and etag_of(reply) == EMPTY
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
def test_targets_that_are_none(site, container, headers, status):
    assert site.put(f"{container}/bad", b"", headers).status == status
    assert site.head(f"{container}/bad?symlink=get").status == 404


def test_a_link_has_no_body_and_no_way_to_itself(site, container):
    target = {"X-Symlink-Target": f"{container[1:]}/o"}
    assert site.put(f"{container}/bad", b"x", target).status == 400
    assert site.put(f"{container}/o", b"", target).status == 400
    assert site.get(f"{container}/o").body == b"hello"


@pytest.mark.parametrize(("etag", "status"), [(md5("hello"), 201), (f'"{md5("hello")}"', 201), ("0" * 32, 409)])
def test_a_static_link_is_checked_when_it_is_made(site, container, etag, status):
    headers = {"X-Symlink-Target": f"{container[1:]}/o", "X-Symlink-Target-Etag": etag}
    assert site.put(f"{container}/checked", b"", headers).status == status


def test_a_static_link_to_nothing_is_refused(site, container):
    headers = {"X-Symlink-Target": f"{container[1:]}/none", "X-Symlink-Target-Etag": EMPTY}
    assert site.put(f"{container}/bad", b"", headers).status == 409


def test_a_static_link_ends_where_its_target_changes(site):
    c = site.container()
    site.put(f"{c}/o", b"one")
    site.put(f"{c}/s", b"", {"X-Symlink-Target": f"{c[1:]}/o", "X-Symlink-Target-Etag": md5("one")})
    site.put(f"{c}/o", b"two")
    for headers in ({}, {"Range": "bytes=0-0"}, {"If-None-Match": "x"}, {"If-Match": md5("two")}):
        reply = site.get(f"{c}/s", headers)
        assert reply.status == 409 and b"two" not in reply.body
    site.delete(f"{c}/o")
    assert site.get(f"{c}/s").status == 404


def test_rows_of_links(site, container):
    rows = {row["name"]: row for row in site.listing(container)}
    path = f"/v1/{site.account()}{container}/o"
    assert rows["l"]["symlink_path"] == rows["s"]["symlink_path"] == path
    assert rows["l"]["hash"] == rows["s"]["hash"] == EMPTY
    assert (rows["s"]["symlink_etag"], rows["s"]["symlink_bytes"]) == (md5("hello"), 5)
    assert "symlink_etag" not in rows["l"] and "symlink_path" not in rows["o"]


def test_the_rights_of_the_target_count(site):
    c, secret = site.container({"X-Container-Read": ".r:*"}), site.container()
    site.put(f"{secret}/o", b"secret")
    site.put(f"{c}/l", b"", {"X-Symlink-Target": f"{secret[1:]}/o"})
    for headers in ({}, {"Range": "bytes=0-1"}, {"If-None-Match": "*"}):
        reply = site.get(f"{c}/l", headers, user="anonymous")
        assert reply.status == 401 and b"secret" not in reply.body


def test_copies(site, container):
    assert site.copy(f"{container}/l", f"{container}/data").status == 201
    assert site.get(f"{container}/data?symlink=get").body == b"hello"
    assert site.copy(f"{container}/s?symlink=get", f"{container}/s2").status == 201
    copied = site.head(f"{container}/s2?symlink=get").headers
    assert copied["x-symlink-target"] == f"{container[1:]}/o" and copied["x-symlink-target-etag"] == md5("hello")
    rows = {row["name"]: row for row in site.listing(container, "&prefix=s2")}
    assert rows["s2"]["symlink_etag"] == md5("hello")


def test_a_link_into_a_reserved_name_opens_nothing(site):
    c, own = site.container({"X-Versions-Enabled": "true"}), site.container({"X-Container-Read": ".r:*"})
    seconds, _, ticks = site.put(f"{c}/o", b"secret").headers["x-object-version-id"].partition(".")
    stored = f"{999_999_999_999_999 - int(seconds + ticks):015d}"
    name = f"%00versions%00{c[1:]}/%00o%00{stored[:10]}.{stored[10:]}"
    site.put(f"{own}/l", b"", {"X-Symlink-Target": name})
    for user in ("anonymous", "member", "owner"):
        reply = site.get(f"{own}/l", user=user)
        assert reply.status in (401, 403, 404, 412) and b"secret" not in reply.body
