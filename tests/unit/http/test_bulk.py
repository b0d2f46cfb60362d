"""Large bodies over real sockets: read in large pieces, whatever the pace and the framing of the sender."""

import hashlib
import os

import pytest

from objstore.http.server import ServerLimits
from objstore.runtime import green
from tests.support.http import running_server

BODY = os.urandom(3 << 20)
BLOCK_BYTES = 1 << 20


def digesting(pieces):
    """An application that reads its body in large blocks, and notes how long each piece was."""

    def app(environ, start_response):
        md5, block = hashlib.md5(), memoryview(bytearray(BLOCK_BYTES))
        while count := environ["wsgi.input"].readinto(block):
            md5.update(block[:count])
            pieces.append(count)
        start_response("200 OK", [])
        return [md5.hexdigest().encode()]

    return app


def chunked(body, size):
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


FRAMINGS = {
    "content-length": (b"Content-Length: %d\r\n\r\n" % len(BODY), BODY),
    **{
        f"chunks of {size}": (b"Transfer-Encoding: chunked\r\n\r\n", chunked(BODY, size))
        for size in (len(BODY), BLOCK_BYTES, 262_144, 70_000, 65_536, 4_096)
    },
}


@pytest.mark.parametrize(("head", "wire"), FRAMINGS.values(), ids=FRAMINGS)
def test_a_large_body_arrives_whole_and_the_connection_serves_the_next(head, wire):
    with running_server(digesting([])) as running, running.connect() as client:
        for _ in range(2):
            client.send(b"PUT /a HTTP/1.1\r\nHost: h\r\n" + head + wire)
            assert client.read_until(hashlib.md5(BODY).hexdigest().encode())
        # A low-water mark that outlived the body would hold this short request back.
        client.send(b"GET /b HTTP/1.1\r\nHost: h\r\n\r\n")
        assert client.read_until(hashlib.md5().hexdigest().encode())


@pytest.mark.parametrize(("head", "wire"), [FRAMINGS["content-length"], FRAMINGS["chunks of 3145728"]])
def test_a_sender_that_pauses_in_mid_body_is_not_held_against_a_full_block(head, wire):
    pieces = []
    with running_server(digesting(pieces)) as running, running.connect() as client:
        client.send(b"PUT /a HTTP/1.1\r\nHost: h\r\n" + head + wire[:100])
        end = green.monotonic() + 5
        while sum(pieces) < 80:
            assert green.monotonic() < end, "what has come was not given out"
            green.sleep(0.01)
        client.send(wire[100:])
        assert client.read_until(hashlib.md5(BODY).hexdigest().encode())


def test_a_sender_that_stops_in_mid_body_is_given_up_after_the_client_timeout():
    with running_server(digesting([]), ServerLimits(client_timeout_s=0.3)) as running, running.connect() as client:
        client.send(b"PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY[:100_000])
        assert client.read_to_end().startswith(b"HTTP/1.1 408 ")


def test_a_sender_that_closes_in_mid_body_is_noticed_at_once():
    with running_server(digesting([]), ServerLimits(client_timeout_s=60)) as running, running.connect() as client:
        client.send(b"PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY[:100_000])
        client.finish()
        assert client.read_to_end(timeout_s=5).startswith(b"HTTP/1.1 400 ")
