"""What others bring along works on us: filters written with WebOb in an operator's pipeline, and the xattr library on
our disks. Both are requirements for that reason; our own request path uses neither (doc/decisions/0009)."""

from __future__ import annotations

import pickle

import webob
import webob.dec
import xattr

from tests.support.backends import account_server
from tests.support.objects import directory_of, make_address, make_disk_engine, put
from tests.support.pipeline import RecordingApp

TIMES = {"X-Timestamp": "1700000000.00000"}


@webob.dec.wsgify.middleware
def audit_trail(request, app):
    """What an operator's own filter looks like: reads the request, changes it, marks the answer."""
    request.headers["X-Account-Meta-Seen-By"] = "trail"
    response = request.get_response(app)
    response.headers["X-Trail"] = f"{request.method} {request.path}"
    return response


def test_a_webob_client_is_answered_by_a_storage_server(tmp_path):
    server = account_server(tmp_path)
    made = webob.Request.blank("/sdb1/1/AUTH_a", method="PUT", headers=TIMES).get_response(server)
    listing = webob.Request.blank("/sdb1/1/AUTH_a?format=json", method="GET").get_response(server)
    assert (made.status_int, listing.status_int, listing.json) == (201, 200, [])
    assert listing.content_type == "application/json"


def test_a_webob_filter_in_front_changes_request_and_answer(tmp_path):
    server = account_server(tmp_path)
    made = webob.Request.blank("/sdb1/1/AUTH_a", method="PUT", headers=TIMES).get_response(audit_trail(server))
    seen = webob.Request.blank("/sdb1/1/AUTH_a", method="HEAD").get_response(server)
    assert made.headers["X-Trail"] == "PUT /sdb1/1/AUTH_a"
    assert seen.headers["X-Account-Meta-Seen-By"] == "trail"


def test_a_webob_filter_leaves_a_body_whole():
    app = RecordingApp()
    body = bytes(range(256)) * 400
    webob.Request.blank("/v1/AUTH_a/c/o", method="PUT", body=body).get_response(audit_trail(app))
    assert app.bodies == [body]


def test_the_xattr_library_reads_an_objects_metadata(tmp_path):
    address = make_address("o")
    put(make_disk_engine(tmp_path), address, x_object_meta_colour="blue")
    (data,) = directory_of(tmp_path, address).glob("*.data")
    # Bytes keys and values, as formats 4.2 has them.
    metadata = pickle.loads(xattr.xattr(str(data)).get("user.swift.metadata"), encoding="bytes")
    assert metadata[b"name"] == b"/AUTH_v/c/o"
    assert {key.lower(): value for key, value in metadata.items()}[b"x-object-meta-colour"] == b"blue"
