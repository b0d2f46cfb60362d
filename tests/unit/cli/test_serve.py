"""cli/serve.py: what [DEFAULT] of a server's file makes of its HTTP server."""

import contextlib
import socket

import pytest

from objstore.cli.serve import http_server
from objstore.cluster.servers import read_server
from objstore.runtime import green
from tests.support.http import RawClient

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
LINE = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n"


def who(environ, start_response):
    start_response("200 OK", [("X-Client", environ["REMOTE_ADDR"])])
    return [b"seen"]


@contextlib.contextmanager
def served(folder, defaults):
    file = folder / "proxy-server.conf"
    file.write_text(f"[DEFAULT]\n{defaults}\n[pipeline:main]\npipeline = proxy-server\n[app:proxy-server]\n"
                    "use = egg:objstore#proxy\n")  # fmt: skip
    listener = socket.create_server(("127.0.0.1", 0))
    server = http_server(read_server(file, "proxy-server", "-"), listener, who, None)
    task = green.spawn(server.serve)
    try:
        with RawClient(*listener.getsockname()) as client:
            yield server, client
    finally:
        server.drain(0.05)
        task.join()
        listener.close()


@pytest.mark.parametrize(
    ("defaults", "sent", "answer"),
    [
        ("", GET, b"200 OK\r\nX-Client: 127.0.0.1"),
        ("require_proxy_protocol = yes", LINE + GET, b"200 OK\r\nX-Client: 192.0.2.7"),
        ("require_proxy_protocol = yes", GET, b"400 Bad Request"),
        ("require_proxy_protocol = no", LINE + GET, b"400 Bad Request"),
    ],
    ids=["unset", "a line where one is due", "no line where one is due", "a line where none is due"],
)
def test_a_proxy_line_is_read_exactly_where_the_file_asks_for_it(tmp_path, defaults, sent, answer):
    with served(tmp_path, defaults) as (_, client):
        client.send(sent)
        client.finish()
        assert client.read_to_end().startswith(b"HTTP/1.1 " + answer)


def test_limits_are_those_of_the_file(tmp_path):
    lines = "client_timeout = 7\nclient_min_rate = 512\nkeepalive_timeout = 9\nmax_clients = 11"
    with served(tmp_path, lines) as (server, _):
        limits = server.limits
        assert limits.client_timeout_s == 7
        assert limits.body_bytes_per_s == 512
        assert limits.keepalive_timeout_s == 9
        assert limits.max_connections == 11
