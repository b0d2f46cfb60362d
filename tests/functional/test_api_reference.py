"""The public API reference, operation by operation: every response header that it names for one, with its value.

One account, container and set of objects have all that can be set at once. Source: the object-store part of the OpenAPI
description of OpenStack's APIs (gtema/openstack-openapi, specs/object-store/v1.yaml, made from the API reference of
docs.openstack.org) and excerpts of the reference itself. Not here: X-Timestamp and X-Symlink-Target of answers to PUT,
POST and DELETE of objects, which the description lists and the recorded Swift does not send (tests/vectors).
"""

import re
import time
from types import SimpleNamespace

import pytest

from tests.functional.api import md5

pytestmark = pytest.mark.cluster

NUMBER, STAMP = r"\d+", r"\d{10}\.\d{5}"
DATE = r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"
TRANSACTION = r"tx[0-9a-f]{21}-[0-9a-f]{10}.*"
EVERYWHERE = {"X-Trans-Id": TRANSACTION, "X-Openstack-Request-Id": TRANSACTION, "Date": DATE}
ACCOUNT = {
    "X-Account-Meta-Book": "moby",
    "X-Account-Meta-Temp-URL-Key": "one",
    "X-Account-Meta-Temp-URL-Key-2": "two",
    "X-Timestamp": STAMP,
    "X-Account-Bytes-Used": NUMBER,
    "X-Account-Container-Count": NUMBER,
    "X-Account-Object-Count": NUMBER,
    "X-Account-Storage-Policy-Gold-Bytes-Used": NUMBER,
    "X-Account-Storage-Policy-Gold-Container-Count": NUMBER,
    "X-Account-Storage-Policy-Gold-Object-Count": NUMBER,
    "X-Account-Meta-Quota-Bytes": "1000000000",
    "X-Account-Access-Control": r'\{"read-only":\["white:stranger"\]\}',
    "Content-Type": ".+",
}
CONTAINER = {
    "X-Container-Meta-Book": "moby",
    "X-Timestamp": STAMP,
    "Last-Modified": DATE,
    "X-Container-Bytes-Used": NUMBER,
    "X-Container-Object-Count": NUMBER,
    "Accept-Ranges": "bytes",
    "X-Container-Meta-Temp-URL-Key": "one",
    "X-Container-Meta-Temp-URL-Key-2": "two",
    "X-Container-Meta-Quota-Count": "1000",
    "X-Container-Meta-Quota-Bytes": "1000000",
    "X-Storage-Policy": "gold",
    "X-Container-Read": r"\.r:\*,\.rlistings",
    "X-Container-Write": "white:stranger",
    "X-Container-Sync-Key": "secret-of-two-0123456789",
    "X-Versions-Location": "old",
    "Content-Type": ".+",
}
OBJECT = {
    "Content-Type": "text/x-tale",
    "Content-Length": "5",
    "Content-Disposition": "inline",
    "Content-Encoding": "gzip",
    "Accept-Ranges": "bytes",
    "Last-Modified": DATE,
    "X-Object-Meta-Book": "moby",
    "X-Delete-At": NUMBER,
    "ETag": md5("whale"),
    "X-Timestamp": STAMP,
}
LISTED = {"Content-Length": NUMBER, "Content-Type": "application/json; charset=utf-8"}
DONE = {"Content-Length": "0"}
CREATED = {
    "ETag": md5("whale"),
    "Last-Modified": DATE,
    "Content-Length": "0",
    "Content-Type": "text/html; charset=UTF-8",
}
SHOWN = {
    ("HEAD", "account"): ACCOUNT,
    ("GET", "account"): {**ACCOUNT, **LISTED},
    ("POST", "account"): {},
    ("HEAD", "container"): CONTAINER,
    ("GET", "container"): {**CONTAINER, **LISTED},
    ("PUT", "container"): DONE,
    ("POST", "container"): {},
    ("HEAD", "object"): OBJECT,
    ("GET", "object"): OBJECT,
    ("PUT", "object"): CREATED,
    ("POST", "object"): {"Content-Type": "text/html; charset=UTF-8", "Content-Length": NUMBER},
    ("DELETE", "object"): {},
    ("DELETE", "container"): {},
    ("GET", "dynamic"): {"X-Object-Manifest": "{container}/o", "ETag": f'"{md5(md5("whale"))}"', "Content-Length": "5"},
    ("GET", "static"): {
        "X-Static-Large-Object": "True", "ETag": f'"{md5(md5("whale"))}"', "X-Manifest-Etag": "[0-9a-f]{32}",
        "Content-Length": "5",
    },
    ("HEAD", "link"): {"X-Symlink-Target": "{container}/o", "Content-Length": "0"},
    ("GET", "linked"): {"Content-Location": "/v1/{account}/{container}/o", "Content-Length": "5"},
    ("COPY", "object"): {
        "X-Copied-From": "{container}/o", "X-Copied-From-Account": "{account}", "X-Copied-From-Last-Modified": DATE,
        "ETag": md5("whale"), "Last-Modified": DATE,
    },
}  # fmt: skip
STATUS = {"PUT": 201, "POST": 204, "DELETE": 204, "COPY": 201, "HEAD": 200, "GET": 200}


