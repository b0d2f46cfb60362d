"""Versions of objects, from outside: rows A4.7 and A4.8."""

import pytest

from tests.functional.site import etag_of, md5

pytestmark = pytest.mark.cluster

ID = "x-object-version-id"


@pytest.fixture
def kept(site):
    """A container that keeps versions."""
    return site.container({"X-Versions-Enabled": "true"})


def versions(site, container, query=""):
    return [(row["name"], row["version_id"], row["is_latest"]) for row in site.listing(container, "&versions" + query)]


def test_every_write_is_a_version(site, kept):
    ids = [site.put(f"{kept}/o", body).headers[ID] for body in (b"one", b"two", b"")]
    assert len(set(ids)) == 3
    assert [site.get(f"{kept}/o?version-id={id_}").body for id_ in ids] == [b"one", b"two", b""]
    assert site.get(f"{kept}/o").headers[ID] == ids[2]
    assert versions(site, kept) == [("o", ids[2], True), ("o", ids[1], False), ("o", ids[0], False)]


def test_a_deleted_object_is_all_there(site, kept):
    first = site.put(f"{kept}/o", b"one").headers[ID]
    marker = site.delete(f"{kept}/o").headers[ID]
    assert site.get(f"{kept}/o").status == 404
    assert site.get(f"{kept}/o?version-id={marker}").status == 404
    assert site.get(f"{kept}/o?version-id={first}").body == b"one"
    assert site.put(f"{kept}/o?version-id={first}").status == 201
    assert site.get(f"{kept}/o").body == b"one"


def test_what_was_there_before_becomes_a_version(site):
    c = site.container()
    site.put(f"{c}/o", b"before", {"X-Object-Meta-A": "b", "Content-Type": "x/y"})
    site.put(f"{c}/d", b"before")
    assert site.post(c, {"X-Versions-Enabled": "true"}).status == 204
    assert site.get(f"{c}/o").headers[ID] == "null"
    site.put(f"{c}/o", b"after")
    site.delete(f"{c}/d")
    for name in ("o", "d"):
        old = [version for row, version, is_latest in versions(site, c) if row == name and not is_latest]
        found = site.get(f"{c}/{name}?version-id={old[0]}")
        assert found.body == b"before"
        if name == "o":
            assert (found.headers["x-object-meta-a"], found.headers["content-type"]) == ("b", "x/y")


def test_suspended_writes_are_null_and_lose_no_version(site, kept):
    first = site.put(f"{kept}/o", b"one").headers[ID]
    site.post(kept, {"X-Versions-Enabled": "false"})
    site.put(f"{kept}/o", b"two")
    site.put(f"{kept}/o", b"three")
    assert site.get(f"{kept}/o?version-id=null").body == b"three"
    assert versions(site, kept) == [("o", "null", True), ("o", first, False)]
    site.post(kept, {"X-Versions-Enabled": "true"})
    site.put(f"{kept}/o", b"four")
    bodies = [site.get(f"{kept}/o?version-id={version}").body for _, version, _ in versions(site, kept)]
    assert bodies == [b"four", b"three", b"one"]


