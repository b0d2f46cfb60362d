"""Static large objects, from outside: rows A4.1 to A4.5."""

import base64
import hashlib
import http.client
import json

import pytest

from tests.functional.api import etag_of, md5

pytestmark = pytest.mark.cluster

PARTS = (b"aaaaa", b"bbbbbbb", b"cc")
WHOLE = b"".join(PARTS)


@pytest.fixture(scope="module")
def segments(owner):
    """(container, names of three objects in it)."""
    container = owner.new_container()
    for index, part in enumerate(PARTS):
        assert owner.put(f"{container}/{index}", body=part).status == 201
    return container


@pytest.fixture(scope="module")
def manifest(owner, segments):
    """A manifest of the three, of type x/y."""
    reply = owner.put_manifest(
        f"{segments}/whole", [{"path": f"{segments}/{index}"} for index in range(3)], headers={"Content-Type": "x/y"}
    )
    assert reply.status == 201
    return f"{segments}/whole"


ETAG = md5("".join(md5(part) for part in PARTS))


@pytest.mark.parametrize(
    ("range_", "status", "body", "content_range"),
    [
        ("bytes=0-0", 206, b"a", "bytes 0-0/14"),
        ("bytes=4-5", 206, b"ab", "bytes 4-5/14"),
        ("bytes=5-11", 206, b"bbbbbbb", "bytes 5-11/14"),
        ("bytes=0-13", 206, WHOLE, "bytes 0-13/14"),
        ("bytes=13-", 206, b"c", "bytes 13-13/14"),
        ("bytes=-1", 206, b"c", "bytes 13-13/14"),
        ("bytes=-100", 206, WHOLE, "bytes 0-13/14"),
        ("bytes=14-", 416, None, "bytes */14"),
        ("bytes=5-4", 200, WHOLE, None),
        ("pages=1-2", 200, WHOLE, None),
        ("bytes=0-1,20-30", 206, b"aa", "bytes 0-1/14"),
    ],
)
def test_a_range_is_of_the_whole(owner, manifest, range_, status, body, content_range):
    reply = owner.get(manifest, headers={"Range": range_})
    assert (reply.status, reply.headers.get("content-range")) == (status, content_range)
    assert body is None or reply.body == body


