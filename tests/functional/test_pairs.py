"""Two features at once: what each promises still holds beside the other (rows A3.8 to A5.6)."""

import base64
import hmac
import io
import json
import tarfile
import time
from urllib.parse import quote

import pytest

from tests.functional.api import etag_of, md5
from tests.support.cluster import until

pytestmark = pytest.mark.cluster

PARTS = (b"aaaaa", b"bbb")
WHOLE, ETAG = b"aaaaabbb", md5(md5(b"aaaaa") + md5(b"bbb"))
VERSION = "x-object-version-id"


@pytest.fixture
def large(owner, container):
    """A container with two segments under s/, a static large object `slo` and a dynamic one `dlo`."""
    for index, part in enumerate(PARTS):
        owner.upload(container, f"s/{index}", part)
    entries = [{"path": f"/{container}/s/{index}"} for index in range(2)]
    assert owner.put_manifest(f"{container}/slo", entries, {"Content-Type": "a/b"}).status == 201
    assert owner.put(container, "dlo", headers={"X-Object-Manifest": f"{container}/s/"}).status == 201
    return container


@pytest.fixture
def other(owner):
    name = owner.new_container()
    yield name
    owner.tidy(name)


@pytest.fixture
def kept(owner):
    """A container with versions; every version goes at the end."""
    name = owner.new_container({"X-Versions-Enabled": "true"})
    yield name
    owner.tidy(name)


@pytest.fixture(scope="module")
def key(owner):
    owner.post("", headers={"X-Account-Meta-Temp-URL-Key": "pairs"})
    yield b"pairs"
    owner.post("", headers={"X-Remove-Account-Meta-Temp-URL-Key": "x"})


def by_link(swift, key, method, *path, more="", **options):
    """A request of nobody's with a temporary URL. more: of the query, beginning with &."""
    target, expires = swift.owner.path(*path), int(time.time()) + 600
    message = f"{method}\n{expires}\n/v1/{swift.home}/{'/'.join(path)}"
    signature = hmac.digest(key, message.encode(), "sha256").hex()
    query = f"temp_url_sig={signature}&temp_url_expires={expires}{more}"
    return swift.anonymous.raw(method, f"{target}?{query}", **options)


def link_to(container, name, **static):
    return {"X-Symlink-Target": f"{container}/{quote(name)}", **static}


# Large objects, links, copies


@pytest.mark.parametrize("name", ["slo", "dlo"])
@pytest.mark.parametrize("through", ["itself", "a link"])
@pytest.mark.parametrize("method", ["COPY", "PUT"])
def test_a_large_object_is_copied_as_what_it_reads_as(owner, large, other, name, through, method):
    if through == "a link":
        owner.put(other, "link", headers=link_to(large, name))
    source = f"{other}/link" if through == "a link" else f"{large}/{name}"
    if method == "COPY":
        assert owner.copy(source, to=f"{other}/flat").status == 201
    else:
        assert owner.put(f"{other}/flat", headers={"X-Copy-From": source}).status == 201
    for part in range(2):
        owner.delete(large, f"s/{part}")
    found = owner.get(other, "flat")
    assert found.body == WHOLE and etag_of(found) == md5(WHOLE)
    assert not {"x-static-large-object", "x-object-manifest", "content-location"} & set(found.headers)


@pytest.mark.parametrize(("name", "marker"), [("slo", "x-static-large-object"), ("dlo", "x-object-manifest")])
def test_a_manifest_is_copied_as_a_manifest_where_asked(owner, large, other, name, marker):
    assert owner.copy(f"{large}/{name}?multipart-manifest=get", to=f"{other}/same").status == 201
    found = owner.get(other, "same")
    assert found.body == WHOLE and marker in found.headers and etag_of(found) == ETAG


def test_a_link_is_copied_as_a_link_where_asked(owner, large, other):
    owner.put(other, "link", headers=link_to(large, "slo"))
    assert owner.copy(f"{other}/link?symlink=get", to=f"{other}/again").status == 201
    assert owner.head(f"{other}/again?symlink=get").headers["x-symlink-target"] == f"{large}/slo"
    assert owner.get(other, "again").body == WHOLE


