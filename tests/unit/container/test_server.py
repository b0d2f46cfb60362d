"""The container server: life of a container, rows, limits, full disks, shard ranges."""

import json

import pytest

from objstore.core.limits import Limits
from objstore.db.sync_links import linked
from tests.support.backends import container_server
from tests.support.wire import exchanges
from tests.support.wsgi import call

PATH = "/sdb1/7/AUTH_a/c"
T = "17000000{:02d}.00000".format


def put(app, at=10, path=PATH, **headers):
    return call(app, "PUT", path, {"x-timestamp": T(at), **named(headers)})


def post(app, at, **headers):
    return call(app, "POST", PATH, {"x-timestamp": T(at), **named(headers)})


def delete(app, at, path=PATH):
    return call(app, "DELETE", path, {"x-timestamp": T(at)})


def put_row(app, name, at=20, size=1, path=PATH, **headers):
    row = {"x-timestamp": T(at), "x-size": str(size), "x-content-type": "a/b", "x-etag": "e", **named(headers)}
    return call(app, "PUT", f"{path}/{name}", row)


def named(headers):
    return {name.replace("_", "-"): value for name, value in headers.items()}


def listing(app, query="", **headers):
    return json.loads(call(app, "GET", f"{PATH}?format=json{query}", named(headers)).body)


@pytest.fixture
def app(tmp_path):
    return container_server(tmp_path)


def test_container_lives_dies_and_lives_again(app):
    assert put(app, 10, x_container_meta_a="1").status == 201
    assert put(app, 11).status == 202
    assert delete(app, 12).status == 204
    gone = call(app, "HEAD", PATH)
    assert (gone.status, gone.headers["x-backend-delete-timestamp"]) == (404, T(12))
    assert delete(app, 13).status == 404
    assert put(app, 5).status == 409
    assert post(app, 14).status == 404
    assert put(app, 15).status == 201
    assert "x-container-meta-a" not in call(app, "HEAD", PATH).headers


def test_recreation_may_change_the_policy(app):
    put(app, 10)
    delete(app, 11)
    answer = put(app, 12, x_backend_storage_policy_index="2")
    assert (answer.status, answer.headers["x-backend-storage-policy-index"]) == (201, "2")


def test_deletion_older_than_the_put_is_a_conflict(app):
    put(app, 10)
    assert delete(app, 9).status == 409
    assert call(app, "HEAD", PATH).status == 204


def test_container_with_an_object_cannot_be_deleted(app):
    put(app)
    put_row(app, "o")
    assert delete(app, 30).status == 409
    assert call(app, "DELETE", f"{PATH}/o", {"x-timestamp": T(31)}).status == 204
    assert delete(app, 32).status == 204


def test_row_brings_a_deleted_container_s_database_no_404(app):
    put(app, 10)
    delete(app, 11)
    assert put_row(app, "late", at=5).status == 201


def test_post_changes_metadata_and_may_leave_the_timestamp(app):
    put(app, 10)
    assert post(app, 12, x_container_meta_a="1", x_backend_no_timestamp_update="true").status == 204
    assert call(app, "HEAD", PATH).headers["x-put-timestamp"] == T(10)
    assert post(app, 13, x_container_meta_a="").status == 204
    head = call(app, "HEAD", PATH).headers
    assert head["x-put-timestamp"] == T(13) and "x-container-meta-a" not in head


def test_older_metadata_loses(app):
    put(app, 10, x_container_read=".r:*")
    post(app, 9, x_container_read="other")
    assert call(app, "HEAD", PATH).headers["x-container-read"] == ".r:*"


def test_metadata_in_utf8_goes_round(app):
    put(app, 10, x_container_meta_name="grÃ¼n")
    assert call(app, "HEAD", PATH).headers["x-container-meta-name"] == "grÃ¼n"
    assert put(app, 11, x_container_meta_name="\xff").status == 400


def test_cve_2014_7960_several_posts_do_not_get_past_the_limit(tmp_path):
    app = container_server(tmp_path, limits=Limits(max_meta_count=3, max_meta_overall_size=50))
    put(app)
    for number in range(3):
        assert post(app, 20 + number, **{f"x_container_meta_{number}": "v"}).status == 204
    assert post(app, 30, x_container_meta_more="v").status == 400
    assert post(app, 31, x_container_meta_0="", x_container_meta_more="v").status == 204
    assert post(app, 32, x_container_meta_1="v" * 60).status == 400
    assert post(app, 33, x_container_sysmeta_big="v" * 60).status == 204