@pytest.fixture(scope="module")
def world(swift):
    """Names and headers of everything at once; the account is left as it was."""
    owner = swift.owner
    said = {
        "X-Account-Meta-Book": "moby",
        "X-Account-Meta-Temp-URL-Key": "one",
        "X-Account-Meta-Temp-URL-Key-2": "two",
        "X-Account-Access-Control": '{"read-only": ["white:stranger"]}',
    }
    assert owner.post("", headers=said).status == 204
    assert swift.reseller.post("", headers={"X-Account-Meta-Quota-Bytes": "1000000000"}).status == 204
    container = owner.new_container(
        {
            "X-Storage-Policy": "gold",
            "X-Container-Meta-Book": "moby",
            "X-Container-Meta-Temp-URL-Key": "one",
            "X-Container-Meta-Temp-URL-Key-2": "two",
            "X-Container-Meta-Quota-Count": "1000",
            "X-Container-Meta-Quota-Bytes": "1000000",
            "X-Container-Read": ".r:*,.rlistings",
            "X-Container-Write": "white:stranger",
            "X-Container-Sync-Key": "secret-of-two-0123456789",
        }
    )
    kept = {
        "Content-Type": "text/x-tale",
        "Content-Disposition": "inline",
        "Content-Encoding": "gzip",
        "X-Object-Meta-Book": "moby",
        "X-Delete-At": str(int(time.time()) + 10_000),
    }
    owner.upload(container, "o", b"whale", kept)
    owner.put(container, "dynamic", headers={"X-Object-Manifest": f"{container}/o"})
    assert owner.put_manifest(f"{container}/static", [{"path": f"{container}/o"}]).status == 201
    assert owner.put(container, "link", headers={"X-Symlink-Target": f"{container}/o"}).status == 201
    assert owner.post(container, headers={"X-Versions-Location": "old"}).status == 204
    yield SimpleNamespace(owner=owner, container=container, kept=kept)
    removed = {"X-Account-Access-Control": ""} | {name.replace("X-", "X-Remove-", 1): "x" for name in list(said)[:3]}
    assert owner.post("", headers=removed).status == 204
    assert swift.reseller.post("", headers={"X-Account-Meta-Quota-Bytes": ""}).status == 204


