"""Copies: row A3.8."""

from urllib.parse import quote

import pytest

from tests.functional.api import etag_of, md5

pytestmark = pytest.mark.cluster
META = {"X-Object-Meta-Color": "red", "Content-Type": "a/b", "Content-Disposition": "inline"}


@pytest.fixture(scope="module")
def source(owner, shelf):
    owner.upload(shelf, "o", b"0123456789", META)
    owner.upload(shelf, "ünï/ ☃%", b"odd", {})
    return shelf


def copied(user, method, source, target, headers=None, query=""):
    """The same copy, asked for from either side."""
    if method == "COPY":
        return user.copy(f"{source}{query}", to=target, headers=headers)
    return user.put(f"{target}{query}", headers={"X-Copy-From": source, **(headers or {})})


@pytest.mark.parametrize("method", ["COPY", "PUT"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_a_copy_is_all_of_it(owner, source, container, method, slash):
    if method == "COPY":
        answer = owner.copy(f"{source}/o", to=f"{slash}{container}/p")
    else:
        answer = owner.put(f"{container}/p", headers={"X-Copy-From": f"{slash}{source}/o"})
    assert answer.status == 201 and etag_of(answer) == md5("0123456789")
    assert answer.headers["x-copied-from"] == f"{source}/o"
    assert answer.headers["x-copied-from-account"] == owner.account
    assert answer.headers["x-copied-from-last-modified"] == owner.head(source, "o").headers["last-modified"]
    found = owner.get(container, "p")
    assert found.body == b"0123456789"
    for name, value in META.items():
        assert found.headers[name.lower()] == value


@pytest.mark.parametrize("method", ["COPY", "PUT"])
@pytest.mark.parametrize("name", ["ünï/ ☃%", "o"])
def test_names_are_quoted_in_headers(owner, source, shelf, method, name):
    path, target = f"{source}/{quote(name)}", f"{shelf}/{quote('tärget %')}"
    assert copied(owner, method, path, target).status == 201
    assert owner.get(shelf, "tärget %").body == (b"odd" if name != "o" else b"0123456789")


@pytest.mark.parametrize("method", ["COPY", "PUT"])
@pytest.mark.parametrize(
    ("headers", "color", "kind"),
    [
        ({}, "red", "a/b"),
        ({"X-Object-Meta-Size": "big"}, "red", "a/b"),
        ({"X-Object-Meta-Color": "blue"}, "blue", "a/b"),
        ({"Content-Type": "c/d"}, "red", "c/d"),
        ({"X-Fresh-Metadata": "true"}, None, None),
        ({"X-Fresh-Metadata": "true", "X-Object-Meta-Color": "green"}, "green", None),
        ({"X-Fresh-Metadata": "false"}, "red", "a/b"),
    ],
)
def test_what_becomes_of_metadata(owner, source, shelf, method, headers, color, kind):
    assert copied(owner, method, f"{source}/o", f"{shelf}/p", headers).status == 201
    found = owner.head(shelf, "p").headers
    assert found.get("x-object-meta-color") == color
    if kind:
        assert found["content-type"] == kind
    if "X-Object-Meta-Size" in headers:
        assert found["x-object-meta-size"] == "big"


@pytest.mark.parametrize("method", ["COPY", "PUT"])
@pytest.mark.parametrize(
    ("headers", "status", "body"),
    [
        ({"Range": "bytes=2-4"}, 201, b"234"),
        ({"Range": "bytes=-2"}, 201, b"89"),
        ({"Range": "bytes=50-"}, 416, None),
        ({"If-Match": md5("0123456789")}, 201, b"0123456789"),
        ({"If-Match": "0" * 32}, 412, None),
        ({"If-None-Match": md5("0123456789")}, 304, None),
        ({"If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}, 412, None),
        ({"If-Modified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}, 201, b"0123456789"),
    ],
)
def test_conditions_and_ranges_are_about_the_source(owner, source, shelf, method, headers, status, body):
    if method == "PUT" and "If-None-Match" in headers:
        pytest.skip("there it is about the object that is put")
    owner.delete(shelf, "p")
    assert copied(owner, method, f"{source}/o", f"{shelf}/p", headers).status == status
    assert owner.head(shelf, "p").status == (200 if body else 404)
    if body:
        assert owner.get(shelf, "p").body == body


@pytest.mark.parametrize("target", ["", "c", "/", "c/", "%FF/o", "c/%00", "/c"])
def test_destinations_that_are_none(owner, source, target):
    assert owner.copy(f"{source}/o", headers={"Destination": target}).status == 412


@pytest.mark.parametrize("value", ["", "c", "/", "c/", "%FF/o", "c/%00", "/c"])
def test_sources_that_are_none(owner, shelf, value):
    answer = owner.put(shelf, "p", headers={"X-Copy-From": value})
    # An empty header is none: the object is what the body says.
    assert answer.status == (412 if value else 201)


def test_a_copy_without_destination_is_refused(owner, source):
    assert owner.copy(f"{source}/o").status == 412


def test_a_copy_has_no_body_of_its_own(owner, source, container):
    assert owner.put(container, "p", headers={"X-Copy-From": f"{source}/o"}, body=b"x").status == 400
    assert owner.names(container) == []


@pytest.mark.parametrize("method", ["COPY", "PUT"])
def test_what_is_not_there_is_not_copied(owner, source, container, method):
    assert copied(owner, method, f"{source}/missing", f"{container}/p").status == 404
    assert copied(owner, method, f"{source}/o", "no-such-container/p").status == 404


def test_an_object_copied_onto_itself_has_new_metadata(owner, container):
    owner.upload(container, "o", b"same", {"X-Object-Meta-A": "1"})
    assert owner.copy(f"{container}/o", to=f"{container}/o", headers={"X-Object-Meta-A": "2"}).status == 201
    found = owner.get(container, "o")
    assert found.body == b"same" and found.headers["x-object-meta-a"] == "2"


@pytest.mark.parametrize("method", ["COPY", "PUT"])
def test_rights_on_both_sides(swift, owner, source, container, method):
    member, name = swift.member, swift.member.name
    owner.post(source, headers={"X-Container-Read": ""})
    owner.post(container, headers={"X-Container-Write": name})
    assert copied(member, method, f"{source}/o", f"{container}/p").status == 403
    owner.post(source, headers={"X-Container-Read": name})
    assert copied(member, method, f"{source}/o", f"{container}/p").status == 201
    owner.post(container, headers={"X-Container-Write": ""})
    assert copied(member, method, f"{source}/o", f"{container}/q").status == 403
    assert owner.names(container) == ["p"]


def test_between_accounts(swift, owner, source):
    there, stranger = swift.stranger.account, swift.stranger
    assert stranger.put("copied", account=there, headers={"X-Container-Write": owner.name}).status in (201, 202)
    try:
        headers = {"Destination-Account": there}
        assert owner.copy(f"{source}/o", to="copied/o", headers=headers).status == 201
        assert stranger.get("copied", "o", account=there).body == b"0123456789"
        owner.post(source, headers={"X-Container-Read": stranger.name})
        headers = {"X-Copy-From": f"{source}/o", "X-Copy-From-Account": owner.account}
        answer = stranger.put("copied", "p", account=there, headers=headers)
        assert answer.status == 201 and answer.headers["x-copied-from-account"] == owner.account
        owner.post(source, headers={"X-Container-Read": ""})
        assert stranger.put("copied", "q", account=there, headers=headers).status == 403
        assert owner.copy(f"{source}/o", to="copied/r", headers={"Destination-Account": "a/b"}).status == 412
    finally:
        for name in ("o", "p"):
            stranger.delete("copied", name, account=there)
        assert stranger.delete("copied", account=there).status == 204


def test_a_heartbeat_ends_with_the_verdict(owner, source, container):
    answer = owner.copy(f"{source}/o?heartbeat=on", to=f"{container}/p", headers={"Accept": "application/json"})
    assert answer.status == 202 and answer.json["Response Status"] == "201 Created"
    assert owner.get(container, "p").body == b"0123456789"
    answer = owner.copy(f"{source}/none?heartbeat=on", to=f"{container}/q", headers={"Accept": "application/json"})
    assert "404" in (answer.json["Response Status"] if answer.status == 202 else str(answer.status))
