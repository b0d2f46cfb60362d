"""Bodies on their way out, by the ways that a real server takes: pipes, files, pieces."""

import os

import pytest

from objstore.middleware.encryption.body import BUFFER_BYTES, DecryptingBody
from objstore.middleware.encryption.crypto import KeyStream
from tests.support.http import running_server
from tests.support.storage_nodes import StorageNodes, eventually

KEY, IV = bytes(range(32)), bytes(16)
PLAIN = os.urandom(BUFFER_BYTES * 2 + 777)
SEALED = KeyStream(KEY, IV).update(PLAIN)


class KeepingSink:
    def __init__(self):
        self.data = b""

    def send(self, data):
        self.data += bytes(data)


class Body:
    """Sends itself a third by each way."""

    def __init__(self, path):
        self.path = path
        self.is_closed = False

    def transfer(self, sink):
        first, second = 1000, 60_000
        sink.send(SEALED[:first])
        read_end, write_end = os.pipe()
        os.write(write_end, SEALED[first:second])
        sink.splice(read_end, second - first)
        with open(self.path, "rb") as file:
            sink.sendfile(file.fileno(), second, len(SEALED) - second)
        os.close(read_end)
        os.close(write_end)

    def __iter__(self):
        yield SEALED[:5]
        yield SEALED[5:]

    def close(self):
        self.is_closed = True


@pytest.fixture
def body(tmp_path):
    (tmp_path / "sealed").write_bytes(SEALED)
    return Body(tmp_path / "sealed")


def test_whichever_way_bytes_come_they_leave_in_the_clear(body):
    sink = KeepingSink()
    outer = DecryptingBody(body, KeyStream(KEY, IV))
    outer.transfer(sink)
    outer.close()
    assert sink.data == PLAIN and body.is_closed
    assert b"".join(DecryptingBody(body, KeyStream(KEY, IV))) == PLAIN


def test_a_body_that_cannot_send_itself_is_sent_in_pieces():
    sink = KeepingSink()
    DecryptingBody([SEALED[:17], SEALED[17:]], KeyStream(KEY, IV)).transfer(sink)
    assert sink.data == PLAIN


@pytest.mark.parametrize("way", ["splice", "sendfile"])
def test_bytes_that_are_missing_are_an_error_never_a_shorter_body(body, way, tmp_path):
    class Short(Body):
        def transfer(self, sink):
            (tmp_path / "short").write_bytes(b"x" * 10)
            with open(tmp_path / "short", "rb") as file:
                sink.sendfile(file.fileno(), 0, 11) if way == "sendfile" else sink.splice(file.fileno(), 11)

    with pytest.raises(EOFError):
        DecryptingBody(Short(None), KeyStream(KEY, IV)).transfer(KeepingSink())


def test_a_large_object_goes_on_from_another_replica_in_mid_body(tmp_path):
    from tests.support.encryption import encrypting
    from tests.support.storage_nodes import ProxyClient

    size = 8 << 20
    with StorageNodes(tmp_path, nodes=3) as nodes:
        client = ProxyClient(encrypting(nodes.proxy().app))
        client.put("/v1/AUTH_a/c")
        body = os.urandom(size)
        assert client.put("/v1/AUTH_a/c/o", body=body).status == 201
        with running_server(client.app) as server, server.connect() as raw:
            nodes.seen.clear()
            raw.send(b"GET /v1/AUTH_a/c/o HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            got = raw.read_until(b"\r\n\r\n")
            eventually(lambda: nodes.asked("object", "GET"), "a server is asked")
            (node,) = {seen[1] for seen in nodes.seen if seen[0] == "object"}
            nodes.cut(node, "object", restart=True)
            got += raw.read_to_end()
        assert got.partition(b"\r\n\r\n")[2] == body
