"""middleware/symlink.py: what a stored object may make of a request. What clients see is in tests/functional."""

import pytest

from objstore.http import environ as keys
from objstore.http.response import Response
from objstore.middleware.symlink import Symlink, SymlinkSettings
from tests.support.pipeline import RecordingApp, send

EMPTY = {"content-type": "application/symlink", "etag": "d41d8cd98f00b204e9800998ecf8427e", "content-length": "0"}
DATA = {"content-type": "a/b", "etag": "5d41402abc4b2a76b9719d911017c592", "content-length": "5"}


def link(target, status=200, **sysmeta):
    named = {f"x-object-sysmeta-{name.replace('_', '-')}": value for name, value in sysmeta.items()}
    return Response(status, {**EMPTY, "x-object-sysmeta-symlink-target": target, **named})


def follow(stored, path="/v1/a/c/l", **options):
    """stored: path to Response; everything else is missing."""
    app = RecordingApp(lambda environ: stored.get(environ["PATH_INFO"], Response(404)))
    return app, send(Symlink(app, SymlinkSettings()), options.pop("method", "GET"), path, **options)


@pytest.mark.parametrize("status", [200, 206, 304, 412, 416])
def test_a_link_is_followed_whatever_its_own_answer_is(status):
    app, reply = follow({"/v1/a/c/l": link("c/o", status), "/v1/a/c/o": Response(200, DATA, b"hello")})
    assert (reply.status, reply.body) == (200, b"hello")


def test_links_of_the_system_do_not_count_but_end_somewhere():
    stored = {f"/v1/a/c/{n}": link(f"c/{n + 1}", symloop_extend="true") for n in range(5)}
    stored["/v1/a/c/5"] = Response(200, DATA, b"hello")
    assert follow(stored, "/v1/a/c/0")[1].status == 200
    stored["/v1/a/c/5"] = link("c/0", symloop_extend="true")
    app, reply = follow(stored, "/v1/a/c/0")
    assert reply.status == 409 and len(app.seen) < 20


def test_who_was_let_through_to_the_link_is_asked_again_at_the_target():
    app, _ = follow({"/v1/a/c/l": link("c/o")}, **{keys.AUTHORIZE_OVERRIDE: True})
    assert keys.AUTHORIZE_OVERRIDE in app.seen[0] and keys.AUTHORIZE_OVERRIDE not in app.seen[1]


@pytest.mark.parametrize(
    ("target", "sysmeta", "is_let_through"),
    [
        ("%00versions%00c/%00l%001", {"allow_reserved_names": "true"}, True),
        ("%00versions%00c/%00l%001", {}, False),
        ("%00versions%00other/%00l%001", {"allow_reserved_names": "true"}, False),
        ("%00versions%00c/%00l%001", {"allow_reserved_names": "true", "symlink_target_account": "b"}, False),
        ("c/o", {"allow_reserved_names": "true"}, False),
    ],
)
def test_only_a_link_to_a_version_of_the_same_container_opens_it(target, sysmeta, is_let_through):
    app, _ = follow({"/v1/a/c/l": link(target, **sysmeta)})
    assert bool(app.last.get(keys.AUTHORIZE_OVERRIDE)) is is_let_through
    assert ("HTTP_X_BACKEND_ALLOW_RESERVED_NAMES" in app.last) is ("allow_reserved_names" in sysmeta)


def test_the_clients_own_headers_go_along():
    app, _ = follow({"/v1/a/c/l": link("c/o")}, headers={"Range": "bytes=1-2", "If-Match": "x"}, query="a=b")
    assert (app.last["HTTP_RANGE"], app.last["HTTP_IF_MATCH"], app.last["QUERY_STRING"]) == ("bytes=1-2", "x", "a=b")


def test_a_refusal_at_the_target_is_not_taken_for_a_changed_target():
    stored = {"/v1/a/c/l": link("c/o", symlink_target_etag="x"), "/v1/a/c/o": Response(403, {"content-type": "t/h"})}
    assert follow(stored)[1].status == 403


@pytest.mark.parametrize(("target", "status"), [("%FF/o", 409), ("c", 404), ("", 200), ("/", 404)])
def test_a_stored_target_that_is_no_name_is_no_crash(target, status):
    assert follow({"/v1/a/c/l": link(target)})[1].status == status
