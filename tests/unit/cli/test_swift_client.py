"""cli/swift_client.py against a proxy that is told what to answer: tokens, retries, pages."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from objstore.cli.swift_client import PAUSE_MAX_S, ClientError, Credentials, SwiftClient


class Proxy:
    """Answers from `script` (status, body), the last one again and again; requests: method, target, token."""

    def __init__(self):
        self.script, self.requests, self.auth_status, self.tokens = [(201, b"")], [], 200, 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.path == "/auth/v1.0":
                    outer.tokens += 1
                    url = f"http://127.0.0.1:{self.server.server_port}/v1/AUTH_x"
                    headers = {"X-Storage-Url": url, "X-Auth-Token": f"tk{outer.tokens}"}
                    return self.say(outer.auth_status, b"", headers)
                outer.requests.append((self.command, self.path, self.headers["X-Auth-Token"]))
                status, body = outer.script.pop(0) if len(outer.script) > 1 else outer.script[0]
                self.say(status, body, {})

            def say(self, status, body, headers):
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = answer

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/auth/v1.0"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def proxy():
    it = Proxy()
    yield it
    it.close()


@pytest.fixture
def pauses():
    return []


@pytest.fixture
def client(proxy, pauses):
    it = SwiftClient(Credentials(proxy.url, "a:b", "k"), 5, sleep=pauses.append)
    yield it
    it.close()


def test_a_token_is_asked_for_once(proxy, client):
    assert client.account == "AUTH_x"
    client.put("/c d")
    client.put("/c d/o", b"x")
    assert proxy.requests == [("PUT", "/v1/AUTH_x/c%20d", "tk1"), ("PUT", "/v1/AUTH_x/c%20d/o", "tk1")]


def test_a_token_that_is_refused_is_asked_for_anew(proxy, client):
    proxy.script = [(401, b""), (201, b"")]
    client.put("/c")
    assert [token for _, _, token in proxy.requests] == ["tk1", "tk2"]


def test_what_fails_is_tried_again_with_growing_pauses(proxy, client, pauses):
    proxy.script = [(503, b"")] * 4 + [(201, b"")]
    client.put("/c")
    assert (client.retried, pauses) == (4, [0.25, 0.5, 1.0, 2.0])
    proxy.script = [(503, b"")]
    with pytest.raises(ClientError, match="PUT /c: answered 503"):
        client.put("/c")
    assert max(pauses) <= PAUSE_MAX_S


def test_what_would_be_answered_the_same_again_is_not_tried(proxy, client, pauses):
    proxy.script = [(403, b"")]
    with pytest.raises(ClientError, match="answered 403"):
        client.put("/c")
    assert (len(proxy.requests), pauses) == (1, [])


def test_a_listing_is_read_to_its_end(proxy, client):
    page = [json.dumps([{"name": name}]).encode() for name in ("a", "b&c")]
    proxy.script = [(200, page[0]), (200, page[1]), (200, b"[]")]
    assert list(client.listing("/c", "a")) == ["a", "b&c"]
    assert proxy.requests[-1][1].endswith("&prefix=a&marker=b%26c")
    proxy.script = [(404, b"")]
    assert list(client.listing("/none", "")) == []


@pytest.mark.parametrize("body", [b"no json", b"{}x", b"[1]", b'{"a": 1}', b"[" * 100_000])
def test_a_listing_that_is_none_is_said_or_empty(proxy, client, body):
    proxy.script = [(200, body)]
    try:
        assert list(client.listing("", "")) == []
    except ClientError as error:
        assert "cannot be read" in str(error)


def test_a_listing_that_goes_round_in_circles_ends(proxy, client):
    proxy.script = [(200, b'[{"name": "a"}]')]
    assert list(client.listing("", "")) == ["a"]


def test_a_user_that_is_not_let_in(proxy, client):
    proxy.auth_status = 401
    with pytest.raises(ClientError, match="user a:b is not let in"):
        client.put("/c")
