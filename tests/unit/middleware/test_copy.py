"""middleware/copy.py: feature A3.8, as a reference system answered (copy-*, exp-copy-*, reserved-headers)."""

import json

import pytest

from objstore.core.errors import ClientDisconnected
from objstore.core.limits import Limits
from objstore.http import environ as keys
from objstore.http.response import Response
from objstore.middleware.copy import Copy
from tests.support.pipeline import make_environ, send

MD5 = "5d41402abc4b2a76b9719d911017c592"
STORED = {
    "content-type": "a/b",
    "content-length": "5",
    "etag": MD5,
    "last-modified": "Fri, 01 Jan 2100 00:00:00 GMT",
    "x-timestamp": "1800000000.00000",
    "accept-ranges": "bytes",
    "x-object-meta-one": "1",
    "x-object-meta-two": "2",
    "content-encoding": "gzip",
    "content-disposition": "inline",
    "x-delete-at": "1900000000",
    "x-object-sysmeta-slo-etag": "s",
    "x-object-transient-sysmeta-crypto": "t",
    "x-object-sysmeta-objstore-crc32c": "c",
    "x-object-sysmeta-container-update-override-etag": "o",
}


class Store:
    """A proxy of two verbs: one source, and every PUT kept."""

    def __init__(self, source=None, written=None):
        self.source = source or Response(200, STORED, b"hello")
        self.written = written or Response(201, {"content-type": "text/html; charset=UTF-8", "etag": MD5})
        self.gets, self.puts, self.bodies = [], [], []

    def __call__(self, environ, start_response):
        if environ["REQUEST_METHOD"] == "GET":
            self.gets.append(environ)
            return self.source(environ, start_response)
        self.puts.append(environ)
        self.bodies.append(environ["wsgi.input"].read())
        return self.written(environ, start_response)


def copy(store, headers, path="/v1/a/c/o", method="COPY", **options):
    limit = options.pop("max_file_size", 1000)
    return send(Copy(store, Limits(max_file_size=limit)), method, path, headers=headers, **options)


def test_copy_reads_the_source_and_puts_the_target():
    store = Store()
    reply = copy(store, {"Destination": "/d/p"})
    assert store.gets[0]["PATH_INFO"] == "/v1/a/c/o" and store.puts[0]["PATH_INFO"] == "/v1/a/d/p"
    assert store.bodies == [b"hello"] and store.puts[0]["CONTENT_LENGTH"] == "5"
    assert store.gets[0]["HTTP_X_NEWEST"] == "true" and store.gets[0][keys.SOURCE] == "COPY"
    assert reply.status == 201
    assert reply.headers == {
        "content-type": "text/html; charset=UTF-8",
        "content-length": "0",
        "etag": MD5,
        "x-copied-from": "c/o",
        "x-copied-from-account": "a",
        "x-copied-from-last-modified": "Fri, 01 Jan 2100 00:00:00 GMT",
        "x-object-meta-one": "1",
        "x-object-meta-two": "2",
        "x-delete-at": "1900000000",
    }


def test_put_with_copy_from():
    store = Store()
    reply = copy(store, {"X-Copy-From": "c/o", "X-Copy-From-Account": "b"}, "/v1/a/d/p", "PUT")
    assert store.gets[0]["PATH_INFO"] == "/v1/b/c/o" and store.puts[0]["PATH_INFO"] == "/v1/a/d/p"
    assert reply.headers["x-copied-from-account"] == "b" and "HTTP_X_COPY_FROM" not in store.puts[0]


def test_destination_account():
    store = Store()
    copy(store, {"Destination": "d/p", "Destination-Account": "b%C3%A9"})
    assert store.puts[0]["PATH_INFO"] == "/v1/b\xc3\xa9/d/p"


