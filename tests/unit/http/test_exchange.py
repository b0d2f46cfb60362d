"""http/server.py and http/client.py together over real sockets: one request, one answer."""

import pytest

from objstore.http.client import ConnectionPool, request
from tests.support.http import running_server


def echo(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@pytest.fixture
def pool():
    pool = ConnectionPool()
    yield pool
    pool.close()


def test_a_body_comes_back_over_one_kept_connection(pool):
    with running_server(echo) as running:
        for body in (b"", b"x", b"y" * 300_000):
            head, answer = request(
                pool,
                running.host,
                running.port,
                "PUT",
                "/a",
                [("Host", "h"), ("Content-Length", str(len(body)))],
                body,
                connect_timeout_s=5,
                timeout_s=5,
                max_body_bytes=1 << 20,
            )
            assert (head.status, answer) == (200, body)
        assert running.server.connection_count == pool.idle_count == 1
