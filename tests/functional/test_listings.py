"""Listings of accounts and containers in their three forms: rows A1.2, A1.3, A2.3."""

from xml.etree import ElementTree

import pytest

from tests.functional.api import md5

pytestmark = pytest.mark.cluster
NAMES = ["a/1", "a/2", "a/b/3", "b", "c--d", "c--e", "ü/ñ", "ü<&>\"'"]


@pytest.fixture(scope="module")
def full(owner, shelf):
    for name in NAMES:
        owner.upload(shelf, name, name.encode(), {"Content-Type": "x/y;z=ü"})
    return shelf


@pytest.fixture(scope="module")
def containers(owner):
    names = [f"listing-{letter}{number}" for letter in "ab" for number in (1, 2)]
    for name in names:
        assert owner.put(name).status == 201
    yield names
    for name in names:
        owner.tidy(name)


ACCEPTED = [
    ("", "application/json", "application/json"),
    ("", "text/xml", "text/xml"),
    ("", "application/xml", "application/xml"),
    ("", "text/plain", "text/plain"),
    ("", "*/*", "text/plain"),
    ("", "text/*", "text/plain"),
    ("", "application/*", "application/json"),
    ("", "application/json;q=0.1, text/xml;q=0.9", "text/xml"),
    ("", "application/json;q=0.2, */*;q=0.1", "application/json"),
    ("?format=json", "text/xml", "application/json"),
    ("?format=xml", "application/json", "application/xml"),
    ("?format=plain", "application/json", "text/plain"),
    ("?format=JSON", "text/xml", "application/json"),
]


@pytest.mark.parametrize(("query", "accept", "kind"), ACCEPTED)
@pytest.mark.parametrize("where", ["account", "container"])
def test_the_form_that_is_asked_for(owner, full, where, query, accept, kind):
    answer = owner.get((full if where == "container" else "") + query, headers={"Accept": accept})
    assert answer.status == 200 and answer.headers["content-type"] == f"{kind}; charset=utf-8"
    if "format" not in query:
        assert "accept" in answer.headers["vary"].lower()


@pytest.mark.parametrize(
    ("accept", "status"),
    [("image/png", 406), ("text/html", 406), ("application/pdf, image/*", 406), ("garbage", 400), ("a/b;q=x", 400)],
)
@pytest.mark.parametrize("where", ["account", "container"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_forms_that_there_are_not(owner, full, where, method, accept, status):
    answer = owner.request(method, full if where == "container" else "", headers={"Accept": accept})
    assert answer.status == status


def test_rows_of_objects(owner, full):
    rows = owner.listing(full)
    assert [row["name"] for row in rows] == NAMES
    for row, name in zip(rows, NAMES, strict=True):
        assert (row["hash"], row["bytes"], row["content_type"]) == (md5(name), len(name.encode()), "x/y;z=ü")
        assert len(row["last_modified"]) == len("2026-01-01T00:00:00.000000")


def test_rows_as_text_and_xml(owner, full):
    assert owner.get(full).text == "".join(f"{name}\n" for name in NAMES)
    tree = ElementTree.fromstring(owner.get(f"{full}?format=xml").body)
    assert tree.tag == "container" and tree.get("name") == full
    assert [item.findtext("name") for item in tree] == NAMES
    first = tree[0]
    assert {item.tag for item in first} >= {"name", "hash", "bytes", "content_type", "last_modified"}
    subdirs = ElementTree.fromstring(owner.get(f"{full}?format=xml&delimiter=/").body).findall("subdir")
    assert [item.get("name") for item in subdirs] == ["a/", "ü/"]


def test_rows_of_containers(owner, containers):
    rows = {row["name"]: row for row in owner.listing("", "&prefix=listing-")}
    assert list(rows) == containers
    for row in rows.values():
        assert (row["count"], row["bytes"]) == (0, 0) and row["last_modified"]
    tree = ElementTree.fromstring(owner.get("?format=xml&prefix=listing-").body)
    assert tree.tag == "account" and [item.findtext("name") for item in tree] == containers


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("limit=2", NAMES[:2]),
        ("limit=0", []),
        ("limit=", NAMES),
        ("limit=-1", NAMES),
        ("limit=junk", NAMES),
        ("marker=a/2", NAMES[2:]),
        ("marker=a/15", NAMES[1:]),
        ("marker=zzzz", NAMES[6:]),
        ("marker=%F4%8F%BF%BF", []),
        ("end_marker=b", NAMES[:3]),
        ("end_marker=bb", NAMES[:4]),
        ("marker=a/1&end_marker=c--d", NAMES[1:4]),
        ("marker=a/1&limit=1", NAMES[1:2]),
        ("marker=b&end_marker=a/1", []),
        ("prefix=a/", NAMES[:3]),
        ("prefix=%C3%BC", NAMES[6:]),
        ("prefix=none", []),
        ("prefix=a/&delimiter=/", ["a/1", "a/2", "a/b/"]),
        ("delimiter=/", ["a/", "b", "c--d", "c--e", "ü/", NAMES[7]]),
        ("delimiter=--", ["a/1", "a/2", "a/b/3", "b", "c--", "ü/ñ", NAMES[7]]),
        ("delimiter=/&limit=1", ["a/"]),
        ("delimiter=/&marker=a/", ["b", "c--d", "c--e", "ü/", NAMES[7]]),
        ("delimiter=/&prefix=a", ["a/"]),
        ("path=", ["b", "c--d", "c--e", NAMES[7]]),
        ("path=a", ["a/1", "a/2"]),
        ("path=a/b", ["a/b/3"]),
        ("reverse=true", NAMES[::-1]),
        ("reverse=on&limit=3", NAMES[:4:-1]),
        ("reverse=true&marker=b", NAMES[2::-1]),
        ("reverse=true&end_marker=b", NAMES[:3:-1]),
        ("reverse=true&delimiter=/", [NAMES[7], "ü/", "c--e", "c--d", "b", "a/"]),
        ("reverse=no", NAMES),
        ("unknown=1", NAMES),
    ],
)
def test_pages_of_objects(owner, full, query, names):
    assert [row.get("name", row.get("subdir")) for row in owner.listing(full, f"&{query}")] == names
    text = owner.get(f"{full}?{query}")
    assert (text.status, text.text.splitlines()) == ((200, names) if names else (204, []))


