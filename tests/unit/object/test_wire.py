"""Recorded conversations with an object server, replayed: vectors/wire/{object,footers,updater,direct-object}.jsonl.

Requests to the four recorded servers go to one app that has all four devices. Bodies of errors and the texts around
them are not compared; everything else is.
"""

import json
from base64 import b64decode
from pathlib import Path

from tests.support.object_server import FakeBody, ObjectNode

VECTORS = Path(__file__).parents[2] / "vectors" / "wire"
IGNORED = {"date", "connection", "server"}
NOT_OURS = {
    "direct-object.healthcheck#1": "answered by a filter, not by the app",
    "direct-object.put-bad-length#1": "refused by the HTTP layer",
    "object.put-507#2": "the device was unmounted by hand",
    **dict.fromkeys(
        (
            f"footers.{name}"
            for name in (
                "slo-put#2",
                "slo-put#3",
                "slo-get#3",
                "slo-get#4",
                "slo-delete#3",
                "slo-delete#4",
                "dlo-get#4",
                "dlo-get#5",
                "dlo-get#6",
            )
        ),
        "on segments whose upload was not recorded",
    ),
}


def recorded(name):
    with open(VECTORS / f"{name}.jsonl") as lines:
        for line in lines:
            record = json.loads(line)
            if record["to"].startswith("object") and record["from"] != "client":
                yield record


def conversation():
    """What the proxy sent, in the order it was recorded, then what was typed by hand."""
    yield from recorded("object")
    yield from recorded("footers")
    yield from (record for record in recorded("updater") if record["from"] == "proxy-server")
    yield from recorded("direct-object")


def body_of(record):
    body = record["request"].get("body", "")
    return b64decode(body["base64"]) if isinstance(body, dict) else body.encode()


def play(node, record, device=None):
    request = record["request"]
    path = request["path"]
    if device is not None:
        path = f"/{device}/" + path.split("/", 2)[2]
    headers = {}
    for name, value in request["headers"]:
        # JSON holds header values as text; on the wire they are UTF-8, in WSGI their bytes as code points.
        headers[name.lower()] = value.encode().decode("latin-1")
    return node.call(request["method"], path, headers, FakeBody([body_of(record)]))


def expected_headers(record):
    return {
        name.lower(): value.encode().decode("latin-1")
        for name, value in record["response"]["headers"]
        if name.lower() not in IGNORED
    }


def check(record, answer):
    assert answer.status == record["response"]["status"]
    headers = {name: value for name, value in answer.headers.items() if name not in IGNORED}
    wanted = expected_headers(record)
    is_error = record["response"]["status"] >= 400 or isinstance(record["response"]["body"], dict)
    if is_error or answer.status == 204:
        for each in (headers, wanted):
            each.pop("content-length", None)
            each.pop("allow", None)
            if each.get("content-type", "").startswith(("text/html", "text/plain")):
                each.pop("content-type", None)
    if wanted.get("content-type", "").startswith("multipart"):
        headers.pop("content-type")
        wanted.pop("content-type")
    assert headers == wanted
    body = record["response"]["body"]
    if isinstance(body, str) and not is_error and record["request"]["method"] != "HEAD":
        if "boundary" in answer.headers.get("content-type", ""):
            return
        assert answer.body.decode() == body


def test_recorded_conversations(tmp_path):
    node = ObjectNode(tmp_path)
    failures, count = [], 0
    for record in conversation():
        if record["id"] in NOT_OURS or record["to"].endswith("-repl"):
            continue
        count += 1
        answer = play(node, record)
        for peer in record.get("same_to", ()):
            if peer.startswith("object"):
                play(node, record, f"sdb{peer.removeprefix('object')}")
        try:
            check(record, answer)
        except AssertionError as error:
            failures.append(f"{record['id']}: {error}")
    assert count > 100
    assert not failures, "\n\n".join(failures)


def test_recorded_replicate_calls(tmp_path):
    """Those whose answer does not depend on what the partition held."""
    node = ObjectNode(tmp_path)
    wanted = {"hashes-suffix", "hashes-two-suffixes", "hashes-empty", "hashes-bad-partition", "hashes-bad-suffix"}
    count = 0
    for record in recorded("replicate-object"):
        operation = record["id"].partition(".")[2].partition("#")[0]
        if operation in wanted:
            answer = play(node, record)
            assert answer.status == record["response"]["status"], operation
            assert answer.body == b64decode(record["response"]["body"]["base64"]), operation
            count += 1
    assert count == len(wanted)