def test_the_clients_metadata_lies_over_the_sources():
    store = Store()
    sent = {"X-Object-Meta-Two": "new", "X-Object-Meta-Three": "3", "X-Object-Meta-One": "", "Content-Type": "x/y"}
    reply = copy(store, {"Destination": "d/p", **sent})
    put = store.puts[0]
    assert (put["HTTP_X_OBJECT_META_ONE"], put["HTTP_X_OBJECT_META_TWO"], put["CONTENT_TYPE"]) == ("", "new", "x/y")
    assert (put["HTTP_CONTENT_ENCODING"], put["HTTP_CONTENT_DISPOSITION"]) == ("gzip", "inline")
    assert put["HTTP_X_OBJECT_SYSMETA_SLO_ETAG"] == "s" and put["HTTP_X_OBJECT_TRANSIENT_SYSMETA_CRYPTO"] == "t"
    assert (reply.headers["x-object-meta-one"], reply.headers["x-object-meta-three"]) == ("", "3")


def test_what_speaks_of_the_stored_bytes_is_not_copied():
    store = Store()
    copy(store, {"Destination": "d/p"})
    assert not {"c", "o"} & {value for key, value in store.puts[0].items() if "SYSMETA" in key}


def test_fresh_metadata_keeps_the_type_and_system_metadata_only():
    store = Store()
    copy(store, {"Destination": "d/p", "X-Fresh-Metadata": "true", "X-Object-Meta-Three": "3"})
    put = store.puts[0]
    kept = {key for key in put if key.startswith(("HTTP_X_OBJECT", "HTTP_CONTENT", "HTTP_X_DELETE"))}
    assert kept == {"HTTP_X_OBJECT_META_THREE", "HTTP_X_OBJECT_SYSMETA_SLO_ETAG"} and put["CONTENT_TYPE"] == "a/b"


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("If-Match", MD5),
        ("If-None-Match", "*"),
        ("If-Modified-Since", "x"),
        ("If-Unmodified-Since", "y"),
        ("Range", "bytes=1-3"),
    ],
)
def test_conditions_and_range_are_about_the_source(header, value):
    store = Store()
    copy(store, {"Destination": "d/p", header: value})
    key = "HTTP_" + header.upper().replace("-", "_")
    assert store.gets[0][key] == value and key not in store.puts[0]


@pytest.mark.parametrize("status", [304, 401, 403, 404, 412, 416, 503])
def test_a_source_that_cannot_be_read_is_the_answer(status):
    store = Store(Response(status, {"etag": MD5, "x-object-meta-one": "1"}, b"why"))
    reply = copy(store, {"Destination": "d/p"})
    assert (reply.status, reply.headers["x-object-meta-one"], reply.body) == (status, "1", b"why") and not store.puts


def test_a_refused_target_is_the_answer_without_copied_headers():
    store = Store(written=Response(403, {}, b"no"))
    reply = copy(store, {"Destination": "d/p"})
    assert reply.status == 403 and not any(name.startswith("x-copied") for name in reply.headers)


@pytest.mark.parametrize(
    "value", ["", "d", "/d", "d/", "/", "//", "d/%ff", "%00c/o", "c/%00o", "\xff/o"], ids=lambda value: repr(value)
)
@pytest.mark.parametrize("method", ["COPY", "PUT"])
def test_a_name_that_is_none_is_412(method, value):
    if method == "PUT" and not value:
        pytest.skip("an empty X-Copy-From is a plain PUT")
    header = "Destination" if method == "COPY" else "X-Copy-From"
    store = Store()
    assert copy(store, {header: value}, method=method).status == 412 and not store.gets


def test_copy_without_destination_is_412():
    assert copy(Store(), {}).status == 412


@pytest.mark.parametrize("account", ["", "a/b", "%00a", "%ff"])
def test_an_account_that_is_none_is_412(account):
    assert copy(Store(), {"Destination": "y/p", "Destination-Account": account}).status == 412


