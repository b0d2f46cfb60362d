"""middleware/slo over real storage servers, with faults between."""

import itertools
import json

import pytest

from objstore.http import environ as keys
from objstore.http.response import Response, page
from objstore.http.subrequest import BytesInput
from objstore.middleware.slo.filter import Slo
from objstore.middleware.slo.settings import SloSettings
from tests.support.object_filters import FilteredClient, fails
from tests.support.pipeline import RecordingApp, send
from tests.support.storage_nodes import StorageNodes

_numbers = itertools.count()


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    with StorageNodes(tmp_path_factory.mktemp("nodes")) as running:
        yield running


@pytest.fixture
def site(nodes):
    return FilteredClient(nodes.proxy(), max_manifest_size="2000")


@pytest.fixture
def container(site):
    path = f"/v1/AUTH_slo/c{next(_numbers)}"
    assert site.put(path).status == 201
    return path


def put_segments(site, container, bodies):
    for index, body in enumerate(bodies):
        assert site.put(f"{container}/{index}", body=body).status == 201
    return [{"path": f"{container.partition('AUTH_slo')[2]}/{index}"} for index in range(len(bodies))]


def put_manifest(site, path, entries, headers=()):
    body = json.dumps(entries).encode()
    return site.request("PUT", path, headers, body, query="multipart-manifest=put")


def test_a_segment_is_looked_at_once_however_often_it_is_named(site, container):
    (entry,) = put_segments(site, container, [b"abc"])
    site.seen.clear()
    assert put_manifest(site, f"{container}/m", [entry] * 20).status == 201
    assert site.methods("HEAD") == [f"{container}/0"]


@pytest.mark.parametrize("kept", ["0a1b", '"0a1b"'], ids=["bare", "in quotes, as in former days"])
def test_a_listing_shows_the_etag_in_quotes_however_the_row_has_it(kept):
    rows = json.dumps([{"name": "m", "hash": f"d41d; slo_etag={kept}", "bytes": 3}]).encode()
    inside = RecordingApp(Response(200, {"content-type": "application/json; charset=utf-8"}, rows))
    answer = send(Slo(inside, SloSettings()), "GET", "/v1/a/c")
    assert json.loads(answer.body) == [{"name": "m", "hash": "d41d", "bytes": 3, "slo_etag": '"0a1b"'}]


def test_who_may_not_write_has_nothing_looked_at(site, container):
    entries = put_segments(site, container, [b"abc"])
    site.seen.clear()
    unread = BytesInput(json.dumps(entries).encode())
    environ = {keys.AUTHORIZE: lambda request: page(403), "wsgi.input": unread, "CONTENT_LENGTH": "20"}
    reply = site.request("PUT", f"{container}/m", query="multipart-manifest=put", environ=environ)
    assert reply.status == 403 and not site.seen and unread.read()


def test_what_the_cluster_cannot_say_now_is_no_fault_of_the_manifest(site, container):
    entries = put_segments(site, container, [b"a", b"b"])
    site.faults.append(fails("HEAD", container))
    assert put_manifest(site, f"{container}/m", entries).status == 503
    site.faults.clear()
    assert site.head(f"{container}/m").status == 404
    entries.append({"path": "/no/such"})
    site.faults.append(fails("HEAD", f"{container}/0"))
    assert put_manifest(site, f"{container}/m", entries).status == 400


def test_a_manifest_that_is_too_long_is_not_read(site, container):
    unread = BytesInput(b" " * 5000)
    environ = {"CONTENT_LENGTH": "5000", "wsgi.input": unread}
    reply = site.request("PUT", f"{container}/m", query="multipart-manifest=put", environ=environ)
    assert reply.status == 413 and len(unread.read()) == 5000
    chunks = [b"[" + b" " * 999] + [b" " * 1000] * 3
    reply = site.request("PUT", f"{container}/m", query="multipart-manifest=put", chunks=chunks)
    assert reply.status == 413


def test_a_replica_that_missed_the_last_write_is_asked_past(site, container):
    entries = put_segments(site, container, [b"abc", b"def"])
    put_manifest(site, f"{container}/m", entries)
    site.faults.append(
        lambda environ: 404 if environ["PATH_INFO"] == f"{container}/1" and "HTTP_X_NEWEST" not in environ else None
    )
    assert site.get(f"{container}/m").body == b"abcdef"


