"""http/subrequest.py and http/capabilities.py."""

import pytest

from objstore.core.errors import BodyTooLarge
from objstore.http import environ as keys
from objstore.http.capabilities import Capabilities
from objstore.http.response import Response, page
from objstore.http.subrequest import IteratorInput, call, child_environ
from tests.support.pipeline import RecordingApp, make_environ


def test_child_has_services_and_identity_but_not_the_other_headers():
    parent = make_environ(
        "PUT",
        "/v1/a/c/o",
        headers={"X-Auth-Token": "t", "X-Object-Meta-A": "b", "If-Match": "x", "Range": "bytes=0-1"},
        body=b"abc",
        **{keys.CACHE: "cache", keys.OWNER: True, keys.AUTHORIZE_OVERRIDE: True, keys.TRANSACTION_ID: "tx1"},
    )
    child = child_environ(parent, "GET", "/v1/a/c/p q", source="COPY", query="a=b", headers={"x-newest": "true"})
    assert child["PATH_INFO"] == "/v1/a/c/p q" and child[keys.RAW_TARGET] == "/v1/a/c/p%20q?a=b"
    assert child["HTTP_X_AUTH_TOKEN"] == "t" and child["HTTP_X_NEWEST"] == "true" and child[keys.SOURCE] == "COPY"
    assert child[keys.CACHE] == "cache" and child[keys.TRANSACTION_ID] == "tx1"
    assert not {"HTTP_RANGE", "HTTP_IF_MATCH", "HTTP_X_OBJECT_META_A", "CONTENT_LENGTH"} & set(child)
    assert keys.OWNER not in child and keys.AUTHORIZE_OVERRIDE not in child
    assert child["wsgi.input"].read() == b"" and parent["wsgi.input"].read() == b"abc"


def test_authorized_child_skips_authorization():
    assert child_environ(make_environ(), "GET", "/v1/a", source="X", authorized=True)[keys.AUTHORIZE_OVERRIDE] is True


def test_call_reads_a_response():
    response = call(RecordingApp(Response(201, {"x-a": "b"}, b"hello")), make_environ())
    assert (response.status, response.headers["x-a"], response.is_success) == (201, "b", True)
    assert response.read(5) == b"hello"


def test_a_body_past_the_limit_is_refused_and_closed():
    class Body:
        closed = False

        def __iter__(self):
            yield b"abc"
            yield b"def"

        def close(self):
            self.closed = True

    body = Body()
    with pytest.raises(BodyTooLarge):
        call(RecordingApp(Response(200, {}, body)), make_environ()).read(5)
    assert body.closed


def test_a_generator_that_starts_late_is_read_whole():
    def app(environ, start_response):
        start_response("200 OK", [("X-A", "b")])
        yield b"one"
        yield b"two"

    response = call(app, make_environ())
    assert response.headers == {"x-a": "b"} and response.read(10) == b"onetwo"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_iterator_input_gives_exact_sizes(size):
    source = IteratorInput([b"ab", b"", b"cdef", b"g"])
    pieces = []
    while piece := source.read(size):
        pieces.append(piece)
    assert b"".join(pieces) == b"abcdefg" and all(len(piece) == size for piece in pieces[:-1])


def test_iterator_input_readinto_and_read_all():
    source = IteratorInput([b"abc", b"def"])
    buffer = bytearray(2)
    assert source.readinto(memoryview(buffer)) == 2 and bytes(buffer) == b"ab"
    assert source.read() == b"cdef" and source.readinto(memoryview(buffer)) == 0


def test_iterator_input_passes_a_failure_on():
    def broken():
        yield b"a"
        raise OSError("source died")

    source = IteratorInput(broken())
    with pytest.raises(OSError):
        source.read(5)


def test_capabilities_are_collected_without_what_is_disallowed():
    registry = Capabilities()
    registry.register("slo", max_segments=1000, min_size=1)
    registry.register("tempauth", account_acls=True)
    registry.register_admin("secret", x=1)
    facts = registry.collect(disallowed=["tempauth", "slo.min_size", "nothing.at_all"])
    assert facts == {"slo": {"max_segments": 1000}}
    assert registry.collect(admin=True, disallowed=["slo"]) == {
        "tempauth": {"account_acls": True},
        "admin": {"secret": {"x": 1}, "disallowed_sections": ["slo"]},
    }
    facts["slo"]["max_segments"] = 1
    assert registry.collect()["slo"]["max_segments"] == 1000


@pytest.mark.parametrize("section", ["admin", "disallowed_sections", "a.b"])
def test_some_names_are_no_sections(section):
    with pytest.raises(ValueError):
        Capabilities().register(section)


def test_xss_an_error_page_escapes_its_explanation():
    assert b"<script>" not in page(404, "<script>alert(1)</script>").body