def asked(world, method, what):
    """(answer, the status that it should have)."""
    owner, container = world.owner, world.container
    if method == "DELETE" or (method, what) in (("PUT", "container"), ("PUT", "object"), ("POST", "object")):
        other = owner.new_container()
        if what == "container":
            return (owner.delete(other), 204) if method == "DELETE" else (owner.put(f"{other}-2"), 201)
        made = owner.put(other, "o", body=b"whale", headers=world.kept)
        if method == "PUT":
            return made, 201
        answer = owner.request(method, f"{other}/o", headers={"X-Object-Meta-Book": "dick"})
        return answer, 204 if method == "DELETE" else 202
    if method == "POST":
        return owner.post("" if what == "account" else container, headers={f"X-{what}-Meta-Book": "moby"}), 204
    if method == "COPY":
        return owner.copy(container, "o", to=f"{owner.new_container()}/o"), 201
    path = {"account": "?format=json", "container": f"{container}?format=json", "object": f"{container}/o"}
    path |= {"link": f"{container}/link?symlink=get", "linked": f"{container}/link"}
    is_empty = method == "HEAD" and what in ("account", "container")
    return owner.request(method, path.get(what, f"{container}/{what}")), 204 if is_empty else 200


@pytest.mark.parametrize(("method", "what"), SHOWN, ids=lambda value: value)
def test_what_the_reference_names_for_each_operation(world, method, what):
    answer, status = asked(world, method, what)
    assert answer.status == status, answer
    for name, pattern in {**SHOWN[method, what], **EVERYWHERE}.items():
        wanted = pattern.replace("{container}", world.container).replace("{account}", world.owner.account)
        shown = answer.headers.get(name.lower())
        assert shown is not None and re.fullmatch(wanted, shown), (name, wanted, shown)


@pytest.mark.parametrize(
    ("form", "status", "content_range"),
    [
        ("bytes=-2", 206, "bytes 3-4/5"),
        ("bytes=1-2", 206, "bytes 1-2/5"),
        ("bytes=2-2", 206, "bytes 2-2/5"),
        ("bytes=3-", 206, "bytes 3-4/5"),
        ("bytes=1-2,-1", 206, None),
        ("bytes=1-3,2-4", 206, None),
        ("bytes=5-", 416, "bytes \\*/5"),
    ],
)
def test_the_ranges_of_the_reference(world, form, status, content_range):
    answer = world.owner.get(world.container, "o", headers={"Range": form})
    assert answer.status == status
    if content_range is None:
        assert answer.headers["content-type"].startswith("multipart/byteranges")
    else:
        assert re.fullmatch(content_range, answer.headers["content-range"])


@pytest.mark.parametrize("what", ["", "?format=json"])
@pytest.mark.parametrize("kind", ["account", "container"])
def test_a_range_of_a_listing_is_not_for_the_reference_416(world, kind, what):
    """The reference names 416 for listings; the recorded Swift answers a Range there with all of it (200), as we do."""
    path = what if kind == "account" else f"{world.container}{what}"
    for form in ("bytes=0-0", "bytes=99999999-"):
        assert world.owner.get(path, headers={"Range": form}).status == 200


def test_the_rows_of_the_reference(world):
    account = {row["name"]: row for row in world.owner.listing("")}[world.container]
    assert set(account) == {"name", "count", "bytes", "last_modified", "storage_policy"}
    rows = {row["name"]: row for row in world.owner.listing(world.container)}
    assert set(rows["o"]) == {"name", "hash", "bytes", "content_type", "last_modified"}
    assert rows["link"]["symlink_path"] == f"/v1/{world.owner.account}/{world.container}/o"
    assert rows["static"]["slo_etag"] == f'"{md5(md5("whale"))}"' and rows["static"]["bytes"] == 5
    folded = world.owner.listing(world.container, "&delimiter=y")
    assert {"subdir": "dy"} in folded


def test_after_takes_precedence_over_at(world):
    """X-Delete-After and X-Delete-At: the reference says which counts."""
    c, now = world.owner.new_container(), int(time.time())
    headers = {"X-Delete-At": str(now + 50_000), "X-Delete-After": "1000"}
    assert world.owner.put(c, "o", headers=headers).status == 201
    assert abs(int(world.owner.head(c, "o").headers["x-delete-at"]) - now - 1000) < 600
