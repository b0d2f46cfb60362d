"""The proxy over real account, container and object servers on loopback."""

import hashlib
import itertools
import json
import shutil

import pytest

from objstore.core.errors import ClientDisconnected, ClientTooSlow
from objstore.http.environ import ACL, AUTHORIZE, OWNER
from objstore.http.response import page
from objstore.runtime import green
from tests.support.storage_nodes import StorageNodes, eventually

_NUMBERS = itertools.count()
BIG = bytes(range(251)) * 5000
FAST = {"post_quorum_timeout": "0.05", "lend_timeout": "0.1", "concurrency_timeout": "0.05", "conn_timeout": "0.2"}
FAST |= {"recoverable_node_timeout": "0.2", "node_timeout": "2"}


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    with StorageNodes(tmp_path_factory.mktemp("nodes")) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(nodes):
    return nodes.proxy()


@pytest.fixture
def fragile(tmp_path):
    with StorageNodes(tmp_path, nodes=4, **FAST) as running:
        running.proxy().put("/v1/AUTH_a/c")
        yield running


@pytest.fixture
def container(proxy):
    name = f"/v1/AUTH_a/c{next(_NUMBERS)}"
    assert proxy.put(name).status == 201
    return name


def primaries_of(nodes, proxy, account, container, obj):
    services = proxy.app._services
    return [node.id for node in services.object_place(0, account, container, obj).primaries]


# Objects


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 1_000_000])
def test_an_object_comes_back_as_it_was_put(proxy, container, size):
    body = BIG[:size]
    put = proxy.put(f"{container}/o{size}", body=body)
    got = proxy.get(f"{container}/o{size}")
    assert (put.status, got.status) == (201, 200)
    assert put.headers["etag"] == got.headers["etag"] == hashlib.md5(body).hexdigest()
    assert got.body == body
    assert got.headers["content-length"] == str(size)


def test_a_chunked_put_is_stored(proxy, container):
    assert proxy.put(f"{container}/o", chunks=[b"ab", b"cd" * 50_000]).status == 201
    assert proxy.get(f"{container}/o").body == b"ab" + b"cd" * 50_000


@pytest.mark.parametrize(("error", "status"), [(ClientTooSlow(), 408), (ClientDisconnected(), 499)])
def test_an_upload_that_does_not_go_on_is_told_why_and_leaves_nothing(proxy, container, error, status):
    def pieces():
        yield b"some" * 100_000
        raise error

    assert proxy.put(f"{container}/o", chunks=pieces()).status == status
    assert proxy.get(f"{container}/o").status == 404


@pytest.mark.parametrize("name", ["a b%41", "\xe2\x98\x83", "/lead", "a//b", ".", "..", "x" * 1024, "q?x=y#z"])
def test_any_name_can_be_put_and_listed(proxy, container, name):
    assert proxy.put(f"{container}/{name}", body=b"x").status == 201
    assert proxy.get(f"{container}/{name}").body == b"x"
    listed = [row["name"] for row in json.loads(proxy.get(container).body)]
    assert name.encode("latin-1").decode() in listed


def test_head_tells_the_length_and_sends_nothing(proxy, container):
    proxy.put(f"{container}/o", body=BIG)
    head = proxy.head(f"{container}/o")
    assert head.headers["content-length"] == str(len(BIG))
    assert head.body == b""


def test_ranges_are_served(proxy, container):
    proxy.put(f"{container}/o", body=BIG)
    got = proxy.get(f"{container}/o", {"Range": "bytes=100000-299999"})
    assert got.status == 206
    assert got.headers["content-range"] == f"bytes 100000-299999/{len(BIG)}"
    assert got.body == BIG[100000:300000]
    assert proxy.get(f"{container}/o", {"Range": f"bytes={len(BIG)}-"}).status == 416


def test_several_ranges_are_multipart(proxy, container):
    proxy.put(f"{container}/o", body=BIG)
    got = proxy.get(f"{container}/o", {"Range": "bytes=0-1,4-6"})
    assert got.status == 206
    assert got.headers["content-type"].startswith("multipart/byteranges;boundary=")
    assert BIG[4:7] in got.body