def test_several_ranges_are_parts_of_one_body(owner, manifest):
    reply = owner.get(manifest, headers={"Range": "bytes=3-6,12-13"})
    assert reply.status == 206 and reply.headers["content-type"].startswith("multipart/byteranges")
    assert b"Content-Range: bytes 3-6/14\r\n\r\naabb\r\n" in reply.body
    assert b"Content-Range: bytes 12-13/14\r\n\r\ncc\r\n" in reply.body
    assert len(reply.body) == int(reply.headers["content-length"])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-Match": ETAG}, 200),
        ({"If-Match": f'"{ETAG}"'}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": "0" * 32}, 412),
        ({"If-None-Match": ETAG}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": "0" * 32}, 200),
        ({"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 304),
        ({"If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}, 412),
        ({"If-Match": ETAG, "Range": "bytes=0-1"}, 206),
        ({"If-Range": f'"{ETAG}"', "Range": "bytes=0-1"}, 206),
        ({"If-Range": '"other"', "Range": "bytes=0-1"}, 200),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_conditions_are_about_the_etag_of_the_whole(owner, manifest, method, headers, status):
    reply = owner.request(method, manifest, headers=headers)
    expected = 200 if method == "HEAD" and status == 206 else status
    assert reply.status == expected and etag_of(reply) == ETAG


def test_what_a_large_object_shows(owner, manifest):
    get, head = owner.get(manifest), owner.head(manifest)
    assert get.body == WHOLE and etag_of(get) == etag_of(head) == ETAG
    for reply in (get, head):
        assert reply.headers["content-length"] == "14" and reply.headers["content-type"] == "x/y"
        assert reply.headers["x-static-large-object"] == "True"
        assert reply.headers["accept-ranges"] == "bytes"
    raw = owner.get(f"{manifest}?multipart-manifest=get")
    assert md5(raw.body) == etag_of(raw) == get.headers["x-manifest-etag"]


def test_a_raw_manifest_can_be_put_again(owner, manifest):
    raw = owner.get(f"{manifest}?multipart-manifest=get&format=raw")
    assert etag_of(owner.put(f"{manifest}-again?multipart-manifest=put", body=raw.body)) == ETAG
    assert owner.get(f"{manifest}-again").body == WHOLE


@pytest.mark.parametrize(
    ("query", "status", "body"),
    [
        ("part-number=1", 206, b"aaaaa"),
        ("part-number=3", 206, b"cc"),
        ("part-number=4", 416, None),
        ("part-number=0", 400, None),
        ("part-number=one", 400, None),
        ("part-number=1.5", 400, None),
    ],
)
def test_part_number(owner, manifest, query, status, body):
    reply = owner.get(f"{manifest}?{query}")
    assert reply.status == status and (body is None or reply.body == body)
    if status == 206:
        assert reply.headers["x-parts-count"] == "3"


def test_part_number_of_a_plain_object_is_the_object(owner, segments):
    assert owner.get(f"{segments}/0?part-number=1").body == b"aaaaa"


# Manifests that are refused


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"{}", b"null", b"1", b'"x"', b"[1]", b'["x"]', b"[[]]", b"[{}]", b'[{"path": 1}]',
        b'[{"path": ""}]', b'[{"path": "/"}]', b'[{"path": "/c"}]', b'[{"path": "/c/"}]', b'[{"path": "/c/\\u0000"}]',
        b'[{"path": "/c/\\ud800"}]', b'[{"path": "/c/o", "etag": 1}]', b'[{"path": "/c/o", "size_bytes": "x"}]',
        b'[{"path": "/c/o", "size_bytes": 1.5}]', b'[{"path": "/c/o", "size_bytes": true}]',
        b'[{"path": "/c/o", "range": "x"}]', b'[{"path": "/c/o", "range": "1-2,4-5"}]',
        b'[{"path": "/c/o", "range": "3-1"}]', b'[{"path": "/c/o", "range": 3}]', b'[{"path": "/c/o", "more": 1}]',
        b'[{"data": "YQ=="}]', b'[{"data": ""}, {"path": "/c/o"}]', b'[{"data": "?"}, {"path": "/c/o"}]',
        b'[{"data": 1}, {"path": "/c/o"}]', b'[{"data": "YQ==", "path": "/c/o"}]', b"\xff\xfe", b"[" * 5000,
    ],
)  # fmt: skip
def test_what_is_no_manifest_is_refused_and_stores_nothing(owner, segments, body):
    assert owner.put(f"{segments}/bad?multipart-manifest=put", body=body).status == 400
    assert owner.head(f"{segments}/bad").status == 404


@pytest.mark.parametrize(
    ("segment", "problem"),
    [
        ({"path": "/0", "etag": "0" * 32}, "Etag Mismatch"),
        ({"path": "/0", "size_bytes": 4}, "Size Mismatch"),
        ({"path": "/0", "size_bytes": 6}, "Size Mismatch"),
        ({"path": "/missing"}, "404 Not Found"),
        ({"path": "/0", "range": "5-"}, "Unsatisfiable Range"),
        ({"path": "/0", "range": "-0"}, "Unsatisfiable Range"),
    ],
)
def test_a_segment_that_does_not_fit_is_named(owner, segments, segment, problem):
    segment = {**segment, "path": f"/{segments}" + segment["path"]}
    reply = owner.put_manifest(f"{segments}/bad", [segment], {"Accept": "application/json"})
    assert reply.status == 400 and reply.json["Errors"] == [[segment["path"], problem]]
    assert owner.head(f"{segments}/bad").status == 404


def test_an_empty_object_is_no_segment(owner):
    c = owner.new_container()
    owner.put(f"{c}/empty")
    assert owner.put_manifest(f"{c}/m", [{"path": f"{c}/empty"}]).status == 400


def test_limits_of_a_manifest(owner, segments):
    segment = {"path": f"{segments}/2"}
    assert owner.put_manifest(f"{segments}/most", [segment] * 1000).status == 201
    # Not all of it: small segments are read at a pace.
    assert owner.head(f"{segments}/most").headers["content-length"] == "2000"
    assert owner.get(f"{segments}/most", headers={"Range": "bytes=-3"}).body == b"ccc"
    assert owner.put_manifest(f"{segments}/more", [segment] * 1001).status == 413


def test_a_manifest_that_is_too_long(swift, owner, segments):
    most = swift.info["slo"]["max_manifest_size"]
    start = json.dumps([{"path": f"/{segments}/2"}]).encode()
    for size, status in ((most, 201), (most + 1, 413)):
        body = start[:-1] + b" " * (size - len(start)) + b"]"
        # In chunks: of a length that is told to be too long nothing is read, and whoever sends it all is cut off.
        answer = owner.put(f"{segments}/long?multipart-manifest=put", body=iter([body]))
        assert answer.status == status
    assert owner.get(f"{segments}/long").body == b"cc"


def test_inline_data_does_not_count_against_the_limit(owner, segments):
    data = {"data": base64.b64encode(b"+").decode()}
    entries = [{"path": f"{segments}/2"}, *([data] * 1200)]
    assert owner.put_manifest(f"{segments}/inline", entries).status == 201
    assert owner.get(f"{segments}/inline", headers={"Range": "bytes=1-3"}).body == b"c++"


def test_ranges_of_segments_and_their_etag(owner, segments):
    entries = [{"path": f"{segments}/1", "range": "1-2"}, {"path": f"{segments}/0", "range": "-1"}]
    reply = owner.put_manifest(f"{segments}/ranged", entries)
    assert etag_of(reply) == md5(f"{md5(PARTS[1])}:1-2;{md5(PARTS[0])}:4-4;")
    assert owner.get(f"{segments}/ranged").body == b"bba"
    assert owner.get(f"{segments}/ranged", headers={"Range": "bytes=1-2"}).body == b"ba"


@pytest.mark.parametrize("etag", [ETAG, f'"{ETAG}"'])
def test_the_etag_of_a_put_is_that_of_the_whole(owner, segments, etag):
    entries = [{"path": f"{segments}/{index}"} for index in range(3)]
    assert owner.put_manifest(f"{segments}/etag", entries, {"Etag": etag}).status == 201
    assert owner.put_manifest(f"{segments}/etag", entries, {"Etag": "0" * 32}).status == 422


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_nobody_calls_an_object_static_large_himself(owner, segments, method):
    headers = {"X-Static-Large-Object": "true"}
    body = b"aaaaa" if method == "PUT" else b""
    assert owner.request(method, f"{segments}/0", body=body, headers=headers).status == 400
    assert "x-static-large-object" not in owner.head(f"{segments}/0").headers


def test_nested_manifests(owner, segments, manifest):
    path = manifest
    for depth in range(9):
        assert owner.put_manifest(f"{segments}/depth{depth}", [{"path": path}]).status == 201
        path = f"{segments}/depth{depth}"
    assert owner.get(path).body == WHOLE
    assert owner.get(path, headers={"Range": "bytes=4-6"}).body == b"abb"
    owner.put_manifest(f"{segments}/too-deep", [{"path": path}])
    assert owner.get(f"{segments}/too-deep").status == 409


def test_heartbeat_tells_failures_in_its_report(owner, segments):
    entries = [{"path": f"/{segments}/missing"}]
    reply = owner.put_manifest(f"{segments}/hb", entries, {"Accept": "application/json"}, "&heartbeat=on")
    assert reply.status == 202 and reply.body.startswith(b" ")
    report = json.loads(reply.body)
    assert report["Response Status"] == "400 Bad Request"
    assert report["Errors"] == [[f"/{segments}/missing", "404 Not Found"]]
    assert owner.head(f"{segments}/hb").status == 404


# What changes afterwards


def test_a_segment_that_is_replaced_is_never_served(owner):
    c = owner.new_container()
    owner.put(f"{c}/1", body=b"a" * 100_000)
    owner.put(f"{c}/2", body=b"b" * 100_000)
    owner.put_manifest(f"{c}/m", [{"path": f"{c}/1"}, {"path": f"{c}/2"}])
    owner.put(f"{c}/2", body=b"X" * 100_000)
    with pytest.raises(http.client.IncompleteRead) as cut:
        owner.get(f"{c}/m")
    assert b"X" not in cut.value.partial
    owner.put(f"{c}/1", body=b"X" * 100_000)
    assert owner.get(f"{c}/m").status == 409


def test_large_segments_are_joined(owner):
    c = owner.new_container()
    bodies = [bytes([index]) * (300_000 + index) for index in range(12)]
    for index, body in enumerate(bodies):
        owner.put(f"{c}/{index:02}", body=body)
    owner.put_manifest(f"{c}/m", [{"path": f"{c}/{index:02}"} for index in range(12)])
    assert hashlib.sha256(owner.get(f"{c}/m").body).digest() == hashlib.sha256(b"".join(bodies)).digest()
    assert owner.get(f"{c}/m", headers={"Range": "bytes=299990-600010"}).body == b"".join(bodies)[299990:600011]


def test_delete_takes_nested_segments_along(owner):
    c = owner.new_container()
    owner.put(f"{c}/1", body=b"a")
    owner.put(f"{c}/2", body=b"b")
    owner.put_manifest(f"{c}/inner", [{"path": f"{c}/1"}])
    owner.put_manifest(f"{c}/outer", [{"path": f"{c}/inner"}, {"path": f"{c}/2"}])
    reply = owner.delete(f"{c}/outer?multipart-manifest=delete", headers={"Accept": "application/json"})
    assert reply.json["Number Deleted"] == 4 and reply.json["Response Status"] == "200 OK"
    assert owner.listing(c) == []


def test_a_deletion_that_is_not_allowed_keeps_the_manifest(swift, owner):
    c = owner.new_container({"X-Container-Read": swift.member.name, "X-Container-Write": swift.member.name})
    s = owner.new_container({"X-Container-Read": swift.member.name})
    owner.put(f"{s}/1", body=b"a")
    owner.put_manifest(f"{c}/m", [{"path": f"/{s}/1"}])
    query = {"Accept": "application/json"}
    reply = swift.member.delete(f"{c}/m?multipart-manifest=delete", headers=query)
    assert reply.json["Response Status"] == "400 Bad Request" and reply.json["Errors"] == [[f"/{s}/1", "403 Forbidden"]]
    assert owner.get(f"{c}/m").body == b"a"
    assert swift.member.delete(f"{c}/m?multipart-manifest=delete&async=on", headers=query).status == 403
    assert owner.get(f"{c}/m").body == b"a"


@pytest.mark.parametrize("user", ["anonymous", "member"])
def test_reading_a_manifest_gives_no_right_to_its_segments(swift, owner, user):
    c, s = owner.new_container({"X-Container-Read": f".r:*,{swift.member.name}"}), owner.new_container()
    owner.put(f"{s}/1", body=b"secret")
    owner.put_manifest(f"{c}/m", [{"path": f"/{s}/1"}])
    reply = swift[user].get(f"{c}/m")
    assert reply.status == 409 and b"secret" not in reply.body


def test_a_manifest_cannot_look_into_what_its_writer_may_not_read(swift, owner):
    c, s = owner.new_container({"X-Container-Write": swift.member.name}), owner.new_container()
    owner.put(f"{s}/1", body=b"secret")
    body = json.dumps([{"path": f"/{s}/1"}]).encode()
    reply = swift.member.put(f"{c}/m?multipart-manifest=put", body=body, headers={"Accept": "application/json"})
    assert reply.status == 400 and reply.json["Errors"] == [[f"/{s}/1", "403 Forbidden"]]
