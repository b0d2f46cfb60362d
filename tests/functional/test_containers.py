"""Containers: rows A2.1, A2.2, A2.4, A2.5."""

from urllib.parse import quote

import pytest

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize(
    "header",
    [
        "x-container-object-count", "x-container-bytes-used", "x-storage-policy", "x-timestamp", "last-modified",
        "accept-ranges", "content-type", "content-length", "date", "x-trans-id", "x-openstack-request-id",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_what_a_container_shows(owner, shelf, method, header):
    answer = owner.request(method, shelf)
    assert answer.status == 204 and answer.headers[header]


def test_a_container_counts_what_is_in_it(owner, container):
    owner.upload(container, "a", b"12345")
    owner.upload(container, "b", b"123")
    owner.upload(container, "a", b"1")
    headers = owner.head(container).headers
    assert (headers["x-container-object-count"], headers["x-container-bytes-used"]) == ("2", "4")


def test_a_life(owner):
    name = owner.new_container({"X-Container-Meta-Color": "red"})
    assert owner.put(name, headers={"X-Container-Meta-Size": "big"}).status == 202
    headers = owner.head(name).headers
    assert (headers["x-container-meta-color"], headers["x-container-meta-size"]) == ("red", "big")
    assert owner.delete(name).status == 204
    for method in ("GET", "HEAD", "POST", "DELETE"):
        assert owner.request(method, name).status == 404
    assert owner.put(name).status == 201
    assert "x-container-meta-color" not in owner.head(name).headers
    owner.delete(name)


def test_a_container_that_is_not_empty_stays(owner, container):
    owner.upload(container, "o")
    answer = owner.delete(container)
    assert answer.status == 409 and b"conflict" in answer.body.lower()
    assert owner.get(container, "o").status == 200


@pytest.mark.parametrize(
    "name", [".", "..", " ", "☃ 雪", "a\nb", "q?q#f", "100%", "%2F", "a&b=c", "<script>", "\U0001f600", "-", "a:b;c,d"]
)
def test_names_of_every_kind(owner, name):
    path = f"{quote(name, safe='')}"
    assert owner.put(path).status in (201, 202)
    assert owner.put(f"{path}/o", body=b"x").status == 201
    assert name in [row["name"] for row in owner.listing("")]
    assert owner.get(f"{path}/o").body == b"x"
    assert owner.delete(f"{path}/o").status == 204 and owner.delete(path).status == 204


@pytest.mark.parametrize(
    ("path", "status"), [("%00", 412), ("a%00b", 412), ("%FF%FE", 412), ("x" * 257, 400), ("%ED%A0%80", 412)]
)
def test_names_that_are_none(owner, path, status):
    assert owner.put(path).status == status


@pytest.mark.parametrize("character", ["x", "é", "雪"])
def test_the_longest_name_counts_characters_or_bytes_and_says_so(owner, swift, character):
    most = swift.info["swift"]["max_container_name_length"]
    name = quote(character * most)
    answer = owner.put(name)
    if len(character.encode()) == 1:
        assert answer.status == 201
    assert answer.status in (201, 400)
    owner.delete(name)
    assert owner.put(quote(character * (most + 1))).status == 400


def test_metadata_is_merged_and_removed(owner, container):
    def shown():
        headers = owner.head(container).headers
        return {
            name.rpartition("-")[2]: value for name, value in headers.items() if name.startswith("x-container-meta-")
        }

    assert owner.post(container, headers={"X-Container-Meta-A": "1", "X-Container-Meta-B": "2"}).status == 204
    assert owner.post(container, headers={"x-container-meta-C": "ünï", "X-Container-Meta-B": "3"}).status == 204
    assert shown() == {"a": "1", "b": "3", "c": "ünï"}
    assert owner.post(container, headers={"X-Container-Meta-A": "", "X-Remove-Container-Meta-B": "x"}).status == 204
    assert shown() == {"c": "ünï"}


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-Container-Read", ".r:*"),
        ("X-Container-Write", "black:owner"),
        ("X-Container-Sync-Key", "key"),
        ("X-Container-Meta-Temp-URL-Key", "k"),
        ("X-Container-Meta-Temp-URL-Key-2", "k2"),
        ("X-Container-Meta-Quota-Bytes", "10"),
        ("X-Container-Meta-Quota-Count", "10"),
        ("X-Container-Meta-Access-Control-Allow-Origin", "http://x"),
        ("X-Container-Meta-Access-Control-Max-Age", "5"),
        ("X-Container-Meta-Access-Control-Expose-Headers", "x-a"),
        ("X-Container-Meta-Web-Index", "i"),
        ("X-Container-Meta-Web-Error", "e"),
        ("X-Container-Meta-Web-Listings", "true"),
        ("X-Container-Meta-Web-Listings-CSS", "c"),
        ("X-Container-Meta-Web-Directory-Type", "a/b"),
        ("X-Versions-Location", "v"),
        ("X-History-Location", "v"),
    ],
)
def test_settings_are_kept_shown_and_removed(owner, shelf, header, value):
    assert owner.post(shelf, headers={header: value}).status == 204
    assert owner.head(shelf).headers[header.lower()] == value
    assert owner.post(shelf, headers={header.replace("X-", "X-Remove-", 1): "x"}).status == 204
    assert header.lower() not in owner.head(shelf).headers