@pytest.mark.parametrize("etag", ["00000000000000000000000000000000", "junk", "5D41402ABC4B2A76B9719D911017C592"])
@pytest.mark.parametrize("body", [b"hello", BIG], ids=["small", "large"])
def test_a_wrong_etag_is_422_and_stores_nothing(proxy, container, etag, body):
    answer = proxy.put(f"{container}/o", {"Etag": etag}, body=body)
    assert answer.status == 422
    assert "last-modified" in answer.headers
    assert proxy.get(f"{container}/o").status == 404


@pytest.mark.parametrize("etag", ["{}", '"{}"', ""])
def test_a_right_etag_is_accepted(proxy, container, etag):
    digest = hashlib.md5(b"hello").hexdigest()
    assert proxy.put(f"{container}/o", {"Etag": etag.format(digest)}, body=b"hello").status == 201


def test_if_none_match_creates_but_never_overwrites(proxy, container):
    assert proxy.put(f"{container}/o", {"If-None-Match": "*"}, body=b"a").status == 201
    assert proxy.put(f"{container}/o", {"If-None-Match": "*"}, body=b"b").status == 412
    assert proxy.get(f"{container}/o").body == b"a"
    assert proxy.put(f"{container}/o", {"If-None-Match": "x"}, body=b"b").status == 400


def test_put_without_a_length_is_411(proxy, container):
    answer = proxy.put(f"{container}/o", environ={"CONTENT_LENGTH": ""})
    assert answer.status == 411


def test_put_over_the_size_limit_is_413_before_anybody_is_asked(nodes, proxy, container):
    before = len(nodes.asked("object", "PUT"))
    answer = proxy.put(f"{container}/o", environ={"CONTENT_LENGTH": str(5 * 2**30 + 3)})
    assert answer.status == 413
    assert len(nodes.asked("object", "PUT")) == before


def test_post_replaces_metadata_and_keeps_the_content_type(proxy, container):
    proxy.put(f"{container}/o", {"X-Object-Meta-A": "1", "Content-Type": "a/b"}, body=b"x")
    assert proxy.post(f"{container}/o", {"X-Object-Meta-B": "2"}).status == 202
    head = proxy.head(f"{container}/o").headers
    assert "x-object-meta-a" not in head
    assert head["x-object-meta-b"] == "2"
    assert head["content-type"] == "a/b"


def test_delete_is_204_then_404(proxy, container):
    proxy.put(f"{container}/o", body=b"x")
    assert [proxy.delete(f"{container}/o").status for _ in range(2)] == [204, 404]
    assert proxy.get(f"{container}/o").status == 404
    assert json.loads(proxy.get(container).body) == []


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("o.txt", None, "text/plain"),
        ("o", None, "application/octet-stream"),
        ("o.txt", "foo/bar", "foo/bar"),
        ("o.tar.gz", "", "application/x-tar"),
    ],
)
def test_content_type_is_given_or_guessed(proxy, container, name, given, kept):
    headers = {} if given is None else {"Content-Type": given}
    proxy.put(f"{container}/{name}", headers, body=b"x")
    assert proxy.head(f"{container}/{name}").headers["content-type"] == kept


def test_content_type_is_detected_on_demand(proxy, container):
    proxy.put(f"{container}/o.txt", {"Content-Type": "a/b", "X-Detect-Content-Type": "true"}, body=b"x")
    assert proxy.head(f"{container}/o.txt").headers["content-type"] == "text/plain"


@pytest.mark.parametrize("content_type", ["\xff/a", "a/b; swift_bytes=12345"])
def test_content_types_that_cannot_be_are_400(proxy, container, content_type):
    assert proxy.put(f"{container}/o", {"Content-Type": content_type}, body=b"x").status == 400


def test_expiry_is_kept_and_queued(nodes, proxy, container):
    assert proxy.put(f"{container}/o", {"X-Delete-After": "1000"}, body=b"x").status == 201
    told = nodes.asked("object", "PUT")[-1]
    assert int(proxy.head(f"{container}/o").headers["x-delete-at"]) > 1_700_000_000
    assert told["HTTP_X_DELETE_AT_CONTAINER"].isdigit()
    assert told["HTTP_X_DELETE_AT_HOST"].startswith("127.0.0.1:")
    assert "HTTP_X_DELETE_AFTER" not in told


