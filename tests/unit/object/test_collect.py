"""object/handlers/collect.py: several small objects by one request, and only those that a GET would give so."""

import hashlib
import json

import pytest

from objstore.core.errors import Corrupt
from objstore.peers.collected import HERE
from objstore.storage.engine import CRC_HEADER
from tests.support.object_server import ObjectNode

NOW = "1795238400.00000"
BODY = bytes(range(256)) * 256


@pytest.fixture
def node(tmp_path):
    return ObjectNode(tmp_path)


def row(name, body, partition="5"):
    return [partition, f"/AUTH_a/c/{name}", hashlib.md5(body, usedforsecurity=False).hexdigest(), len(body)]


def collect(node, rows, **more):
    body = json.dumps(rows).encode()
    return node.call("COLLECT", "/sdb1/5", {"content-length": str(len(body))}, body, **more)


@pytest.mark.parametrize("iterate", [False, True])
def test_bodies_come_one_after_the_other_in_the_order_of_the_question(node, iterate):
    bodies = {"a": b"one", "ü": BODY, "empty": b"", "z": b"last"}
    for name, body in bodies.items():
        node.put(f"/sdb1/5/AUTH_a/c/{name}", body)
    answer = collect(node, [row(name, body) for name, body in reversed(bodies.items())], iterate=iterate)
    assert (answer.status, answer.headers[HERE]) == (200, "1111")
    assert answer.body == b"".join(reversed(bodies.values()))
    assert answer.headers["content-length"] == str(len(answer.body))


def test_each_has_a_partition_of_its_own(node):
    node.put("/sdb1/5/AUTH_a/c/a", b"one")
    node.put("/sdb1/6/AUTH_a/c/b", b"two")
    answer = collect(node, [row("a", b"one"), row("b", b"two", "6"), row("b", b"two", "5")])
    assert (answer.headers[HERE], answer.body) == ("110", b"onetwo")


def damaged(node):
    node.put("/sdb1/5/AUTH_a/c/o", b"two")
    next(node.directory("/sdb1/5/AUTH_a/c/o").glob("*.data")).write_bytes(b"twO")


def deleted(node):
    node.put("/sdb1/5/AUTH_a/c/o", b"two")
    node.call("DELETE", "/sdb1/5/AUTH_a/c/o", {"x-timestamp": "1795238401.00000"})


def expired(node):
    node.put("/sdb1/5/AUTH_a/c/o", b"two", X_Delete_At="1795238410")
    node.clock.advance(20)


NOT_HERE = {
    "missing": lambda node: None,
    "deleted": deleted,
    "expired": expired,
    "damaged": damaged,
    "another ETag": lambda node: node.put("/sdb1/5/AUTH_a/c/o", b"TWO"),
    "another size": lambda node: node.put("/sdb1/5/AUTH_a/c/o", b"twofold"),
    "dynamic manifest": lambda node: node.put("/sdb1/5/AUTH_a/c/o", b"two", X_Object_Manifest="c/p"),
    "static manifest": lambda node: node.put("/sdb1/5/AUTH_a/c/o", b"two", X_Static_Large_Object="True"),
    "link": lambda node: node.put("/sdb1/5/AUTH_a/c/o", b"two", X_Object_Sysmeta_Symlink_Target="c/t"),
}


@pytest.mark.parametrize("how", NOT_HERE)
def test_what_a_get_would_not_give_so_is_not_here_and_the_others_are(node, how):
    node.put("/sdb1/5/AUTH_a/c/before", b"one")
    node.put("/sdb1/5/AUTH_a/c/after", b"three")
    NOT_HERE[how](node)
    answer = collect(node, [row("before", b"one"), row("o", b"two"), row("after", b"three")])
    assert (answer.status, answer.headers[HERE], answer.body) == (200, "101", b"onethree")


LARGE = {name: bytes([index]) * size for index, (name, size) in enumerate({"a": 900_000, "b": 1 << 20, "c": 5}.items())}


@pytest.mark.parametrize("iterate", [False, True])
def test_many_bytes_are_sent_one_object_after_the_other(node, iterate):
    for name, body in LARGE.items():
        node.put(f"/sdb1/5/AUTH_a/c/{name}", body)
    rows = [row("a", LARGE["a"]), row("gone", b"x"), row("b", LARGE["b"]), row("c", LARGE["c"])]
    answer = collect(node, rows, iterate=iterate)
    assert (answer.status, answer.headers[HERE]) == (200, "1011")
    assert answer.body == b"".join(LARGE.values())
    assert answer.headers["content-length"] == str(len(answer.body))


@pytest.mark.parametrize("iterate", [False, True])
def test_of_many_bytes_none_that_are_damaged_are_sent(node, iterate):
    for name, body in LARGE.items():
        node.put(f"/sdb1/5/AUTH_a/c/{name}", body)
    next(node.directory("/sdb1/5/AUTH_a/c/b").glob("*.data")).write_bytes(b"x" * len(LARGE["b"]))
    answer = collect(node, [row(name, body) for name, body in LARGE.items()], iterate=iterate)
    assert answer.headers[HERE] == "111" and isinstance(answer.broke, Corrupt)
    assert answer.body == LARGE["a"]
    assert not node.directory("/sdb1/5/AUTH_a/c/b").exists()


def test_what_is_damaged_is_set_aside(node):
    damaged(node)
    collect(node, [row("o", b"two")])
    assert not node.directory("/sdb1/5/AUTH_a/c/o").exists()
    assert (node.root / "sdb1" / "quarantined" / "objects").is_dir()


@pytest.mark.parametrize(
    ("partition", "name"),
    [
        ("..", "/AUTH_a/c/o"),
        (".", "/AUTH_a/c/o"),
        ("", "/AUTH_a/c/o"),
        ("5", "/AUTH_a/c"),
        ("5", "AUTH_a/c/o"),
        ("5", "/AUTH_a/\x00c/o"),
        ("5", "/AUTH_a/c/\ud800"),
    ],
)
def test_no_name_leads_astray(node, partition, name):
    answer = collect(node, [[partition, name, "e", 3]])
    assert (answer.status, answer.headers[HERE], answer.body) == (200, "0", b"")


def test_a_device_that_is_away_has_nothing(node):
    (node.root / "sdb1").rmdir()
    node.put("/sdb2/5/AUTH_a/c/o", b"one")
    answer = collect(node, [row("o", b"one")])
    assert (answer.status, answer.headers[HERE]) == (200, "0")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", json.dumps([row("o", b"x")] * 17).encode()])
def test_a_question_that_is_none_is_refused(node, body):
    assert node.call("COLLECT", "/sdb1/5", {"content-length": str(len(body))}, body).status == 400


def test_an_unknown_policy_is_said(node):
    body = json.dumps([row("o", b"x")]).encode()
    headers = {"content-length": str(len(body)), "x-backend-storage-policy-index": "9"}
    assert node.call("COLLECT", "/sdb1/5", headers, body).status == 503


def test_the_servers_own_checksum_is_no_meaning(node):
    node.put("/sdb1/5/AUTH_a/c/o", b"one")
    with node.app._handlers["COLLECT"]._context.engine.open(node.address("/sdb1/5/AUTH_a/c/o")) as stored:
        assert CRC_HEADER in stored.headers
