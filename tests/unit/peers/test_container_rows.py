"""peers/container_rows.py against servers on loopback."""

import http.server
import json
import threading

import pytest

from objstore.core.timestamp import Timestamp
from objstore.peers.container_rows import NO_ANSWER, Answer, ContainerRows, Redirect, body_of
from objstore.peers.node_client import NodeClient, Timeouts
from objstore.peers.silence import Silences
from objstore.ring.model import Node
from objstore.runtime import green
from objstore.runtime.listen import listen
from tests.support.clock import SimClock
from tests.support.rings import make_device

HEADERS = {"x-timestamp": "0000000005.00000", "x-size": "3"}


class Container:
    """A container server that answers what it is told: (status, headers) for each method."""

    def __init__(self):
        self.answers = {}
        self.heard = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.heard.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                status, headers = outer.answers.get(self.command, (201, {}))
                self.send_response_only(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_PUT = do_DELETE = do_UPDATE = answer

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def node(self):
        return node_at(self.server.server_port)


def node_at(port):
    return Node(make_device(4, device="sd ü", replication_port=port), index=0)


@pytest.fixture
def container():
    it = Container()
    yield it
    it.server.shutdown()
    it.server.server_close()


@pytest.fixture
def rows():
    return ContainerRows(NodeClient("object-updater", Timeouts(5.0, 20.0)), SimClock().monotonic)


def test_a_row_says_that_it_would_follow_a_redirect(container, rows):
    assert rows.send(container.node, 7, "PUT", "a/c ü/o?x", HEADERS) == Answer(201)
    ((method, path, headers, body),) = container.heard
    assert (method, path, body) == ("PUT", "/sd%20%C3%BC/7/a/c%20%C3%BC/o%3Fx", b"")
    assert headers["x-size"] == "3"
    assert headers["x-backend-accept-redirect"] == headers["x-backend-accept-quoted-location"] == "true"


def test_headers_of_the_transport_are_not_those_of_the_row(container, rows):
    stored = {
        **HEADERS,
        "host": "elsewhere",
        "content-length": "10",
        "user-agent": "me",
        "transfer-encoding": "chunked",
    }
    rows.send(container.node, 7, "PUT", "a/c/o", stored)
    headers = container.heard[0][2]
    assert headers["host"] == f"127.0.0.1:{container.server.server_port}"
    assert headers["content-length"] == "0" and "transfer-encoding" not in headers
    assert headers["user-agent"].startswith("object-updater ")


@pytest.mark.parametrize(
    ("location", "more", "expected"),
    [
        ("/.shards_a/c-1%20x/o%2F", {"X-Backend-Location-Is-Quoted": "true"}, ".shards_a/c-1 x"),
        ("/.shards_a/c-1/o", {}, ".shards_a/c-1"),
        ("/.shards_a/c-1/o%20o/more", {}, ".shards_a/c-1"),
        ("/.shards_a/%FF/o", {"X-Backend-Location-Is-Quoted": "true"}, None),
        ("http://elsewhere/a/c", {}, None),
        ("/a/o", {}, None),
        ("//c/o", {}, None),
        ("", {}, None),
        ("/a/c/o", {"X-Backend-Redirect-Timestamp": "soon"}, None),
    ],
)
def test_a_redirect_is_followed_only_where_it_makes_sense(container, rows, location, more, expected):
    container.answers["PUT"] = 301, {"X-Backend-Redirect-Timestamp": "10", "Location": location, **more}
    found = rows.send(container.node, 7, "PUT", "a/c/o", HEADERS)
    assert found == Answer(301, expected and Redirect(expected, Timestamp.from_seconds(10)))


def test_many_rows_are_one_request(container, rows):
    container.answers["UPDATE"] = 202, {}
    items = [{"name": "o1"}, {"name": "o ü"}]
    assert rows.send_many(container.node, 7, "a/c", body_of(items), HEADERS) == Answer(202)
    ((method, path, headers, body),) = container.heard
    assert (method, path, json.loads(body)) == ("UPDATE", "/sd%20%C3%BC/7/a/c", items)
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("status", [404, 500, 503, 507])
def test_many_rows_may_be_refused(container, rows, status):
    container.answers["UPDATE"] = status, {}
    assert rows.send_many(container.node, 7, "a/c", b"[{}]", HEADERS) == Answer(status)
    assert rows.may_take_many(container.node)


@pytest.mark.parametrize("status", [400, 405, 501])
def test_who_does_not_know_update_is_not_asked_again_for_a_while(container, status):
    clock = SimClock()
    rows = ContainerRows(NodeClient("x", Timeouts(5.0, 20.0)), clock.monotonic)
    container.answers["UPDATE"] = status, {}
    assert rows.send_many(container.node, 7, "a/c", b"[{}]", HEADERS) is None
    assert not rows.may_take_many(container.node)
    clock.advance(601)
    assert rows.may_take_many(container.node)


def test_who_took_many_rows_once_knows_how_whatever_it_says_of_others(container, rows):
    container.answers["UPDATE"] = 202, {}
    rows.send_many(container.node, 7, "a/c", b"[{}]", HEADERS)
    container.answers["UPDATE"] = 400, {}
    assert rows.send_many(container.node, 7, "a/c", b"[{}]", HEADERS) is None
    assert rows.may_take_many(container.node)


def test_a_refused_connection_is_no_answer_and_asked_again(rows):
    with listen(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    assert rows.send(node_at(port), 7, "PUT", "a/c/o", HEADERS) == NO_ANSWER


def test_a_silent_node_costs_its_patience_once(container):
    asked = green.Future()

    def never(address):
        asked.wait(20)
        return True

    with listen(("127.0.0.1", 0)) as frozen:
        rows = ContainerRows(NodeClient("x", Timeouts(5.0, 0.05), silence=Silences(never)), SimClock().monotonic)
        node = node_at(frozen.getsockname()[1])
        assert rows.send(node, 7, "PUT", "a/c/o", HEADERS) == NO_ANSWER
        frozen.setblocking(False)
        frozen.accept()[0].close()
        assert rows.send(node, 7, "PUT", "a/c/o", HEADERS) == NO_ANSWER
        with pytest.raises(BlockingIOError):
            frozen.accept()
        asked.set(None)
        green.sleep(0)