@pytest.mark.parametrize("headers", [{"X-Delete-At": "1"}, {"X-Delete-After": "junk"}])
def test_bad_expiry_is_400(proxy, container, headers):
    assert proxy.put(f"{container}/o", headers, body=b"x").status == 400


def test_newest_asks_every_replica(nodes, proxy, container):
    proxy.put(f"{container}/o", body=b"x")
    before = len(nodes.asked("object", "GET"))
    assert proxy.get(f"{container}/o", {"X-Newest": "true"}).body == b"x"
    assert len(nodes.asked("object", "GET")) == before + 3


def test_objects_of_another_policy_go_by_its_ring(nodes, proxy):
    proxy.put("/v1/AUTH_a/tin", {"X-Storage-Policy": "Silver"})
    before = len(nodes.asked("object", "PUT"))
    assert proxy.put("/v1/AUTH_a/tin/o", body=b"x").status == 201
    told = nodes.asked("object", "PUT")[before:]
    assert len(told) == 2
    assert {environ["HTTP_X_BACKEND_STORAGE_POLICY_INDEX"] for environ in told} == {"2"}
    assert sorted(environ["HTTP_X_CONTAINER_HOST"].count(",") for environ in told) == [0, 1]
    assert proxy.get("/v1/AUTH_a/tin/o").body == b"x"


def test_metadata_over_the_limits_is_400(proxy, container):
    assert proxy.put(f"{container}/o", {"X-Object-Meta-A": "v" * 257}, body=b"x").status == 400


def test_an_internal_client_may_dictate_the_timestamp(proxy, container):
    proxy.put(f"{container}/o", {"X-Timestamp": "1500000000.00000"}, body=b"x")
    assert proxy.head(f"{container}/o").headers["x-timestamp"] == "1500000000.00000"
    assert proxy.put(f"{container}/o", {"X-Timestamp": "junk"}, body=b"x").status == 400


def test_an_older_put_is_accepted_and_changes_nothing(proxy, container):
    proxy.put(f"{container}/o", body=b"new")
    for body in (b"old", BIG):
        assert proxy.put(f"{container}/o", {"X-Timestamp": "1500000000.00000"}, body=body).status == 202
    assert proxy.get(f"{container}/o").body == b"new"


def test_an_older_delete_is_409(proxy, container):
    proxy.put(f"{container}/o", body=b"new")
    assert proxy.delete(f"{container}/o", {"X-Timestamp": "1500000000.00000"}).status == 409


# Containers and accounts


def test_container_life(proxy):
    path = "/v1/AUTH_life/c"
    assert [proxy.put(path).status for _ in range(2)] == [201, 202]
    assert proxy.head(path).headers["x-storage-policy"] == "gold"
    assert [proxy.delete(path).status for _ in range(2)] == [204, 404]
    assert proxy.head(path).status == 404


def test_container_metadata_is_merged_and_removed(proxy, container):
    proxy.post(container, {"X-Container-Meta-A": "1", "X-Container-Meta-B": "2"})
    assert proxy.post(container, {"X-Remove-Container-Meta-A": "x"}).status == 204
    head = proxy.head(container).headers
    assert "x-container-meta-a" not in head
    assert head["x-container-meta-b"] == "2"


def test_delete_of_a_container_with_objects_is_409(proxy, container):
    proxy.put(f"{container}/o", body=b"x")
    assert proxy.delete(container).status == 409


@pytest.mark.parametrize("policy", ["lead", "0"])
def test_unknown_policy_is_400(proxy, policy):
    assert proxy.put("/v1/AUTH_a/nopolicy", {"X-Storage-Policy": policy}).status == 400
    assert proxy.head("/v1/AUTH_a/nopolicy").status == 404


def test_changing_the_policy_is_409(proxy, container):
    assert proxy.put(container, {"X-Storage-Policy": "silver"}).status == 409