@pytest.mark.parametrize("value", ["c/%E2%98%83%20x%3Fy", "c/\xe2\x98\x83 x?y", "/c/%E2%98%83 x?y"])
def test_names_come_quoted_or_not(value):
    store = Store()
    reply = copy(store, {"X-Copy-From": value}, "/v1/a/d/p", "PUT")
    assert store.gets[0]["PATH_INFO"] == "/v1/a/c/\xe2\x98\x83 x?y"
    assert reply.headers["x-copied-from"] == "c/%E2%98%83%20x%3Fy"


def test_an_object_keeps_its_slashes():
    store = Store()
    copy(store, {"Destination": "d//p/"})
    assert store.puts[0]["PATH_INFO"] == "/v1/a/d//p/"


def test_an_empty_copy_from_is_a_plain_put():
    store = Store()
    assert copy(store, {"X-Copy-From": ""}, method="PUT", body=b"abc").status == 201
    assert store.bodies == [b"abc"] and not store.gets


def test_a_copy_with_a_body_is_a_bad_request():
    assert copy(Store(), {"X-Copy-From": "c/o"}, method="PUT", body=b"abc").status == 400
    assert copy(Store(), {"X-Copy-From": "c/o", "Transfer-Encoding": "chunked"}, method="PUT").status == 400


@pytest.mark.parametrize("length", ["1001", None])
def test_a_source_too_long_or_of_unknown_length_is_413(length):
    headers = {"content-length": length} if length else {}
    source = Response(200, headers, iter([b"x"]))
    assert copy(Store(source), {"Destination": "d/p"}).status == 413


def test_several_ranges_are_refused():
    store = Store()
    assert copy(store, {"Destination": "d/p", "Range": "bytes=0-0,2-2"}).status == 416 and not store.gets


def test_a_whole_copy_is_checked_against_the_sources_etag():
    store = Store()
    copy(store, {"Destination": "d/p", "Etag": "0" * 32})
    assert store.puts[0]["HTTP_ETAG"] == MD5
    part = Store(Response(206, {**STORED, "content-length": "3"}, b"ell"))
    copy(part, {"Destination": "d/p", "Range": "bytes=1-3"})
    assert "HTTP_ETAG" not in part.puts[0] and part.bodies == [b"ell"]


@pytest.mark.parametrize("path", ["/v1/a/c", "/v1/a", "/info"])
@pytest.mark.parametrize("method", ["COPY", "PUT"])
def test_only_objects_are_copied(method, path):
    store = Store()
    copy(store, {"Destination": "d/p", "X-Copy-From": "c/o"}, path, method)
    assert store.puts[0]["REQUEST_METHOD"] == method and not store.gets


def test_options_of_an_object_names_copy():
    store = Store(written=Response(200, {"allow": "GET, PUT"}))
    assert copy(store, {}, method="OPTIONS").headers["allow"] == "GET, PUT, COPY"
    assert copy(store, {}, "/v1/a/c", "OPTIONS").headers["allow"] == "GET, PUT"


def test_query_parameters_go_where_they_belong():
    store = Store()
    copy(store, {"Destination": "d/p"}, query="symlink=get&foo=bar&heartbeat=no")
    assert store.gets[0]["QUERY_STRING"] == "symlink=get" and store.puts[0]["QUERY_STRING"] == "foo=bar"


def test_nothing_is_buffered_and_the_source_is_closed():
    class Body:
        closed, pulled = False, 0

        def __iter__(self):
            for _ in range(3):
                Body.pulled += 1
                yield b"x" * 10

        def close(self):
            Body.closed = True

    def app(environ, start_response):
        if environ["REQUEST_METHOD"] == "GET":
            return Response(200, {"content-length": "30"}, Body())(environ, start_response)
        assert Body.pulled == 0
        assert environ["wsgi.input"].read(5) == b"x" * 5 and Body.pulled == 1
        return Response(503)(environ, start_response)

    assert copy(app, {"Destination": "d/p"}).status == 503
    assert Body.closed and Body.pulled == 1


