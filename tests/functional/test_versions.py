"""Versions of objects, from outside: rows A4.7 and A4.8."""

import pytest

from tests.functional.api import etag_of, md5

pytestmark = pytest.mark.cluster

ID = "x-object-version-id"


@pytest.fixture
def kept(owner):
    """A container that keeps versions."""
    return owner.new_container({"X-Versions-Enabled": "true"})


def versions(owner, container, query=""):
    return [(row["name"], row["version_id"], row["is_latest"]) for row in owner.listing(container, "&versions" + query)]


def test_every_write_is_a_version(owner, kept):
    ids = [owner.put(f"{kept}/o", body=body).headers[ID] for body in (b"one", b"two", b"")]
    assert len(set(ids)) == 3
    assert [owner.get(f"{kept}/o?version-id={id_}").body for id_ in ids] == [b"one", b"two", b""]
    assert owner.get(f"{kept}/o").headers[ID] == ids[2]
    assert versions(owner, kept) == [("o", ids[2], True), ("o", ids[1], False), ("o", ids[0], False)]


def test_a_deleted_object_is_all_there(owner, kept):
    first = owner.put(f"{kept}/o", body=b"one").headers[ID]
    marker = owner.delete(f"{kept}/o").headers[ID]
    assert owner.get(f"{kept}/o").status == 404
    assert owner.get(f"{kept}/o?version-id={marker}").status == 404
    assert owner.get(f"{kept}/o?version-id={first}").body == b"one"
    assert owner.put(f"{kept}/o?version-id={first}").status == 201
    assert owner.get(f"{kept}/o").body == b"one"


def test_what_was_there_before_becomes_a_version(owner):
    c = owner.new_container()
    owner.put(f"{c}/o", body=b"before", headers={"X-Object-Meta-A": "b", "Content-Type": "x/y"})
    owner.put(f"{c}/d", body=b"before")
    assert owner.post(c, headers={"X-Versions-Enabled": "true"}).status == 204
    assert owner.get(f"{c}/o").headers[ID] == "null"
    owner.put(f"{c}/o", body=b"after")
    owner.delete(f"{c}/d")
    for name in ("o", "d"):
        old = [version for row, version, is_latest in versions(owner, c) if row == name and not is_latest]
        found = owner.get(f"{c}/{name}?version-id={old[0]}")
        assert found.body == b"before"
        if name == "o":
            assert (found.headers["x-object-meta-a"], found.headers["content-type"]) == ("b", "x/y")


def test_suspended_writes_are_null_and_lose_no_version(owner, kept):
    first = owner.put(f"{kept}/o", body=b"one").headers[ID]
    owner.post(kept, headers={"X-Versions-Enabled": "false"})
    owner.put(f"{kept}/o", body=b"two")
    owner.put(f"{kept}/o", body=b"three")
    assert owner.get(f"{kept}/o?version-id=null").body == b"three"
    assert versions(owner, kept) == [("o", "null", True), ("o", first, False)]
    owner.post(kept, headers={"X-Versions-Enabled": "true"})
    owner.put(f"{kept}/o", body=b"four")
    bodies = [owner.get(f"{kept}/o?version-id={version}").body for _, version, _ in versions(owner, kept)]
    assert bodies == [b"four", b"three", b"one"]


