"""proxy/collect: the small segments of a large object by a few requests, whatever the servers do."""

import itertools
import json
import os
from contextlib import suppress

import pytest

from objstore.http.environ import AUTHORIZE
from objstore.http.response import page
from objstore.proxy.collect import reads_plainly
from tests.support.object_filters import FilteredClient
from tests.support.storage_nodes import StorageNodes, eventually

_numbers = itertools.count()
FILTERS = ["tempauth", "copy", "slo", "dlo", "versioned_writes", "symlink", "proxy_logging"]
BODIES = [bytes([index]) * (1000 + index) for index in range(40)]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    with StorageNodes(tmp_path_factory.mktemp("nodes")) as running:
        yield running


@pytest.fixture
def fragile(tmp_path):
    with StorageNodes(tmp_path) as running:
        yield running


def site_of(nodes, **settings):
    proxy = nodes.proxy(**settings)
    proxy.app.stands_behind(FILTERS)
    return FilteredClient(proxy)


def put_large(site, bodies=BODIES):
    """The path of a static large object in a container of its own."""
    container = f"/v1/AUTH_a/c{next(_numbers)}"
    assert site.put(container).status == 201
    for index, body in enumerate(bodies):
        assert site.put(f"{container}/{index}", body=body).status == 201
    name = container.removeprefix("/v1/AUTH_a")
    manifest = json.dumps([{"path": f"{name}/{index}"} for index in range(len(bodies))]).encode()
    assert site.put(f"{container}/large", body=manifest, query="multipart-manifest=put").status == 201
    site.seen.clear()
    return f"{container}/large"


class _Sink:
    """Where a TransferBody goes when there is no client."""

    def __init__(self):
        self.content = bytearray()

    def send(self, data):
        self.content += data

    def splice(self, pipe_fd, count):
        while count:
            data = os.read(pipe_fd, count)
            self.content += data
            count -= len(data)


def drained(site, path, way):
    """The body of a GET, by iteration or by its own transfer()."""
    answer = site.open("GET", path)
    try:
        assert answer.status == 200
        if way == "iterate":
            return b"".join(answer.body)
        sink = _Sink()
        answer.body.transfer(sink)
        return bytes(sink.content)
    finally:
        answer.close()


def segments_got(site, path):
    """Segments that were asked for by a GET."""
    return [seen for seen in site.methods("GET") if seen != path]


@pytest.mark.parametrize("size", [1, 1000, 65536])
def test_small_segments_come_without_a_get_of_each(nodes, size):
    site = site_of(nodes)
    bodies = [bytes([index]) * size for index in range(20)]
    path = put_large(site, bodies)
    nodes.seen.clear()
    got = site.get(path)
    assert (got.status, got.body) == (200, b"".join(bodies))
    assert not segments_got(site, path)
    assert 0 < len(nodes.asked("object", "COLLECT")) < len(bodies)


def test_a_range_of_them_is_cut_where_it_was_asked(nodes):
    site = site_of(nodes)
    path = put_large(site)
    whole = b"".join(BODIES)
    got = site.get(path, {"Range": "bytes=1500-30000"})
    assert (got.status, got.body) == (206, whole[1500:30001])


LARGER = [bytes([index]) * size for index, size in enumerate([65_537, 1 << 20, 3, 900_000, 1 << 19] * 5)]


@pytest.mark.parametrize("way", ["iterate", "transfer"])
def test_larger_segments_come_together_too(nodes, way):
    site = site_of(nodes)
    path = put_large(site, LARGER)
    nodes.seen.clear()
    assert drained(site, path, way) == b"".join(LARGER)
    assert not segments_got(site, path)
    assert 0 < len(nodes.asked("object", "COLLECT")) < len(LARGER) / 2


@pytest.mark.parametrize("way", ["iterate", "transfer"])
@pytest.mark.parametrize("after", [0, 1, 700_000, 1_500_000])
def test_where_a_server_dies_on_the_way_the_rest_comes_from_another(fragile, way, after):
    site = site_of(fragile)
    path = put_large(site, LARGER)
    for node in range(fragile.node_count):
        server = fragile._services[node, "object"].server
        server.app = _CutShort(server.app, after)
    assert drained(site, path, way) == b"".join(LARGER)


