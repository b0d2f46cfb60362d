"""Dynamic large objects, from outside: row A4.6."""

import pytest

from tests.functional.api import etag_of, md5

pytestmark = pytest.mark.cluster

PARTS = (b"aaaaa", b"bbb", b"c")
WHOLE = b"".join(PARTS)
ETAG = md5("".join(md5(part) for part in PARTS))


@pytest.fixture(scope="module")
def container(owner):
    path = owner.new_container()
    for index, part in enumerate(PARTS):
        owner.put(f"{path}/p/{index}", body=part)
    owner.put(f"{path}/q", body=b"zzz")
    owner.put(f"{path}/m", body=b"own", headers={"X-Object-Manifest": f"{path}/p/", "Content-Type": "x/y"})
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
def test_ranges(owner, container, range_, status, body):
    reply = owner.get(f"{container}/m", headers={"Range": range_})
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
def test_conditions(owner, container, headers, status):
    reply = owner.get(f"{container}/m", headers=headers)
    assert reply.status == status and etag_of(reply) == ETAG


def test_head_and_get_agree(owner, container):
    get, head = owner.get(f"{container}/m"), owner.head(f"{container}/m")
    assert get.body == WHOLE and etag_of(get) == etag_of(head) == ETAG
    assert head.headers["content-length"] == "9" and head.headers["content-type"] == "x/y"


def test_the_manifest_itself(owner, container):
    reply = owner.get(f"{container}/m?multipart-manifest=get")
    assert reply.body == b"own" and etag_of(reply) == md5("own")


def test_nothing_found_is_an_empty_object(owner, container):
    owner.put(f"{container}/none", body=b"", headers={"X-Object-Manifest": f"{container}/nothing-begins-so"})
    reply = owner.get(f"{container}/none")
    assert (reply.status, reply.body, etag_of(reply)) == (200, b"", md5(""))


@pytest.mark.parametrize("value", ["c", "c/", "/", "//", "/c", "%FF/x", "c/%00"])
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_header_that_names_no_prefix_is_refused(owner, container, method, value):
    assert owner.request(method, f"{container}/bad", headers={"X-Object-Manifest": value}).status == 400


def test_percent_encoded_names(owner):
    c = owner.new_container()
    owner.put(f"{c}/%E2%98%83%20x/1", body=b"snow")
    owner.put(f"{c}/m", body=b"", headers={"X-Object-Manifest": f"{c}/%E2%98%83%20x/"})
    assert owner.get(f"{c}/m").body == b"snow"


def test_a_pointer_gives_no_right_to_what_it_points_at(swift, owner):
    """CVE-2015-5223: whoever may only write a manifest does not read through it."""
    secret, own = (
        owner.new_container(),
        owner.new_container({"X-Container-Read": ".r:*", "X-Container-Write": swift.member.name}),
    )
    owner.put(f"{secret}/1", body=b"secret")
    swift.member.put(f"{own}/m", body=b"", headers={"X-Object-Manifest": f"{secret}/1"})
    for user in ("anonymous", "member"):
        reply = swift[user].get(f"{own}/m")
        assert reply.status in (401, 403) and b"secret" not in reply.body


def test_a_copy_is_flat_unless_the_manifest_is_asked_for(owner, container):
    assert owner.copy(f"{container}/m", to=f"{container}/flat").status == 201
    flat = owner.head(f"{container}/flat")
    assert (
        flat.headers["content-length"] == "9"
        and "x-object-manifest" not in flat.headers
        and etag_of(flat) == md5(WHOLE)
    )
    assert owner.copy(f"{container}/m?multipart-manifest=get", to=f"{container}/man").status == 201
    assert owner.head(f"{container}/man").headers["x-object-manifest"] == f"{container}/p/"