def test_a_bad_acl_is_400_and_a_good_one_is_cleaned(proxy, container):
    assert proxy.post(container, {"X-Container-Read": ".r:"}).status == 400
    assert proxy.post(container, {"X-Container-Write": ".r:*"}).status == 400
    proxy.post(container, {"X-Container-Read": " .r : * , test2 "})
    head = proxy.head(container, environ={AUTHORIZE: _owner})
    assert head.headers["x-container-read"] == ".r:*,test2"


def test_listing_limits(proxy, container):
    assert proxy.get(container, query="limit=10001").status == 412
    assert proxy.get(container, query="limit=junk").status == 200
    assert proxy.get(container, query="prefix=%ff").status == 400


def test_container_names_are_measured(proxy):
    assert proxy.put("/v1/AUTH_a/" + "n" * 256).status == 201
    assert proxy.put("/v1/AUTH_a/" + "n" * 257).status == 400


def test_a_missing_account_looks_empty_when_accounts_make_themselves(proxy):
    answer = proxy.get("/v1/AUTH_nobody")
    assert (answer.status, answer.body) == (200, b"[]")
    assert answer.headers["x-account-container-count"] == "0"


def test_post_makes_an_account(proxy):
    assert proxy.post("/v1/AUTH_posted", {"X-Account-Meta-A": "b"}).status == 204
    assert proxy.head("/v1/AUTH_posted").headers["x-account-meta-a"] == "b"


def test_account_management_has_to_be_allowed(nodes, proxy):
    assert proxy.put("/v1/AUTH_managed").status == 405
    manager = nodes.proxy(allow_account_management="yes")
    assert [manager.put("/v1/AUTH_managed").status for _ in range(2)] == [201, 202]
    assert manager.delete("/v1/AUTH_managed", query="foo=bar").status == 400
    assert manager.delete("/v1/AUTH_managed").status == 204
    gone = manager.get("/v1/AUTH_managed")
    assert (gone.status, gone.headers["x-account-status"]) == (410, "Deleted")
    assert manager.put("/v1/AUTH_managed/c").status == 410


def test_without_autocreate_a_missing_account_is_404(nodes):
    proxy = nodes.proxy(account_autocreate="no")
    assert proxy.get("/v1/AUTH_none").status == 404
    assert proxy.put("/v1/AUTH_none/c").status == 404


def test_container_count_limit(nodes):
    proxy = nodes.proxy(max_containers_per_account="1", max_containers_whitelist="AUTH_free")
    assert [proxy.put(f"/v1/AUTH_full/c{n}").status for n in (1, 1, 2)] == [201, 202, 403]
    assert [proxy.put(f"/v1/AUTH_free/c{n}").status for n in (1, 2)] == [201, 201]


# Authorization


def _owner(request):
    request.environ[OWNER] = True


class Recording:
    """An auth filter that allows who is named in the ACL it is shown."""

    def __init__(self, *, allows="nobody"):
        self.acls = []
        self._allows = allows

    def __call__(self, request):
        self.acls.append(request.environ[ACL])
        return None if request.environ[ACL] == self._allows else page(403)


def test_the_acl_of_the_container_is_shown_to_the_auth_filter(proxy, container):
    proxy.put(f"{container}/o", body=b"x")
    proxy.post(container, {"X-Container-Read": "r", "X-Container-Write": "w"})
    for method, path, acl in [
        ("GET", f"{container}/o", "r"),
        ("HEAD", container, "r"),
        ("PUT", f"{container}/o", "w"),
        ("POST", f"{container}/o", "w"),
        ("DELETE", f"{container}/o", "w"),
        ("PUT", container, None),
    ]:
        auth = Recording()
        assert proxy.request(method, path, environ={AUTHORIZE: auth}).status == 403
        assert auth.acls == [acl]
    assert proxy.get(f"{container}/o", environ={AUTHORIZE: Recording(allows="r")}).status == 200


def test_privileged_headers_are_for_the_owner(proxy, container):
    proxy.post(container, {"X-Container-Read": "r", "X-Container-Meta-Temp-Url-Key": "k"})
    stranger = proxy.head(container, environ={AUTHORIZE: Recording(allows="r")}).headers
    assert not {"x-container-read", "x-container-meta-temp-url-key"} & stranger.keys()
    owner = proxy.head(container, environ={AUTHORIZE: _owner}).headers
    assert owner["x-container-meta-temp-url-key"] == "k"