def test_full_disk_refuses_writes_but_not_deletes(tmp_path):
    app = container_server(tmp_path)
    put(app)
    put_row(app, "o")
    full = container_server(tmp_path, fallocate_reserve="100%")
    assert put(full, 20).status == 507
    assert put_row(full, "p").status == 507
    assert post(full, 21).status == 507
    body = json.dumps([]).encode()
    assert call(full, "UPDATE", PATH, {"x-timestamp": T(22)}, body).status == 507
    assert call(full, "DELETE", f"{PATH}/o", {"x-timestamp": T(23)}).status == 204
    assert delete(full, 24).status == 204


def test_listing_item_of_a_posted_object_with_its_true_size(app):
    put(app)
    put_row(
        app, "o", at=20, x_content_type="t/p;swift_bytes=99", x_content_type_timestamp=T(21), x_meta_timestamp=T(22)
    )
    put_row(app, "plain")
    assert listing(app) == [
        {"bytes": 99, "hash": "e", "name": "o", "content_type": "t/p", "last_modified": "2023-11-14T22:13:42.000000"},
        {
            "bytes": 1,
            "hash": "e",
            "name": "plain",
            "content_type": "a/b",
            "last_modified": "2023-11-14T22:13:40.000000",
        },
    ]
    assert listing(app, "&prefix=o&delimiter=/")[0]["bytes"] == 99


def test_json_of_strange_names_is_json(app):
    put(app)
    body = [
        {"name": name, "created_at": T(20), "size": 0, "content_type": 'a/b; x="\\"', "etag": '"', "deleted": 0}
        for name in ('"', "\\", "\n", "ü\U0001f600", '","last_modified":"1700000000.00000"}', "swift_bytes=1")
    ]
    assert call(app, "UPDATE", PATH, {"x-timestamp": T(20)}, json.dumps(body).encode()).status == 202
    assert [entry["name"] for entry in listing(app)] == sorted(item["name"] for item in body)
    assert {entry["last_modified"] for entry in listing(app)} == {"2023-11-14T22:13:40.000000"}


@pytest.mark.parametrize(
    "rows",
    [
        {"a": 1},
        ["x"],
        [{"name": "o"}],
        [{"name": "o", "created_at": "never", "size": 0, "content_type": "", "etag": "", "deleted": 0}],
        [{"name": "o", "created_at": T(1), "size": "many", "content_type": "", "etag": "", "deleted": 0}],
        [{"name": "\ud800", "created_at": T(1), "size": 1, "content_type": "", "etag": "", "deleted": 0}],
    ],
)
def test_update_with_one_bad_row_stores_none(app, rows):
    put(app)
    good = {"name": "good", "created_at": T(1), "size": 1, "content_type": "", "etag": "", "deleted": 0}
    body = json.dumps([good, *rows] if isinstance(rows, list) else rows).encode()
    assert call(app, "UPDATE", PATH, {"x-timestamp": T(20)}, body).status == 400
    assert listing(app) == []


def test_bad_parameters_are_400(app):
    put(app)
    assert call(app, "GET", f"{PATH}?prefix=%ff").status == 400
    assert call(app, "GET", f"{PATH}?format=json&states=odd", {"x-backend-record-type": "shard"}).status == 400


def test_unsafe_paths_are_refused(app):
    assert put(app, path="/../7/AUTH_a/c").status == 400
    assert put(app, path="/sdb1/../AUTH_a/c").status == 400
    assert put(app, path="/sdb1%2F..%2Fsdb2/7/AUTH_a/c").status in (400, 507)
    assert put_row(app, "o", path="/sdb1/7/AUTH_a/%00c").status == 400


def test_replication_server_serves_nothing_else(tmp_path):
    assert put(container_server(tmp_path, replication_server="yes")).status == 405
    assert call(container_server(tmp_path, replication_server="no"), "REPLICATE", "/sdb1/7/x").status == 405


# Shards

ROOT = "/sdb2/30/AUTH_wire/sh"


def recorded(name):
    return next(exchange for exchange in exchanges("sharding") if exchange["id"] == f"sharding.{name}#1")