def test_versions_are_enabled_and_suspended_not_removed(owner, container):
    for value in ("true", "false"):
        assert owner.post(container, headers={"X-Versions-Enabled": value}).status == 204
        assert owner.head(container).headers["x-versions-enabled"].lower() == value


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Container-Meta-": "v"},
        {"X-Container-Read": ".r:"},
        {"X-Container-Read": ".unknown:x"},
        {"X-Container-Write": ".r:*"},
        {"X-Container-Write": ".r:host"},
        {"X-Versions-Location": "a/b"},
        {"X-Versions-Enabled": "maybe"},
        {"X-Versions-Enabled": "true", "X-Versions-Location": "v"},
        {"X-Versions-Location": "v", "X-History-Location": "h"},
        {"X-Container-Sync-To": "junk"},
        {"X-Container-Sync-To": "//no-realm/no-cluster/a/c"},
    ],
)
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_settings_that_make_no_sense_change_nothing(owner, shelf, method, headers):
    # A flag that is no boolean is taken for false (features A4.8 names true and false alone).
    expected = (202, 204) if headers.get("X-Versions-Enabled") == "maybe" else (400, 412)
    assert owner.request(method, shelf, headers=headers).status in expected
    kept = owner.head(shelf).headers
    assert not {name.lower() for name in headers} & set(kept) - {"x-versions-enabled"}


@pytest.mark.parametrize(
    ("policy", "status"), [("", 201), ("no-such-policy", 400), ("ünï", 400), ("0", 400), ("x" * 300, 400)]
)
def test_policies_that_are_asked_for(owner, policy, status):
    answer = owner.put("policy-test", headers={"X-Storage-Policy": policy})
    assert answer.status == status, answer
    owner.delete("policy-test")


def test_a_policy_is_for_ever(swift, owner):
    names = [entry["name"] for entry in swift.info["swift"]["policies"]]
    name = owner.new_container({"X-Storage-Policy": names[-1].upper()})
    assert owner.head(name).headers["x-storage-policy"] == names[-1]
    assert owner.put(name, headers={"X-Storage-Policy": names[-1]}).status == 202
    assert owner.put(name, headers={"X-Storage-Policy": names[0]}).status == 409
    assert owner.head(name).headers["x-storage-policy"] == names[-1]
    owner.delete(name)


@pytest.mark.parametrize("user", ["member", "stranger", "anonymous"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE"])
def test_who_has_no_right_to_a_container(swift, owner, shelf, user, method):
    headers = {"X-Container-Meta-Theirs": "x"}
    assert swift[user].request(method, shelf, headers=headers).status == (401 if user == "anonymous" else 403)
    assert "x-container-meta-theirs" not in owner.head(shelf).headers


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE", "COPY"])
def test_objects_of_a_container_that_is_missing(owner, method):
    headers = {"Destination": "no-such-container/p"} if method == "COPY" else {}
    assert owner.request(method, "no-such-container/o", headers=headers).status == 404