@pytest.mark.parametrize("id_", ["junk", "-1", "nan", "1e400", "%D9%A1", "1.2.3", "%00", "12345678901234567890123"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_an_id_that_is_none_is_refused_and_changes_nothing(site, method, id_):
    c = site.container({"X-Versions-Enabled": "true"})
    current = site.put(f"{c}/o", b"one").headers[ID]
    assert site.request(method, f"{c}/o?version-id={id_}").status == 400
    assert versions(site, c) == [("o", current, True)]


def test_deleting_the_current_version_brings_nothing_back(site, kept):
    first, second = (site.put(f"{kept}/o", body).headers[ID] for body in (b"one", b"two"))
    reply = site.delete(f"{kept}/o?version-id={second}")
    assert (reply.status, reply.headers["x-object-current-version-id"]) == (204, "null")
    assert site.get(f"{kept}/o").status == 404
    assert versions(site, kept) == [("o", first, False)]


def test_deleting_an_old_version_leaves_the_current(site, kept):
    first, second = (site.put(f"{kept}/o", body).headers[ID] for body in (b"one", b"two"))
    reply = site.delete(f"{kept}/o?version-id={first}")
    assert (reply.status, reply.headers["x-object-current-version-id"]) == (204, second)
    assert site.get(f"{kept}/o").body == b"two"


def test_deleting_a_null_version_that_is_none_changes_nothing(site, kept):
    current = site.put(f"{kept}/o", b"one").headers[ID]
    assert site.delete(f"{kept}/o?version-id=null").status == 404
    assert site.get(f"{kept}/o").headers[ID] == current


def test_metadata_of_the_current_version_is_posted(site, kept):
    first = site.put(f"{kept}/o", b"one").headers[ID]
    site.put(f"{kept}/o", b"two")
    assert site.post(f"{kept}/o", {"X-Object-Meta-A": "b"}).status == 202
    assert site.head(f"{kept}/o").headers["x-object-meta-a"] == "b"
    assert "x-object-meta-a" not in site.head(f"{kept}/o?version-id={first}").headers


def test_whoever_may_not_write_makes_no_version(site):
    """CVE-2015-1856, and its like for a PUT: nothing is done with the system's rights before the client's are asked."""
    c = site.container({"X-Versions-Enabled": "true", "X-Container-Read": f"{site.member},.rlistings"})
    current = site.put(f"{c}/o", b"one").headers[ID]
    for method in ("PUT", "DELETE"):
        for query in ("", f"?version-id={current}"):
            assert site.request(method, f"{c}/o{query}", user="member").status == 403
            assert site.request(method, f"{c}/o{query}", user="anonymous").status == 401
    assert versions(site, c) == [("o", current, True)]
    assert site.get(f"{c}/o", user="member").body == b"one"


def test_a_container_with_versions_is_not_removed(site, kept):
    version = site.put(f"{kept}/o", b"one").headers[ID]
    marker = site.delete(f"{kept}/o").headers[ID]
    assert site.delete(kept).status == 409
    assert site.get(f"{kept}/o?version-id={version}").body == b"one"
    for id_ in (version, marker):
        site.delete(f"{kept}/o?version-id={id_}")
    assert site.delete(kept).status == 204
    assert site.head(kept).status == 404


def test_the_hidden_container_is_hidden(site, kept):
    site.put(f"{kept}/o", b"one")
    hidden = f"/%00versions%00{kept[1:]}"
    for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
        assert site.request(method, hidden).status == 412
    assert all("\0" not in row["name"] for row in site.listing(""))


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("&limit=3", "aab"),
        ("&limit=0", ""),
        ("&prefix=b", "bb"),
        ("&marker=a", "bbcc"),
        ("&end_marker=b", "aa"),
        ("&marker=a&end_marker=c", "bb"),
        ("&reverse=true", "ccbbaa"),
        ("&reverse=true&marker=c", "bbaa"),
        ("&reverse=true&end_marker=a", "ccbb"),
    ],
)
def test_pages_of_versions(site, query, names):
    c = site.container({"X-Versions-Enabled": "true"})
    for name in "abc":
        site.put(f"{c}/{name}", b"1")
        site.put(f"{c}/{name}", b"2")
    assert "".join(name for name, _, _ in versions(site, c, query)) == names


def test_versions_can_be_paged_one_by_one(site, kept):
    for name in ("a", "b"):
        for body in (b"1", b"22"):
            site.put(f"{kept}/{name}", body)
    everything = versions(site, kept)
    found, query = [], "&limit=1"
    while rows := versions(site, kept, query):
        found += rows
        query = f"&limit=1&marker={rows[0][0]}&version_marker={rows[0][1]}"
    assert [row[:2] for row in found] == [row[:2] for row in everything]


# In another container


@pytest.mark.parametrize("header", ["X-Versions-Location", "X-History-Location"])
def test_what_a_put_replaces_is_kept(site, header):
    v = site.container()
    c = site.container({header: v[1:]})
    for body in (b"one", b"two", b"three"):
        assert site.put(f"{c}/o", body, {"X-Object-Meta-Body": body.decode()}).status == 201
    kept = [site.get(f"{v}/{row['name']}") for row in site.listing(v)]
    assert [reply.body for reply in kept] == [b"one", b"two"]
    assert [reply.headers["x-object-meta-body"] for reply in kept] == ["one", "two"]


def test_a_stack_goes_back_version_by_version(site):
    v = site.container()
    c = site.container({"X-Versions-Location": v[1:]})
    for body in (b"one", b"two", b"three"):
        site.put(f"{c}/o", body)
    for body in (b"two", b"one"):
        assert site.delete(f"{c}/o").status == 204
        assert site.get(f"{c}/o").body == body
    assert site.delete(f"{c}/o").status == 204
    assert site.get(f"{c}/o").status == 404 and site.listing(v) == []


def test_a_dynamic_large_object_that_is_overwritten_comes_back_as_one(site):
    """The versioned DLO overwrite: its manifest is the version, not what it read as, and nothing is lost."""
    v, s = site.container(), site.container()
    c = site.container({"X-Versions-Location": v[1:]})
    site.put(f"{s}/p1", b"segment")
    site.put(f"{c}/o", b"own", {"X-Object-Manifest": f"{s[1:]}/p"})
    site.put(f"{c}/o", b"plain")
    assert site.get(f"{c}/o").body == b"plain"
    site.delete(f"{c}/o")
    assert site.get(f"{c}/o").body == b"segment"
    assert site.get(f"{c}/o?multipart-manifest=get").body == b"own"