@pytest.mark.parametrize("way", ["iterate", "transfer"])
def test_damage_found_on_the_way_is_never_seen(fragile, way):
    site = site_of(fragile)
    path = put_large(site, LARGER)
    for node in (0, 1):
        for data in fragile.device_root(node).rglob("objects/**/*.data"):
            data.write_bytes(b"z" * data.stat().st_size)
    assert drained(site, path, way) == b"".join(LARGER)


def test_a_reader_who_leaves_larger_segments_leaves_nothing_open(nodes):
    site = site_of(nodes)
    path = put_large(site, LARGER)
    for taken in (0, 1, 17, 40):
        answer = site.open("GET", path)
        pieces = iter(answer.body)
        for _ in range(taken):
            next(pieces)
        answer.close()
        eventually(lambda: not _open_files(nodes.directory), "no server has a file open")
    assert drained(site, path, "transfer") == b"".join(LARGER)


def test_larger_than_that_they_are_not_collected(nodes):
    site = site_of(nodes)
    bodies = [bytes([index]) * ((1 << 20) + 1) for index in range(3)]
    path = put_large(site, bodies)
    nodes.seen.clear()
    assert site.get(path).body == b"".join(bodies)
    assert not nodes.asked("object", "COLLECT")


def test_a_dynamic_large_object_is_collected_too(nodes):
    site = site_of(nodes)
    path = put_large(site)
    container = path.rpartition("/")[0]
    name = container.removeprefix("/v1/AUTH_a/")
    assert site.put(f"{container}-m").status == 201
    assert site.put(f"{container}-m/d", {"X-Object-Manifest": f"{name}/1"}).status == 201
    nodes.seen.clear()
    expected = b"".join(BODIES[index] for index in sorted(range(40), key=str) if str(index).startswith("1"))
    assert site.get(f"{container}-m/d").body == expected
    assert nodes.asked("object", "COLLECT")


def test_a_segment_that_changed_ends_the_body_before_it(nodes):
    site = site_of(nodes)
    path = put_large(site, [bytes([index]) * 60_000 for index in range(20)])
    assert site.put(f"{path.rpartition('/')[0]}/12", body=b"x" * 60_000).status == 201
    answer = site.open("GET", path)
    got = b""
    with pytest.raises(Exception, match="ETag"):
        for piece in answer.body:
            got += piece
    answer.close()
    assert got == b"".join(bytes([index]) * 60_000 for index in range(12))


def test_a_segment_that_changed_near_the_start_is_a_conflict(nodes):
    site = site_of(nodes)
    path = put_large(site)
    assert site.put(f"{path.rpartition('/')[0]}/3", body=b"x" * 1003).status == 201
    assert site.get(path).status == 409


def test_a_segment_that_has_become_a_link_is_followed(nodes):
    site = site_of(nodes)
    path = put_large(site)
    container = path.rpartition("/")[0]
    name = container.removeprefix("/v1/AUTH_a/")
    assert site.put(f"{container}/target", body=BODIES[7]).status == 201
    assert site.put(f"{container}/7", {"X-Symlink-Target": f"{name}/target"}).status == 201
    site.seen.clear()
    got = site.get(path)
    assert (got.status, got.body) == (200, b"".join(BODIES))
    assert f"{container}/7" in segments_got(site, path)


def test_cve_2015_1856_nobody_reads_segments_that_he_may_not(nodes):
    site = site_of(nodes)
    path = put_large(site)

    def authorize(request):
        return page(403) if request.path.endswith("/5") else None

    assert site.get(path, environ={AUTHORIZE: authorize}).status == 409


@pytest.mark.parametrize("headers", [{"X-Newest": "true"}, {"X-Backend-Use-Replication-Network": "true"}])
def test_who_wants_more_than_any_replica_gets_gets(nodes, headers):
    site = site_of(nodes)
    path = put_large(site, BODIES[:4])
    nodes.seen.clear()
    assert site.get(path, headers).body == b"".join(BODIES[:4])
    if "X-Newest" in headers:
        assert not nodes.asked("object", "COLLECT")


