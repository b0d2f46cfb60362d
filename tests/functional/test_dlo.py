"""Dynamic large objects, from outside: row A4.6."""

import pytest

from tests.functional.site import Site, etag_of, md5

pytestmark = pytest.mark.cluster

PARTS = (b"aaaaa", b"bbb", b"c")
WHOLE = b"".join(PARTS)
ETAG = md5("".join(md5(part) for part in PARTS))


@pytest.fixture(scope="module")
def container(swift):
    site = Site(swift)
    path = site.container()
    for index, part in enumerate(PARTS):
        site.put(f"{path}/p/{index}", part)
    site.put(f"{path}/q", b"zzz")
    site.put(f"{path}/m", b"own", {"X-Object-Manifest": f"{path[1:]}/p/", "Content-Type": "x/y"})
    return path


@pytest.mark.parametrize(
    ("range_", "status", "body"),
    [
        ("bytes=0-0", 206, b"a"),
        ("bytes=4-5", 206, b"ab"),
        ("bytes=-2", 206, b"bc"),
        ("bytes=8-", 206, b"c"),
        ("bytes=0-100", 206, WHOLE),
        ("bytes=9-", 416, None),
        ("bytes=0-0,8-8", 200, WHOLE),
        ("bytes=2-1", 200, WHOLE),
    ],
)
def test_ranges(site, container, range_, status, body):
    reply = site.get(f"{container}/m", {"Range": range_})
    assert reply.status == status and (body is None or reply.body == body)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-Match": ETAG}, 200),
        ({"If-Match": md5("own")}, 412),
        ({"If-None-Match": ETAG}, 304),
        ({"If-None-Match": md5("own")}, 200),
        ({"If-Match": ETAG, "Range": "bytes=0-1"}, 206),
        ({"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 304),
    ],
)
def test_conditions(site, container, headers, status):
    reply = site.get(f"{container}/m", headers)
    assert reply.status == status and etag_of(reply) == ETAG


def test_head_and_get_agree(site, container):
    get, head = site.get(f"{container}/m"), site.head(f"{container}/m")
    assert get.body == WHOLE and etag_of(get) == etag_of(head) == ETAG
    assert head.headers["content-length"] == "9" and head.headers["content-type"] == "x/y"


def test_the_manifest_itself(site, container):
    reply = site.get(f"{container}/m?multipart-manifest=get")
    assert reply.body == b"own" and etag_of(reply) == md5("own")


def test_nothing_found_is_an_empty_object(site, container):
    site.put(f"{container}/none", b"", {"X-Object-Manifest": f"{container[1:]}/nothing-begins-so"})
    reply = site.get(f"{container}/none")
    assert (reply.status, reply.body, etag_of(reply)) == (200, b"", md5(""))


@pytest.mark.parametrize("value", ["c", "c/", "/", "//", "/c", "%FF/x", "c/%00"])
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_header_that_names_no_prefix_is_refused(site, container, method, value):
    assert site.request(method, f"{container}/bad", headers={"X-Object-Manifest": value}).status == 400


def test_percent_encoded_names(site):
    c = site.container()
    site.put(f"{c}/%E2%98%83%20x/1", b"snow")
    site.put(f"{c}/m", b"", {"X-Object-Manifest": f"{c[1:]}/%E2%98%83%20x/"})
    assert site.get(f"{c}/m").body == b"snow"


def test_a_pointer_gives_no_right_to_what_it_points_at(site):
    """CVE-2015-5223: whoever may only write a manifest does not read through it."""
    secret, own = site.container(), site.container({"X-Container-Read": ".r:*", "X-Container-Write": site.member})
    site.put(f"{secret}/1", b"secret")
    site.put(f"{own}/m", b"", {"X-Object-Manifest": f"{secret[1:]}/1"}, user="member")
    for user in ("anonymous", "member"):
        reply = site.get(f"{own}/m", user=user)
        assert reply.status in (401, 403) and b"secret" not in reply.body


def test_a_copy_is_flat_unless_the_manifest_is_asked_for(site, container):
    assert site.copy(f"{container}/m", f"{container}/flat").status == 201
    flat = site.head(f"{container}/flat")
    assert (
        flat.headers["content-length"] == "9"
        and "x-object-manifest" not in flat.headers
        and etag_of(flat) == md5(WHOLE)
    )
    assert site.copy(f"{container}/m?multipart-manifest=get", f"{container}/man").status == 201
    assert site.head(f"{container}/man").headers["x-object-manifest"] == f"{container[1:]}/p/"