def test_a_server_that_cuts_manifests_by_a_range_is_asked_again(site, container):
    entries = put_segments(site, container, [b"abc", b"def"])
    put_manifest(site, f"{container}/m", entries)

    def forget(environ):
        environ.pop("HTTP_X_BACKEND_IGNORE_RANGE_IF_METADATA_PRESENT", None)

    site.faults.append(forget)
    for range_, body in (("bytes=2-3", b"cd"), ("bytes=5-5", b"f")):
        reply = site.get(f"{container}/m", {"range": range_})
        assert (reply.status, reply.body) == (206, body)
    assert site.get(f"{container}/m", {"range": "bytes=6-"}).status == 416


def test_conditions_hold_where_a_server_compares_the_wrong_etag(site, container):
    put = put_manifest(site, f"{container}/m", put_segments(site, container, [b"abc"]))
    etag = put.headers["etag"]
    raw = site.get(f"{container}/m", query="multipart-manifest=get").headers["etag"]
    site.put(f"{container}/old", {"x-static-large-object": "true"}, body=b"x")  # Refused: only the filter says so.
    assert site.get(f"{container}/m", {"if-none-match": etag}).status == 304
    assert site.get(f"{container}/m", {"if-none-match": raw}).status == 200


def test_a_failed_deletion_of_a_segment_keeps_the_manifest(site, container):
    entries = put_segments(site, container, [b"a", b"b", b"c"])
    put_manifest(site, f"{container}/m", entries)
    site.faults.append(fails("DELETE", f"{container}/1"))
    reply = site.request("DELETE", f"{container}/m", {"accept": "application/json"}, query="multipart-manifest=delete")
    report = json.loads(reply.body)
    assert report["Number Deleted"] == 2 and report["Errors"] == [[entries[1]["path"], "503 Service Unavailable"]]
    site.faults.clear()
    assert site.head(f"{container}/m").status == 200
    reply = site.request("DELETE", f"{container}/m", {"accept": "application/json"}, query="multipart-manifest=delete")
    report = json.loads(reply.body)
    assert (report["Number Deleted"], report["Number Not Found"], report["Errors"]) == (2, 2, [])


def test_asynchronous_deletion_queues_every_segment_before_the_manifest_goes(nodes, site, container):
    entries = put_segments(site, container, [b"a", b"b", b"c"])
    put_manifest(site, f"{container}/m", entries)
    nodes.seen.clear()
    reply = site.request("DELETE", f"{container}/m", query="multipart-manifest=delete&async=on")
    assert reply.status == 204 and site.head(f"{container}/m").status == 404
    rows = [path for kind, _, method, path, _ in nodes.seen if kind == "container" and ".expiring_objects/" in path]
    names = {path.rpartition("-AUTH_slo")[2] for path in rows if "-AUTH_slo" in path}
    assert names == {entry["path"] for entry in entries}
    first_delete = next(
        n for n, (kind, _, method, *_) in enumerate(nodes.seen) if (kind, method) == ("object", "DELETE")
    )
    queued = [n for n, (kind, _, _, path, _) in enumerate(nodes.seen) if kind == "container" and "-AUTH_slo" in path]
    assert max(queued) < first_delete
    assert site.get(f"{container}/0").body == b"a"


def test_asynchronous_deletion_that_cannot_be_queued_deletes_nothing(nodes, site, container):
    entries = put_segments(site, container, [b"a"])
    put_manifest(site, f"{container}/m", entries)
    for node in range(nodes.node_count):
        nodes.replace(node, "container", lambda environ, start: page(503)(environ, start))
    try:
        reply = site.request("DELETE", f"{container}/m", query="multipart-manifest=delete&async=on")
    finally:
        for node in range(nodes.node_count):
            nodes.stop(node, ("container",))
            nodes.start(node)
    assert reply.status == 503
    assert site.get(f"{container}/m").body == b"a"


def test_a_heartbeat_begins_before_anything_is_looked_at(site, container):
    entries = put_segments(site, container, [b"abc"])
    body = json.dumps(entries).encode()
    reply = site.request(
        "PUT", f"{container}/m", {"accept": "application/json"}, body, query="multipart-manifest=put&heartbeat=on"
    )
    assert reply.status == 202 and reply.body.startswith(b" \r\n\r\n")
    assert json.loads(reply.body)["Response Status"] == "201 Created"


def test_a_plain_get_carries_nothing_for_manifests(nodes, site, container):
    site.put(f"{container}/o", body=b"x")
    nodes.seen.clear()
    site.get(f"{container}/o")
    (environ,) = nodes.asked("object", "GET")
    assert "HTTP_X_BACKEND_ETAG_IS_AT" not in environ
    assert "HTTP_X_BACKEND_IGNORE_RANGE_IF_METADATA_PRESENT" not in environ