@pytest.fixture
def sharding(app):
    """The root container of the recording while it is being sharded, as far as one file shows it."""
    call(app, "PUT", ROOT, {"x-timestamp": "1795238500.55454"})
    ranges = json.loads(recorded("direct-get-auditing")["response"]["body"])
    for item in ranges:
        del item["last_modified"]
    call_headers = {"x-timestamp": "1795238500.60000", "x-backend-record-type": "shard"}
    assert call(app, "PUT", ROOT, call_headers, json.dumps(ranges).encode()).status == 202
    return app


@pytest.mark.parametrize(
    "name",
    [
        "direct-get-listing",
        "direct-get-updating",
        "direct-get-auditing",
        "direct-get-cleaved",
        "direct-get-namespace",
        "direct-get-includes",
        "direct-bad-state",
    ],
)
def test_shard_ranges_are_given_as_recorded(sharding, name):
    exchange = recorded(name)
    request = exchange["request"]
    answer = call(sharding, "GET", request["path"], {k: v for k, v in request["headers"] if k != "Host"})
    assert answer.status == exchange["response"]["status"]
    if answer.status == 200:
        assert json.loads(answer.body) == json.loads(exchange["response"]["body"])
        headers = {k.lower(): v for k, v in exchange["response"]["headers"]}
        for key in ("x-backend-record-type", "x-backend-record-shard-format", "content-type"):
            assert answer.headers[key] == headers[key]


@pytest.mark.parametrize("name", ["direct-redirect", "direct-redirect-unquoted", "direct-no-redirect"])
def test_rows_are_redirected_as_recorded(sharding, name):
    exchange = recorded(name)
    request = exchange["request"]
    answer = call(sharding, "PUT", request["path"], {k: v for k, v in request["headers"] if k != "Host"})
    assert answer.status == exchange["response"]["status"]
    headers = {k.lower(): v for k, v in exchange["response"]["headers"]}
    for key in ("location", "x-backend-location-is-quoted", "x-backend-redirect-timestamp"):
        assert answer.headers.get(key) == headers.get(key)


def test_redirect_that_needs_quoting_is_not_forced_on_old_callers(sharding):
    answer = put_row(sharding, "k04%20x", path=ROOT, x_backend_accept_redirect="true")
    assert answer.status == 201


def test_shard_is_made_by_its_range_when_allowed(app):
    exchange = recorded("sharder-1")
    request = exchange["request"]
    headers = {k: v for k, v in request["headers"] if k != "Host"}
    assert call(app, "PUT", request["path"], headers, request["body"].encode()).status == 201
    refused = {k: v for k, v in headers.items() if k != "X-Backend-Auto-Create"}
    other = request["path"].replace("-0", "-9")
    assert call(app, "PUT", other, refused, request["body"].encode()).status == 404


def test_synced_container_has_a_link_while_it_lives(app, tmp_path):
    def links():
        return [location.hash for location in linked(str(tmp_path / "sdb1"))]

    put(app, 10, x_container_sync_to="http://127.0.0.1/v1/a/c")
    assert links() == []
    post(app, 11, x_container_sync_key="k")
    assert len(links()) == 1
    post(app, 12, x_container_sync_to="")
    assert links() == []
    put(app, 13, x_container_sync_to="http://127.0.0.1/v1/a/c")
    assert len(links()) == 1
    assert delete(app, 14).status == 204
    assert links() == []


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("//r/one/a/c", 204),
        ("//R/ONE/a/c/", 204),
        ("//r/two/a/c", 400),
        ("//s/one/a/c", 400),
        ("//r/one/a", 400),
        ("//r", 400),
        ("https://127.0.0.1:8080/v1/a/c", 204),
        ("http://example.org/v1/a/c", 400),
        ("ftp://127.0.0.1/a", 400),
        ("junk", 400),
        ("", 204),
        ("http://127.0.0.1/", 400),
        ("http://[/v1/a/c", 400),
    ],
)
def test_where_a_container_may_be_synced_to(tmp_path, target, status):
    (tmp_path / "container-sync-realms.conf").write_text("[r]\nkey = k\ncluster_one = http://one/v1/\n")
    app = container_server(tmp_path)
    assert put(app, 10).status == 201
    assert post(app, 11, x_container_sync_to=target).status == status