@pytest.mark.parametrize("id_", ["junk", "-1", "nan", "1e400", "%D9%A1", "1.2.3", "%00", "12345678901234567890123"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_an_id_that_is_none_is_refused_and_changes_nothing(owner, method, id_):
    c = owner.new_container({"X-Versions-Enabled": "true"})
    current = owner.put(f"{c}/o", body=b"one").headers[ID]
    assert owner.request(method, f"{c}/o?version-id={id_}").status == 400
    assert versions(owner, c) == [("o", current, True)]


def test_deleting_the_current_version_brings_nothing_back(owner, kept):
    first, second = (owner.put(f"{kept}/o", body=body).headers[ID] for body in (b"one", b"two"))
    reply = owner.delete(f"{kept}/o?version-id={second}")
    assert (reply.status, reply.headers["x-object-current-version-id"]) == (204, "null")
    assert owner.get(f"{kept}/o").status == 404
    assert versions(owner, kept) == [("o", first, False)]


def test_deleting_an_old_version_leaves_the_current(owner, kept):
    first, second = (owner.put(f"{kept}/o", body=body).headers[ID] for body in (b"one", b"two"))
    reply = owner.delete(f"{kept}/o?version-id={first}")
    assert (reply.status, reply.headers["x-object-current-version-id"]) == (204, second)
    assert owner.get(f"{kept}/o").body == b"two"


def test_deleting_a_null_version_that_is_none_changes_nothing(owner, kept):
    current = owner.put(f"{kept}/o", body=b"one").headers[ID]
    assert owner.delete(f"{kept}/o?version-id=null").status == 404
    assert owner.get(f"{kept}/o").headers[ID] == current


def test_metadata_of_the_current_version_is_posted(owner, kept):
    first = owner.put(f"{kept}/o", body=b"one").headers[ID]
    owner.put(f"{kept}/o", body=b"two")
    assert owner.post(f"{kept}/o", headers={"X-Object-Meta-A": "b"}).status == 202
    assert owner.head(f"{kept}/o").headers["x-object-meta-a"] == "b"
    assert "x-object-meta-a" not in owner.head(f"{kept}/o?version-id={first}").headers


def test_whoever_may_not_write_makes_no_version(swift, owner):
    """CVE-2015-1856, and its like for a PUT: nothing is done with the system's rights before the client's are asked."""
    c = owner.new_container({"X-Versions-Enabled": "true", "X-Container-Read": f"{swift.member.name},.rlistings"})
    current = owner.put(f"{c}/o", body=b"one").headers[ID]
    for method in ("PUT", "DELETE"):
        for query in ("", f"?version-id={current}"):
            assert swift.member.request(method, f"{c}/o{query}").status == 403
            assert swift.anonymous.request(method, f"{c}/o{query}").status == 401
    assert versions(owner, c) == [("o", current, True)]
    assert swift.member.get(f"{c}/o").body == b"one"


def test_a_container_with_versions_is_not_removed(owner, kept):
    version = owner.put(f"{kept}/o", body=b"one").headers[ID]
    marker = owner.delete(f"{kept}/o").headers[ID]
    assert owner.delete(kept).status == 409
    assert owner.get(f"{kept}/o?version-id={version}").body == b"one"
    for id_ in (version, marker):
        owner.delete(f"{kept}/o?version-id={id_}")
    assert owner.delete(kept).status == 204
    assert owner.head(kept).status == 404


def test_the_hidden_container_is_hidden(owner, kept):
    owner.put(f"{kept}/o", body=b"one")
    hidden = f"/%00versions%00{kept}"
    for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
        assert owner.request(method, hidden).status == 412
    assert all("\0" not in row["name"] for row in owner.listing(""))


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
def test_pages_of_versions(owner, query, names):
    c = owner.new_container({"X-Versions-Enabled": "true"})
    for name in "abc":
        owner.put(f"{c}/{name}", body=b"1")
        owner.put(f"{c}/{name}", body=b"2")
    assert "".join(name for name, _, _ in versions(owner, c, query)) == names


def test_versions_can_be_paged_one_by_one(owner, kept):
    for name in ("a", "b"):
        for body in (b"1", b"22"):
            owner.put(f"{kept}/{name}", body=body)
    everything = versions(owner, kept)
    found, query = [], "&limit=1"
    while rows := versions(owner, kept, query):
        found += rows
        query = f"&limit=1&marker={rows[0][0]}&version_marker={rows[0][1]}"
    assert [row[:2] for row in found] == [row[:2] for row in everything]


# In another container


@pytest.mark.parametrize("header", ["X-Versions-Location", "X-History-Location"])
def test_what_a_put_replaces_is_kept(owner, header):
    v = owner.new_container()
    c = owner.new_container({header: v})
    for body in (b"one", b"two", b"three"):
        assert owner.put(f"{c}/o", body=body, headers={"X-Object-Meta-Body": body.decode()}).status == 201
    kept = [owner.get(f"{v}/{row['name']}") for row in owner.listing(v)]
    assert [reply.body for reply in kept] == [b"one", b"two"]
    assert [reply.headers["x-object-meta-body"] for reply in kept] == ["one", "two"]


def test_a_stack_goes_back_version_by_version(owner):
    v = owner.new_container()
    c = owner.new_container({"X-Versions-Location": v})
    for body in (b"one", b"two", b"three"):
        owner.put(f"{c}/o", body=body)
    for body in (b"two", b"one"):
        assert owner.delete(f"{c}/o").status == 204
        assert owner.get(f"{c}/o").body == body
    assert owner.delete(f"{c}/o").status == 204
    assert owner.get(f"{c}/o").status == 404 and owner.listing(v) == []


def test_a_dynamic_large_object_that_is_overwritten_comes_back_as_one(owner):
    """The versioned DLO overwrite: its manifest is the version, not what it read as, and nothing is lost."""
    v, s = owner.new_container(), owner.new_container()
    c = owner.new_container({"X-Versions-Location": v})
    owner.put(f"{s}/p1", body=b"segment")
    owner.put(f"{c}/o", body=b"own", headers={"X-Object-Manifest": f"{s}/p"})
    owner.put(f"{c}/o", body=b"plain")
    assert owner.get(f"{c}/o").body == b"plain"
    owner.delete(f"{c}/o")
    assert owner.get(f"{c}/o").body == b"segment"
    assert owner.get(f"{c}/o?multipart-manifest=get").body == b"own"


def test_reading_rights_do_not_delete_a_version(swift, owner):
    """CVE-2015-1856."""
    v = owner.new_container({"X-Container-Read": f".r:*,.rlistings,{swift.member.name}"})
    c = owner.new_container({"X-Versions-Location": v, "X-Container-Read": f".r:*,.rlistings,{swift.member.name}"})
    owner.put(f"{c}/o", body=b"one")
    owner.put(f"{c}/o", body=b"two")
    for user in ("anonymous", "member"):
        assert swift[user].delete(f"{c}/o").status in (401, 403)
        assert swift[user].put(f"{c}/o", body=b"three").status in (401, 403)
    assert owner.get(f"{c}/o").body == b"two" and len(owner.listing(v)) == 1


@pytest.mark.parametrize("header", ["X-Versions-Location", "X-History-Location"])
def test_what_cannot_be_kept_is_not_replaced(owner, header):
    c = owner.new_container({header: "no-such-container"})
    owner.put(f"{c}/o", body=b"one")
    assert owner.put(f"{c}/o", body=b"two").status == 412
    assert owner.get(f"{c}/o").body == b"one"


# Pairs of features


def test_a_large_object_among_versions(owner, kept):
    s = owner.new_container()
    owner.put(f"{s}/1", body=b"aaaaa")
    owner.put(f"{s}/2", body=b"bbbbb")
    first = owner.put_manifest(f"{kept}/m", [{"path": f"{s}/1"}]).headers[ID]
    owner.put_manifest(f"{kept}/m", [{"path": f"{s}/1"}, {"path": f"{s}/2"}])
    assert owner.get(f"{kept}/m").body == b"aaaaabbbbb"
    assert owner.get(f"{kept}/m", headers={"Range": "bytes=4-5"}).body == b"ab"
    assert owner.get(f"{kept}/m?version-id={first}").body == b"aaaaa"
    assert owner.get(f"{kept}/m?version-id={first}", headers={"If-None-Match": md5(md5("aaaaa"))}).status == 304
    assert owner.put(f"{kept}/m?version-id={first}").status == 201
    assert owner.get(f"{kept}/m").body == b"aaaaa"
    row = owner.listing(kept)[0]
    assert (row["bytes"], row["slo_etag"].strip('"')) == (5, md5(md5("aaaaa")))


def test_a_link_among_versions(owner, kept):
    c = owner.new_container()
    owner.put(f"{c}/o", body=b"hello")
    first = owner.put(f"{kept}/l", body=b"", headers={"X-Symlink-Target": f"{c}/o"}).headers[ID]
    assert owner.get(f"{kept}/l").body == b"hello"
    assert owner.get(f"{kept}/l").headers[ID] == first
    owner.put(f"{kept}/l", body=b"plain")
    assert owner.get(f"{kept}/l?version-id={first}").body == b"hello"


def test_a_static_link_to_a_versioned_object(owner, kept):
    c = owner.new_container()
    owner.put(f"{kept}/o", body=b"one")
    headers = {"X-Symlink-Target": f"{kept}/o", "X-Symlink-Target-Etag": md5("one")}
    assert owner.put(f"{c}/s", body=b"", headers=headers).status == 201
    assert owner.get(f"{c}/s").body == b"one"
    owner.put(f"{kept}/o", body=b"two")
    assert owner.get(f"{c}/s").status == 409


def test_a_link_to_a_large_object_in_another_container_is_copied_as_data(owner):
    c, s = owner.new_container(), owner.new_container()
    owner.put(f"{s}/1", body=b"aaaaa")
    owner.put_manifest(f"{s}/m", [{"path": f"{s}/1"}, {"path": f"{s}/1", "range": "0-1"}])
    owner.put(f"{c}/l", body=b"", headers={"X-Symlink-Target": f"{s}/m"})
    assert owner.copy(f"{c}/l", to=f"{c}/flat").status == 201
    flat = owner.get(f"{c}/flat")
    assert flat.body == b"aaaaaaa" and etag_of(flat) == md5("aaaaaaa") and "x-static-large-object" not in flat.headers


def test_a_copy_of_a_version(owner, kept):
    first = owner.put(f"{kept}/o", body=b"one", headers={"X-Object-Meta-A": "b"}).headers[ID]
    owner.put(f"{kept}/o", body=b"two")
    reply = owner.copy(f"{kept}/o?version-id={first}", to=f"{kept}/copy")
    assert reply.status == 201 and reply.headers["x-copied-from-version-id"] == first
    copied = owner.get(f"{kept}/copy")
    assert copied.body == b"one" and copied.headers["x-object-meta-a"] == "b"


def test_large_data_is_a_version_too(owner, kept):
    body = bytes(range(256)) * 1200
    first = owner.put(f"{kept}/o", body=body).headers[ID]
    owner.put(f"{kept}/o", body=b"small")
    assert owner.get(f"{kept}/o?version-id={first}").body == body
    assert owner.get(f"{kept}/o?version-id={first}", headers={"Range": "bytes=300-302"}).body == body[300:303]