def test_a_source_that_breaks_fails_the_put_and_is_closed():
    class Body:
        closed = False

        def __iter__(self):
            yield b"he"
            raise ClientDisconnected

        def close(self):
            Body.closed = True

    with pytest.raises(ClientDisconnected):
        copy(Store(Response(200, STORED, Body())), {"Destination": "d/p"})
    assert Body.closed


def test_a_source_that_ends_early_fails_the_put():
    with pytest.raises(ClientDisconnected):
        copy(Store(Response(200, STORED, [b"hel"])), {"Destination": "d/p"})


@pytest.mark.parametrize(
    ("method", "header", "source_has", "target_has"), [("COPY", "Destination", 0, 0), ("PUT", "X-Copy-From", 0, 1)]
)
def test_cve_2026_71191_a_signed_request_is_authorized_for_its_own_path_only(method, header, source_has, target_has):
    """A temporary URL lets one PUT through: it does not let it read whatever X-Copy-From names."""
    store = Store()
    app = Copy(store, Limits())
    environ = make_environ(method, "/v1/a/c/o", headers={header: "x/y"}, **{keys.AUTHORIZE_OVERRIDE: True})
    send_environ(app, environ)
    assert (keys.AUTHORIZE_OVERRIDE in store.gets[0], keys.AUTHORIZE_OVERRIDE in store.puts[0]) == (
        bool(source_has),
        bool(target_has),
    )


@pytest.mark.parametrize(
    ("destination", "names"), [("x%2Fsecret/../y", ("x", "secret/../y")), ("x%252Fy/o", ("x%2Fy", "o"))]
)
def test_cve_2026_42882_authorization_sees_the_very_names_that_are_written(destination, names):
    """Decoded once, into the one path that both the auth filter and the store read."""
    store = Store()
    copy(store, {"Destination": destination})
    path = keys.client_path_of(store.puts[0])
    assert (path.container, path.obj) == names and store.puts[0]["PATH_INFO"] == "/v1/a/" + "/".join(names)


def send_environ(app, environ):
    for _ in app(environ, lambda *_: None):
        pass


def test_both_sides_are_authorized_with_the_same_identity():
    store = Store()
    environ = make_environ(
        "COPY", "/v1/a/c/o", headers={"Destination": "x/y"}, **{keys.AUTHORIZE: "service", keys.REMOTE_USER: "a,a:b"}
    )
    send_environ(Copy(store, Limits()), environ)
    for request in (store.gets[0], store.puts[0]):
        assert (request[keys.AUTHORIZE], request[keys.REMOTE_USER]) == ("service", "a,a:b")
        assert keys.OWNER not in request


@pytest.mark.parametrize("accept", ["", "application/json"])
def test_heartbeat_answers_at_once_and_reports_at_the_end(accept):
    reply = copy(Store(), {"Destination": "d/p", "Accept": accept}, query="heartbeat=on")
    assert reply.status == 202 and "content-length" not in reply.headers and reply.body.startswith(b" ")
    if accept:
        report = json.loads(reply.body)
        assert report["Response Status"] == "201 Created" and report["Errors"] == [] and report["Etag"] == MD5
        assert report["X-Copied-From"] == "c/o" and report["X-Object-Meta-One"] == "1"
    else:
        lines = reply.body.decode().lstrip().split("\n")
        assert lines[:2] == ["Content-Length: 0", "Content-Type: text/html; charset=UTF-8"]
        assert "Response Status: 201 Created" in lines and lines[-2:] == ["Errors:", ""]


def test_heartbeat_of_a_missing_source_is_a_plain_404():
    assert copy(Store(Response(404)), {"Destination": "d/p"}, query="heartbeat=on").status == 404


def test_heartbeat_reports_a_failure():
    class Body:
        def __iter__(self):
            yield b"he"
            raise ClientDisconnected

    source = Response(200, STORED, Body())
    reply = copy(Store(source), {"Destination": "d/p", "Accept": "application/json"}, query="heartbeat=on")
    assert json.loads(reply.body)["Response Status"].startswith("499")