@pytest.mark.parametrize("name", ["slo", "dlo"])
@pytest.mark.parametrize(("range_", "body"), [("bytes=4-5", b"ab"), ("bytes=-1", b"b"), ("bytes=0-0", b"a")])
def test_a_range_of_a_large_object_through_a_link(owner, large, other, name, range_, body):
    owner.put(other, "link", headers=link_to(large, name))
    answer = owner.get(other, "link", headers={"Range": range_})
    assert (answer.status, answer.body) == (206, body)
    assert answer.headers["content-location"] == f"/v1/{owner.account}/{large}/{name}"
    assert owner.copy(f"{other}/link", to=f"{other}/piece", headers={"Range": range_}).status == 201
    assert owner.get(other, "piece").body == body


def test_a_static_link_to_a_large_object_names_the_etag_of_its_manifest(owner, large, other):
    stored = etag_of(owner.head(f"{large}/slo?multipart-manifest=get"))
    statics = {value: owner.put(other, "s", headers=link_to(large, "slo", **{"X-Symlink-Target-Etag": value})).status
               for value in (stored, "0" * 32)}  # fmt: skip
    assert statics == {stored: 201, "0" * 32: 409}
    assert owner.get(other, "s").body == WHOLE


@pytest.mark.parametrize("inner", ["slo", "dlo"])
def test_a_static_large_object_of_large_objects(owner, large, other, inner):
    entries = [{"path": f"/{large}/{inner}"}, {"path": f"/{large}/s/1"}]
    assert owner.put_manifest(f"{other}/m", entries).status == 201
    assert owner.get(other, "m").body == WHOLE + b"bbb"


def test_a_dynamic_large_object_of_links(owner, large, other):
    for index in range(2):
        owner.put(other, f"p/{index}", headers=link_to(large, f"s/{index}"))
    owner.put(other, "m", headers={"X-Object-Manifest": f"{other}/p/"})
    assert owner.get(other, "m").body == WHOLE


def test_segments_that_are_links(owner, large, other):
    owner.put(other, "l", headers=link_to(large, "s/0"))
    answer = owner.put_manifest(f"{other}/m", [{"path": f"/{other}/l"}, {"path": f"/{large}/s/1"}])
    assert answer.status == 201 and etag_of(answer) == ETAG
    assert owner.get(other, "m").body == WHOLE


def test_metadata_of_large_objects_is_posted(owner, large):
    for name in ("slo", "dlo"):
        more = {"X-Object-Manifest": f"{large}/s/"} if name == "dlo" else {}
        assert owner.post(large, name, headers={"X-Object-Meta-A": "b", **more}).status == 202
        found = owner.get(large, name)
        assert found.body == WHOLE and found.headers["x-object-meta-a"] == "b"


# With versions


def test_a_large_object_under_versions(owner, large, kept):
    entries = [{"path": f"/{large}/s/0"}]
    first = owner.put_manifest(f"{kept}/o", entries).headers[VERSION]
    second = owner.put(kept, "o", headers={"X-Object-Manifest": f"{large}/s/"}).headers[VERSION]
    third = owner.put(kept, "o", body=b"plain").headers[VERSION]
    bodies = [owner.get(f"{kept}/o?version-id={version}").body for version in (first, second, third)]
    assert bodies == [b"aaaaa", WHOLE, b"plain"]
    ranged = owner.get(f"{kept}/o?version-id={first}", headers={"Range": "bytes=1-2"})
    assert (ranged.status, ranged.body) == (206, b"aa")
    raw = owner.get(f"{kept}/o?version-id={first}&multipart-manifest=get")
    assert [entry["name"] for entry in raw.json] == [f"/{large}/s/0"]


