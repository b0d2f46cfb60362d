"""object/handlers/batch.py: several requests at once, each answered as it would be by itself."""

import json

import pytest

from objstore.peers.batched import REQUESTS_AT_MOST
from tests.support.object_server import ObjectNode

LATER = "1795238500.00000"


@pytest.fixture
def node(tmp_path):
    return ObjectNode(tmp_path)


def batch(node, *rows, headers=None):
    body = json.dumps(rows).encode()
    answer = node.call("BATCH", "/sdb1/5", {"content-length": str(len(body)), **(headers or {})}, body)
    return json.loads(answer.body) if answer.status == 200 else answer.status


def head(name, partition="5", device="sdb1", **headers):
    return ["HEAD", f"/{device}/{partition}/AUTH_a/c/{name}", headers]


def delete(name, timestamp=LATER, **headers):
    lines = {"x-timestamp": timestamp, **{key.replace("_", "-"): value for key, value in headers.items()}}
    return ["DELETE", f"/sdb1/5/AUTH_a/c/{name}", lines]


def test_each_is_answered_as_it_would_be_by_itself(node):
    node.put("/sdb1/5/AUTH_a/c/a%25", b"one", X_Object_Meta_Colour="gr\xc3\xbcn")
    node.put("/sdb2/6/AUTH_a/c/b", b"four")
    rows = [head("a%25"), head("gone"), head("b", "6", "sdb2"), head("b")]
    alone = [node.call(method, path) for method, path, _ in rows]
    answers = batch(node, *rows)
    assert [status for status, _ in answers] == [200, 404, 200, 404]
    # By itself a response gets its Content-Length on the way out, where its handler has not said it.
    for (_, headers), each in zip(answers, alone, strict=True):
        assert {"content-length": each.headers["content-length"], **headers} == each.headers


def test_deletions_are_done_and_each_has_its_condition(node):
    for name in ("a", "b"):
        node.put(f"/sdb1/5/AUTH_a/c/{name}", b"one", X_Delete_At="1795238450")
    answers = batch(
        node, delete("a", x_if_delete_at="1795238450"), delete("b", x_if_delete_at="1795238451"), delete("c")
    )
    assert [status for status, _ in answers] == [204, 412, 404]
    names = {
        name: sorted(file.suffix for file in node.directory(f"/sdb1/5/AUTH_a/c/{name}").glob("*")) for name in "abc"
    }
    assert names == {"a": [".ts"], "b": [".data"], "c": [".ts"]}


def test_headers_of_the_batch_are_those_of_each(node):
    node.put("/sdb1/5/AUTH_a/c/a", b"one", X_Backend_Storage_Policy_Index="2")
    policy = {"x-backend-storage-policy-index": "2"}
    assert [status for status, _ in batch(node, head("a"), head("a"), headers=policy)] == [200, 200]
    assert [status for status, _ in batch(node, head("a"), head("a", **policy))] == [404, 200]


def test_rows_are_told_as_for_single_deletions(node):
    node.put("/sdb1/5/AUTH_a/c/a", b"one")
    container = {"x-container-host": "10.0.0.1:6201", "x-container-device": "sdz", "x-container-partition": "9"}
    batch(node, ["DELETE", "/sdb1/5/AUTH_a/c/a", {"x-timestamp": LATER, "x-trans-id": "tx1", **container}], head("b"))
    ((target, row, _),) = node.delivery.rows
    assert (target.host, row.op, row.obj, row.transaction_id) == ("10.0.0.1", "DELETE", "a", "tx1")


def test_one_that_fails_says_nothing_of_the_others(node):
    node.put("/sdb1/5/AUTH_a/c/a", b"one")
    rows = [
        delete("a", "no timestamp"),
        ["HEAD", "/sdb1/5/AUTH_a", {}],
        ["HEAD", "/sdb1/../AUTH_a/c/o", {}],
        ["HEAD", "/nosuch/5/AUTH_a/c/o", {}],
        head("a"),
    ]
    assert [status for status, _ in batch(node, *rows)] == [400, 400, 400, 507, 200]


def test_a_device_that_goes_away_is_507_for_its_own(node):
    (node.root / "sdb2").rmdir()
    node.put("/sdb1/5/AUTH_a/c/a", b"one")
    assert [status for status, _ in batch(node, head("a", device="sdb2"), head("a"), delete("a"))] == [507, 200, 204]


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [["PUT", "/sdb1/5/AUTH_a/c/o", {"x-timestamp": LATER}]],
        [["BATCH", "/sdb1/5", {}]],
        [delete("a")] + [["HEAD", "/sdb1/5/AUTH_a/c/o", {"x-a": "b\r\nc: d"}]],
        [delete("a")] * (REQUESTS_AT_MOST + 1),
    ],
)
def test_what_is_no_batch_is_refused_and_nothing_of_it_done(node, rows):
    node.put("/sdb1/5/AUTH_a/c/a", b"one")
    assert batch(node, *rows) == 400
    assert node.call("HEAD", "/sdb1/5/AUTH_a/c/a").status == 200


def test_the_allow_header_does_not_name_it(node):
    assert "BATCH" not in node.call("OPTIONS", "/").headers["allow"]
