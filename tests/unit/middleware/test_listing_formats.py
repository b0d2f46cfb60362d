"""middleware/listing_formats.py: features A1.2, A5.16, as a reference system answered (acct-*, list-*)."""

import json

import pytest

from objstore.http.response import Response
from objstore.middleware.listing_formats import filter_factory
from tests.support.pipeline import RecordingApp, make_environ, send

OBJECTS = [
    {"subdir": "a&b/"},
    {
        "bytes": 1,
        "hash": "abc",
        "name": "\u2603 <x>",
        "content_type": "text/plain",
        "last_modified": "2026-01-01T00:00:00.000000",
    },
]
CONTAINERS = [
    {"name": "al&pha", "count": 0, "bytes": 0, "last_modified": "2026-01-01T00:00:00.000000", "storage_policy": "gold"}
]


def listing(items, headers=None):
    body = json.dumps(items).encode()
    return Response(
        200, {"content-type": "application/json; charset=utf-8", "x-timestamp": "1", **(headers or {})}, body
    )


def ask(inner, path="/v1/a/c", method="GET", **options):
    app = RecordingApp(inner)
    return send(filter_factory({})(app), method, path, **options), app


@pytest.mark.parametrize(
    ("query", "inner"),
    [
        ("", "format=json"),
        ("format=xml", "format=json"),
        ("marker=%2Fa&format=plain&limit=2", "marker=%2Fa&limit=2&format=json"),
        ("f%6Frmat=xml&prefix=a+b", "prefix=a+b&format=json"),
        ("&&format", "format=json"),
        ("xformat=1", "xformat=1&format=json"),
    ],
)
def test_inside_it_is_always_json(query, inner):
    assert ask(listing([]), query=query)[1].last["QUERY_STRING"] == inner


def test_json_passes_through_untouched():
    class Body:
        transfer = None

        def __iter__(self):
            raise AssertionError("nobody may look at a JSON listing")

    body = Body()
    app = RecordingApp(Response(200, {"content-type": "application/json", "content-length": "9"}, body))
    heads = []

    result = filter_factory({})(app)(
        make_environ("GET", "/v1/a/c", "format=json"), lambda status, headers: heads.append((status, dict(headers)))
    )
    assert result is body
    assert heads == [("200 OK", {"Content-Length": "9", "Content-Type": "application/json; charset=utf-8"})]


def test_text_names_one_a_line():
    reply, _ = ask(listing(OBJECTS))
    assert reply.status == 200 and reply.body.decode() == "a&b/\n\u2603 <x>\n"
    assert reply.headers == {
        "content-type": "text/plain; charset=utf-8",
        "content-length": str(len(reply.body)),
        "vary": "Accept",
        "x-timestamp": "1",
    }


@pytest.mark.parametrize(
    ("query", "accept", "status", "type_", "varies"),
    [
        ("", "", 204, "text/plain", True),
        ("", "*/*", 204, "text/plain", True),
        ("format=plain", "", 204, "text/plain", False),
        ("format=bogus", "application/json", 204, "text/plain", False),
        ("format=", "application/json", 200, "application/json", True),
        ("format=JSON", "text/xml", 200, "application/json", False),
        ("format=xml", "", 200, "application/xml", False),
        ("", "text/xml", 200, "text/xml", True),
        ("", "application/*", 200, "application/json", True),
    ],
)
def test_types_of_an_empty_listing(query, accept, status, type_, varies):
    reply, _ = ask(listing([]), query=query, headers={"Accept": accept})
    assert (reply.status, reply.headers["content-type"]) == (status, f"{type_}; charset=utf-8")
    assert ("vary" in reply.headers) is varies and reply.headers["content-length"] == str(len(reply.body))


def test_cve_2013_2161_names_are_escaped_in_xml():
    reply, _ = ask(listing(OBJECTS), path="/v1/a/c\"<'", query="format=xml")
    text = reply.body.decode()
    assert "<x>" not in text and "\u2603 &lt;x&gt;" in text and 'name="a&amp;b/"' in text and "<'" not in text
    reply, _ = ask(listing(CONTAINERS), path="/v1/a<b>", query="format=xml")
    assert b"<name>al&amp;pha</name>" in reply.body and b"<b>" not in reply.body


@pytest.mark.parametrize(("accept", "status"), [("application/pdf", 406), ("garbage", 400)])
def test_what_cannot_be_had_is_refused_before_anything_is_asked(accept, status):
    reply, app = ask(listing([]), headers={"Accept": accept})
    assert reply.status == status and not app.seen


def test_a_format_that_is_not_utf8_is_a_bad_request():
    reply, app = ask(listing([]), query="format=%ff%fe")
    assert (reply.status, reply.headers["content-type"]) == (400, "text/plain") and not app.seen


def test_head_says_the_type_it_would_have():
    head = Response(204, {"content-type": "application/json; charset=utf-8", "content-length": "0"})
    reply, _ = ask(head, method="HEAD", query="format=xml")
    assert (reply.status, reply.headers["content-type"]) == (204, "application/xml; charset=utf-8")
    reply, _ = ask(head, method="HEAD")
    assert reply.headers["content-type"] == "text/plain; charset=utf-8" and reply.headers["vary"] == "Accept"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_page_instead_of_a_listing_stays_a_page_and_varies(method):
    shown = Response(200, {"content-type": "text/html", "content-length": "4", "vary": "Origin"}, b"page")
    reply, _ = ask(shown, method=method)
    assert reply.headers["content-type"] == "text/html" and reply.headers["content-length"] == "4"
    assert reply.headers["vary"] == "Origin, Accept"


def test_head_of_text_has_the_length_of_nothing():
    """An account made up on the spot (account_autocreate) answers HEAD with the length of its empty JSON listing."""
    head = Response(200, {"content-type": "application/json", "content-length": "2"})
    assert ask(head, method="HEAD")[0].headers["content-length"] == "0"
    assert ask(head, method="HEAD", query="format=json")[0].headers["content-length"] == "2"


@pytest.mark.parametrize("query", ["", "format=json", "format=xml"])
def test_errors_keep_their_own_type(query):
    error = Response(404, {"content-type": "text/html; charset=UTF-8"}, b"<html>")
    reply, _ = ask(error, query=query)
    assert (reply.status, reply.headers["content-type"], reply.body) == (404, "text/html; charset=UTF-8", b"<html>")


def test_a_success_that_is_no_listing_keeps_its_own_type():
    reply, _ = ask(Response(200, {"content-type": "text/html"}, b"<html>"))
    assert reply.headers["content-type"] == "text/html" and reply.body == b"<html>"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/a/c/o"), ("PUT", "/v1/a/c"), ("GET", "/info"), ("GET", "/v1"), ("GET", "/endpoints/a/c")],
)
def test_everything_else_is_left_alone(method, path):
    reply, app = ask(Response(200, {"content-type": "application/json"}, b"{}"), path, method, query="format=xml")
    assert reply.body == b"{}" and app.last["QUERY_STRING"] == "format=xml"