@pytest.mark.parametrize(
    ("query", "indexes"),
    [
        ("limit=1", [0]),
        ("marker=listing-a1", [1, 2, 3]),
        ("end_marker=listing-b1", [0, 1]),
        ("prefix=listing-b", [2, 3]),
        ("reverse=true", [3, 2, 1, 0]),
        ("reverse=true&limit=1", [3]),
    ],
)
def test_pages_of_containers(owner, containers, query, indexes):
    rows = owner.listing("", f"&prefix=listing-&{query}" if "prefix" not in query else f"&{query}")
    assert [row["name"] for row in rows] == [containers[index] for index in indexes]


def test_containers_by_delimiter(owner, containers):
    rows = owner.listing("", "&prefix=listing&delimiter=-")
    assert [row.get("subdir") for row in rows] == ["listing-"]


@pytest.mark.parametrize("where", ["account", "container"])
def test_the_largest_page(swift, owner, full, where):
    name = "account_listing_limit" if where == "account" else "container_listing_limit"
    most = swift.info["swift"][name]
    path = full if where == "container" else ""
    assert owner.get(f"{path}?limit={most}").status == 200
    assert owner.get(f"{path}?limit={most + 1}").status == 412


@pytest.mark.parametrize("parameter", ["prefix", "marker", "end_marker", "delimiter", "path"])
@pytest.mark.parametrize("where", ["account", "container"])
def test_what_is_no_text_is_refused(owner, full, where, parameter):
    assert owner.get(f"{full if where == 'container' else ''}?{parameter}=%FF").status in (400, 412)


def test_every_object_is_found_page_by_page(owner, full):
    found, marker = [], ""
    while rows := owner.names(full, limit="3", marker=marker):
        assert len(rows) <= 3
        found += rows
        marker = rows[-1]
    assert found == NAMES


@pytest.mark.parametrize("where", ["account", "container"])
def test_head_has_no_body_and_the_counts(owner, full, where):
    for query in ("", "?format=json", "?format=xml"):
        answer = owner.head((full if where == "container" else "") + query)
        assert answer.status == 204 and answer.body == b"" and answer.headers[f"x-{where}-bytes-used"]