@pytest.mark.parametrize("status", [400, 405, 500, 501, 507])
def test_servers_that_do_not_collect_are_asked_by_gets(fragile, status):
    site = site_of(fragile)
    path = put_large(site)
    _let_collects(fragile, lambda environ, start_response: page(status)(environ, start_response))
    got = site.get(path)
    assert (got.status, got.body) == (200, b"".join(BODIES))


def test_a_server_that_does_not_know_it_is_asked_once(fragile):
    site = site_of(fragile)
    path = put_large(site)
    heard = []

    def refuse(environ, start_response):
        heard.append(environ["PATH_INFO"].split("/")[1])
        return page(405)(environ, start_response)

    _let_collects(fragile, refuse)
    assert site.get(path).body == b"".join(BODIES)
    refused = set(heard)
    assert refused
    heard.clear()
    for _ in range(2):
        assert site.get(path).body == b"".join(BODIES)
    assert not refused & set(heard)


LIES = {
    "no word of what is here": ({}, b""),
    "more than there can be": ({"x-objstore-here": "1"}, b"x" * 1_000_000),
    "less than it says": ({"x-objstore-here": "1" * 16}, b"x"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_not_believed(fragile, lie):
    headers, body = LIES[lie]
    site = site_of(fragile)
    path = put_large(site)

    def answer(environ, start_response):
        environ["wsgi.input"].read()
        start_response("200 OK", [("Content-Length", str(len(body))), *headers.items()])
        return [body]

    _let_collects(fragile, answer)
    assert site.get(path).body == b"".join(BODIES)


def test_a_server_that_dies_in_its_answer_is_stood_in_for(fragile):
    site = site_of(fragile)
    path = put_large(site)

    def dies(environ, start_response):
        count = len(json.loads(environ["wsgi.input"].read()))
        start_response("200 OK", [("Content-Length", "5000"), ("x-objstore-here", "1" * count)])
        return iter([b"x" * 10])

    _let_collects(fragile, dies)
    assert site.get(path).body == b"".join(BODIES)


def test_a_node_that_is_silent_costs_a_moment(fragile):
    path = put_large(site_of(fragile))
    fragile.stop(1, ("object",))
    got = site_of(fragile, concurrency_timeout="0.1").get(path)
    assert (got.status, got.body) == (200, b"".join(BODIES))


def test_a_reader_who_leaves_leaves_nothing_open(nodes):
    site = site_of(nodes)
    path = put_large(site, [bytes([index]) * 65536 for index in range(40)])
    for taken in (0, 1, 17):
        answer = site.open("GET", path)
        pieces = iter(answer.body)
        for _ in range(taken):
            next(pieces)
        answer.close()
    assert site.get(path).status == 200


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (FILTERS, True),
        (["slo", "symlink"], True),
        (["tempauth", "dlo"], True),
        (["slo", "dlo", "encryption"], False),
        (["slo", "somebodys_own", "dlo"], False),
        (["somebodys_own", "slo", "dlo"], True),
    ],
)
def test_only_known_filters_may_stand_inside(filters, expected):
    assert reads_plainly(filters) is expected


def _let_collects(nodes, answer):
    """Have every object server give this answer to COLLECT."""
    for node in range(nodes.node_count):
        server = nodes._services[node, "object"].server
        server.app = _Answering(server.app, answer)


def _open_files(directory):
    """Objects that this process, servers and all, has open there."""
    found = []
    for fd in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/self/fd/{fd}"))
    return [path for path in found if path.startswith(str(directory)) and path.endswith(".data")]


class _CutShort:
    """A server that dies in the body of every answer to COLLECT, after so many bytes of it."""

    def __init__(self, app, after):
        self._app, self._after = app, after

    def __call__(self, environ, start_response):
        body = self._app(environ, start_response)
        return body if environ["REQUEST_METHOD"] != "COLLECT" else self._cut(body)

    def _cut(self, body):
        left = self._after
        try:
            for piece in body:
                yield bytes(piece[:left])
                left -= len(piece)
                if left <= 0:
                    return
        finally:
            body.close()


class _Answering:
    def __init__(self, app, answer):
        self._app, self._answer = app, answer

    def __call__(self, environ, start_response):
        respond = self._answer if environ["REQUEST_METHOD"] == "COLLECT" else self._app
        return respond(environ, start_response)
