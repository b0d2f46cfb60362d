"""The tap: bytes pass both ways unchanged, and the requests in them are known afterwards."""

import http.server
import threading

import pytest

from tests.replay.client import Outgoing, chunked, exchange, head_bytes
from tests.replay.wire.tap import Tap, gather


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers a PUT with the body it got, or refuses at once when the path says so."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        if self.path == "/refuse":
            self.close_connection = True
            body = b""
        elif self.headers.get("Transfer-Encoding"):
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response_only(412 if self.path == "/refuse" else 201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_expect_100(self):
        return self.path == "/refuse" or super().handle_expect_100()

    def log_message(self, *args):
        pass


@pytest.fixture
def tap():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        tap = Tap(("127.0.0.1", 0), server.server_address)
        yield tap
        tap.close()
        server.shutdown()
        thread.join()


def put(tap, path, headers, body, **rest):
    head = head_bytes(b"PUT", path, b"HTTP/1.1", [(b"Host", b"x"), *headers])
    return exchange(tap.address, Outgoing(head, body, **rest), timeout_s=10)


def heard(tap, count):
    return [each for _, each in gather({"it": tap}, lambda found: len(found) >= count, timeout_s=5)]


def test_a_body_of_known_length(tap):
    assert put(tap, b"/a", [(b"X-Name", b"v"), (b"Content-Length", b"5")], b"hello").body == b"hello"
    (request,) = heard(tap, 1)
    assert (request.method, request.path, request.header("x-name"), request.body) == ("PUT", "/a", "v", b"hello")


def test_a_body_in_chunks(tap):
    assert put(tap, b"/a", [(b"Transfer-Encoding", b"chunked")], chunked(b"hello")).body == b"hello"
    assert heard(tap, 1)[0].body == b"hello"


def test_a_body_that_was_never_sent(tap):
    answer = put(tap, b"/refuse", [(b"Content-Length", b"5"), (b"Expect", b"100-continue")], b"hello", waits=True)
    assert answer.status == 412
    (request,) = heard(tap, 1)
    assert (request.path, request.body) == ("/refuse", b"")


def test_what_was_taken_is_not_given_again(tap):
    put(tap, b"/a", [(b"Content-Length", b"0")], b"")
    assert len(heard(tap, 1)) == 1
    assert gather({"it": tap}, lambda _: True, timeout_s=0.2) == []