def test_a_revoked_acl_counts_in_the_next_request_of_every_worker(nodes):
    workers = [nodes.proxy() for _ in range(4)]
    workers[0].put("/v1/AUTH_acl/c", {"X-Container-Read": "r"})
    workers[0].put("/v1/AUTH_acl/c/o", body=b"x")
    for worker in workers:
        assert worker.get("/v1/AUTH_acl/c/o", environ={AUTHORIZE: Recording(allows="r")}).status == 200
    workers[1].post("/v1/AUTH_acl/c", {"X-Container-Read": ""})
    for worker in workers:
        assert worker.get("/v1/AUTH_acl/c/o", environ={AUTHORIZE: Recording(allows="r")}).status == 403


def test_a_container_made_through_one_worker_is_there_for_all(nodes):
    workers = [nodes.proxy() for _ in range(4)]
    for worker in workers:
        assert worker.put("/v1/AUTH_new/c/o", body=b"x").status == 404
    assert workers[2].put("/v1/AUTH_new/c").status == 201
    for worker in workers:
        assert worker.put("/v1/AUTH_new/c/o", body=b"x").status == 201


def test_facts_are_fetched_once(nodes, proxy, container):
    proxy.put(f"{container}/o", body=b"x")
    before = len(nodes.asked("container", "HEAD"))
    for _ in range(5):
        proxy.get(f"{container}/o")
    assert len(nodes.asked("container", "HEAD")) == before


# Threats


def test_cve_2026_50221_client_named_hosts_never_reach_a_server(nodes, proxy, container):
    evil = {
        "X-Container-Host": "10.0.0.1:80",
        "X-Container-Device": "evil",
        "X-Container-Partition": "1",
        "X-Delete-At-Host": "10.0.0.1:80",
        "X-Account-Host": "10.0.0.1:80",
    }
    before = len(nodes.seen)
    for method, path in (("PUT", f"{container}/o"), ("PUT", container), ("DELETE", f"{container}/o")):
        proxy.request(method, path, evil, b"x" if path.endswith("/o") else b"")
    told = [value for *_, environ in nodes.seen[before:] for value in environ.values() if isinstance(value, str)]
    assert told
    assert not any("10.0.0.1" in value or "evil" in value for value in told)


def test_credentials_never_reach_a_storage_server(nodes, proxy, container):
    before = len(nodes.seen)
    secrets = {"X-Auth-Token": "AUTH_tk1", "X-Service-Token": "AUTH_tk1", "Authorization": "AUTH_tk1"}
    proxy.put(f"{container}/o", secrets, body=b"x", query="temp_url_sig=AUTH_tk1")
    told = [value for *_, environ in nodes.seen[before:] for value in environ.values() if isinstance(value, str)]
    assert told
    assert not any("AUTH_tk1" in value for value in told)


def test_cve_2014_7960_metadata_limits_hold_for_the_stored_set(proxy, container):
    for batch in range(2):
        headers = {f"X-Container-Meta-{batch}-{n}": "v" for n in range(45)}
        assert proxy.post(container, headers).status == 204
    assert proxy.post(container, {"X-Container-Meta-One-More": "v"}).status == 400


# Failures: nodes that are full, dead or frozen


def test_put_goes_to_a_handoff_when_a_device_is_gone(fragile):
    proxy = fragile.proxy()
    gone = primaries_of(fragile, proxy, "AUTH_a", "c", "o")[0]
    fragile.unplug(gone)
    for size in (5, len(BIG)):
        assert proxy.put("/v1/AUTH_a/c/o", body=BIG[:size]).status == 201
        assert proxy.get("/v1/AUTH_a/c/o").body == BIG[:size]


@pytest.mark.parametrize("size", [5, len(BIG)], ids=["small", "large"])
def test_reads_and_writes_go_on_in_time_with_a_frozen_node(fragile, size):
    proxy = fragile.proxy()
    fragile.stop(primaries_of(fragile, proxy, "AUTH_a", "c", "o")[0])
    before = green.monotonic()
    assert proxy.put("/v1/AUTH_a/c/o", body=BIG[:size]).status == 201
    for _ in range(4):
        assert proxy.get("/v1/AUTH_a/c/o").body == BIG[:size]
    assert proxy.get("/v1/AUTH_a/c/missing").status == 404
    assert proxy.delete("/v1/AUTH_a/c/o").status == 204
    assert green.monotonic() - before < 5