def test_reading_rights_do_not_delete_a_version(site):
    """CVE-2015-1856."""
    v = site.container({"X-Container-Read": f".r:*,.rlistings,{site.member}"})
    c = site.container({"X-Versions-Location": v[1:], "X-Container-Read": f".r:*,.rlistings,{site.member}"})
    site.put(f"{c}/o", b"one")
    site.put(f"{c}/o", b"two")
    for user in ("anonymous", "member"):
        assert site.delete(f"{c}/o", user=user).status in (401, 403)
        assert site.put(f"{c}/o", b"three", user=user).status in (401, 403)
    assert site.get(f"{c}/o").body == b"two" and len(site.listing(v)) == 1


@pytest.mark.parametrize("header", ["X-Versions-Location", "X-History-Location"])
def test_what_cannot_be_kept_is_not_replaced(site, header):
    c = site.container({header: "no-such-container"})
    site.put(f"{c}/o", b"one")
    assert site.put(f"{c}/o", b"two").status == 412
    assert site.get(f"{c}/o").body == b"one"


# Pairs of features


def test_a_large_object_among_versions(site, kept):
    s = site.container()
    site.put(f"{s}/1", b"aaaaa")
    site.put(f"{s}/2", b"bbbbb")
    first = site.put_manifest(f"{kept}/m", [{"path": f"{s}/1"}]).headers[ID]
    site.put_manifest(f"{kept}/m", [{"path": f"{s}/1"}, {"path": f"{s}/2"}])
    assert site.get(f"{kept}/m").body == b"aaaaabbbbb"
    assert site.get(f"{kept}/m", {"Range": "bytes=4-5"}).body == b"ab"
    assert site.get(f"{kept}/m?version-id={first}").body == b"aaaaa"
    assert site.get(f"{kept}/m?version-id={first}", {"If-None-Match": md5(md5("aaaaa"))}).status == 304
    assert site.put(f"{kept}/m?version-id={first}").status == 201
    assert site.get(f"{kept}/m").body == b"aaaaa"
    row = site.listing(kept)[0]
    assert (row["bytes"], row["slo_etag"].strip('"')) == (5, md5(md5("aaaaa")))


def test_a_link_among_versions(site, kept):
    c = site.container()
    site.put(f"{c}/o", b"hello")
    first = site.put(f"{kept}/l", b"", {"X-Symlink-Target": f"{c[1:]}/o"}).headers[ID]
    assert site.get(f"{kept}/l").body == b"hello"
    assert site.get(f"{kept}/l").headers[ID] == first
    site.put(f"{kept}/l", b"plain")
    assert site.get(f"{kept}/l?version-id={first}").body == b"hello"


def test_a_static_link_to_a_versioned_object(site, kept):
    c = site.container()
    site.put(f"{kept}/o", b"one")
    headers = {"X-Symlink-Target": f"{kept[1:]}/o", "X-Symlink-Target-Etag": md5("one")}
    assert site.put(f"{c}/s", b"", headers).status == 201
    assert site.get(f"{c}/s").body == b"one"
    site.put(f"{kept}/o", b"two")
    assert site.get(f"{c}/s").status == 409


def test_a_link_to_a_large_object_in_another_container_is_copied_as_data(site):
    c, s = site.container(), site.container()
    site.put(f"{s}/1", b"aaaaa")
    site.put_manifest(f"{s}/m", [{"path": f"{s}/1"}, {"path": f"{s}/1", "range": "0-1"}])
    site.put(f"{c}/l", b"", {"X-Symlink-Target": f"{s[1:]}/m"})
    assert site.copy(f"{c}/l", f"{c}/flat").status == 201
    flat = site.get(f"{c}/flat")
    assert flat.body == b"aaaaaaa" and etag_of(flat) == md5("aaaaaaa") and "x-static-large-object" not in flat.headers


def test_a_copy_of_a_version(site, kept):
    first = site.put(f"{kept}/o", b"one", {"X-Object-Meta-A": "b"}).headers[ID]
    site.put(f"{kept}/o", b"two")
    reply = site.copy(f"{kept}/o?version-id={first}", f"{kept}/copy")
    assert reply.status == 201 and reply.headers["x-copied-from-version-id"] == first
    copied = site.get(f"{kept}/copy")
    assert copied.body == b"one" and copied.headers["x-object-meta-a"] == "b"


def test_large_data_is_a_version_too(site, kept):
    body = bytes(range(256)) * 1200
    first = site.put(f"{kept}/o", body).headers[ID]
    site.put(f"{kept}/o", b"small")
    assert site.get(f"{kept}/o?version-id={first}").body == body
    assert site.get(f"{kept}/o?version-id={first}", {"Range": "bytes=300-302"}).body == body[300:303]
