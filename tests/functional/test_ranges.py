"""Conditions and ranges: rows A3.6 and A3.7."""

import pytest

from tests.functional.api import etag_of, md5

pytestmark = pytest.mark.cluster

BODY = bytes(range(97, 123)) * 4  # 104 bytes
ETAG = md5(BODY)
PAST, FUTURE = "Sat, 01 Jan 2000 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"


@pytest.fixture(scope="module")
def path(owner, shelf):
    owner.upload(shelf, "o", BODY, {"Content-Type": "a/b"})
    owner.upload(shelf, "empty", b"")
    return f"{shelf}/o"


@pytest.mark.parametrize(
    ("range_", "status", "start", "stop"),
    [
        ("bytes=0-0", 206, 0, 1),
        ("bytes=1-2", 206, 1, 3),
        ("bytes=100-", 206, 100, 104),
        ("bytes=-1", 206, 103, 104),
        ("bytes=-104", 206, 0, 104),
        ("bytes=-105", 206, 0, 104),
        ("bytes=0-103", 206, 0, 104),
        ("bytes=0-99999999999999999999", 206, 0, 104),
        ("bytes=0000-0001", 206, 0, 2),
        ("BYTES=0-1", 206, 0, 2),
        ("bytes= 0-1", 206, 0, 2),
        ("bytes=104-", 416, 0, 0),
        ("bytes=200-300", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
        ("bytes=5-4", 200, 0, 104),
        ("bytes=", 200, 0, 104),
        ("bytes=-", 200, 0, 104),
        ("bytes=a-b", 200, 0, 104),
        ("bytes=--1", 200, 0, 104),
        ("items=0-1", 200, 0, 104),
        ("0-1", 200, 0, 104),
        ("bytes", 200, 0, 104),
        ("", 200, 0, 104),
    ],
)
def test_one_range(owner, path, range_, status, start, stop):
    answer = owner.get(path, headers={"Range": range_})
    assert answer.status == status
    if status == 416:
        assert answer.headers["content-range"] == "bytes */104"
    else:
        assert answer.body == BODY[start:stop] and etag_of(answer) == ETAG
    if status == 206:
        assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/104"
        assert answer.headers["content-length"] == str(stop - start)


@pytest.mark.parametrize(
    ("range_", "pieces"),
    [
        ("0-1,5-6", [(0, 1), (5, 6)]),
        ("0-1, 5-6,-1", [(0, 1), (5, 6), (103, 103)]),
        ("5-6,0-1", [(5, 6), (0, 1)]),
        ("0-10,5-15", [(0, 10), (5, 15)]),
        ("0-1,200-300,3-4", [(0, 1), (3, 4)]),
    ],
)
def test_several_ranges(owner, path, range_, pieces):
    answer = owner.get(path, headers={"Range": f"bytes={range_}"})
    kind, _, parameters = answer.headers["content-type"].partition(";")
    assert (answer.status, kind) == (206, "multipart/byteranges")
    boundary = parameters.strip().removeprefix("boundary=")
    parts = answer.body.split(f"--{boundary}".encode())
    assert parts[0].strip() == b"" and parts[-1].strip() == b"--"
    found = [part.strip(b"\r\n").partition(b"\r\n\r\n") for part in parts[1:-1]]
    assert [body for _, _, body in found] == [BODY[first : last + 1] for first, last in pieces]
    for (head, _, _), (first, last) in zip(found, pieces, strict=True):
        assert f"content-range: bytes {first}-{last}/104" in head.decode().lower()
        assert "content-type: a/b" in head.decode().lower()


@pytest.mark.parametrize(
    ("range_", "status"),
    [
        (",".join(f"{n * 2}-{n * 2}" for n in range(50)), 206),
        (",".join(f"{n * 2}-{n * 2}" for n in range(51)), 416),
        ("0-5,1-6,2-7,3-8", 416),
        (",".join(f"{n}-{n}" for n in range(20, 0, -2)), 416),
    ],
    ids=["50", "51", "overlapping", "descending"],
)
def test_ranges_that_are_abuse(owner, path, range_, status):
    assert owner.get(path, headers={"Range": f"bytes={range_}"}).status == status


@pytest.mark.parametrize("range_", ["bytes=0-", "bytes=0-0", "bytes=5-"])
def test_a_range_of_nothing(owner, path, range_):
    empty = path.replace("/o", "/empty")
    assert owner.get(empty, headers={"Range": range_}).status == 416


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-Match": ETAG}, 200),
        ({"If-Match": f'"{ETAG}"'}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": f'"x", "{ETAG}"'}, 200),
        ({"If-Match": '"x"'}, 412),
        ({"If-None-Match": ETAG}, 304),
        ({"If-None-Match": f'"x", "{ETAG}"'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"x"'}, 200),
        ({"If-Modified-Since": PAST}, 200),
        ({"If-Modified-Since": FUTURE}, 304),
        ({"If-Modified-Since": "junk"}, 200),
        ({"If-Unmodified-Since": PAST}, 412),
        ({"If-Unmodified-Since": FUTURE}, 200),
        ({"If-Unmodified-Since": "junk"}, 200),
        ({"If-Match": ETAG, "If-Unmodified-Since": PAST}, 412),
        ({"If-None-Match": '"x"', "If-Modified-Since": FUTURE}, 200),
        ({"If-Match": '"x"', "If-None-Match": ETAG}, 412),
        ({"If-Match": ETAG, "Range": "bytes=0-1"}, 206),
        ({"If-Match": '"x"', "Range": "bytes=0-1"}, 412),
        ({"If-None-Match": ETAG, "Range": "bytes=0-1"}, 304),
        ({"If-Range": f'"{ETAG}"', "Range": "bytes=0-1"}, 206),
        ({"If-Range": '"x"', "Range": "bytes=0-1"}, 200),
        ({"If-Range": FUTURE, "Range": "bytes=0-1"}, 200),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_conditions(owner, path, method, headers, status):
    answer = owner.request(method, path, headers=headers)
    assert answer.status == (200 if (method, status) == ("HEAD", 206) else status)
    assert etag_of(answer) == ETAG and answer.headers["last-modified"]
    if status in (304, 412) and method == "GET":
        assert BODY not in answer.body


def test_the_time_an_object_tells_is_not_before_itself(owner, path):
    told = owner.head(path).headers["last-modified"]
    assert owner.get(path, headers={"If-Modified-Since": told}).status == 304
    assert owner.get(path, headers={"If-Unmodified-Since": told}).status == 200


def test_a_put_where_nothing_may_be(owner, container):
    assert owner.put(container, "o", body=b"first", headers={"If-None-Match": "*"}).status == 201
    assert owner.put(container, "o", body=b"second", headers={"If-None-Match": "*"}).status == 412
    assert owner.get(container, "o").body == b"first"
    owner.delete(container, "o")
    assert owner.put(container, "o", body=b"third", headers={"If-None-Match": "*"}).status == 201


def test_a_put_with_another_condition_is_refused(owner, container):
    assert owner.put(container, "o", body=b"x", headers={"If-None-Match": md5("x")}).status == 400
    assert owner.names(container) == []