def puts(nodes, kind, name):
    """The nodes whose server of that kind got a PUT of this name, one for each time."""
    return [
        node for seen, node, method, path, _ in nodes.seen if (seen, method) == (kind, "PUT") and path.endswith(name)
    ]


@pytest.mark.parametrize("count", [3, 4])
def test_a_frozen_node_is_left_alone_until_it_goes_on_and_then_used_again(tmp_path, count):
    with StorageNodes(tmp_path, nodes=count, row_timeout="0.5") as nodes:
        proxy = nodes.proxy(**DEFAULT_TIMES)
        proxy.put("/v1/AUTH_a/c")
        services = proxy.app._services
        primaries = services.object_place(0, "AUTH_a", "c", "o").primaries
        away = primaries[0]
        nodes.stop(away.id)
        for number in range(10):
            assert proxy.put("/v1/AUTH_a/c/o", body=b"%d" % number).status == 201
            assert proxy.get("/v1/AUTH_a/c/o").body == b"%d" % number
        nodes.start(away.id)
        for node in primaries:
            eventually(lambda node=node: not services._errors.is_limited(node), f"{node} is trusted")
        # One, unless this machine is so busy that another node was silent too: then the frozen one is the last resort.
        assert puts(nodes, "object", "/c/o").count(away.id) <= 5
        nodes.seen.clear()
        assert proxy.put("/v1/AUTH_a/c/o", body=b"back").status == 201
        assert away.id in puts(nodes, "object", "/c/o")


def test_a_large_upload_that_loses_a_server_on_the_way_tells_every_container_server(fragile):
    proxy = fragile.proxy()
    lost = primaries_of(fragile, proxy, "AUTH_a", "c", "o")[0]

    def body():
        yield BIG
        fragile.cut(lost, "object")
        yield BIG

    assert proxy.put("/v1/AUTH_a/c/o", chunks=body()).status == 201
    assert len(set(puts(fragile, "container", "/c/o"))) == 3


@pytest.mark.parametrize("size", [5, len(BIG)], ids=["small", "large"])
def test_with_two_of_four_nodes_frozen_writes_succeed_on_handoffs(fragile, size):
    proxy = fragile.proxy()
    for node in primaries_of(fragile, proxy, "AUTH_a", "c", "o")[:2]:
        fragile.stop(node, kinds=("object",))
    assert proxy.put("/v1/AUTH_a/c/o", body=BIG[:size]).status == 201
    assert proxy.get("/v1/AUTH_a/c/o").body == BIG[:size]


@pytest.mark.parametrize("size", [5, len(BIG)], ids=["small", "large"])
def test_with_two_of_three_nodes_frozen_writes_are_503(tmp_path, size):
    with StorageNodes(tmp_path, nodes=3, **(FAST | {"node_timeout": "0.5"})) as nodes:
        proxy = nodes.proxy()
        proxy.put("/v1/AUTH_a/c")
        proxy.put("/v1/AUTH_a/c/first", body=b"kept")
        for node in (0, 1):
            nodes.stop(node, kinds=("object",))
        assert proxy.put("/v1/AUTH_a/c/o", body=BIG[:size]).status == 503
        for node in (0, 1):
            nodes.start(node)
        assert nodes.proxy().get("/v1/AUTH_a/c/first").body == b"kept"


DEFAULT_TIMES = dict.fromkeys(("lend_timeout", "post_quorum_timeout", "concurrency_timeout", "conn_timeout"), "0.5")
PATIENT = {"concurrency_timeout": "10", "recoverable_node_timeout": "10"}
"""One server sends, however busy this machine is: it is known which one to cut."""


def sending(nodes):
    return next(node for kind, node, method, *_ in reversed(nodes.seen) if (kind, method) == ("object", "GET"))