@pytest.mark.parametrize(
    ("headers", "status", "body"),
    [
        ({"Range": "bytes=0-1"}, 206, b"on"),
        ({"Range": "bytes=9-"}, 416, None),
        ({"If-Match": md5("one")}, 200, b"one"),
        ({"If-Match": md5("two")}, 412, None),
        ({"If-None-Match": md5("one")}, 304, b""),
    ],
)
def test_ranges_and_conditions_of_an_old_version(owner, kept, headers, status, body):
    first = owner.put(kept, "o", body=b"one").headers[VERSION]
    owner.put(kept, "o", body=b"two")
    answer = owner.get(f"{kept}/o?version-id={first}", headers=headers)
    assert answer.status == status and (body is None or answer.body == body)


def test_a_copy_into_versions_is_a_version(owner, kept, container):
    owner.upload(container, "o", b"one")
    ids = [owner.copy(f"{container}/o", to=f"{kept}/o").headers.get(VERSION) for _ in range(2)]
    assert len(owner.listing(kept, "&versions")) == 2 and ids[0] != ids[1]


def test_what_ends_is_the_current_version_and_not_its_data(owner, kept):
    first = owner.put(kept, "o", body=b"one", headers={"X-Delete-After": "1"}).headers[VERSION]
    until(lambda: owner.get(kept, "o").status == 404, "the current version has ended")
    assert owner.get(f"{kept}/o?version-id={first}").body == b"one"
    # Its row stays until the expirer comes: a new version takes its place.
    assert owner.put(kept, "o", body=b"two").status == 201


def test_a_bulk_delete_of_versioned_objects_leaves_their_versions(owner, kept):
    first = owner.put(kept, "o", body=b"one").headers[VERSION]
    report = owner.post("?bulk-delete", body=f"/{kept}/o\n".encode(), headers={"Accept": "application/json"}).json
    assert report["Number Deleted"] == 1 and report["Errors"] == []
    assert owner.get(kept, "o").status == 404
    assert owner.get(f"{kept}/o?version-id={first}").body == b"one"


def test_an_archive_into_versions(owner, kept):
    owner.put(kept, "o", body=b"one")
    report = owner.put(
        f"{kept}?extract-archive=tar", body=archive({"o": b"two"}), headers={"Accept": "application/json"}
    )
    assert report.json["Number Files Created"] == 1
    assert len(owner.listing(kept, "&versions")) == 2 and owner.get(kept, "o").body == b"two"


def test_a_quota_counts_what_a_listing_counts(owner, kept):
    owner.post(kept, headers={"X-Container-Meta-Quota-Count": "1"})
    assert owner.put(kept, "o", body=b"one").status == 201
    assert owner.put(kept, "p", body=b"two").status == 413
    owner.post(kept, headers={"X-Remove-Container-Meta-Quota-Count": "x"})


@pytest.mark.parametrize("mode", ["X-Versions-Location", "X-History-Location"])
def test_legacy_versions_of_links_and_large_objects(owner, large, other, mode):
    place = owner.new_container({mode: other})
    owner.put(place, "l", headers=link_to(large, "s/0"))
    owner.put(place, "l", body=b"plain")
    stored = [row["name"] for row in owner.listing(other)]
    assert len(stored) == 1
    assert owner.get(other, stored[0]).body == b"aaaaa"
    assert owner.head(f"{other}/{quote(stored[0])}?symlink=get").headers["x-symlink-target"] == f"{large}/s/0"
    owner.post(place, headers={mode.replace("X-", "X-Remove-", 1): "x"})
    owner.tidy(place)


# With temporary URLs and forms


