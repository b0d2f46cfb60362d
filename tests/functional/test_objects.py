"""Objects: rows A3.1 to A3.5, A3.10, A3.11."""

import http.client

import pytest

from tests.functional.api import etag_of, md5

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize(
    "header",
    [
        "content-length", "content-type", "etag", "last-modified", "x-timestamp", "accept-ranges", "date", "x-trans-id",
        "x-openstack-request-id", "x-object-meta-color", "content-disposition", "content-encoding", "x-delete-at",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_an_object_shows(owner, shelf, method, header):
    headers = {
        "X-Object-Meta-Color": "red", "Content-Disposition": "inline", "Content-Encoding": "identity",
        "X-Delete-After": "1000", "Content-Type": "a/b",
    }  # fmt: skip
    owner.upload(shelf, "shown", b"12345", headers)
    answer = owner.request(method, f"{shelf}/shown")
    assert answer.status == 200 and answer.headers[header]
    assert answer.headers["content-length"] == "5" and answer.headers["content-type"] == "a/b"


@pytest.mark.parametrize("header", ["etag", "last-modified", "content-length", "date", "x-trans-id", "content-type"])
def test_what_a_put_answers(owner, shelf, header):
    answer = owner.put(f"{shelf}/put", body=b"x")
    assert answer.status == 201 and answer.headers[header]


@pytest.mark.parametrize(
    "name",
    [
        ".", "..", "a/../b", "//", "/leading", "trailing/", " ", "☃ 雪", "a\nb", "q?q#f", "100%", "%2F", "a&b=c+d",
        "<script>alert(1)</script>", "\U0001f600/\u0301", "a:b;c,d", "\x7f\x01", "'\"\\",
    ],
)  # fmt: skip
def test_names_of_every_kind(owner, container, name):
    owner.upload(container, name, b"it")
    assert owner.names(container) == [name]
    assert owner.get(container, name).body == b"it"
    assert owner.copy(container, name, to=f"{container}/copy").status == 201
    assert owner.post(container, name, headers={"X-Object-Meta-A": "b"}).status == 202
    assert owner.delete(container, name).status == 204
    assert owner.names(container) == ["copy"]


@pytest.mark.parametrize("name", ["%00", "a%00b", "%FF", "%ED%A0%80"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE"])
def test_names_that_are_none(owner, shelf, method, name):
    assert owner.request(method, f"{shelf}/{name}").status == 412


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 1 << 20, (1 << 20) + 1])
@pytest.mark.parametrize("form", ["whole", "chunked"])
def test_sizes(owner, shelf, size, form):
    body = (bytes(range(251)) * (size // 251 + 1))[:size]
    sent = body if form == "whole" else (body[start : start + 30_000] for start in range(0, size, 30_000))
    answer = owner.put(shelf, "sized", body=sent)
    assert answer.status == 201 and etag_of(answer) == md5(body)
    found = owner.get(shelf, "sized")
    assert found.body == body and found.headers["content-length"] == str(size)


def test_a_put_without_length_is_refused(owner, shelf):
    assert owner.status_of_head("PUT", shelf, "no-length") == 411
    assert owner.head(shelf, "no-length").status == 404


@pytest.mark.parametrize(
    ("etag", "status"),
    [
        (md5("hello"), 201),
        (f'"{md5("hello")}"', 201),
        ("", 201),
        ("0" * 32, 422),
        ("junk", 422),
        (md5("hello").upper(), 422),
    ],
)
@pytest.mark.parametrize("form", ["whole", "chunked"])
def test_a_digest_that_is_told_is_checked(owner, shelf, etag, status, form):
    body = b"hello" if form == "whole" else iter([b"he", b"llo"])
    owner.delete(shelf, "checked")
    assert owner.put(shelf, "checked", headers={"Etag": etag}, body=body).status == status
    assert owner.head(shelf, "checked").status == (200 if status == 201 else 404)


@pytest.mark.parametrize(
    ("name", "headers", "kind"),
    [
        ("a.txt", {}, "text/plain"),
        ("a.html", {}, "text/html"),
        ("a.jpg", {}, "image/jpeg"),
        ("a.json", {}, "application/json"),
        ("a.unknown-kind", {}, "application/octet-stream"),
        ("a", {}, "application/octet-stream"),
        ("a.txt", {"Content-Type": "image/png"}, "image/png"),
        ("a.txt", {"Content-Type": "a/b; charset=x"}, "a/b; charset=x"),
        ("a.txt", {"Content-Type": "image/png", "X-Detect-Content-Type": "true"}, "text/plain"),
        ("a.txt", {"Content-Type": "image/png", "X-Detect-Content-Type": "false"}, "image/png"),
        ("a", {"Content-Type": "ünï/cödé"}, "ünï/cödé"),
    ],
)
def test_content_types(owner, shelf, name, headers, kind):
    path = f"typed/{md5(kind)}/{name}"
    owner.upload(shelf, path, b"", headers)
    assert owner.head(shelf, path).headers["content-type"] == kind
    # A listing keeps parameters without the spaces between them.
    assert owner.listing(shelf, f"&prefix={path}")[0]["content_type"] == kind.replace("; ", ";")


KEPT = {
    "Content-Disposition": "attachment; filename=x",
    "Content-Encoding": "gzip",
    "Content-Language": "de",
    "Cache-Control": "no-cache",
    "Expires": "Thu, 01 Jan 2099 00:00:00 GMT",
    "X-Robots-Tag": "noindex",
    "X-Delete-At": "4102444800",
    "X-Object-Meta-Color": "ünï ☃",
}


@pytest.mark.parametrize(("header", "value"), KEPT.items())
def test_headers_that_are_kept(owner, shelf, header, value):
    owner.upload(shelf, "o", b"x", {header: value})
    assert owner.get(shelf, "o").headers[header.lower()] == value
    assert owner.post(shelf, "o", headers={header: value}).status == 202
    assert owner.head(shelf, "o").headers[header.lower()] == value
    assert owner.put(shelf, "o", body=b"y").status == 201
    assert header.lower() not in owner.head(shelf, "o").headers


@pytest.mark.parametrize(
    "header",
    [
        "X-Object-Sysmeta-A", "X-Object-Transient-Sysmeta-A", "X-Backend-A", "X-Timestamp", "X-Container-Host",
        "X-Container-Partition", "X-Delete-At-Host", "X-Backend-Storage-Policy-Index", "Server", "X-Unknown",
    ],
)  # fmt: skip
def test_headers_that_are_not_kept(owner, shelf, header):
    value = "5" if header == "X-Timestamp" else "planted"
    assert owner.put(shelf, "o", body=b"x", headers={header: value}).status in (201, 400)
    owner.upload(shelf, "o")
    assert owner.post(shelf, "o", headers={header: value}).status in (202, 400)
    assert "planted" not in owner.head(shelf, "o").headers.values()


def test_a_post_replaces_all_metadata_but_the_type(owner, shelf):
    owner.upload(shelf, "o", b"x", {"X-Object-Meta-A": "1", "X-Object-Meta-B": "2", "Content-Type": "a/b"})
    answer = owner.post(shelf, "o", headers={"X-Object-Meta-B": "3"})
    assert answer.status == 202
    headers = owner.head(shelf, "o").headers
    assert "x-object-meta-a" not in headers and headers["x-object-meta-b"] == "3" and headers["content-type"] == "a/b"
    assert owner.post(shelf, "o", headers={"Content-Type": "c/d"}).status == 202
    headers = owner.head(shelf, "o").headers
    assert "x-object-meta-b" not in headers and headers["content-type"] == "c/d"
    assert owner.listing(shelf, "&prefix=o")[0]["content_type"] == "c/d"
    assert owner.get(shelf, "o").body == b"x"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
def test_what_is_missing(owner, shelf, method):
    assert owner.request(method, f"{shelf}/missing").status == 404


def test_a_delete_is_once(owner, container):
    owner.upload(container, "o")
    assert [owner.delete(container, "o").status for _ in range(3)] == [204, 404, 404]
    assert owner.names(container) == []
    owner.upload(container, "o")
    assert owner.get(container, "o").status == 200


@pytest.mark.parametrize("value", ["true", "false", "junk"])
def test_the_newest_is_there_either_way(owner, shelf, value):
    owner.upload(shelf, "o", b"old")
    owner.upload(shelf, "o", b"new")
    assert owner.get(shelf, "o", headers={"X-Newest": value}).body == b"new"
    assert owner.head(shelf, headers={"X-Newest": value}).status == 204


@pytest.mark.parametrize("query", ["", "?", "?&&", "?a=b", "?format=json", "?limit=1", "?multipart-manifest=get"])
def test_queries_without_meaning_for_a_plain_object(owner, shelf, query):
    owner.upload(shelf, "plain", b"x")
    assert owner.get(f"{shelf}/plain{query}").body == b"x"


@pytest.mark.parametrize("path", ["%6F%2d%31", "o%2D1", "%6f-1"])
def test_a_name_is_the_same_however_it_is_encoded(owner, shelf, path):
    owner.upload(shelf, "o-1", b"one name")
    assert owner.get(f"{shelf}/{path}").body == b"one name"


@pytest.mark.parametrize(("path", "name"), [("a+b", "a+b"), ("a%2Bb", "a+b"), ("a%20b", "a b"), ("a%252Fb", "a%2Fb")])
def test_a_name_is_decoded_once(owner, container, path, name):
    assert owner.put(f"{container}/{path}", body=b"x").status == 201
    assert owner.names(container) == [name]


def test_the_wait_for_100_continue(owner, shelf):
    connection = http.client.HTTPConnection(*owner.swift.address, timeout=60)
    connection.putrequest("PUT", owner.path(shelf, "expected"))
    for name, value in {"X-Auth-Token": owner.token, "Content-Length": "5", "Expect": "100-continue"}.items():
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.sock.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n")
    connection.send(b"hello")
    assert connection.getresponse().status == 201
    connection.close()
    assert owner.get(shelf, "expected").body == b"hello"