def test_a_get_resumes_from_another_replica_when_its_server_dies_in_mid_body(fragile):
    proxy = fragile.proxy(**PATIENT)
    body = BIG * 20
    assert proxy.put("/v1/AUTH_a/c/o", body=body).status == 201
    for query in ({}, {"Range": f"bytes=1000-{len(body) - 1001}"}):
        response = proxy.open("GET", "/v1/AUTH_a/c/o", query)
        received, server = bytearray(), None
        for piece in response.body:
            received += piece
            if server is None:
                server = sending(fragile)
                fragile.cut(server, "object")
        response.close()
        assert received == (body[1000:-1000] if query else body)
        fragile.start(server)


def test_a_get_is_cut_when_its_server_finds_the_object_corrupt(fragile):
    from objstore.proxy.object_body import BodyLost

    proxy = fragile.proxy(**PATIENT)
    body = BIG * 20
    proxy.put("/v1/AUTH_a/c/o", body=body)
    response = proxy.open("GET", "/v1/AUTH_a/c/o")
    received, server = bytearray(), None
    with pytest.raises(BodyLost):
        for piece in response.body:
            received += piece
            if server is None:
                server = sending(fragile)
                fragile.lose_objects(server)
                fragile.cut(server, "object", restart=True)
    response.close()
    assert len(received) < len(body)


def test_nothing_is_left_open_after_many_requests(proxy, container):
    for n in range(20):
        proxy.put(f"{container}/o{n}", body=b"x")
        proxy.get(f"{container}/o{n}")
    assert proxy.app._services.caller.pool.idle_count < 40


def moved_to_handoffs(nodes, proxy, count):
    """Copies of AUTH_a/c/o on so many handoffs and nowhere else, as after a write while all its primaries were away."""
    place = proxy.app._services.object_place(0, "AUTH_a", "c", "o")
    first = place.primaries[0].id
    source = nodes.device_root(first) / f"sd{first}" / "objects"
    for node in list(place.ring.handoffs(place.partition))[:count]:
        shutil.copytree(source, nodes.device_root(node.id) / f"sd{node.id}" / "objects", dirs_exist_ok=True)
    for node in place.primaries:
        nodes.lose_objects(node.id)


@pytest.mark.parametrize(("copies", "status"), [(2, 202), (1, 503), (0, 404)])
def test_metadata_is_posted_to_copies_that_lie_on_handoffs_alone(tmp_path, copies, status):
    with StorageNodes(tmp_path, nodes=5) as nodes:
        proxy = nodes.proxy()
        proxy.put("/v1/AUTH_a/c")
        proxy.put("/v1/AUTH_a/c/o", body=b"x")
        moved_to_handoffs(nodes, proxy, copies)
        assert proxy.post("/v1/AUTH_a/c/o", {"X-Object-Meta-A": "new"}).status == status
        if status == 202:
            assert proxy.head("/v1/AUTH_a/c/o").headers["x-object-meta-a"] == "new"


def test_a_post_to_what_was_deleted_is_404_though_one_replica_has_not_heard_of_it(fragile):
    proxy = fragile.proxy()
    proxy.put("/v1/AUTH_a/c/o", body=b"x")
    away = primaries_of(fragile, proxy, "AUTH_a", "c", "o")[0]
    kept = fragile.device_root(away) / f"sd{away}" / "objects"
    kept.rename(kept.with_name("kept"))
    assert proxy.delete("/v1/AUTH_a/c/o").status == 204
    shutil.rmtree(kept, ignore_errors=True)
    kept.with_name("kept").rename(kept)
    assert proxy.post("/v1/AUTH_a/c/o", {"X-Object-Meta-A": "new"}).status == 404


def test_a_container_can_be_made_while_most_primaries_of_its_account_are_new_and_empty(nodes):
    """Rings have changed, replication has not been there yet: the account exists, on one of its primaries."""
    proxy = nodes.proxy()
    assert proxy.put("/v1/AUTH_moved/first").status == 201
    services = proxy.app._services
    for node in services.account_place("AUTH_moved").primaries[1:]:
        shutil.rmtree(nodes.device_root(node.id) / f"sd{node.id}" / "accounts")
    assert proxy.put("/v1/AUTH_moved/second").status in (201, 202)
    assert [row["name"] for row in json.loads(proxy.get("/v1/AUTH_moved/second").body)] == []
