"""cluster/strangers.py: what servers of no member say of their rings, and who is behind by that."""

import hashlib
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from objstore.cli.at_once import within
from objstore.cluster.strangers import AGAIN_S, Strangers, parsed, ring_digests
from tests.support.clock import SimClock
from tests.support.ring_holder import make_etc

RECORDS = Path(__file__).parents[2] / "vectors" / "wire" / "recon.jsonl"
NODES = [("10.0.0.3", 6200), ("10.0.0.3", 6201), ("10.0.0.3", 6202)]
KNOWN = frozenset((f"10.0.0.{number}", port) for number in (1, 2, 4) for port in (6200, 6201, 6202))


def test_what_a_server_of_swift_was_recorded_to_say_is_understood():
    records = [json.loads(line) for line in RECORDS.read_text().splitlines()]
    (record,) = [each for each in records if each["id"].startswith("recon.object-ringmd5")]
    found = parsed(record["response"]["body"].encode())
    assert found["object-1.ring.gz"] == "081ff190268c96904fd9958657427a29"
    assert len(found) == 5


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"a": 1}', b'{"a": {}}', b"\xff", b"[" * 100_000, b'"text"'], ids=lambda body: repr(body[:9])
)
def test_anything_else_says_nothing(body):
    assert parsed(body) is None


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        status, body = self.server.answer
        self.send_response(status if self.path == "/recon/ringmd5" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with HTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_server_is_asked_over_the_network(server):
    server.answer = 200, b'{"/etc/swift/object.ring.gz": "ab"}'
    assert ring_digests(server.server_address, 20) == {"object.ring.gz": "ab"}
    server.answer = 500, b'{"/etc/swift/object.ring.gz": "ab"}'
    assert ring_digests(server.server_address, 20) is None
    server.answer = 200, b"x" * (1 << 19)
    assert ring_digests(server.server_address, 20) is None


def test_who_does_not_answer_says_nothing():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert ring_digests(silent.getsockname(), 0.05) is None
        address = silent.getsockname()
    assert ring_digests(address, 20) is None


class Asked:
    """n3 is nobody's member; said: address → what its server says."""

    def __init__(self, etc):
        self.etc = make_etc(etc)
        self.clock = SimClock()
        self.said = {}
        self.asked = []
        self.strangers = Strangers(self.etc, within, self.clock.monotonic, self.ask)

    def ask(self, address):
        self.asked.append(address)
        return self.said.get(address)

    def digests(self):
        return {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in self.etc.glob("*.ring.gz")}


@pytest.fixture
def asked(tmp_path):
    return Asked(tmp_path / "etc")


def test_strangers_are_those_in_the_rings_that_are_not_known(asked):
    assert asked.strangers.among(KNOWN, 1) == NODES
    assert asked.strangers.among(KNOWN | set(NODES), 2) == []


def test_who_says_nothing_is_not_behind_and_who_has_these_rings_is_not(asked):
    asked.said[NODES[0]] = asked.digests()
    assert asked.strangers.behind(KNOWN, 1) == []
    assert sorted(asked.asked) == NODES


@pytest.mark.parametrize("change", [{"object-1.ring.gz": "0" * 32}, {"object.ring.gz": ""}], ids=str)
def test_another_ring_of_its_kind_is_behind(asked, change):
    asked.said[NODES[0]] = {**asked.digests(), **change}
    assert asked.strangers.behind(KNOWN, 1) == [NODES[0]]


def test_a_ring_that_it_lacks_is_behind_and_one_that_does_not_concern_it_is_not(asked):
    for address, left_out in ((NODES[0], "object-1.ring.gz"), (NODES[1], "account.ring.gz")):
        asked.said[address] = {name: digest for name, digest in asked.digests().items() if name != left_out}
    assert asked.strangers.behind(KNOWN, 1) == [NODES[0]]


def test_they_are_asked_once_in_a_while_and_at_other_rings_at_once(asked):
    asked.strangers.behind(KNOWN, 1)
    asked.clock.advance(AGAIN_S - 1)
    asked.strangers.behind(KNOWN, 1)
    assert len(asked.asked) == 3
    asked.strangers.behind(KNOWN, 2)
    assert len(asked.asked) == 6
    asked.clock.advance(AGAIN_S)
    asked.strangers.behind(KNOWN, 2)
    assert len(asked.asked) == 9
