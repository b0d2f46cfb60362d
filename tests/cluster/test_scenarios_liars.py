"""A peer that lies: in the place of one node's servers stands one that says what it likes. The others refuse it, and go
on; when the node is back everything heals. The lies of single answers are tables of unit tests (test_db_liars.py,
test_replicate_lies.py); here whole processes hear them."""

from __future__ import annotations

import json

import pytest

from objstore.cluster.servers import read_servers
from objstore.core import pickles
from tests.support.healing import started
from tests.support.liar import Liar

pytestmark = pytest.mark.cluster


def says(status, body=b"", *headers):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def ssync(*lines):
    body = b"".join(line + b"\r\n" for line in lines)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + (
        b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    )


EVIL = b"\x80\x02cos\nsystem\nq\x00U\x10touch /tmp/ownedq\x01\x85q\x02Rq\x03."
OTHERS_ROWS = json.dumps(
    {
        "account": "AUTH_other", "container": "other", "created_at": "1700000000.00000", "id": "liar", "metadata": "",
        "put_timestamp": "9999999999.00000", "delete_timestamp": "9999999999.00000", "hash": "f" * 32, "count": 0,
        "status_changed_at": "9999999999.00000", "max_row": 10**15, "point": 10**15, "storage_policy_index": 7,
        "shard_max_row": -1,
    }
).encode()  # fmt: skip

LIES = {
    "no HTTP": lambda method: b"\x00\x01SSH-2.0-OpenSSH\r\n\r\n",
    "nothing": lambda method: b"",
    "a cut head": lambda method: b"HTTP/1.1 200 OK\r\nContent-Le",
    "a cut body": lambda method: b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nxyz",
    "all is well": lambda method: says("204 No Content"),
    "nothing is here": lambda method: says("404 Not Found"),
    "a disk is away": lambda method: says("507 Insufficient Storage"),
    "code in a pickle": lambda method: says("200 OK", EVIL),
    "digests that are none": lambda method: says("200 OK", pickles.dumps({"../": "x", "abc": "zz", "zzz": "0" * 32})),
    "wrong digests": lambda method: says("200 OK", pickles.dumps({f"{n:03x}": "f" * 32 for n in range(4096)})),
    "more than anybody wants": lambda method: says("200 OK", b"x" * (8 << 20)),
    "a container of somebody else": lambda method: says("200 OK", OTHERS_ROWS),
    "a conversation that is none": lambda method: ssync(b":MISSING_CHECK: START", b"../../etc/passwd d", b"x" * 2000),
    "whatever you have": lambda method: ssync(
        b":MISSING_CHECK: START", b"0" * 32 + b" dm", b":MISSING_CHECK: END", b":UPDATES: START", b":UPDATES: END"
    ),
}


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    with started(
        tmp_path_factory.mktemp("liars") / "c", ("object", "object-replicator", "sync_method", "ssync")
    ) as scene:
        yield scene


@pytest.mark.long
@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_node_lies_and_nobody_is_harmed(scene, lie):
    cluster, ledger = scene.site.cluster, scene.ledger
    name = f"c{len(ledger.expected)}"
    ledger.container(name)
    for number in range(4):
        ledger.put(name, f"o{number}", b"before" * number)
    ports = [server.address[1] for server in read_servers(cluster.directory) if server.node == "n2"]
    cluster.kill_node("n2")
    try:
        with Liar(ports, lie) as liar:
            # A liar among three may spoil a quorum, never an answer: what is acknowledged counts, the rest may be.
            for number in range(4):
                ledger.may_put(name, f"during{number}", b"during" * number)
            scene.round(["n1", "n3", "n4"])
            assert liar.asked
    finally:
        cluster.start_node("n2")
    scene.heal()