@pytest.mark.parametrize("name", ["slo", "dlo", "link", "static", "link to slo"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_temporary_url_of_something_that_stands_for_something(swift, owner, key, large, name, method):
    body = b"aaaaa"
    if name == "link":
        owner.put(large, name, headers=link_to(large, "s/0"))
    elif name == "static":
        owner.put(large, name, headers=link_to(large, "s/0", **{"X-Symlink-Target-Etag": md5("aaaaa")}))
    elif name == "link to slo":
        owner.put(large, name, headers=link_to(large, "slo"))
    if name in ("slo", "dlo", "link to slo"):
        body = WHOLE
    answer = by_link(swift, key, method, large, name)
    assert answer.status == 200 and answer.headers["content-length"] == str(len(body))
    assert answer.body == (body if method == "GET" else b"")
    assert answer.headers["content-disposition"].startswith("attachment")


def test_a_temporary_url_with_a_range(swift, key, large):
    answer = by_link(swift, key, "GET", large, "slo", headers={"Range": "bytes=4-5"})
    assert (answer.status, answer.body) == (206, b"ab")


def test_a_temporary_url_of_a_version(swift, owner, key, kept):
    first = owner.put(kept, "o", body=b"one").headers[VERSION]
    owner.put(kept, "o", body=b"two")
    answer = by_link(swift, key, "GET", kept, "o", more=f"&version-id={first}")
    # The signature is of the object, all of its versions: whether old ones are shown is the reader's right alone.
    assert answer.status in (200, 401) and answer.body != b"two"


def test_a_temporary_url_writes_within_the_quota(swift, owner, key, container):
    owner.post(container, headers={"X-Container-Meta-Quota-Bytes": "5"})
    assert by_link(swift, key, "PUT", container, "o", body=b"123456").status == 413
    assert by_link(swift, key, "PUT", container, "o", body=b"12345").status == 201


@pytest.mark.parametrize("how", ["X-Copy-From", "X-Object-Manifest", "X-Symlink-Target"])
def test_a_temporary_url_writes_nothing_that_reads(swift, owner, key, large, how):
    assert by_link(swift, key, "PUT", large, "new", headers={how: f"{large}/s/0"}).status == 400
    assert owner.head(f"{large}/new").status == 404


def test_a_temporary_url_deletes_the_manifest_alone(swift, owner, key, large):
    assert by_link(swift, key, "DELETE", large, "slo").status == 204
    assert owner.names(large) == ["dlo", "s/0", "s/1"]


def test_a_script_of_another_page_follows_a_temporary_url(swift, owner, key, container):
    owner.upload(container, "o", b"x")
    page = "http://page.example"
    owner.post(container, headers={"X-Container-Meta-Access-Control-Allow-Origin": page})
    answer = by_link(swift, key, "GET", container, "o", headers={"Origin": page})
    assert answer.status == 200 and answer.headers["access-control-allow-origin"] == page
    refused = by_link(swift, b"wrong", "GET", container, "o", headers={"Origin": page})
    assert refused.status == 401 and refused.headers["access-control-allow-origin"] == page


def test_a_script_may_read_why_a_filter_refuses_it(swift, owner, container):
    page = "http://page.example"
    owner.post(
        container,
        headers={"X-Container-Meta-Access-Control-Allow-Origin": page, "X-Container-Meta-Quota-Bytes": "1"},
    )
    form = {"Origin": page, "Content-Type": "multipart/form-data; boundary=b"}
    refusals = (
        (413, owner.put(container, "o", body=b"too much", headers={"Origin": page})),
        (400, swift.anonymous.post(container, "o", body=b"--b--\r\n", headers=form)),
        (401, swift.anonymous.get(container, "o", headers={"Origin": page, "X-Auth-Token": "AUTH_tk" + "0" * 32})),
        (413, owner.put(container, "o", body=b"too much", headers={"Origin": "http://other"})),
    )
    for status, answer in refusals:
        assert answer.status == status, answer
    shown = [answer.headers.get("access-control-allow-origin") for _, answer in refusals]
    assert shown == [page, page, page, None]
    assert "origin" in refusals[0][1].headers["vary"].lower()


def test_a_static_large_object_is_no_segment_of_a_dynamic_one(owner, large, container):
    """Its row does not say what it reads as: refused (409), never its manifest among the data."""
    assert owner.put_manifest(f"{container}/p/1", [{"path": f"{large}/s/0"}]).status == 201
    owner.put(f"{container}/whole", headers={"X-Object-Manifest": f"{container}/p/"})
    assert owner.get(container, "whole").status == owner.head(container, "whole").status == 409


@pytest.mark.parametrize(("quota", "status", "names"), [("3", 413, []), ("4", 201, ["f"])])
def test_a_form_into_a_container_with_a_quota(swift, owner, key, container, quota, status, names):
    owner.post(container, headers={"X-Container-Meta-Quota-Bytes": quota})
    path = f"/v1/{owner.account}/{container}/"
    expires = str(int(time.time()) + 600)
    text = "\n".join([path, "", "100", "1", expires])
    fields = {"redirect": "", "max_file_size": "100", "max_file_count": "1", "expires": expires,
              "signature": hmac.digest(key, text.encode(), "sha256").hex()}  # fmt: skip
    parts = [f'--b\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in fields.items()]
    file = '--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n1234\r\n--b--\r\n'
    body = ("".join(parts) + file).encode()
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    assert swift.anonymous.raw("POST", path, kind, body).status == status
    assert owner.names(container) == names


# With bulk requests, quotas, sites and ACLs


def archive(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_an_archive_into_a_quota(owner, container):
    owner.post(container, headers={"X-Container-Meta-Quota-Bytes": "5"})
    body = archive({"a": b"12345678"})
    report = owner.put(f"{container}?extract-archive=tar", body=body, headers={"Accept": "application/json"}).json
    assert report["Number Files Created"] == 0 and report["Errors"] == [
        [f"{container}/a", "413 Request Entity Too Large"]
    ]
    assert owner.names(container) == []


@pytest.mark.parametrize("name", ["slo", "dlo"])
def test_a_bulk_delete_of_a_manifest_leaves_its_segments(owner, large, name):
    body = f"/{large}/{name}\n".encode()
    report = owner.post("?bulk-delete", body=body, headers={"Accept": "application/json"}).json
    assert report["Number Deleted"] == 1
    assert [each for each in owner.names(large) if each.startswith("s/")] == ["s/0", "s/1"]


@pytest.mark.parametrize("query", ["", "&async=on"])
def test_a_large_object_is_deleted_with_its_segments_through_no_link(owner, large, other, query):
    """A link that is deleted takes nothing along: what it leads to is somebody else's to delete."""
    owner.put(other, "link", headers=link_to(large, "slo"))
    owner.put_manifest(f"{other}/outer", [{"path": f"/{other}/link"}])
    for name in ("link", "outer"):
        owner.delete(f"{other}/{name}?multipart-manifest=delete{query}")
        assert owner.get(large, "slo").body == WHOLE


@pytest.mark.parametrize("what", ["manifest", "copy of the content"])
def test_a_large_object_over_a_quota(owner, large, what):
    place = owner.new_container({"X-Container-Meta-Quota-Bytes": "6"})
    if what == "manifest":
        # The manifest itself is the object that is stored here; a dynamic one has no bytes at all.
        assert owner.put(place, "dlo", headers={"X-Object-Manifest": f"{large}/s/"}).status == 201
        assert owner.get(place, "dlo").body == WHOLE
    else:
        for name in ("slo", "dlo"):
            assert owner.copy(f"{large}/{name}", to=f"{place}/o").status == 413
        assert owner.names(place) == []
    owner.tidy(place)


def test_a_link_takes_no_bytes_of_a_quota(owner, large):
    place = owner.new_container({"X-Container-Meta-Quota-Bytes": "0"})
    assert owner.put(place, "l", headers=link_to(large, "s/0")).status == 201
    assert owner.get(place, "l").body == b"aaaaa"
    owner.tidy(place)


@pytest.mark.parametrize("name", ["slo", "dlo", "link"])
def test_a_site_of_things_that_stand_for_something(swift, owner, large, name):
    if name == "link":
        owner.put(large, "link", headers=link_to(large, "slo"))
    # Whoever reads a dynamic large object lists its segments.
    readers = ".r:*,.rlistings" if name == "dlo" else ".r:*"
    headers = {"X-Container-Read": readers, "X-Container-Meta-Web-Index": name}
    assert owner.post(large, headers=headers).status == 204
    answer = swift.anonymous.get(f"{large}/")
    assert (answer.status, answer.body) == (200, WHOLE)


def test_a_script_reads_a_link(swift, owner, large):
    page = "http://page.example"
    owner.post(large, headers={"X-Container-Meta-Access-Control-Allow-Origin": page, "X-Container-Read": ".r:*"})
    owner.put(large, "link", headers=link_to(large, "s/0"))
    answer = swift.anonymous.get(large, "link", headers={"Origin": page})
    assert answer.body == b"aaaaa" and answer.headers["access-control-allow-origin"] == page


@pytest.mark.parametrize("name", ["slo", "dlo"])
@pytest.mark.parametrize(("readers", "status"), [("", (401, 409)), (".r:*,.rlistings", (200,))])
def test_who_reads_a_large_object_needs_its_segments_too(swift, owner, large, other, name, readers, status):
    if name == "slo":
        owner.put_manifest(f"{other}/m", [{"path": f"/{large}/s/0"}])
    else:
        owner.put(other, "m", headers={"X-Object-Manifest": f"{large}/s/0"})
    owner.post(other, headers={"X-Container-Read": ".r:*"})
    owner.post(large, headers={"X-Container-Read": readers})
    answer = swift.anonymous.get(other, "m")
    assert answer.status in status and (answer.status == 200) == (answer.body == b"aaaaa")


@pytest.mark.parametrize("name", ["slo", "dlo", "link", "plain"])
def test_things_that_end_stand_for_nothing_afterwards(owner, large, name):
    headers = {"X-Delete-After": "1000"}
    if name == "link":
        owner.put(large, "link", headers={**link_to(large, "s/0"), **headers})
        assert "x-delete-at" in owner.head(f"{large}/link?symlink=get").headers
    elif name == "plain":
        owner.upload(large, "plain", b"x", headers)
        assert "x-delete-at" in owner.head(large, "plain").headers
    else:
        more = {"X-Object-Manifest": f"{large}/s/"} if name == "dlo" else {}
        assert owner.post(large, name, headers={**headers, **more}).status == 202
        assert "x-delete-at" in owner.head(large, name).headers


def test_inline_data_among_segments_is_copied_and_ranged(owner, large, other):
    data = {"data": base64.b64encode(b"++").decode()}
    entries = [data, {"path": f"/{large}/s/0"}, data]
    assert owner.put_manifest(f"{other}/m", entries).status == 201
    assert owner.get(other, "m", headers={"Range": "bytes=1-2"}).body == b"+a"
    assert owner.copy(f"{other}/m", to=f"{other}/flat").status == 201
    assert owner.get(other, "flat").body == b"++aaaaa++"


def test_a_listing_tells_links_from_large_objects(owner, large):
    owner.put(large, "link", headers=link_to(large, "slo"))
    rows = {row["name"]: row for row in owner.listing(large)}
    assert rows["link"]["symlink_path"] == f"/v1/{owner.account}/{large}/slo"
    assert rows["slo"]["slo_etag"] == f'"{ETAG}"' and rows["slo"]["bytes"] == 8
    assert rows["dlo"]["bytes"] == 0 and "slo_etag" not in rows["dlo"]


def test_a_manifest_in_a_container_of_another_policy(swift, owner, large):
    policies = [entry["name"] for entry in swift.info["swift"]["policies"]]
    place = owner.new_container({"X-Storage-Policy": policies[-1]})
    owner.put_manifest(f"{place}/m", [{"path": f"/{large}/s/{index}"} for index in range(2)])
    owner.put(place, "l", headers=link_to(large, "slo"))
    assert owner.get(place, "m").body == owner.get(place, "l").body == WHOLE
    assert owner.copy(f"{place}/l", to=f"{place}/flat").status == 201
    owner.tidy(place)


def test_a_report_of_a_manifest_that_is_refused_under_versions_changes_nothing(owner, kept):
    first = owner.put(kept, "o", body=b"one").headers[VERSION]
    body = json.dumps([{"path": f"/{kept}/missing"}]).encode()
    assert owner.put(f"{kept}/o?multipart-manifest=put", body=body).status == 400
    assert [row["version_id"] for row in owner.listing(kept, "&versions")] == [first]
